//! Where a cluster's endpoints come from.

use std::time::Duration;

use proto::envoy::config::{
    cluster::v3::{
        Cluster,
        cluster::{ClusterDiscoveryType, DiscoveryType, EdsClusterConfig, LbPolicy},
    },
    core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier},
    endpoint::v3::ClusterLoadAssignment,
};

use super::{
    OutboundInput,
    dns::{self, Addresses},
    name::ClusterName,
    policy,
};
use crate::{
    compile::{duration, endpoint, scope::MeshService},
    model::{
        destination_rule::{Algorithm, PortPolicy},
        endpoint::{Endpoint, EndpointAddress, Health},
        service::{Resolution, ServicePort, TargetPort},
    },
};

/// How long a cluster that is new or changed waits for its endpoints before it goes on with those that Envoy knew before.
///
/// Never zero: that waits for ever, and with it every later change of any cluster, since Envoy does not ask again for the
/// endpoints of a changed cluster. We send them with each change, within milliseconds; this is the net below.
const ENDPOINTS_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the endpoints of one outbound cluster come from.
#[derive(Debug, PartialEq)]
pub(super) enum Discovery {
    /// From us.
    Eds,
    /// From name servers, for the names in the assignment.
    Dns(Addresses, ClusterLoadAssignment),
    /// From name servers, for the host of each request.
    DnsOnRequest,
    /// The address that the caller dialled.
    OriginalDestination,
    /// Nowhere.
    Nowhere,
}

/// Where the endpoints of a service's cluster come from; `None` when there is no such cluster.
pub(super) fn of(
    input: &OutboundInput,
    port: &ServicePort,
    subset: Option<&str>,
    policy: &PortPolicy,
) -> Option<Discovery> {
    let passes_through = policy.load_balancer.as_ref().is_some_and(|lb| lb.algorithm == Algorithm::Passthrough);
    let original = !input.for_grpc && input.captured;
    Some(match &input.service.service.resolution {
        Resolution::Alias(_) => return None,
        Resolution::Static | Resolution::Headless | Resolution::Dns | Resolution::DnsRoundRobin | Resolution::None
            if original && passes_through =>
        {
            Discovery::OriginalDestination
        }
        Resolution::Headless | Resolution::None if original => Discovery::OriginalDestination,
        // A caller whose connections do not carry an address needs the endpoints that the platform knows.
        Resolution::Static | Resolution::Headless => Discovery::Eds,
        Resolution::Dns => named(Addresses::All, inline(input, port, subset)),
        Resolution::DnsRoundRobin => named(Addresses::OneAtATime, inline(input, port, subset)),
        // The host is all there is to go by.
        Resolution::None => match host_itself(&input.service, port) {
            Some(host) => named(Addresses::All, vec![host]),
            None if port.protocol.is_http() => Discovery::DnsOnRequest,
            None => Discovery::Nowhere,
        },
    })
}

/// DNS for some endpoints. One address at a time is for one name; more of them are all used.
fn named(addresses: Addresses, endpoints: Vec<Endpoint>) -> Discovery {
    let assignment = endpoint::inline(&endpoints);
    match dns::endpoint_count(&assignment) {
        0 => Discovery::Nowhere,
        1 => Discovery::Dns(addresses, assignment),
        _ => Discovery::Dns(Addresses::All, assignment),
    }
}

/// The endpoints that a DNS cluster carries: those of the entry, or the host itself. Envoy resolves no unix sockets.
fn inline(input: &OutboundInput, port: &ServicePort, subset: Option<&str>) -> Vec<Endpoint> {
    let declared = input.endpoints.as_ref().and_then(|endpoints| endpoints.0.get(&port.number));
    let all = match declared {
        Some(endpoints) if !endpoints.is_empty() => endpoints.clone(),
        Some(_) | None => host_itself(&input.service, port).into_iter().collect(),
    };
    let labels = subset.and_then(|name| policy::subset_of(input.rule.as_deref()?, name)).map(|subset| &subset.labels);
    all.into_iter()
        .filter(|endpoint| !matches!(endpoint.address, EndpointAddress::Pipe(_)))
        .filter(|endpoint| labels.is_none_or(|labels| endpoint::has_labels(endpoint, labels)))
        .collect()
}

/// The service's own name as an endpoint, unless it stands for many.
fn host_itself(declared: &MeshService, port: &ServicePort) -> Option<Endpoint> {
    let service = &declared.service;
    if service.hostname.is_wildcard() {
        return None;
    }
    let number = match &port.target {
        TargetPort::Number(number) => *number,
        TargetPort::Named(_) => port.number,
    };
    Some(Endpoint {
        address: EndpointAddress::Dns(service.hostname.as_str().to_owned(), number),
        labels: Default::default(),
        weight: 1,
        locality: Default::default(),
        node: None,
        network: String::new(),
        workload: (declared.origin.name.to_string(), service.namespace.as_str().to_owned()),
        service_account: None,
        health: Health::Healthy,
        mesh_tls: false,
        hostname: None,
    })
}

/// Gives the cluster its type, and what belongs to the type.
pub(super) fn apply(discovery: Discovery, cluster: &mut Cluster, name: &ClusterName, input: &OutboundInput) {
    match discovery {
        Discovery::Eds => {
            cluster.cluster_discovery_type = kind(DiscoveryType::Eds);
            cluster.eds_cluster_config = Some(eds(name));
        }
        Discovery::Dns(addresses, assignment) => {
            cluster.cluster_discovery_type = Some(if input.for_grpc {
                dns::resolving_for_grpc()
            } else {
                dns::resolving(addresses, &input.config.spec)
            });
            cluster.load_assignment =
                Some(ClusterLoadAssignment { cluster_name: name.as_str().to_owned(), ..assignment });
        }
        Discovery::DnsOnRequest => dns::resolve_on_request(cluster, &input.config.spec),
        Discovery::OriginalDestination => original_destination(cluster),
        Discovery::Nowhere => cluster.cluster_discovery_type = kind(DiscoveryType::Static),
    }
}

/// Makes a cluster one that connects to the address that the caller dialled.
pub(super) fn original_destination(cluster: &mut Cluster) {
    cluster.cluster_discovery_type = kind(DiscoveryType::OriginalDst);
    cluster.lb_policy = LbPolicy::ClusterProvided.into();
    cluster.lb_config = None;
}

/// One of Envoy's own types of cluster.
#[allow(clippy::unnecessary_wraps, reason = "it is the field's type")]
pub(super) fn kind(kind: DiscoveryType) -> Option<ClusterDiscoveryType> {
    Some(ClusterDiscoveryType::Type(kind.into()))
}

fn eds(name: &ClusterName) -> EdsClusterConfig {
    EdsClusterConfig {
        eds_config: Some(ConfigSource {
            config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
            initial_fetch_timeout: Some(duration::of(ENDPOINTS_TIMEOUT)),
            resource_api_version: ApiVersion::V3.into(),
            ..ConfigSource::default()
        }),
        service_name: name.as_str().to_owned(),
    }
}
