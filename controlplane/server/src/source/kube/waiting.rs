//! EndpointSlices that came before the Pods they name. Without its Pod an endpoint has no labels and no identity, and so
//! belongs to no subset; until then it is left out, while whatever else the slice says holds at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use mesh::model::{
    Change, Kind, Object, ObjectId, Problem, code,
    endpoint::{EndpointSlice, SliceEndpoint},
};
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
    /// It was passed on without the endpoints of these Pods.
    without: Option<BTreeSet<ObjectId>>,
}

impl Waiting {
    /// Adds a slice, in the place of its form before; a slice that changes again and again waits no longer for that.
    pub(super) fn add(&mut self, slice: Box<Object<EndpointSlice>>, now: Instant) {
        let until = self.slices.get(&slice.id).map_or(now + WAIT_MAX, |before| before.until);
        self.slices.insert(slice.id.clone(), Waiter { slice, until, without: None });
    }

    /// Forgets a slice that is gone.
    pub(super) fn forget(&mut self, slice: &ObjectId) {
        self.slices.remove(slice);
        self.overdue.remove(slice);
    }

    /// The slices all of whose Pods are there, or whose time is over; of others what can be told now, unless they are to
    /// come `whole`.
    pub(super) fn release(&mut self, now: Instant, whole: bool, is_there: impl Fn(&ObjectId) -> bool) -> Vec<Change> {
        for pods in self.overdue.values_mut() {
            pods.retain(|pod| !is_there(pod));
        }
        let mut released = Vec::new();
        for (id, mut waiter) in std::mem::take(&mut self.slices) {
            let missing: BTreeSet<ObjectId> = needed(&waiter.slice).filter(|pod| !is_there(pod)).collect();
            let is_known = |pod: &ObjectId| self.overdue.get(&id).is_some_and(|known| known.contains(pod));
            let awaited: BTreeSet<ObjectId> = missing.iter().filter(|pod| !is_known(pod)).cloned().collect();
            if now >= waiter.until || awaited.is_empty() {
                self.overdue.insert(id, missing);
                released.push(Change::SetEndpoints(waiter.slice));
                continue;
            }
            if !whole && waiter.without.as_ref() != Some(&awaited) {
                released.extend(part(&waiter.slice, &awaited).map(Change::SetEndpoints));
                waiter.without = Some(awaited);
            }
            self.slices.insert(id, waiter);
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
    slice.spec.endpoints.iter().filter(|endpoint| is_open(endpoint)).filter_map(|endpoint| pod(slice, endpoint))
}

/// The slice without the endpoints of Pods that are waited for: what it does not name any more must go at once. `None`
/// when nothing would be left to take requests; then what it said before is better.
fn part(slice: &Object<EndpointSlice>, awaited: &BTreeSet<ObjectId>) -> Option<Box<Object<EndpointSlice>>> {
    let mut part = Box::new(slice.clone());
    part.spec.endpoints.retain(|endpoint| !pod(slice, endpoint).is_some_and(|pod| awaited.contains(&pod)));
    part.spec.endpoints.iter().any(is_open).then_some(part)
}

fn is_open(endpoint: &SliceEndpoint) -> bool {
    endpoint.ready && !endpoint.terminating
}

fn pod(slice: &Object<EndpointSlice>, endpoint: &SliceEndpoint) -> Option<ObjectId> {
    Some(ObjectId::new(Kind::Pod, slice.id.namespace.clone(), endpoint.pod.as_ref()?))
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
