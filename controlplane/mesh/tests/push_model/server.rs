//! The automaton under exploration, and automata made faulty on purpose: each shows that the explorer can find fault.

use std::{collections::BTreeMap, hash::Hasher, sync::Arc};

use mesh::{
    push::{Automaton, Limits, Protocol, Reply, Request, Response},
    snapshot::{Snapshot, Version},
};
use proto::type_url::ResourceType;

/// What is wrong with a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Takes everything that was sent for acknowledged, as servers do that send all types at once.
    HopesForTheBest,
    /// Does not send endpoints again that did not change.
    SkipsEndpoints,
    /// Removes clusters as soon as the target lacks them.
    RemovesEarly,
    /// Loses what was refused together with a bad resource.
    LosesTheGood,
    /// Leaves out what only keeps a cluster of an earlier stream at work.
    LeavesOutPlaceholders,
}

#[derive(Debug, Clone)]
pub(crate) struct Server {
    automaton: Automaton,
    protocol: Protocol,
    fault: Fault,
    sent: BTreeMap<(ResourceType, Arc<str>), Version>,
}

impl Server {
    pub(crate) fn new(protocol: Protocol, fault: Fault, target: &Arc<Snapshot>) -> Self {
        let automaton = Automaton::new(protocol, Limits::default(), Arc::clone(target));
        Self { automaton, protocol, fault, sent: BTreeMap::new() }
    }

    pub(crate) fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    pub(crate) fn hear_silence(&mut self) {
        self.automaton.hear_silence();
    }

    pub(crate) fn aim(&mut self, target: &Arc<Snapshot>) {
        self.automaton.aim(Arc::clone(target));
    }

    pub(crate) fn receive(&mut self, mut request: Request) {
        match self.fault {
            Fault::HopesForTheBest => {
                let (Request::Delta { nonce, error, .. } | Request::Sotw { nonce, error, .. }) = &mut request;
                nonce.clear();
                *error = None;
            }
            Fault::LosesTheGood => {
                let (Request::Delta { error, .. } | Request::Sotw { error, .. }) = &mut request;
                *error = None;
            }
            Fault::None | Fault::SkipsEndpoints | Fault::RemovesEarly | Fault::LeavesOutPlaceholders => {}
        }
        let received = self.automaton.receive(request).expect("within the limits");
        assert_ne!(received.reply, Reply::Unsolicited, "Envoy answers only what was sent");
    }

    pub(crate) fn next(&mut self) -> Option<Response> {
        let mut response = self.automaton.next()?;
        match self.fault {
            Fault::None | Fault::LosesTheGood => {}
            Fault::HopesForTheBest => self.answer(&response),
            Fault::SkipsEndpoints => self.skip_endpoints(&mut response),
            Fault::RemovesEarly => self.remove_early(&mut response),
            // Nothing in the mesh made them.
            Fault::LeavesOutPlaceholders => response.resources.retain(|resource| !resource.provenance.is_empty()),
        }
        Some(response)
    }

    fn skip_endpoints(&mut self, response: &mut Response) {
        if response.kind != ResourceType::Endpoint {
            return;
        }
        let sent = &mut self.sent;
        response.resources.retain(|resource| {
            let key = (ResourceType::Endpoint, Arc::clone(&resource.name));
            sent.insert(key, resource.version) != Some(resource.version)
        });
    }

    fn remove_early(&mut self, response: &mut Response) {
        if response.kind != ResourceType::Cluster {
            return;
        }
        let target = Arc::clone(self.automaton.target());
        let is_aimed = |name: &str| target.of(ResourceType::Cluster).contains(name);
        match self.protocol {
            Protocol::StateOfTheWorld => response.resources.retain(|resource| is_aimed(&resource.name)),
            Protocol::Delta => {
                let gone = self.sent.keys().filter(|(_, name)| !is_aimed(name)).map(|(_, name)| Arc::clone(name));
                response.removed.extend(gone);
            }
        }
        let kept = response.resources.iter().map(|r| ((ResourceType::Cluster, Arc::clone(&r.name)), r.version));
        self.sent.extend(kept);
    }

    /// Answers a response in the proxy's place.
    fn answer(&mut self, response: &Response) {
        let (kind, nonce, error) = (response.kind, response.nonce.to_string(), None);
        let request = match self.protocol {
            Protocol::Delta => Request::Delta {
                kind,
                subscribe: Vec::new(),
                unsubscribe: Vec::new(),
                initial_versions: BTreeMap::new(),
                nonce,
                error,
            },
            // Only delta can answer without repeating the subscription.
            Protocol::StateOfTheWorld => return,
        };
        self.automaton.receive(request).expect("within the limits");
    }

    pub(crate) fn fingerprint(&self, hasher: &mut impl Hasher, rename: &mut impl FnMut(u64) -> u64) {
        self.automaton.fingerprint(hasher, rename);
        std::hash::Hash::hash(&self.sent, hasher);
    }
}
