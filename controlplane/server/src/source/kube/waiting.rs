//! EndpointSlices that came before the Pods they name. Without its Pod an endpoint has no labels and no identity, and so
//! belongs to no subset; what the slice said before stays until then.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mesh::model::{Change, Kind, Object, ObjectId, Problem, code, endpoint::EndpointSlice};
use tokio::time::Instant;

/// Longest time that a slice waits. Pods come with another watch, which is rarely more than some milliseconds behind.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(5);

/// The slices that wait, and those that have waited in vain.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    slices: BTreeMap<ObjectId, Waiter>,
    /// The Pods that a slice in force names, and that did not come in time. It does not wait for them again.
    overdue: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
}

#[derive(Debug)]
struct Waiter {
    slice: Box<Object<EndpointSlice>>,
    until: Instant,
}

impl Waiting {
    /// Adds a slice, in the place of its form before; a slice that changes again and again waits no longer for that.
    pub(super) fn add(&mut self, slice: Box<Object<EndpointSlice>>, now: Instant) {
        let until = self.slices.get(&slice.id).map_or(now + WAIT_MAX, |before| before.until);
        self.slices.insert(slice.id.clone(), Waiter { slice, until });
    }

    /// Forgets a slice that is gone.
    pub(super) fn forget(&mut self, slice: &ObjectId) {
        self.slices.remove(slice);
        self.overdue.remove(slice);
    }

    /// The slices all of whose Pods are there, or whose time is over.
    pub(super) fn release(&mut self, now: Instant, is_there: impl Fn(&ObjectId) -> bool) -> Vec<Change> {
        for pods in self.overdue.values_mut() {
            pods.retain(|pod| !is_there(pod));
        }
        let mut released = Vec::new();
        for (id, waiter) in std::mem::take(&mut self.slices) {
            let missing: BTreeSet<ObjectId> = needed(&waiter.slice).filter(|pod| !is_there(pod)).collect();
            let is_known = |pod| self.overdue.get(&id).is_some_and(|known| known.contains(pod));
            if now >= waiter.until || missing.iter().all(is_known) {
                self.overdue.insert(id, missing);
                released.push(Change::SetEndpoints(waiter.slice));
            } else {
                self.slices.insert(id, waiter);
            }
        }
        self.overdue.retain(|_, pods| !pods.is_empty());
        released
    }

    /// When the next slice has waited for long enough.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.slices.values().map(|waiter| waiter.until).min()
    }

    /// The Pods that did not come in time, by the slice in force that names them.
    pub(super) fn overdue(&self) -> &BTreeMap<ObjectId, BTreeSet<ObjectId>> {
        &self.overdue
    }

    /// The same, as problems.
    pub(super) fn problems(&self) -> impl Iterator<Item = Problem> {
        self.overdue.iter().flat_map(|(slice, pods)| pods.iter().map(|pod| overdue(slice, pod)))
    }
}

/// The Pods that take new requests. One that is going away may be gone before the slice says so.
fn needed(slice: &Object<EndpointSlice>) -> impl Iterator<Item = ObjectId> {
    let open = slice.spec.endpoints.iter().filter(|endpoint| endpoint.ready && !endpoint.terminating);
    let named = open.filter_map(|endpoint| endpoint.pod.as_ref());
    named.map(|name| ObjectId::new(Kind::Pod, slice.id.namespace.clone(), name))
}

fn overdue(slice: &ObjectId, pod: &ObjectId) -> Problem {
    Problem {
        severity: code::UNKNOWN_POD.severity,
        code: code::UNKNOWN_POD.id,
        object: slice.to_string(),
        field: "endpoints".into(),
        location: None,
        reason: format!("{pod} is named by a targetRef and does not exist; its endpoint has no labels and no identity"),
        remedy: "look at what writes the slice".into(),
    }
    .in_one_line()
}
