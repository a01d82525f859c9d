//! Over the gap that a broken stream leaves in the state of the world: how a proxy keeps clusters that are gone, until
//! nothing of its names them.
//!
//! Each response about clusters says all of them, and what it lacks goes at once. A proxy that comes back to another
//! snapshot than it left cannot say what it holds; but it asks for endpoints, and so tells the names of its clusters.
//! What clusters of these names were nobody knows any more. So they are sent as placeholders whose endpoints are never
//! given: the proxy keeps the cluster that it has at work while its successor warms. The same holds for a cluster whose
//! new version the proxy refuses while nobody knows the old one.
//!
//! It also keeps its answer back while anything warms. What was sent along is at work all the same once the proxy has
//! answered the endpoints that were sent after it, since it takes responses in their order.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use prost::Message as _;
use proto::{
    envoy::config::{
        cluster::v3::{
            CircuitBreakers, Cluster,
            circuit_breakers::Thresholds,
            cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig},
        },
        core::v3::{
            AggregatedConfigSource, ApiVersion, ConfigSource, RoutingPriority, config_source::ConfigSourceSpecifier,
        },
    },
    google::protobuf::Duration,
    type_url::ResourceType,
};

use super::{
    Automaton, Protocol,
    lane::{Flight, Foreign, Item, Lane},
    order::Order,
};
use crate::snapshot::{References, Resource};

/// What the name of a placeholder's endpoints begins with. They have a name of their own, lest the endpoints of the cluster
/// that it keeps make it warm; and so that a proxy which loses us meanwhile tells the next one that it has a placeholder.
const ENDPOINTS_PREFIX: &str = "placeholder|";
/// Seconds for which a placeholder warms at most. Then it takes the place of the cluster that it kept, as if that had been
/// removed: a proxy that loses us meanwhile would else wait for ever, and ask for no other clusters.
const WARMING_SECONDS: i64 = 15;

impl Automaton {
    /// Whether something waits for what the proxy says first on its stream. The owner has to say when nothing more
    /// comes: see [`Self::hear_silence`].
    #[must_use]
    pub fn is_listening(&self) -> bool {
        self.protocol == Protocol::StateOfTheWorld && self.lanes.cluster.is_unheard() && !self.is_fenced()
    }

    /// Takes it that the proxy has said all that it says before it is sent anything. A proxy says it in one breath, so
    /// that a fraction of a second without a request is enough.
    pub fn hear_silence(&mut self) {
        self.is_silent = true;
    }

    /// Takes the names of endpoints for those of the clusters that the proxy holds.
    pub(super) fn learn_clusters(&mut self) {
        let after = self.lanes.cluster.flown + 1;
        let names: Vec<Arc<str>> = self.lanes.endpoint.interest.names.iter().cloned().collect();
        let lane = &mut self.lanes.cluster;
        for name in names {
            let name = name.strip_prefix(ENDPOINTS_PREFIX).map_or_else(|| Arc::clone(&name), Arc::from);
            lane.want(&name, false, after);
            lane.foreign.insert(name, Foreign::Held);
        }
    }

    /// Adds what a response about clusters must not take away though it has nothing to say about it.
    pub(super) fn keep_foreign(&self, kind: ResourceType, items: &mut Vec<Item>) {
        if kind != ResourceType::Cluster || self.protocol == Protocol::Delta {
            return;
        }
        let lane = self.lanes.of(kind);
        let is_said = |name: &Arc<str>| lane.sent.get(name).is_some() || items.iter().any(|item| item.name == *name);
        let unsaid: Vec<&Arc<str>> = lane.foreign.keys().filter(|name| !is_said(name)).collect();
        let keep =
            |name: &Arc<str>| Item { name: Arc::clone(name), before: None, after: Some(Arc::new(placeholder(name))) };
        items.extend(unsaid.into_iter().map(keep));
    }

    /// Takes the unanswered response of a lane back into the items of the one that takes its place. The proxy answers
    /// the later one only, or both: either says enough.
    pub(super) fn supersede(&mut self, kind: ResourceType, items: Vec<Item>) -> (Vec<Item>, u64) {
        let now = self.lanes.endpoint.flown;
        let lane = self.lanes.of_mut(kind);
        let Some(flight) = lane.take_bridge() else { return (items, now) };
        let is_plain = |item: &Item| item.after.as_ref().is_none_or(|after| after.references.endpoints.is_some());
        let endpoints = if items.iter().all(is_plain) { flight.endpoints } else { now };
        let mut all: BTreeMap<Arc<str>, Item> =
            flight.items.into_iter().map(|item| (Arc::clone(&item.name), item)).collect();
        for item in items {
            match all.entry(Arc::clone(&item.name)) {
                Entry::Occupied(mut before) => before.get_mut().after = item.after,
                Entry::Vacant(place) => drop(place.insert(item)),
            }
        }
        (all.into_values().collect(), endpoints)
    }
}

impl Lane {
    /// Whether the proxy holds clusters that it could not name, and was not sent any.
    pub(super) fn is_unheard(&self) -> bool {
        self.kind == ResourceType::Cluster && self.unknown && self.flown == 0
    }

    /// The unanswered response that holds clusters which are not in the target. Its answer may be long in coming, so
    /// another may follow it.
    pub(super) fn bridge(&self) -> Option<&Flight> {
        self.flights.back().filter(|flight| flight.is_bridge)
    }

    fn take_bridge(&mut self) -> Option<Flight> {
        self.bridge()?;
        self.flights.pop_back()
    }
}

impl Order<'_> {
    /// Whether a cluster that was sent beside placeholders is at work though that was not answered.
    pub(super) fn is_over_the_bridge(&self, cluster: &Resource) -> bool {
        let lane = &self.lanes.endpoint;
        let Some(flight) = self.lanes.cluster.bridge() else { return false };
        if self.lanes.cluster.sent.get(&cluster.name).is_none_or(|sent| sent.version != cluster.version) {
            return false;
        }
        match &cluster.references.endpoints {
            // They became due with the cluster.
            Some(name) => {
                let is_answered = !lane.due.contains_key(name) && lane.in_flight(name).is_none();
                lane.interest.wants(name) && lane.is_known(name) && is_answered
            }
            None => !cluster.references.resolves && lane.landed > flight.endpoints,
        }
    }
}

/// Whether a cluster is a placeholder: all that is compiled was made by something.
pub(super) fn is_placeholder(cluster: &Resource) -> bool {
    cluster.provenance.is_empty() && cluster.references.endpoints.as_deref().is_some_and(is_of_placeholder)
}

/// Whether a proxy that asks for these endpoints warms a placeholder.
pub(super) fn is_of_placeholder(endpoints: &str) -> bool {
    endpoints.starts_with(ENDPOINTS_PREFIX)
}

/// A cluster that never becomes warm, to keep the one of that name at work. Should it come to work all the same, it takes
/// no request: what the one before was told about encryption is not known here.
pub(super) fn placeholder(name: &Arc<str>) -> Resource {
    let endpoints: Arc<str> = format!("{ENDPOINTS_PREFIX}{name}").into();
    let source = ConfigSource {
        config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
        initial_fetch_timeout: Some(Duration { seconds: WARMING_SECONDS, nanos: 0 }),
        resource_api_version: ApiVersion::V3.into(),
        ..ConfigSource::default()
    };
    let cluster = Cluster {
        name: name.to_string(),
        cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Eds.into())),
        circuit_breakers: Some(CircuitBreakers {
            thresholds: [RoutingPriority::Default, RoutingPriority::High].map(closed).to_vec(),
            ..CircuitBreakers::default()
        }),
        eds_cluster_config: Some(EdsClusterConfig { eds_config: Some(source), service_name: endpoints.to_string() }),
        ..Cluster::default()
    };
    let references = References { endpoints: Some(endpoints), ..References::default() };
    let parts = [cluster.encode_to_vec().into()];
    Resource::encode(ResourceType::Cluster, Arc::clone(name), &parts, references, Vec::new())
}

fn closed(priority: RoutingPriority) -> Thresholds {
    let none = Some(0);
    Thresholds {
        priority: priority.into(),
        max_connections: none,
        max_pending_requests: none,
        max_requests: none,
        ..Thresholds::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_waits_for_endpoints_that_nobody_sends_but_not_for_ever_and_takes_no_requests() {
        let resource = placeholder(&"outbound|80||web.shop.svc.cluster.local".into());
        let cluster = Cluster::decode(resource.message()).unwrap();
        let eds = cluster.eds_cluster_config.unwrap();
        assert!(is_placeholder(&resource) && is_of_placeholder(&eds.service_name));
        assert_eq!(cluster.name, *resource.name);
        assert!(eds.eds_config.unwrap().initial_fetch_timeout.unwrap().seconds > 0);
        let limits = cluster.circuit_breakers.unwrap().thresholds;
        assert!(limits.len() == 2 && limits.iter().all(|limit| limit.max_requests == Some(0)));
    }
}
