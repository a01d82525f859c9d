//! Clusters: one for each port of a service and each of its subsets, the fixed ones, and those of inbound traffic.
//!
//! Each block of a DestinationRule is a module, named as Envoy names what comes of it. All values are brought into the
//! ranges that Envoy takes; that they were not there is said when the object is read.

pub mod circuit_breaker;
mod discovery;
mod dns;
mod fixed;
#[cfg(test)]
pub(super) mod fixture;
mod grpc;
mod http_protocol_options;
mod inbound;
pub mod keepalive;
pub mod load_balancing;
pub mod metadata;
mod mutual_tls;
pub mod name;
mod outbound;
pub mod outlier_detection;
pub mod policy;
#[cfg(test)]
mod tests;
mod transport_socket;

use std::time::Duration;

use proto::{envoy::config::cluster::v3::Cluster, google::protobuf::Duration as ProtoDuration};

use super::{
    Compiled, duration,
    scope::{Endpoints, MergedRule, MeshService},
    viewpoint::Interception,
};
use crate::model::{
    Object, Shared, mesh_config::MeshConfig, mesh_service::Identities, protocol::Protocol, service::Service,
    service::ServicePort, sidecar::Sidecar,
};

/// How long a connect may take when the mesh says zero.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What the outbound clusters of one service depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutboundInput {
    /// The service.
    pub service: Shared<MeshService>,
    /// The rule that holds for it.
    pub rule: Option<Shared<MergedRule>>,
    /// Its endpoints, only where the cluster itself carries them (DNS services).
    pub endpoints: Option<Shared<Endpoints>>,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
    /// Whether callers are proxyless gRPC clients, which take less of a cluster than Envoy does.
    pub for_grpc: bool,
    /// Whether the connections of callers carry the address that they dialled (`REDIRECT`, `TPROXY`). Without it
    /// `ORIGINAL_DST` leads nowhere, and services that rely on it get endpoints or DNS.
    pub captured: bool,
    /// Who answers, where callers have certificates of the mesh. Without them they speak clear text inside it.
    pub identities: Option<Shared<Identities>>,
}

/// What one inbound cluster depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboundInput {
    /// The port that the application listens on.
    pub port: u16,
    /// The services that lead there, oldest first; empty for a Sidecar's own listener.
    pub services: Vec<(Shared<MeshService>, Option<Shared<MergedRule>>)>,
    /// The Sidecar's ingress entry, by index, when it has one for the port.
    pub ingress: Option<(Shared<Object<Sidecar>>, usize)>,
    /// How traffic reaches the proxy.
    pub interception: Interception,
    /// Whether the proxy has an IPv6 address. Without it no IPv6 address may be in its configuration: on a machine that
    /// does not know IPv6 Envoy refuses a cluster that names one.
    pub ipv6: bool,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
}

/// The outbound clusters of a service: each port, alone and for each subset, in the order of their names. UDP ports have
/// none.
#[must_use]
pub fn outbound(input: &OutboundInput) -> Vec<Compiled<Cluster>> {
    let rule = input.rule.as_deref();
    let mut clusters: Vec<Compiled<Cluster>> = destinations(&input.service.service, rule)
        .filter_map(|(port, subset)| outbound::cluster(input, port, subset))
        .collect();
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    // Two ports or subsets of one name make one cluster: the first written.
    clusters.dedup_by(|later, first| later.name == first.name);
    clusters
}

/// Ports of a service that have clusters, each alone and with each subset.
pub(super) fn destinations<'a>(
    service: &'a Service,
    rule: Option<&'a MergedRule>,
) -> impl Iterator<Item = (&'a ServicePort, Option<&'a str>)> {
    let subsets = rule.map(|rule| rule.subsets.as_slice()).unwrap_or_default();
    service.ports.iter().filter(|port| port.protocol != Protocol::Udp).flat_map(move |port| {
        let named = subsets.iter().map(move |(subset, _)| (port, Some(subset.name.as_str())));
        std::iter::once((port, None)).chain(named.filter(|(_, name)| *name != Some("")))
    })
}

/// The cluster that leads from the proxy to its own application.
#[must_use]
pub fn inbound(input: &InboundInput) -> Option<Compiled<Cluster>> {
    inbound::cluster(input)
}

/// The clusters that every sidecar has: `BlackHoleCluster`, `PassthroughCluster` and, where traffic is captured,
/// `InboundPassthroughCluster`.
///
/// Without interception `PassthroughCluster` resolves the host of each request; with it, it connects to the address that
/// the caller dialled. For `ipv6` see [`InboundInput::ipv6`].
#[must_use]
pub fn fixed(config: &Object<MeshConfig>, interception: Interception, ipv6: bool) -> Vec<Compiled<Cluster>> {
    fixed::all(config, interception, ipv6)
}

/// The mesh's connect timeout; Envoy refuses zero.
fn connect_timeout(mesh: &MeshConfig) -> ProtoDuration {
    duration::positive(Some(mesh.connect_timeout)).unwrap_or_else(|| duration::of(CONNECT_TIMEOUT))
}
