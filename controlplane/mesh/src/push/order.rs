//! When a name may be sent: the order that loses no request.
//!
//! Clusters go first, and the endpoints of each changed cluster right after it, also when they did not change: Envoy
//! keeps a changed cluster warming, and its acknowledgement back, until it is given endpoints again. A listener or route
//! configuration goes when the proxy has acknowledged the clusters that it names. A cluster is removed when nothing that
//! the proxy may hold names it, unless the target itself does.
//!
//! None of this holds anyone up who does not ask for all clusters: proxyless gRPC asks for a listener, its routes,
//! clusters and endpoints by name and in that order.

use std::{cell::OnceCell, collections::BTreeSet, sync::Arc};

use proto::type_url::ResourceType;

use super::{
    Lanes, Protocol,
    bridge::placeholder,
    interest::is_complete,
    lane::{Due, Lane},
};
use crate::snapshot::{Difference, Resource, Snapshot};

/// What is to be done about a name that is due.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Send this.
    Send(Arc<Resource>),
    /// Say that it is gone.
    Remove,
    /// Nothing yet.
    Hold,
    /// Nothing at all.
    Drop,
}

/// All that a verdict depends on.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) protocol: Protocol,
    pub(super) target: &'a Snapshot,
    pub(super) lanes: &'a Lanes,
    /// Whether all that the proxy has and that names clusters is known: see [`super::Automaton::is_fenced`].
    pub(super) is_fenced: bool,
    pub(super) in_use: OnceCell<InUse>,
}

/// The clusters that may not be removed yet.
#[derive(Debug, Default)]
pub(super) struct InUse {
    /// Any may be named by something that we do not know.
    everything: bool,
    names: BTreeSet<Arc<str>>,
}

impl Order<'_> {
    /// What is to be done about a name that is due.
    pub(super) fn verdict(&self, kind: ResourceType, name: &Arc<str>, due: Due) -> Verdict {
        let lane = self.lanes.of(kind);
        if lane.in_flight(name).is_some() && lane.bridge().is_none() {
            return Verdict::Hold;
        }
        match self.target.of(kind).get(name) {
            Some(resource) => self.aimed(lane, resource, due),
            None => self.absent(lane, name, due),
        }
    }

    /// Whether a removal waits only for a sign that the proxy has said all that it holds.
    pub(super) fn waits_for_fence(&self) -> bool {
        let lane = &self.lanes.cluster;
        !self.is_fenced && lane.due.keys().any(|name| !self.target.of(lane.kind).contains(name) && lane.may_hold(name))
    }

    /// A name that the target has.
    fn aimed(&self, lane: &Lane, resource: &Arc<Resource>, due: Due) -> Verdict {
        let held = lane.sent.get(&resource.name);
        if lane.refuses(resource) {
            // Something has to come, a warming cluster waits for it: the good version that is in force.
            return again(due, held.filter(|held| held.version != resource.version));
        }
        let is_held = held.is_some_and(|held| held.version == resource.version);
        if is_held && !due.forced && !lane.doubtful.contains_key(&resource.name) {
            return Verdict::Drop;
        }
        let is_free = match lane.kind {
            ResourceType::Cluster | ResourceType::Secret | ResourceType::ExtensionConfig => true,
            ResourceType::Endpoint => self.cluster_was_sent(&resource.name),
            ResourceType::Listener | ResourceType::Route => self.may_refer(lane, resource, due),
        };
        if is_free { Verdict::Send(Arc::clone(resource)) } else { Verdict::Hold }
    }

    /// A name that the target does not have.
    fn absent(&self, lane: &Lane, name: &Arc<str>, due: Due) -> Verdict {
        let clusters_tell = self.lanes.cluster.interest.wildcard;
        let listeners_tell = self.lanes.listener.interest.wildcard;
        match (lane.kind, lane.may_hold(name)) {
            (ResourceType::Cluster, true) if self.in_use().contains(name) => self.kept(lane, name),
            // A proxy that follows all clusters or listeners drops what belonged to them by itself. Until it does, the
            // old endpoints and routes serve what it still holds.
            (ResourceType::Endpoint, true) if clusters_tell => {
                again(due, lane.sent.get(name).or_else(|| self.endpoints_in_flight(name)))
            }
            (ResourceType::Route, true) if listeners_tell => again(due, lane.sent.get(name)),
            (_, true) if self.protocol == Protocol::Delta || is_complete(lane.kind) => Verdict::Remove,
            (_, true) => Verdict::Drop,
            (ResourceType::Endpoint, false) if clusters_tell => match self.endpoints_in_flight(name) {
                Some(endpoints) => Verdict::Send(Arc::clone(endpoints)),
                None => self.told(due),
            },
            (ResourceType::Route, false) if listeners_tell && self.is_between_listeners(name) => Verdict::Hold,
            (_, false) => self.told(due),
        }
    }

    /// A cluster that has to stay. All of the state of the world that stays has to be said.
    fn kept(&self, lane: &Lane, name: &Arc<str>) -> Verdict {
        match self.protocol {
            Protocol::StateOfTheWorld if lane.sent.get(name).is_none() => Verdict::Send(Arc::new(placeholder(name))),
            Protocol::StateOfTheWorld | Protocol::Delta => Verdict::Hold,
        }
    }

    /// That something asked for by name does not exist can be said on delta only.
    fn told(&self, due: Due) -> Verdict {
        if due.forced && self.protocol == Protocol::Delta { Verdict::Remove } else { Verdict::Drop }
    }

    /// Endpoints do not overtake the cluster that they belong to.
    fn cluster_was_sent(&self, name: &str) -> bool {
        let lane = &self.lanes.cluster;
        let cluster = self.target.of(ResourceType::Cluster).get(name);
        !lane.interest.wildcard
            || cluster.is_none_or(|cluster| {
                cluster.references.endpoints.as_deref() != Some(name) || lane.may_hold(name) || lane.refuses(cluster)
            })
    }

    /// The endpoints of a cluster that the target no longer has, but that the proxy is warming.
    fn endpoints_in_flight(&self, name: &str) -> Option<&Arc<Resource>> {
        self.lanes.cluster.flights.iter().rev().find_map(|flight| flight.basis.of(ResourceType::Endpoint).get(name))
    }

    /// Whether the proxy serves all clusters that a listener or route configuration names.
    ///
    /// A cluster that the proxy refused, and of which it has no older version, holds back what names it only if the
    /// proxy has an older version of that: what works keeps working, at the price that the other changes of that route
    /// configuration wait until the cluster is mended. A proxy that has no version at all (it just started) gets it,
    /// since one bad cluster must not keep all others from it.
    fn may_refer(&self, lane: &Lane, resource: &Resource, due: Due) -> bool {
        !self.expects_clusters()
            || resource.references.clusters.iter().all(|cluster| {
                self.serves(cluster, due.after) || (!lane.may_hold(&resource.name) && self.is_hopeless(cluster))
            })
    }

    /// Whether the proxy follows all clusters. One that comes back while clusters warm asks for them last, but for
    /// endpoints first.
    fn expects_clusters(&self) -> bool {
        let clusters = &self.lanes.cluster.interest;
        clusters.wildcard || (!clusters.began && self.lanes.endpoint.interest.began)
    }

    /// Whether the proxy serves a cluster, in the version that is due or, see [`Due::after`], an older one.
    fn serves(&self, name: &str, after: u64) -> bool {
        let lane = &self.lanes.cluster;
        let Some(aimed) = self.target.of(ResourceType::Cluster).get(name) else { return true };
        let is_settled = lane.in_flight(name).is_none()
            && (lane.refuses(aimed) || lane.sent.get(name).is_some_and(|held| held.version == aimed.version));
        let is_there = lane.is_known(name) && (is_settled || lane.landed >= after);
        (is_there || self.is_over_the_bridge(aimed)) && self.has_endpoints(aimed)
    }

    /// Whether the proxy has no version of a cluster and refuses the one that it should have.
    fn is_hopeless(&self, name: &str) -> bool {
        let aimed = self.target.of(ResourceType::Cluster).get(name);
        aimed.is_some_and(|aimed| self.lanes.cluster.refuses(aimed)) && !self.lanes.cluster.is_known(name)
    }

    /// Whether the proxy has the endpoints of a cluster, as far as it asks for them and there are any that it takes.
    fn has_endpoints(&self, cluster: &Resource) -> bool {
        let lane = &self.lanes.endpoint;
        let Some(name) = &cluster.references.endpoints else { return true };
        let Some(aimed) = self.target.of(ResourceType::Endpoint).get(name) else { return true };
        !lane.interest.wants(name) || lane.is_known(name) || lane.refuses(aimed)
    }

    /// Whether a listener that the proxy is about to lose asks for a route configuration. To be told that there is none
    /// would let that listener go to work without routes.
    fn is_between_listeners(&self, route: &str) -> bool {
        let lane = &self.lanes.listener;
        let names_it = |listener: &Resource| listener.references.routes.iter().any(|name| &**name == route);
        lane.unknown || !lane.foreign.is_empty() || self.leaving(lane).any(|listener| names_it(listener))
    }

    /// The versions that a proxy may hold and that are not the target's.
    fn leaving<'b>(&'b self, lane: &'b Lane) -> impl Iterator<Item = &'b Arc<Resource>> {
        let target = self.target.of(lane.kind);
        let sent = lane.sent.set().differences(target).filter_map(|difference| match difference {
            Difference::Changed(resource) => Some(resource),
            Difference::Removed(_) => None,
        });
        let before = lane.flights.iter().flat_map(|flight| &flight.items).filter_map(|item| item.before.as_ref());
        let others = before.chain(lane.doubtful.values());
        sent.chain(others.filter(move |held| target.get(&held.name).is_none_or(|aimed| aimed.version != held.version)))
    }

    /// Whether a listener of an earlier stream may still serve in the place of one that waits for its routes.
    pub(super) fn may_be_replacing(&self) -> bool {
        let lane = &self.lanes.listener;
        let is_known = !lane.unknown && lane.foreign.is_empty() && lane.flights.is_empty();
        !is_known || lane.sent.set().iter().any(|listener| !self.has_routes(&listener.name))
    }

    fn in_use(&self) -> &InUse {
        self.in_use.get_or_init(|| {
            let mut in_use = InUse { everything: !self.is_fenced, names: BTreeSet::new() };
            for lane in [&self.lanes.listener, &self.lanes.route] {
                in_use.everything |= lane.unknown || !lane.foreign.is_empty();
                in_use.names.extend(self.leaving(lane).flat_map(|resource| &resource.references.clusters).cloned());
            }
            in_use.everything |= self.lanes.listener.is_replaced;
            let retired = self.lanes.listener.retired.iter().filter(|(listener, _)| !self.has_routes(listener));
            in_use.names.extend(retired.flat_map(|(_, clusters)| clusters).cloned());
            in_use
        })
    }

    /// Whether a listener has all the route configurations that it waits for. Those that the target names but does not
    /// have never come.
    pub(super) fn has_routes(&self, name: &str) -> bool {
        let Some(listener) = self.lanes.listener.sent.get(name) else { return true };
        let aimed = self.target.of(ResourceType::Listener).get(name);
        let is_aimed = aimed.is_some_and(|aimed| aimed.version == listener.version);
        listener.references.routes.iter().all(|route| {
            self.lanes.route.acknowledged(route).is_some()
                || (is_aimed && !self.target.of(ResourceType::Route).contains(route))
        })
    }
}

impl InUse {
    fn contains(&self, name: &str) -> bool {
        self.everything || self.names.contains(name)
    }
}

/// What the proxy holds already, once more if something waits for it.
fn again(due: Due, held: Option<&Arc<Resource>>) -> Verdict {
    held.filter(|_| due.forced).map_or(Verdict::Drop, |held| Verdict::Send(Arc::clone(held)))
}
