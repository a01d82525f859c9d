//! Requests: what a proxy says of our responses, of its subscription, and of what it brought along.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proto::type_url::ResourceType;

use super::{
    Automaton, Protocol, Received, Refusal, Reply, Request, Subscription, error_text,
    interest::{Shift, is_complete},
    lane::{Foreign, Holding},
    nonce::Nonce,
    received::Nack,
    search::Culprit,
};
use crate::snapshot::Version;

/// What a proxy brought along from an earlier stream.
enum Claim {
    Nothing,
    /// Names and versions, as delta tells them.
    Versions(BTreeMap<String, String>),
    /// The version of everything, as the state of the world tells it.
    Digest(String),
}

/// What names the subscription now has or loses.
enum Names {
    Change { subscribe: Vec<String>, unsubscribe: Vec<String> },
    Replace(Vec<String>),
}

impl Automaton {
    /// Takes a request.
    ///
    /// # Errors
    /// A [`Refusal`] when the request exceeds a limit or is of the other protocol; the stream has to be closed then.
    pub fn receive(&mut self, request: Request) -> Result<Received, Refusal> {
        match (self.protocol, request) {
            (Protocol::Delta, Request::Delta { kind, subscribe, unsubscribe, initial_versions, nonce, error }) => {
                self.check(kind, initial_versions.iter().flat_map(|(name, version)| [name, version]))?;
                self.check(kind, subscribe.iter().chain(&unsubscribe))?;
                self.check_total(kind, subscribe.iter().filter(|name| !self.names(kind, name)).count())?;
                let reply = self.reply(kind, &nonce, error, None);
                let claim =
                    if initial_versions.is_empty() { Claim::Nothing } else { Claim::Versions(initial_versions) };
                Ok(self.conclude(kind, reply, Names::Change { subscribe, unsubscribe }, claim))
            }
            (Protocol::StateOfTheWorld, Request::Sotw { kind, names, version, nonce, error }) => {
                self.check(kind, names.iter().chain([&version]))?;
                self.check_total(kind, names.iter().filter(|name| !self.names(kind, name)).count())?;
                let reply = self.reply(kind, &nonce, error, Some(&version));
                let claim = if version.is_empty() { Claim::Nothing } else { Claim::Digest(version) };
                Ok(self.conclude(kind, reply, Names::Replace(names), claim))
            }
            (Protocol::Delta, Request::Sotw { kind, .. })
            | (Protocol::StateOfTheWorld, Request::Delta { kind, .. }) => Err(Refusal::Protocol { kind }),
        }
    }

    fn names(&self, kind: ResourceType, name: &str) -> bool {
        self.lanes.of(kind).interest.names.contains(name)
    }

    fn check<'a>(&self, kind: ResourceType, texts: impl Iterator<Item = &'a String>) -> Result<(), Refusal> {
        let mut count = 0;
        for text in texts {
            count += 1;
            if text.len() > self.limits.name_len_max {
                return Err(Refusal::NameTooLong { kind, len: text.len(), max: self.limits.name_len_max });
            }
        }
        // Versions and names to drop come on top of names to take.
        if count > self.limits.names_max.saturating_mul(2) {
            return Err(Refusal::TooManyNames { kind, max: self.limits.names_max });
        }
        Ok(())
    }

    fn check_total(&self, kind: ResourceType, added: usize) -> Result<(), Refusal> {
        let total: usize = ResourceType::ALL.iter().map(|kind| self.lanes.of(*kind).interest.names.len()).sum();
        if total.saturating_add(added) > self.limits.names_max {
            return Err(Refusal::TooManyNames { kind, max: self.limits.names_max });
        }
        Ok(())
    }

    /// Takes what a request says of a response. `kept` is the version that the proxy says it has (state of the world).
    fn reply(
        &mut self,
        kind: ResourceType,
        nonce: &str,
        error: Option<String>,
        kept: Option<&str>,
    ) -> (Reply, Vec<Culprit>) {
        if nonce.is_empty() {
            return (if error.is_some() { Reply::Unsolicited } else { Reply::None }, Vec::new());
        }
        let target = Arc::clone(&self.target);
        let after = self.lanes.cluster.flown + 1;
        let lane = self.lanes.of_mut(kind);
        let Some(count) = Nonce::parse(kind, nonce).filter(|count| *count <= lane.newest) else {
            return (Reply::Unsolicited, Vec::new());
        };
        let Some((at, flight)) = lane.flight_at(count).and_then(|at| Some((at, lane.flights.get(at)?))) else {
            // The state of the world repeats the newest nonce when only the subscription changes.
            let is_repeated = count == lane.newest && error.is_none() && kept.is_some();
            return (if is_repeated { Reply::None } else { Reply::Stale }, Vec::new());
        };
        self.has_answered = true;
        let (nonce, version) = (Nonce::new(kind, count), flight.version);
        // Before errors had a field, a proxy refused by keeping its old version.
        let error = error.or_else(|| {
            let kept = kept.filter(|kept| Version::parse(kept) != Some(version))?;
            Some(format!("the proxy kept version {kept:?} and gave no reason"))
        });
        let Some(error) = error else {
            return (Reply::Acked { nonce, version }, lane.accept(at, target.of(kind)));
        };
        let error = error_text::normalised(&error, self.limits.error_len_max);
        let changed = flight.items.iter().filter(|item| item.after.is_some());
        let suspects = changed.map(|item| Arc::clone(&item.name)).collect();
        let culprits = lane.refuse(at, &error, after, target.of(kind));
        (Reply::Nacked { nonce, version, error, suspects }, culprits)
    }

    /// Takes the other parts of a request, and says what became of it all.
    fn conclude(
        &mut self,
        kind: ResourceType,
        (reply, culprits): (Reply, Vec<Culprit>),
        names: Names,
        claim: Claim,
    ) -> Received {
        let subscription = self.subscribe(kind, names, claim);
        self.settle_listeners();
        let quarantined = culprits.into_iter().map(|culprit| self.nack(kind, culprit)).collect();
        Received { kind, reply, subscription, quarantined }
    }

    fn nack(&self, kind: ResourceType, Culprit { suspect, error }: Culprit) -> Nack {
        let resource = self.target.of(kind).get(&suspect.name).filter(|resource| resource.version == suspect.version);
        let provenance = resource.map(|resource| resource.provenance.clone()).unwrap_or_default();
        Nack { kind, resource: suspect.name, version: suspect.version, provenance, error }
    }

    fn subscribe(&mut self, kind: ResourceType, names: Names, claim: Claim) -> Subscription {
        let target = Arc::clone(&self.target);
        let is_first = !self.lanes.of(kind).interest.began;
        let warming = if kind == ResourceType::Endpoint { self.warming() } else { Warming::None };
        let after = self.lanes.cluster.flown + 1;
        let lane = self.lanes.of_mut(kind);
        // Names are the snapshot's where it has them, so that streams do not keep their own.
        let intern = |name: &str| {
            target.of(kind).get(name).map_or_else(|| Arc::from(name), |resource| Arc::clone(&resource.name))
        };
        let shift = match names {
            Names::Change { subscribe, unsubscribe } => lane.interest.change(kind, &subscribe, &unsubscribe, intern),
            Names::Replace(names) => lane.interest.replace(kind, &names, intern),
        };
        if !shift.is_nothing() {
            lane.interest.names.compact(target.of(kind));
        }
        self.shift(kind, &shift, after);
        if is_first {
            self.resume(kind, claim, &warming, after);
        }
        if shift.is_nothing() {
            return Subscription::Unchanged;
        }
        let wildcard = self.lanes.of(kind).interest.wildcard;
        let unsubscribed = shift.dropped.len() + shift.loosened.len();
        Subscription::Changed { subscribed: shift.added.len(), unsubscribed, wildcard }
    }

    /// Makes due what a changed subscription asks for, and forgets what it drops.
    fn shift(&mut self, kind: ResourceType, shift: &Shift, after: u64) {
        let is_delta = self.protocol == Protocol::Delta;
        let lane = self.lanes.of_mut(kind);
        if shift.wildcard_ended {
            lane.forget_unwanted();
        }
        if shift.wildcard_began {
            for resource in self.target.of(kind).iter() {
                lane.want(&resource.name, false, after);
            }
            lane.owed = true;
        }
        for name in &shift.dropped {
            lane.forget(name);
        }
        for name in &shift.added {
            lane.want(name, true, after);
        }
        if is_delta {
            // The proxy dropped the name and cannot know whether it is part of everything.
            for name in &shift.loosened {
                lane.want(name, true, after);
            }
        } else {
            lane.owed |= is_complete(kind) && !shift.added.is_empty();
        }
    }

    /// Takes what a proxy brought along: what it has in the right version need not be sent.
    fn resume(&mut self, kind: ResourceType, claim: Claim, warming: &Warming, after: u64) {
        let target = Arc::clone(&self.target);
        let lane = self.lanes.of_mut(kind);
        let held = match claim {
            Claim::Nothing => return,
            Claim::Versions(versions) => {
                lane.owed = false;
                let mut held = Vec::new();
                for (name, version) in versions {
                    if !lane.interest.wants(&name) {
                        continue;
                    }
                    match target.of(kind).get(&name) {
                        Some(resource) if Version::parse(&version) == Some(resource.version) => held.push(resource),
                        aimed => {
                            let name = aimed.map_or_else(|| name.into(), |resource| Arc::clone(&resource.name));
                            lane.want(&name, false, after);
                            lane.foreign.insert(name, Foreign::Held);
                        }
                    }
                }
                held
            }
            Claim::Digest(digest) => {
                let wanted = target.of(kind).iter().filter(|resource| lane.interest.wants(&resource.name));
                let wanted: Vec<_> = wanted.collect();
                let mut whole = Holding::default();
                wanted.iter().for_each(|resource| whole.insert(resource));
                if tells_all(kind) && Version::parse(&digest) == Some(whole.digest()) {
                    lane.owed = false;
                    wanted
                } else {
                    lane.unknown = lane.interest.wildcard;
                    lane.foreign = lane.interest.names.iter().map(|name| (Arc::clone(name), Foreign::Held)).collect();
                    Vec::new()
                }
            }
        };
        for resource in held {
            lane.sent.insert(resource);
            if !warming.needs(&resource.name) {
                lane.due.remove(&resource.name);
            }
        }
        lane.acked = Some(lane.sent.digest());
        lane.share(target.of(kind));
        self.is_resumed = true;
    }

    /// What endpoints the proxy waits for though it may have them.
    fn warming(&self) -> Warming {
        let lane = &self.lanes.cluster;
        if !lane.interest.began {
            // A proxy that comes back asks for clusters first, except while it warms some.
            return Warming::All;
        }
        let changed = lane.flights.iter().flat_map(|flight| &flight.items).filter_map(|item| item.after.as_ref());
        Warming::Some(changed.filter_map(|cluster| cluster.references.endpoints.clone()).collect())
    }

    /// Forgets the older versions of listeners that are at work.
    fn settle_listeners(&mut self) {
        if self.lanes.listener.retired.is_empty() {
            return;
        }
        let mut retired = std::mem::take(&mut self.lanes.listener.retired);
        let order = self.order();
        retired.retain(|listener, _| !order.has_routes(listener));
        self.lanes.listener.retired = retired;
    }
}

/// Whether the version of a type (state of the world) says that the proxy has all that it names. One that dropped a name
/// and asks for it anew still says the version of before: of routes or secrets it may have nothing. Endpoints it would
/// wait for are told by [`Warming`].
fn tells_all(kind: ResourceType) -> bool {
    match kind {
        ResourceType::Cluster | ResourceType::Endpoint | ResourceType::Listener => true,
        ResourceType::Route | ResourceType::Secret | ResourceType::ExtensionConfig => false,
    }
}

/// Endpoints that a proxy waits for.
enum Warming {
    None,
    Some(BTreeSet<Arc<str>>),
    All,
}

impl Warming {
    fn needs(&self, name: &str) -> bool {
        match self {
            Self::None => false,
            Self::Some(names) => names.contains(name),
            Self::All => true,
        }
    }
}
