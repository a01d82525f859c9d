//! Endpoints: where the ports of a service answer.

use std::net::IpAddr;

use super::name::Labels;

/// Most endpoints that one slice may hold, as Kubernetes has it.
pub const SLICE_ENDPOINTS_MAX: usize = 1000;

/// A part of the endpoints of one Kubernetes Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// The Service it belongs to, by the label `kubernetes.io/service-name`, in the slice's own namespace.
    pub service: String,
    /// The ports that all endpoints of the slice serve.
    pub ports: Vec<SlicePort>,
    /// The endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// A port of an EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlicePort {
    /// The name of the service port that it serves.
    pub name: String,
    /// Where the endpoints listen; `None` means every port, as it is.
    pub port: Option<u16>,
}

/// One endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SliceEndpoint {
    /// Its addresses; all lead to the same pod.
    pub addresses: Vec<IpAddr>,
    /// Whether new requests may be sent to it.
    pub ready: bool,
    /// Whether it still answers, though it may be going away.
    pub serving: bool,
    /// Whether it is going away.
    pub terminating: bool,
    /// `hostname`, for pods of a StatefulSet.
    pub hostname: Option<String>,
    /// The node it runs on.
    pub node: Option<String>,
    /// The zone it runs in, where the slice says so.
    pub zone: Option<String>,
    /// The Pod of the slice's own namespace that its `targetRef` names. One of another namespace is nobody's to name:
    /// the endpoint would have its identity.
    pub pod: Option<String>,
}

/// An endpoint as the compiler sees it, whatever object declared it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Endpoint {
    /// Where it answers.
    pub address: EndpointAddress,
    /// The labels of its pod or WorkloadEntry: subsets select by them.
    pub labels: Labels,
    /// Its share, relative to the other endpoints; at least 1.
    pub weight: u32,
    /// Where it runs.
    pub locality: Locality,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its network; empty is the default one.
    pub network: String,
    /// The workload: name and namespace, for metadata that telemetry reads.
    pub workload: (String, String),
    /// Its service account, for secure naming.
    pub service_account: Option<String>,
    /// `Draining` endpoints keep their sessions and get nothing new.
    pub health: Health,
    /// Whether it terminates the mesh's mutual TLS (label `security.istio.io/tlsMode`).
    pub mesh_tls: bool,
    /// The first label of its own DNS name, for pods of a headless service.
    pub hostname: Option<String>,
}

/// Where an endpoint answers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EndpointAddress {
    /// At an address and port.
    Ip(IpAddr, u16),
    /// At a name that Envoy resolves, and a port.
    Dns(String, u16),
    /// At a unix socket.
    Pipe(String),
}

/// What the platform says of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Takes requests.
    Healthy,
    /// Going away, but still answers: used for what is under way, and when nothing else is left.
    Draining,
    /// Does not take requests.
    Unhealthy,
}

/// Where something runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Locality {
    /// `topology.kubernetes.io/region`.
    pub region: String,
    /// `topology.kubernetes.io/zone`.
    pub zone: String,
    /// `topology.istio.io/subzone`.
    pub subzone: String,
}

impl Locality {
    /// Parses `region/zone/subzone`; later parts may be missing.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut parts = text.splitn(3, '/').map(str::to_owned);
        let mut next = || parts.next().unwrap_or_default();
        Self { region: next(), zone: next(), subzone: next() }
    }
}
