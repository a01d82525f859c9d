//! Listeners: outbound ones by port and address, and inbound ones by port of the application.

mod access_log;
mod address;
mod api_listener;
mod application_protocols;
mod catch_all;
mod filter_chain;
mod http_connection_manager;
mod inbound;
mod l4;
mod listener_filter;
mod mutual_tls;
mod outbound;
mod port_listener;
mod tcp_proxy;

pub use filter_chain::{Rest, TcpChain};
pub use http_connection_manager::Certificates;
pub use inbound::{InboundChain, InboundContent, InboundProtocol};
pub use port_listener::{HttpChain, PortListener};
pub use tcp_proxy::TcpRoute;

use std::sync::Arc;

use proto::envoy::config::listener::v3::Listener;

use super::{
    Compiled,
    cluster::InboundInput,
    scope::{Endpoints, Scope},
    viewpoint::{ProxyKind, Viewpoint},
};
use crate::model::{
    Hostname, Object, Origin, Shared,
    mesh_config::{MeshConfig, OutboundTrafficPolicy},
    peer_authentication::WorkloadTls,
};

/// What one outbound listener depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutboundListenerInput {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub content: OutboundContent,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
}

/// What an outbound listener does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OutboundContent {
    /// Takes what is captured, hands it to the listener of its destination, and keeps what has none.
    CatchAll {
        /// Whether it listens on `::`.
        ipv6: bool,
        /// Whether the destination is the socket's own address.
        transparent: bool,
        /// What happens to what no listener takes.
        policy: OutboundTrafficPolicy,
    },
    /// Takes the traffic of one port.
    Port(PortListener),
    /// Tells a proxyless gRPC client which route configuration its target has.
    Api {
        /// The route configuration.
        route: Arc<str>,
        /// The object that declared the target.
        origin: Origin,
    },
}

/// What one inbound listener depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboundListenerInput {
    /// Its name.
    pub name: Arc<str>,
    /// What it does.
    pub content: InboundContent,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
}

/// Which outbound listeners a viewpoint has. `headless` gives the endpoints of headless TCP services in scope.
#[must_use]
pub fn plan_outbound(
    scope: &Scope,
    viewpoint: &Viewpoint,
    headless: &dyn Fn(&Hostname) -> Option<Shared<Endpoints>>,
) -> Vec<OutboundListenerInput> {
    match viewpoint.kind {
        ProxyKind::Sidecar => outbound::plan(scope, viewpoint, headless),
        ProxyKind::Grpc => api_listener::plan(scope),
        // What a proxy at the edge listens on follows from Gateways, which are not compiled yet.
        ProxyKind::Router => Vec::new(),
    }
}

/// One outbound listener.
#[must_use]
pub fn outbound(input: &OutboundListenerInput) -> Option<Compiled<Listener>> {
    let config = &input.config.spec;
    let (message, provenance) = match &input.content {
        OutboundContent::CatchAll { ipv6, transparent, policy } => {
            let listener = catch_all::listener(*ipv6, *transparent, *policy, config);
            (listener, input.config.origin().into_iter().collect())
        }
        OutboundContent::Port(port) => (port_listener::listener(port, config)?, port.origins.clone()),
        OutboundContent::Api { route, origin } => (api_listener::listener(route), vec![origin.clone()]),
    };
    Some(finished(&input.name, message, provenance))
}

/// Which inbound listeners a viewpoint has, for the same inputs that its inbound clusters are made of, and what they
/// demand of callers.
#[must_use]
pub fn plan_inbound(
    scope: &Scope,
    viewpoint: &Viewpoint,
    ports: &[InboundInput],
    tls: &WorkloadTls,
) -> Vec<InboundListenerInput> {
    match viewpoint.kind {
        ProxyKind::Sidecar => inbound::plan(scope, viewpoint, ports, tls),
        ProxyKind::Router | ProxyKind::Grpc => Vec::new(),
    }
}

/// One inbound listener.
#[must_use]
pub fn inbound(input: &InboundListenerInput) -> Option<Compiled<Listener>> {
    let message = inbound::listener(&input.content, &input.config.spec);
    let mut provenance = inbound::provenance(&input.content);
    if provenance.is_empty() {
        provenance.extend(input.config.origin());
    }
    Some(finished(&input.name, message, provenance))
}

fn finished(name: &Arc<str>, message: Listener, provenance: Vec<Origin>) -> Compiled<Listener> {
    let message = Listener { name: name.to_string(), ..message };
    let references = filter_chain::references(&message);
    Compiled { name: Arc::clone(name), message, references, provenance }
}

#[cfg(test)]
mod tests;
