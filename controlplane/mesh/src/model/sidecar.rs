//! Sidecar: what the proxies of a namespace or workload import, and what they let in.

use super::{
    endpoint::EndpointAddress,
    mesh_config::OutboundTrafficPolicy,
    name::{Hostname, Namespace, Selector},
    protocol::Protocol,
};

/// A Sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// The workloads it is for; `None` is the whole namespace.
    pub workload_selector: Option<Selector>,
    /// What is imported; `None` imports all that is visible.
    pub egress: Option<Vec<Import>>,
    /// Own inbound listeners, in place of those that follow from services.
    pub ingress: Vec<Ingress>,
    /// What happens to requests for unknown hosts, when it says so.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

/// One entry of `egress[].hosts`: `namespace/host`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// From which namespaces.
    pub namespace: ImportNamespace,
    /// Which hosts.
    pub host: Hostname,
}

/// The namespace part of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportNamespace {
    /// `*`: any.
    Any,
    /// `.`: the Sidecar's own.
    Own,
    /// `~`: none.
    None,
    /// This one.
    Named(Namespace),
}

/// One inbound listener of a Sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// Where it listens.
    pub port: u16,
    /// The name of the port.
    pub name: String,
    /// What it carries.
    pub protocol: Protocol,
    /// The address it binds; the proxy's own when `None`.
    pub bind: Option<std::net::IpAddr>,
    /// Where the application answers; `None` is the same port of the pod.
    pub default_endpoint: Option<EndpointAddress>,
}
