//! Load assignments: where the clusters of a service find their endpoints.

mod choice;
mod distribute;
mod lb_endpoint;
mod locality;
mod priority;
#[cfg(test)]
mod tests;

use proto::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier,
};

use self::{
    choice::{Chosen, Wanted},
    locality::Group,
    priority::Ranking,
};
use super::{
    Compiled, References,
    cluster::{destinations, load_balancing::locality_settings, name::ClusterName, policy},
    scope::{Endpoints, MergedRule, MeshService},
};
use crate::model::{
    Labels, Object, Origin, Shared,
    destination_rule::PortPolicy,
    endpoint::{Endpoint, EndpointAddress, Health, Locality},
    mesh_config::MeshConfig,
    service::{Resolution, Service, ServicePort, TrafficDistribution},
};

/// What the load assignments of one service depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssignmentInput {
    /// The service.
    pub service: Shared<MeshService>,
    /// The rule that holds for it.
    pub rule: Option<Shared<MergedRule>>,
    /// Its endpoints.
    pub endpoints: Shared<Endpoints>,
    /// Where the caller is, only when [`depends_on_place`] says that it counts.
    pub place: Option<Place>,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
}

/// Where a caller is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Region, zone, subzone.
    pub locality: Locality,
    /// The node.
    pub node: Option<String>,
    /// The network.
    pub network: String,
    /// The caller's labels, for `failoverPriority`.
    pub labels: Labels,
}

/// Whether the place of the caller makes a difference for a service.
#[must_use]
pub fn depends_on_place(service: &MeshService, rule: Option<&MergedRule>, config: &MeshConfig) -> bool {
    let service = &service.service;
    if !carried(service) {
        return false;
    }
    service.node_local
        || service.traffic_distribution != TrafficDistribution::Any
        || destinations(service, rule).any(|(port, subset)| {
            let policy = policy::effective(rule, port.number, subset);
            let settings = locality_settings(&policy, config);
            let distributes = settings.is_some_and(|settings| !settings.distribute.is_empty());
            distributes || Ranking::of(service, &policy, config) != Ranking::None
        })
}

/// The load assignments of a service: one for each EDS cluster that [`super::cluster::outbound`] makes for any caller, by
/// the same names and in their order. Those of a headless service are for callers without interception and for gRPC.
#[must_use]
pub fn assignments(input: &AssignmentInput) -> Vec<Compiled<ClusterLoadAssignment>> {
    let service = &input.service.service;
    if !carried(service) {
        return Vec::new();
    }
    let mut assignments: Vec<Compiled<ClusterLoadAssignment>> =
        destinations(service, input.rule.as_deref()).map(|(port, subset)| assignment(input, port, subset)).collect();
    assignments.sort_by(|a, b| a.name.cmp(&b.name));
    assignments.dedup_by(|later, first| later.name == first.name);
    assignments
}

/// Whether the endpoints of a service come from us.
fn carried(service: &Service) -> bool {
    match service.resolution {
        Resolution::Static | Resolution::Headless => true,
        Resolution::None | Resolution::Dns | Resolution::DnsRoundRobin | Resolution::Alias(_) => false,
    }
}

fn assignment(input: &AssignmentInput, port: &ServicePort, subset: Option<&str>) -> Compiled<ClusterLoadAssignment> {
    let service = &input.service.service;
    let rule = input.rule.as_deref();
    let name = ClusterName::outbound(port.number, subset, &service.hostname);
    let policy = policy::effective(rule, port.number, subset);
    let named = subset.and_then(|subset| policy::subset_of(rule?, subset));
    let wanted = Wanted {
        labels: named.map(|subset| &subset.labels),
        node: None,
        unhealthy_too: policy.outlier_detection.as_ref().and_then(|rule| rule.min_health_percent).unwrap_or(0) > 0,
    };
    let wanted = if service.node_local { wanted.on_node_of(input.place.as_ref()) } else { wanted };
    let endpoints = input.endpoints.0.get(&port.number).map(Vec::as_slice).unwrap_or_default();
    let groups = spread(&choice::choose(endpoints, wanted), input, &policy);
    let message = ClusterLoadAssignment { cluster_name: name.as_str().to_owned(), ..locality::assignment(&groups) };
    Compiled { name: name.shared(), message, references: References::default(), provenance: provenance(input, subset) }
}

/// The endpoints in priorities and localities, with the weights that hold for the caller.
fn spread<'a>(chosen: &[Chosen<'a>], input: &AssignmentInput, policy: &PortPolicy) -> Vec<Group<'a>> {
    let Some(place) = &input.place else { return locality::grouped(chosen, |_| 0) };
    let settings = locality_settings(policy, &input.config.spec);
    if let Some(shares) = settings.and_then(|settings| distribute::shares(&settings.distribute, &place.locality)) {
        return distribute::apply(locality::grouped(chosen, |_| 0), shares);
    }
    let ranking = Ranking::of(&input.service.service, policy, &input.config.spec);
    locality::grouped(chosen, |one| ranking.rank(one.endpoint, place))
}

fn provenance(input: &AssignmentInput, subset: Option<&str>) -> Vec<Origin> {
    let mut origins = vec![Origin::whole(&input.service.origin)];
    let named = input.rule.as_deref().zip(subset);
    origins.extend(named.and_then(|(rule, name)| policy::origin_of_subset(rule, name)));
    origins
}

/// The assignment that a cluster carries itself: all endpoints, by locality; names too. Its cluster is not yet named.
pub(super) fn inline(endpoints: &[Endpoint]) -> ClusterLoadAssignment {
    let mut sorted: Vec<&Endpoint> = endpoints.iter().filter(|e| e.health != Health::Unhealthy).collect();
    sorted.sort();
    sorted.dedup_by(|later, first| later.address == first.address);
    let chosen: Vec<Chosen<'_>> =
        sorted.into_iter().map(|endpoint| Chosen { endpoint, health: endpoint.health }).collect();
    locality::assignment(&locality::grouped(&chosen, |_| 0))
}

/// A locality of one endpoint that is nothing but an address.
pub(super) fn bare(address: &EndpointAddress) -> LocalityLbEndpoints {
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(lb_endpoint::at(address))),
        ..LbEndpoint::default()
    };
    LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..LocalityLbEndpoints::default() }
}

/// Whether an endpoint belongs to a subset with these labels; no labels are every endpoint's.
pub(super) fn has_labels(endpoint: &Endpoint, labels: &Labels) -> bool {
    labels.iter().all(|(key, value)| endpoint.labels.get(key) == Some(value))
}
