//! A model of how Envoy takes configuration: it warms clusters and listeners, asks for what they need, holds the answer
//! about clusters back while any warms, and refuses responses whole or in part.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    hash::{Hash, Hasher},
    sync::Arc,
};

use mesh::{
    push::{Protocol, Request, Response},
    snapshot::{Resource, Version},
};
use proto::type_url::ResourceType;

use crate::identity::{count, hash_request};

pub(crate) type Name = Arc<str>;

/// How Envoy refuses a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Badness {
    /// The response cannot be decoded: nothing of it is applied, and no name is said.
    Whole,
    /// The resource is refused by name, the others are applied.
    Alone,
}

/// The peculiarities of an Envoy that do not change while it runs.
#[derive(Debug, Clone)]
pub(crate) struct Nature {
    pub(crate) protocol: Protocol,
    /// Whether it acknowledges listeners before it asks for their routes; the real one does it after.
    pub(crate) acks_first: bool,
    /// Whether listeners that are replaced or removed serve what they have for a while.
    pub(crate) drains: bool,
    pub(crate) bad: Vec<(Name, Version, Badness)>,
}

/// What Envoy has of a cluster or listener: one version at work, one that waits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slot {
    pub(crate) active: Option<Arc<Resource>>,
    pub(crate) warming: Option<Arc<Resource>>,
}

impl Slot {
    fn latest(&self) -> Option<&Arc<Resource>> {
        self.warming.as_ref().or(self.active.as_ref())
    }

    /// Whether it takes requests. A placeholder at work does not; nothing in the mesh made it.
    pub(crate) fn serves(&self) -> bool {
        self.active.as_ref().is_some_and(|active| !active.provenance.is_empty())
    }

    pub(crate) fn versions(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.active.iter().chain(&self.warming)
    }
}

/// What Envoy remembers of a type on this stream.
#[derive(Debug, Clone, Default)]
struct Wire {
    /// The version of the last accepted response (state of the world).
    version: String,
    nonce: String,
    /// Whether it asked on this stream.
    asked: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Envoy {
    nature: Arc<Nature>,
    pub(crate) clusters: BTreeMap<Name, Slot>,
    pub(crate) endpoints: BTreeMap<Name, Arc<Resource>>,
    endpoint_names: BTreeSet<Name>,
    pub(crate) listeners: BTreeMap<Name, Slot>,
    /// Listeners that were replaced or removed and still serve.
    pub(crate) draining: Vec<Arc<Resource>>,
    /// Route configurations by name; none where Envoy was told that there is none.
    pub(crate) routes: BTreeMap<Name, Option<Arc<Resource>>>,
    route_names: BTreeSet<Name>,
    wires: BTreeMap<ResourceType, Wire>,
    /// Answers about clusters that wait until nothing warms.
    withheld: Vec<Request>,
    has_clusters: bool,
    /// Requests that were not delivered yet.
    pub(crate) outbox: VecDeque<Request>,
}

impl Envoy {
    pub(crate) fn new(nature: &Arc<Nature>) -> Self {
        let mut envoy = Self {
            nature: Arc::clone(nature),
            clusters: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            endpoint_names: BTreeSet::new(),
            listeners: BTreeMap::new(),
            draining: Vec::new(),
            routes: BTreeMap::new(),
            route_names: BTreeSet::new(),
            wires: BTreeMap::new(),
            withheld: Vec::new(),
            has_clusters: false,
            outbox: VecDeque::new(),
        };
        envoy.ask_first(ResourceType::Cluster);
        envoy
    }

    /// Opens a new stream with all that it has.
    pub(crate) fn reconnect(&mut self) {
        let asked: Vec<ResourceType> =
            self.wires.iter().filter(|(_, wire)| wire.asked).map(|(kind, _)| *kind).collect();
        self.outbox.clear();
        self.withheld.clear();
        for wire in self.wires.values_mut() {
            wire.nonce.clear();
            wire.asked = false;
        }
        for kind in asked {
            let has_names = match kind {
                ResourceType::Endpoint => !self.endpoint_names.is_empty(),
                ResourceType::Route => !self.route_names.is_empty(),
                ResourceType::Cluster | ResourceType::Listener => true,
                ResourceType::Secret | ResourceType::ExtensionConfig => false,
            };
            // While clusters warm nothing is said about clusters, not even that it wants them.
            if has_names && (kind != ResourceType::Cluster || !self.is_warming()) {
                self.ask_first(kind);
            }
        }
    }

    /// Whether it asked for a type on this stream.
    fn asks(&self, kind: ResourceType) -> bool {
        self.wires.get(&kind).is_some_and(|wire| wire.asked)
    }

    pub(crate) fn is_warming(&self) -> bool {
        self.clusters.values().any(|slot| slot.warming.is_some())
    }

    /// Takes a response.
    pub(crate) fn take(&mut self, response: &Response) {
        let error = self.refusal(response);
        let is_refused_whole = matches!(error, Some((Badness::Whole, _)));
        let mut follow_up = Vec::new();
        if !is_refused_whole {
            follow_up = match response.kind {
                ResourceType::Cluster => self.take_clusters(response),
                ResourceType::Endpoint => self.take_endpoints(response),
                ResourceType::Listener => self.take_listeners(response),
                ResourceType::Route => self.take_routes(response),
                ResourceType::Secret | ResourceType::ExtensionConfig => Vec::new(),
            };
        }
        if error.is_some() {
            follow_up.extend(self.give_up(response, is_refused_whole));
        }
        let wire = self.wires.entry(response.kind).or_default();
        wire.nonce = response.nonce.to_string();
        if error.is_none() {
            wire.version.clone_from(&response.version);
        }
        let answer = self.answer(response.kind, error.map(|(_, text)| text));
        if response.kind == ResourceType::Cluster {
            self.has_clusters = true;
            self.outbox.extend(follow_up);
            if self.nature.protocol == Protocol::StateOfTheWorld {
                // Of what it could not say about a type it says the newest only.
                self.withheld.clear();
            }
            self.withheld.push(answer);
            self.release_clusters();
        } else if self.nature.acks_first {
            self.outbox.push_back(answer);
            self.outbox.extend(follow_up);
        } else {
            self.outbox.extend(follow_up);
            self.outbox.push_back(answer);
        }
    }

    fn badness(&self, resource: &Resource) -> Option<Badness> {
        let is_it =
            |(name, version, _): &&(Name, Version, Badness)| *name == resource.name && *version == resource.version;
        self.nature.bad.iter().find(is_it).map(|(_, _, badness)| *badness)
    }

    fn refusal(&self, response: &Response) -> Option<(Badness, String)> {
        let bad = |badness| response.resources.iter().find(move |resource| self.badness(resource) == Some(badness));
        if bad(Badness::Whole).is_some() {
            return Some((Badness::Whole, "Invalid duration: seconds: -1".to_owned()));
        }
        bad(Badness::Alone).map(|resource| (Badness::Alone, format!("Error adding/updating {}: no", resource.name)))
    }

    fn good<'a>(&'a self, response: &'a Response) -> Vec<Arc<Resource>> {
        response.resources.iter().filter(|resource| self.badness(resource).is_none()).cloned().collect()
    }

    /// Which of what it has a response takes away. A refused resource stays as it was.
    fn gone(&self, response: &Response, held: &BTreeMap<Name, Slot>) -> Vec<Name> {
        match self.nature.protocol {
            Protocol::Delta => response.removed.clone(),
            Protocol::StateOfTheWorld => {
                let is_there = |name: &Name| response.resources.iter().any(|resource| resource.name == *name);
                held.keys().filter(|name| !is_there(name)).cloned().collect()
            }
        }
    }

    fn take_clusters(&mut self, response: &Response) -> Vec<Request> {
        for name in self.gone(response, &self.clusters) {
            self.clusters.remove(&name);
        }
        let mut repeats = false;
        for resource in self.good(response) {
            let slot = self.clusters.entry(Arc::clone(&resource.name)).or_default();
            if slot.latest().is_some_and(|latest| latest.version == resource.version) {
                continue;
            }
            if resource.references.endpoints.is_some() {
                slot.warming = Some(resource);
                repeats = true;
            } else {
                *slot = Slot { active: Some(resource), warming: None };
            }
        }
        self.follow_endpoints(repeats)
    }

    /// Asks for the endpoints of its clusters. In the state of the world it repeats itself for a changed cluster.
    fn follow_endpoints(&mut self, repeats: bool) -> Vec<Request> {
        let wanted: BTreeSet<Name> =
            self.clusters.values().flat_map(Slot::versions).filter_map(|c| c.references.endpoints.clone()).collect();
        self.endpoints.retain(|name, _| wanted.contains(name));
        let before = std::mem::replace(&mut self.endpoint_names, wanted);
        self.follow(ResourceType::Endpoint, &before, repeats)
    }

    fn take_endpoints(&mut self, response: &Response) -> Vec<Request> {
        for resource in self.good(response) {
            if self.endpoint_names.contains(&resource.name) {
                self.warm(&resource.name);
                self.endpoints.insert(Arc::clone(&resource.name), resource);
            }
        }
        for name in &response.removed {
            self.warm(name);
        }
        self.release_clusters();
        Vec::new()
    }

    fn warm(&mut self, endpoints: &Name) {
        for slot in self.clusters.values_mut() {
            let waits =
                slot.warming.as_ref().is_some_and(|cluster| cluster.references.endpoints.as_ref() == Some(endpoints));
            if waits {
                slot.active = slot.warming.take();
            }
        }
    }

    /// What waited for something that it refused goes on without: for all names if it cannot tell which.
    fn give_up(&mut self, response: &Response, is_whole: bool) -> Vec<Request> {
        let bad: Vec<Name> =
            response.resources.iter().filter(|r| self.badness(r).is_some()).map(|r| Arc::clone(&r.name)).collect();
        match response.kind {
            ResourceType::Endpoint => {
                let names = if is_whole { self.endpoint_names.iter().cloned().collect() } else { bad };
                names.iter().for_each(|name| self.warm(name));
                self.release_clusters();
                Vec::new()
            }
            ResourceType::Route => {
                let names = if is_whole { self.route_names.iter().cloned().collect() } else { bad };
                for name in names {
                    self.routes.entry(name).or_insert(None);
                }
                self.follow_routes()
            }
            ResourceType::Cluster | ResourceType::Listener | ResourceType::Secret | ResourceType::ExtensionConfig => {
                Vec::new()
            }
        }
    }

    /// Goes on without the endpoints that did not come.
    pub(crate) fn time_out(&mut self) {
        for slot in self.clusters.values_mut().filter(|slot| slot.warming.is_some()) {
            slot.active = slot.warming.take();
        }
        self.release_clusters();
    }

    /// Says about clusters what it could not say while some warmed.
    fn release_clusters(&mut self) {
        if self.is_warming() {
            return;
        }
        self.outbox.extend(std::mem::take(&mut self.withheld));
        if !self.asks(ResourceType::Cluster) {
            self.ask_first(ResourceType::Cluster);
        }
        if self.has_clusters && !self.asks(ResourceType::Listener) {
            self.ask_first(ResourceType::Listener);
        }
    }

    fn take_listeners(&mut self, response: &Response) -> Vec<Request> {
        for name in self.gone(response, &self.listeners) {
            let slot = self.listeners.remove(&name);
            self.drain(slot.and_then(|slot| slot.active));
        }
        for resource in self.good(response) {
            let slot = self.listeners.entry(Arc::clone(&resource.name)).or_default();
            if slot.latest().is_none_or(|latest| latest.version != resource.version) {
                slot.warming = Some(resource);
            }
        }
        // Nothing is lost when a refused addition leaves an empty slot; it is no listener.
        self.listeners.retain(|_, slot| slot.latest().is_some());
        self.follow_routes()
    }

    fn take_routes(&mut self, response: &Response) -> Vec<Request> {
        for resource in self.good(response) {
            if self.route_names.contains(&resource.name) {
                self.routes.insert(Arc::clone(&resource.name), Some(resource));
            }
        }
        for name in &response.removed {
            if self.route_names.contains(name) {
                self.routes.entry(Arc::clone(name)).or_insert(None);
            }
        }
        self.follow_routes()
    }

    fn drain(&mut self, listener: Option<Arc<Resource>>) {
        if self.nature.drains {
            self.draining.extend(listener);
        }
    }

    /// The listener that drains longest is done.
    pub(crate) fn end_drain(&mut self) {
        self.draining.remove(0);
        let follow_up = self.follow_routes();
        self.outbox.extend(follow_up);
    }

    /// Puts listeners to work that have their routes, and asks for the routes of the others.
    fn follow_routes(&mut self) -> Vec<Request> {
        // What a listener kept alive is still there for the version that takes its place.
        let mut replaced = Vec::new();
        for slot in self.listeners.values_mut() {
            if slot.warming.as_ref().is_some_and(|l| l.references.routes.iter().all(|r| self.routes.contains_key(r))) {
                replaced.extend(std::mem::replace(&mut slot.active, slot.warming.take()));
            }
        }
        replaced.into_iter().for_each(|listener| self.drain(Some(listener)));
        let versions = self.listeners.values().flat_map(Slot::versions).chain(&self.draining);
        let wanted: BTreeSet<Name> = versions.flat_map(|listener| listener.references.routes.iter().cloned()).collect();
        self.routes.retain(|name, _| wanted.contains(name));
        let before = std::mem::replace(&mut self.route_names, wanted);
        self.follow(ResourceType::Route, &before, false)
    }

    fn names(&self, kind: ResourceType) -> Vec<String> {
        let names = match kind {
            ResourceType::Endpoint => &self.endpoint_names,
            ResourceType::Route => &self.route_names,
            ResourceType::Cluster | ResourceType::Listener | ResourceType::Secret | ResourceType::ExtensionConfig => {
                return Vec::new();
            }
        };
        names.iter().map(ToString::to_string).collect()
    }

    /// The request that a changed set of names leads to.
    fn follow(&mut self, kind: ResourceType, before: &BTreeSet<Name>, repeats: bool) -> Vec<Request> {
        let now = if kind == ResourceType::Endpoint { &self.endpoint_names } else { &self.route_names };
        let is_changed = now != before;
        let text = |names: Vec<&Name>| names.into_iter().map(ToString::to_string).collect::<Vec<_>>();
        let (subscribe, unsubscribe) = (text(now.difference(before).collect()), text(before.difference(now).collect()));
        let wire = self.wires.entry(kind).or_default();
        wire.asked |= is_changed;
        let request = match self.nature.protocol {
            Protocol::Delta if is_changed => Request::Delta {
                kind,
                subscribe,
                unsubscribe,
                initial_versions: BTreeMap::new(),
                nonce: String::new(),
                error: None,
            },
            Protocol::StateOfTheWorld if is_changed || repeats => Request::Sotw {
                kind,
                version: wire.version.clone(),
                nonce: wire.nonce.clone(),
                error: None,
                names: self.names(kind),
            },
            Protocol::Delta | Protocol::StateOfTheWorld => return Vec::new(),
        };
        vec![request]
    }

    fn answer(&self, kind: ResourceType, error: Option<String>) -> Request {
        let wire = self.wires.get(&kind).cloned().unwrap_or_default();
        match self.nature.protocol {
            Protocol::Delta => Request::Delta {
                kind,
                subscribe: Vec::new(),
                unsubscribe: Vec::new(),
                initial_versions: BTreeMap::new(),
                nonce: wire.nonce,
                error,
            },
            Protocol::StateOfTheWorld => {
                Request::Sotw { kind, names: self.names(kind), version: wire.version, nonce: wire.nonce, error }
            }
        }
    }

    /// The first request of a type on a stream.
    fn ask_first(&mut self, kind: ResourceType) {
        let versions = self.held(kind);
        let names = self.names(kind);
        let wire = self.wires.entry(kind).or_default();
        wire.asked = true;
        let request = match self.nature.protocol {
            Protocol::Delta => Request::Delta {
                kind,
                subscribe: names,
                unsubscribe: Vec::new(),
                initial_versions: versions,
                nonce: String::new(),
                error: None,
            },
            Protocol::StateOfTheWorld => {
                Request::Sotw { kind, names, version: wire.version.clone(), nonce: String::new(), error: None }
            }
        };
        self.outbox.push_back(request);
    }

    /// Names and versions of what it took.
    fn held(&self, kind: ResourceType) -> BTreeMap<String, String> {
        let resources: Vec<&Arc<Resource>> = match kind {
            ResourceType::Cluster => self.clusters.values().filter_map(Slot::latest).collect(),
            ResourceType::Endpoint => self.endpoints.values().collect(),
            ResourceType::Listener => self.listeners.values().filter_map(Slot::latest).collect(),
            ResourceType::Route => self.routes.values().flatten().collect(),
            ResourceType::Secret | ResourceType::ExtensionConfig => Vec::new(),
        };
        resources.into_iter().map(|resource| (resource.name.to_string(), resource.version.to_string())).collect()
    }

    /// References of listeners and routes at work to clusters that are not.
    pub(crate) fn broken_references(&self) -> Vec<(Arc<Resource>, Name)> {
        let listeners = self.listeners.values().filter_map(|slot| slot.active.as_ref());
        // Nothing tells when a listener is done, so the clusters that it names itself may go before.
        let serving = listeners.clone().chain(&self.draining);
        let routes = serving.flat_map(|listener| &listener.references.routes);
        let users = listeners.chain(routes.filter_map(|name| self.routes.get(name)?.as_ref()));
        let is_served = |name: &Name| self.clusters.get(name).is_some_and(Slot::serves);
        users
            .flat_map(|user| user.references.clusters.iter().map(move |cluster| (user, cluster)))
            .filter(|(_, cluster)| !is_served(cluster))
            .map(|(user, cluster)| (Arc::clone(user), Arc::clone(cluster)))
            .collect()
    }

    pub(crate) fn fingerprint(&self, hasher: &mut impl Hasher, rename: &mut impl FnMut(u64) -> u64) {
        let id = |resource: &Arc<Resource>| (Arc::clone(&resource.name), resource.version);
        for slots in [&self.clusters, &self.listeners] {
            slots.len().hash(hasher);
            for (name, slot) in slots {
                (name, slot.active.as_ref().map(id), slot.warming.as_ref().map(id)).hash(hasher);
            }
        }
        self.draining.iter().map(id).collect::<Vec<_>>().hash(hasher);
        self.endpoints.values().map(id).collect::<Vec<_>>().hash(hasher);
        (&self.endpoint_names, &self.route_names, self.has_clusters).hash(hasher);
        self.routes.iter().map(|(name, r)| (name, r.as_ref().map(id))).collect::<Vec<_>>().hash(hasher);
        for (kind, wire) in &self.wires {
            (kind, &wire.version, rename(count(&wire.nonce)), wire.asked).hash(hasher);
        }
        for requests in [self.withheld.iter().collect::<Vec<_>>(), self.outbox.iter().collect()] {
            requests.len().hash(hasher);
            for request in requests {
                hash_request(request, hasher, rename);
            }
        }
    }
}
