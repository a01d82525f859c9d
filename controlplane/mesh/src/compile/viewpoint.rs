//! The part of a proxy that its configuration may depend on.

use std::net::IpAddr;

use crate::model::{Labels, Namespace, endpoint::Locality};

/// Who looks at the mesh. Proxies with equal viewpoints hold the same configuration.
///
/// Nothing here tells one replica of a workload from another, but where the platform itself does (node, address to bind).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Viewpoint {
    /// What kind of proxy.
    pub kind: ProxyKind,
    /// The namespace of its workload.
    pub namespace: Namespace,
    /// The labels of its workload, reduced to those that some selector or match mentions.
    pub labels: Labels,
    /// Its network; empty is the default one.
    pub network: String,
    /// Where it runs; empty unless something prefers near endpoints.
    pub locality: Locality,
    /// The node it runs on; `None` unless some service is node-local.
    pub node: Option<String>,
    /// How traffic reaches it.
    pub interception: Interception,
    /// Where it offers an explicit HTTP proxy.
    pub http_proxy_port: Option<u16>,
    /// Whether its pod has only IPv6 addresses.
    pub ipv6_only: bool,
}

/// What kind of proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProxyKind {
    /// Beside one workload.
    Sidecar,
    /// On its own, at the edge.
    Router,
    /// No proxy: a gRPC client or server that speaks xDS itself.
    Grpc,
}

/// How traffic reaches a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interception {
    /// `REDIRECT`: by iptables, the destination is asked of the socket.
    Redirect,
    /// `TPROXY`: by iptables, the destination is the socket's own address.
    Tproxy,
    /// `NONE`: the application calls the proxy's listeners, bound to this address (`127.0.0.1` when `None`).
    None(Option<IpAddr>),
}
