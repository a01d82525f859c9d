//! Clusters: one for each port of a service and each of its subsets, the fixed ones, and those of inbound traffic.

pub mod name;

use proto::envoy::config::cluster::v3::Cluster;

use super::{
    Compiled,
    scope::{Endpoints, MergedRule, MeshService},
    viewpoint::Interception,
};
use crate::model::{Object, Shared, mesh_config::MeshConfig, sidecar::Sidecar};

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
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
}

/// The outbound clusters of a service: each port, alone and for each subset. UDP ports have none.
#[must_use]
pub fn outbound(input: &OutboundInput) -> Vec<Compiled<Cluster>> {
    let _ = input;
    Vec::new()
}

/// The cluster that leads from the proxy to its own application.
#[must_use]
pub fn inbound(input: &InboundInput) -> Option<Compiled<Cluster>> {
    let _ = input;
    None
}

/// The clusters that every sidecar has: `BlackHoleCluster`, `PassthroughCluster`, `InboundPassthroughCluster`.
#[must_use]
pub fn fixed(config: &Object<MeshConfig>, interception: Interception) -> Vec<Compiled<Cluster>> {
    let _ = (config, interception);
    Vec::new()
}
