//! A proxy that does what the script says: asks, takes what comes, accepts or refuses it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mesh::{
    push::{Automaton, Limits, Protocol, Received, Request, Response, Sync},
    snapshot::Snapshot,
};
use proto::type_url::ResourceType;

pub(crate) const DELTA: Protocol = Protocol::Delta;
pub(crate) const SOTW: Protocol = Protocol::StateOfTheWorld;

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) automaton: Automaton,
    protocol: Protocol,
    /// Names that it wants, for the state of the world.
    names: BTreeMap<ResourceType, BTreeSet<String>>,
    /// Version and nonce of the last response of each type.
    last: BTreeMap<ResourceType, (String, String)>,
}

impl Proxy {
    pub(crate) fn new(protocol: Protocol, target: &Arc<Snapshot>) -> Self {
        let automaton = Automaton::new(protocol, Limits::default(), Arc::clone(target));
        Self { automaton, protocol, names: BTreeMap::new(), last: BTreeMap::new() }
    }

    /// Asks for everything of a type as Envoy does: by naming nothing.
    pub(crate) fn wants_all(&mut self, kind: ResourceType) -> Received {
        self.request(kind, &[], &[], None, None)
    }

    pub(crate) fn wants(&mut self, kind: ResourceType, names: &[&str]) -> Received {
        self.request(kind, names, &[], None, None)
    }

    pub(crate) fn drops(&mut self, kind: ResourceType, names: &[&str]) -> Received {
        self.request(kind, &[], names, None, None)
    }

    /// Asks for the first time on a new stream, with what it has from the one before.
    pub(crate) fn comes_back(&mut self, kind: ResourceType, names: &[&str], held: &[(&str, &str)]) -> Received {
        let initial_versions = held.iter().map(|(name, version)| ((*name).to_owned(), (*version).to_owned())).collect();
        let subscribe = names.iter().map(ToString::to_string).collect();
        let (nonce, error) = (String::new(), None);
        self.receive(Request::Delta { kind, subscribe, unsubscribe: Vec::new(), initial_versions, nonce, error })
    }

    /// The same in the state of the world, where it can name only the version of everything.
    pub(crate) fn comes_back_at(&mut self, kind: ResourceType, names: &[&str], version: &str) -> Received {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.names.entry(kind).or_default().extend(names.iter().cloned());
        self.receive(Request::Sotw { kind, names, version: version.to_owned(), nonce: String::new(), error: None })
    }

    pub(crate) fn aim(&mut self, target: &Arc<Snapshot>) {
        self.automaton.aim(Arc::clone(target));
    }

    /// The next response, which must be of this type.
    pub(crate) fn response(&mut self, kind: ResourceType) -> Response {
        let response = self.automaton.next().unwrap_or_else(|| panic!("no response, though one of {kind} is due"));
        assert_eq!(response.kind, kind, "{response:?}");
        if self.protocol == SOTW {
            assert!(response.removed.is_empty(), "the state of the world has no removals: {response:?}");
        }
        response
    }

    /// Takes the next response, which must hold just these, and accepts it.
    pub(crate) fn takes(&mut self, kind: ResourceType, names: &[&str]) -> Response {
        self.takes_and_loses(kind, names, &[])
    }

    pub(crate) fn takes_and_loses(&mut self, kind: ResourceType, names: &[&str], removed: &[&str]) -> Response {
        let response = self.gets(kind, names, removed);
        self.accepts(&response);
        response
    }

    /// Takes the next response, which must hold just these, without an answer.
    pub(crate) fn gets(&mut self, kind: ResourceType, names: &[&str], removed: &[&str]) -> Response {
        let response = self.response(kind);
        let got: Vec<&str> = response.resources.iter().map(|resource| &*resource.name).collect();
        let lost: Vec<&str> = response.removed.iter().map(|name| &**name).collect();
        assert_eq!((got, lost), (names.to_vec(), removed.to_vec()), "{kind}");
        response
    }

    pub(crate) fn gets_nothing(&mut self) {
        if let Some(response) = self.automaton.next() {
            panic!("nothing is due, but {response:?} came");
        }
    }

    pub(crate) fn accepts(&mut self, response: &Response) -> Received {
        let last = (response.version.clone(), response.nonce.to_string());
        self.last.insert(response.kind, last);
        self.request(response.kind, &[], &[], Some(response), None)
    }

    pub(crate) fn refuses(&mut self, response: &Response, error: &str) -> Received {
        let version = self.last.get(&response.kind).map(|(version, _)| version.clone()).unwrap_or_default();
        self.last.insert(response.kind, (version, response.nonce.to_string()));
        self.request(response.kind, &[], &[], Some(response), Some(error.to_owned()))
    }

    pub(crate) fn sync(&self, kind: ResourceType) -> Sync {
        self.automaton.sync().into_iter().find(|sync| sync.kind == kind).expect("a type that was asked for")
    }

    pub(crate) fn receive(&mut self, request: Request) -> Received {
        self.automaton.receive(request).expect("a request within the limits")
    }

    fn request(
        &mut self,
        kind: ResourceType,
        subscribe: &[&str],
        unsubscribe: &[&str],
        answered: Option<&Response>,
        error: Option<String>,
    ) -> Received {
        let names = self.names.entry(kind).or_default();
        names.extend(subscribe.iter().map(ToString::to_string));
        names.retain(|name| !unsubscribe.contains(&name.as_str()));
        let request = match self.protocol {
            Protocol::Delta => Request::Delta {
                kind,
                subscribe: subscribe.iter().map(ToString::to_string).collect(),
                unsubscribe: unsubscribe.iter().map(ToString::to_string).collect(),
                initial_versions: BTreeMap::new(),
                nonce: answered.map(|response| response.nonce.to_string()).unwrap_or_default(),
                error,
            },
            Protocol::StateOfTheWorld => {
                let (version, nonce) = self.last.get(&kind).cloned().unwrap_or_default();
                Request::Sotw { kind, names: names.iter().cloned().collect(), version, nonce, error }
            }
        };
        self.receive(request)
    }
}
