//! The identity of an automaton's state, for those who explore all states that it can reach.

use std::hash::{Hash, Hasher};

use proto::type_url::ResourceType;

use super::{
    Automaton,
    lane::{Flight, Item, Lane},
};
use crate::snapshot::Resource;

impl Automaton {
    /// Feeds all that decides what the automaton does from here on into a hasher: two that feed the same behave the
    /// same. Counts grow for ever and matter only in relation to each other, so each nonce goes through `rename`.
    pub fn fingerprint(&self, hasher: &mut impl Hasher, rename: &mut impl FnMut(u64) -> u64) {
        self.protocol.hash(hasher);
        self.target.digest().hash(hasher);
        (self.is_resumed, self.has_answered, self.is_silent).hash(hasher);
        let (landed, endpoints_landed) = (self.lanes.cluster.landed, self.lanes.endpoint.landed);
        for kind in ResourceType::ALL {
            fingerprint(self.lanes.of(kind), landed, endpoints_landed, hasher, rename);
        }
    }
}

fn fingerprint(
    lane: &Lane,
    landed: u64,
    endpoints_landed: u64,
    hasher: &mut impl Hasher,
    rename: &mut impl FnMut(u64) -> u64,
) {
    (&lane.interest, lane.sent.digest(), &lane.foreign, lane.unknown).hash(hasher);
    lane.flights.len().hash(hasher);
    for Flight { nonce, number, items, intact, is_trial, is_bridge, endpoints, version, basis } in &lane.flights {
        let distance = lane.flown - number;
        // All that matters of it is whether a response of endpoints has landed since.
        (is_bridge, is_bridge.then(|| endpoints_landed.saturating_sub(*endpoints))).hash(hasher);
        (rename(*nonce), distance, intact, is_trial, version, basis.digest(), items.len()).hash(hasher);
        for Item { name, before, after } in items {
            (name, before.as_deref().map(identity), after.as_deref().map(identity)).hash(hasher);
        }
    }
    lane.due.len().hash(hasher);
    for (name, due) in &lane.due {
        (name, due.forced, due.after.saturating_sub(landed)).hash(hasher);
    }
    lane.doubtful.len().hash(hasher);
    for resource in lane.doubtful.values() {
        identity(resource).hash(hasher);
    }
    (&lane.refused, &lane.search, &lane.retired, lane.is_replaced, lane.owed, lane.flown - lane.landed).hash(hasher);
}

fn identity(resource: &Resource) -> (&str, crate::snapshot::Version) {
    (&resource.name, resource.version)
}
