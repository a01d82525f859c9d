//! Responses: what can be sent now.

use std::{cell::OnceCell, sync::Arc};

use proto::type_url::ResourceType;

use super::{
    Automaton, Protocol, Response,
    interest::is_complete,
    lane::{Due, Item, Lane},
    nonce::Nonce,
    order::{Order, Verdict},
    search::Suspect,
};
use crate::snapshot::Resource;

/// What a response is to hold.
#[derive(Debug, Default)]
struct Draft {
    items: Vec<Item>,
    is_trial: bool,
}

impl Automaton {
    /// The next response that can be sent now; none until something is received or aimed at.
    #[expect(clippy::should_implement_trait, reason = "after none there may be more")]
    pub fn next(&mut self) -> Option<Response> {
        ResourceType::ALL.into_iter().find_map(|kind| {
            let draft = self.draft(kind)?;
            Some(self.send(kind, draft))
        })
    }

    pub(super) fn order(&self) -> Order<'_> {
        Order {
            protocol: self.protocol,
            target: &self.target,
            lanes: &self.lanes,
            is_fenced: self.is_fenced(),
            in_use: OnceCell::new(),
        }
    }

    /// What of a type can go now.
    fn draft(&mut self, kind: ResourceType) -> Option<Draft> {
        let lane = self.lanes.of(kind);
        let is_idle = lane.due.is_empty() && !lane.owed;
        let is_full = lane.flights.len() >= self.in_flight_max(kind) && lane.bridge().is_none();
        if is_idle || is_full || lane.flights.iter().any(|f| f.is_trial) {
            return None;
        }
        if self.protocol == Protocol::StateOfTheWorld && lane.is_unheard() {
            if !self.is_fenced() {
                return None;
            }
            self.learn_clusters();
        }
        if let Some(draft) = self.draft_trial(kind) {
            return Some(draft);
        }
        let order = self.order();
        let lane = self.lanes.of(kind);
        let mut items = Vec::new();
        let mut dropped = Vec::new();
        for (name, due) in lane.due.iter().filter(|(name, _)| !lane.search.suspects(name)) {
            match order.verdict(kind, name, *due) {
                Verdict::Send(resource) => items.push(item(lane, name, Some(resource))),
                Verdict::Remove => items.push(item(lane, name, None)),
                Verdict::Hold => {}
                Verdict::Drop => dropped.push(Arc::clone(name)),
            }
        }
        let is_fence = items.is_empty() && kind == ResourceType::Cluster && order.waits_for_fence();
        let is_first = items.is_empty() && lane.owed && lane.due.len() == dropped.len();
        let lane = self.lanes.of_mut(kind);
        for name in &dropped {
            lane.due.remove(name);
        }
        if items.is_empty() && !is_fence && !is_first {
            lane.share(self.target.of(kind));
            return None;
        }
        Some(Draft { items, is_trial: false })
    }

    /// A part of a refused response, to find which resource is at fault.
    fn draft_trial(&mut self, kind: ResourceType) -> Option<Draft> {
        if self.lanes.of(kind).search.is_over() {
            return None;
        }
        let mut search = std::mem::take(&mut self.lanes.of_mut(kind).search);
        let (order, lane) = (self.order(), self.lanes.of(kind));
        let target = self.target.of(kind);
        let members: Vec<Suspect> =
            search.members(|suspect| lane.stands(target, suspect)).map(<[_]>::to_vec).unwrap_or_default();
        let items: Option<Vec<Item>> = members
            .iter()
            .map(|suspect| {
                // Sent even if the proxy is believed to hold it: whether it does is the question.
                let due = Due { forced: true, ..*lane.due.get(&suspect.name)? };
                match order.verdict(kind, &suspect.name, due) {
                    Verdict::Send(resource) => Some(item(lane, &suspect.name, Some(resource))),
                    Verdict::Remove | Verdict::Hold | Verdict::Drop => None,
                }
            })
            .collect();
        self.lanes.of_mut(kind).search = search;
        let items = items.filter(|items| !items.is_empty())?;
        Some(Draft { items, is_trial: true })
    }

    /// Clusters and listeners go one response at a time: Envoy holds the acknowledgement of clusters back while they
    /// warm, and what changes meanwhile is better sent as one. The state of the world has one version for each type.
    fn in_flight_max(&self, kind: ResourceType) -> usize {
        match self.protocol {
            Protocol::Delta if !is_complete(kind) => self.limits.in_flight_max,
            Protocol::Delta | Protocol::StateOfTheWorld => 1,
        }
    }

    /// Notes and composes a response.
    fn send(&mut self, kind: ResourceType, draft: Draft) -> Response {
        self.nonces += 1;
        let nonce = Nonce::new(kind, self.nonces);
        self.follow_up(kind, &draft.items);
        let target = Arc::clone(&self.target);
        let (mut items, endpoints) = self.supersede(kind, draft.items);
        self.keep_foreign(kind, &mut items);
        items.sort_by(|a, b| a.name.cmp(&b.name));
        let changed: Vec<Arc<Resource>> = items.iter().filter_map(|item| item.after.clone()).collect();
        let gone = items.iter().filter(|item| item.after.is_none()).map(|item| Arc::clone(&item.name)).collect();
        let lane = self.lanes.of_mut(kind);
        let version = lane.depart(nonce.count(), items, draft.is_trial, &target, endpoints).to_string();
        let (resources, removed) = match self.protocol {
            Protocol::Delta => (changed, gone),
            Protocol::StateOfTheWorld if is_complete(kind) => (lane.sent.set().iter().cloned().collect(), Vec::new()),
            Protocol::StateOfTheWorld => (changed, Vec::new()),
        };
        Response { kind, nonce, version, resources, removed }
    }

    /// Makes due what has to follow a response in any case.
    fn follow_up(&mut self, kind: ResourceType, items: &[Item]) {
        let after = self.lanes.cluster.flown + 1;
        match kind {
            ResourceType::Cluster => {
                // A changed cluster warms until its endpoints come again, and on delta nobody asks for them.
                let lane = &mut self.lanes.endpoint;
                for cluster in items.iter().filter_map(|item| item.after.as_ref()) {
                    cluster.references.endpoints.iter().for_each(|name| lane.want_again(name, after));
                }
            }
            ResourceType::Listener if self.protocol == Protocol::StateOfTheWorld => {
                // A listener that comes back asks for its routes with the names of before, which looks like an answer.
                let lane = &mut self.lanes.route;
                for listener in items.iter().filter(|item| item.before.is_none()).filter_map(|i| i.after.as_ref()) {
                    listener.references.routes.iter().for_each(|name| lane.want_again(name, after));
                }
            }
            ResourceType::Endpoint
            | ResourceType::Listener
            | ResourceType::Route
            | ResourceType::Secret
            | ResourceType::ExtensionConfig => {}
        }
    }
}

fn item(lane: &Lane, name: &Arc<str>, after: Option<Arc<Resource>>) -> Item {
    Item { name: Arc::clone(name), before: lane.sent.get(name).cloned(), after }
}
