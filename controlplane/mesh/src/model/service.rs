//! A service of the mesh: a Kubernetes Service, or one host of a ServiceEntry.

use std::net::IpAddr;

use super::{
    name::{Hostname, Labels, Namespace, Selector},
    protocol::Protocol,
    visibility::ExportTo,
};

/// Most ports that one service may have.
pub const PORTS_MAX: usize = 256;

/// A service of the mesh, whatever object declared it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name in the mesh, fully qualified.
    pub hostname: Hostname,
    /// Name of the object: what Envoy metadata shows (`reviews`, or the host of a ServiceEntry).
    pub name: String,
    /// The namespace of the object that declared it.
    pub namespace: Namespace,
    /// Labels of the object.
    pub labels: Labels,
    /// Its ports, in the order written.
    pub ports: Vec<ServicePort>,
    /// Its addresses: cluster IPs, or the addresses of a ServiceEntry.
    pub addresses: Vec<Address>,
    /// How its endpoints are found.
    pub resolution: Resolution,
    /// Which pods (or WorkloadEntries) belong to it, by label; `None` when it has no selector.
    pub selector: Option<Selector>,
    /// Who can see it.
    pub export_to: ExportTo,
    /// What kind of object declared it.
    pub registry: Registry,
    /// Only endpoints on the caller's own node (`internalTrafficPolicy: Local`).
    pub node_local: bool,
    /// Endpoints that are not ready count too (`publishNotReadyAddresses`).
    pub publish_not_ready: bool,
    /// Subject alternative names that its certificates may have; empty means by service account.
    pub subject_alt_names: Vec<String>,
    /// Where traffic should stay (`spec.trafficDistribution`).
    pub traffic_distribution: TrafficDistribution,
}

impl Service {
    /// The port with this number.
    #[must_use]
    pub fn port(&self, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|p| p.number == number)
    }

    /// Whether a WorkloadEntry of its namespace with these labels is one of its endpoints: a Kubernetes Service with
    /// endpoints that the control plane knows takes them in beside its pods.
    #[must_use]
    pub fn takes_in(&self, labels: &Labels) -> bool {
        self.registry == Registry::Kubernetes
            && self.has_eds()
            && self.selector.as_ref().is_some_and(|selector| selector.selects(labels))
    }

    /// Whether its endpoints come with EDS.
    #[must_use]
    pub fn has_eds(&self) -> bool {
        matches!(self.resolution, Resolution::Static)
    }
}

/// Which registry a service comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Registry {
    /// A Kubernetes Service.
    Kubernetes,
    /// A ServiceEntry with `location: MESH_INTERNAL`.
    InternalEntry,
    /// A ServiceEntry with `location: MESH_EXTERNAL`.
    ExternalEntry,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Its number, never 0.
    pub number: u16,
    /// Its name; may be empty when it is the only one.
    pub name: String,
    /// What it carries.
    pub protocol: Protocol,
    /// Where the pods listen.
    pub target: TargetPort,
}

/// Where the pods of a service listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// At this number.
    Number(u16),
    /// At the container port of this name.
    Named(String),
}

/// An address of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The address, or the first of the range.
    pub ip: IpAddr,
    /// Bits of the prefix: 32 or 128 for one address.
    pub prefix_len: u8,
}

impl Address {
    /// One address.
    #[must_use]
    pub fn single(ip: IpAddr) -> Self {
        Self { ip, prefix_len: if ip.is_ipv4() { 32 } else { 128 } }
    }

    /// Whether it is one address and not a range.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.prefix_len == if self.ip.is_ipv4() { 32 } else { 128 }
    }
}

/// How the endpoints of a service are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// Endpoints are known to the control plane (EDS).
    Static,
    /// Kubernetes headless service: the caller resolved the address of a pod itself.
    Headless,
    /// The caller's own destination address is used (ServiceEntry `NONE`).
    None,
    /// Resolved by Envoy; every address is an endpoint.
    Dns,
    /// Resolved by Envoy; one address at a time.
    DnsRoundRobin,
    /// Another name for a service or an outside host (Kubernetes `ExternalName`).
    Alias(Hostname),
}

/// `spec.trafficDistribution` of a Kubernetes Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TrafficDistribution {
    /// Anywhere.
    #[default]
    Any,
    /// The same zone first (`PreferClose`, `PreferSameZone`).
    SameZone,
    /// The same node first (`PreferSameNode`).
    SameNode,
}
