//! The part of a proxy that its configuration may depend on.

mod node;

pub use node::{CLAIMS_MAX, NODE_ID_LEN_MAX, NodeError};

use std::net::{IpAddr, Ipv4Addr};

use crate::{
    model::{
        Kind, Labels, Namespace, ObjectId,
        endpoint::Locality,
        workload::{labelled_locality, labelled_network},
    },
    store::{Mesh, Touched},
};

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
    /// Whether it can show a certificate of the mesh, and check those of others.
    pub has_certificates: bool,
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

/// What a proxy says of itself when it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyDescription {
    /// What kind of proxy.
    pub kind: ProxyKind,
    /// The namespace of its workload.
    pub namespace: Namespace,
    /// The name of its pod; empty when it has none.
    pub pod: String,
    /// The labels it claims.
    pub labels: Labels,
    /// The annotations it claims.
    pub annotations: Labels,
    /// Where it says that it runs.
    pub locality: Locality,
    /// The node it says that it runs on.
    pub node: Option<String>,
    /// The network it says that it is in.
    pub network: String,
    /// How traffic reaches it.
    pub mode: InterceptionMode,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Where it offers an explicit HTTP proxy.
    pub http_proxy_port: Option<u16>,
    /// Whether the agent beside it serves it certificates of the mesh.
    pub has_certificates: bool,
}

/// `INTERCEPTION_MODE` of a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "each variant is the value of that name")]
pub enum InterceptionMode {
    #[default]
    Redirect,
    Tproxy,
    None,
}

impl ProxyDescription {
    /// The Pod that it runs in, when it names one.
    #[must_use]
    pub fn pod_id(&self) -> Option<ObjectId> {
        (!self.pod.is_empty()).then(|| ObjectId::new(Kind::Pod, self.namespace.clone(), &self.pod))
    }

    /// Where its listeners are bound without interception: its own loopback address, when it has one, lets many proxies
    /// live on one machine.
    fn interception(&self) -> Interception {
        match self.mode {
            InterceptionMode::Redirect => Interception::Redirect,
            InterceptionMode::Tproxy => Interception::Tproxy,
            InterceptionMode::None => {
                let own = self.addresses.iter().find(|ip| matches!(ip, IpAddr::V4(v4) if v4.is_loopback()));
                Interception::None(own.copied().filter(|ip| *ip != IpAddr::V4(Ipv4Addr::LOCALHOST)))
            }
        }
    }
}

impl Viewpoint {
    /// From where a proxy looks at the mesh: what its Pod says counts before what it says itself, and what makes no
    /// difference anywhere in the mesh is left out, so that as many proxies as possible share a viewpoint.
    #[must_use]
    pub fn of(proxy: &ProxyDescription, mesh: &Mesh) -> Self {
        let pod = proxy.pod_id().and_then(|id| mesh.pods().get(&id)).map(|pod| &pod.spec);
        let labels = pod.map_or(&proxy.labels, |pod| &pod.labels);
        let mentions = mesh.mentions();
        let node = pod.and_then(|pod| pod.node.as_ref()).or(proxy.node.as_ref());
        let locality = || {
            let of_node =
                || node.map(|node| mesh.locality_of_node(node)).filter(|stands| *stands != Locality::default());
            labelled_locality(labels).or_else(of_node).unwrap_or_else(|| proxy.locality.clone())
        };
        let network = Some(labelled_network(labels)).filter(|network| !network.is_empty());
        Self {
            kind: proxy.kind,
            namespace: proxy.namespace.clone(),
            labels: labels
                .iter()
                .filter(|(key, _)| mentions.label(&proxy.namespace, key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            network: network.unwrap_or_else(|| proxy.network.clone()),
            locality: if mentions.near() { locality() } else { Locality::default() },
            node: node.filter(|_| mentions.same_node()).cloned(),
            interception: proxy.interception(),
            http_proxy_port: proxy.http_proxy_port,
            ipv6_only: !proxy.addresses.is_empty() && proxy.addresses.iter().all(IpAddr::is_ipv6),
            has_certificates: match proxy.kind {
                ProxyKind::Sidecar | ProxyKind::Router => proxy.has_certificates,
                // It takes its certificates by another way than Envoy.
                ProxyKind::Grpc => false,
            },
        }
    }
}

impl Touched {
    /// Whether a proxy may look from another viewpoint now, so that it must be found again.
    #[must_use]
    pub fn may_move(&self, proxy: &ProxyDescription, mesh: &Mesh) -> bool {
        if self.reduces(&proxy.namespace) {
            return true;
        }
        if self.pods.is_empty() && self.nodes.is_empty() {
            return false;
        }
        let id = proxy.pod_id();
        let node = id.as_ref().and_then(|id| mesh.pods().get(id)).and_then(|pod| pod.spec.node.as_ref());
        id.is_some_and(|id| self.pods.contains(&id))
            || node.or(proxy.node.as_ref()).is_some_and(|node| self.nodes.contains(node))
    }
}
