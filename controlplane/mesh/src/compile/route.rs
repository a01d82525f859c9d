//! Routes: which virtual hosts a route configuration holds, and each virtual host.
//!
//! The virtual host is the grain: it is compiled, encoded and versioned once, and shared by every route configuration
//! and viewpoint that holds it.

pub(crate) mod choice;
pub(crate) mod content;
mod cors;
mod delegate;
pub(crate) mod destination;
mod direct_response;
pub(crate) mod domains;
mod fallback;
mod fault;
#[cfg(test)]
pub(crate) mod fixture;
pub(crate) mod format;
mod grpc;
pub(crate) mod hash_policy;
mod header;
mod line;
pub(crate) mod matcher;
mod mirror;
mod plan;
pub(crate) mod port;
pub(crate) mod provenance;
mod redirect;
pub(crate) mod retry;
mod rewrite;
pub(crate) mod text;

pub use choice::{ChosenRule, Delegated};
pub use domains::{Called, Domains, Ports};

use std::sync::Arc;

use bytes::Bytes;
use proto::envoy::config::route::v3::VirtualHost;

use super::{
    Compiled, References,
    scope::{Scope, ScopedService},
    viewpoint::{ProxyKind, Viewpoint},
};
use crate::model::{
    Hostname, Object, Shared, mesh_config::MeshConfig, mesh_config::OutboundTrafficPolicy,
    virtual_service::VirtualService,
};

/// Most routes of one virtual host: far beyond any use, and below what would stall a proxy. Rules that come later are
/// left out.
pub const ROUTES_MAX: usize = 20_000;

/// The name of the route configuration of the explicit HTTP proxy.
pub const HTTP_PROXY: &str = "http_proxy";

/// A route configuration before its virtual hosts are compiled.
#[derive(Debug)]
pub struct RoutePlan {
    /// Its name: `9080`, `host:port` for sniffed ports, `http_proxy`.
    pub name: Arc<str>,
    /// The fields of the RouteConfiguration other than its virtual hosts, encoded.
    pub head: Bytes,
    /// Its virtual hosts, in order.
    pub hosts: Vec<VirtualHostInput>,
}

/// What one virtual host depends on.
///
/// Nothing here is text that was put together: an input is made, compared and hashed for every virtual host of every
/// viewpoint that a change concerns, and its names are written only when it is compiled.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VirtualHostInput {
    /// The host that it is named after, and its port; none for the one that takes everything else.
    pub host: Option<(Hostname, u16)>,
    /// The names that lead to it; no other virtual host of the same route configuration has any of them.
    pub domains: Domains,
    /// What it does.
    pub content: VirtualHostContent,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
    /// Whether callers are proxyless gRPC clients, which take less of a route than Envoy does.
    pub for_grpc: bool,
}

/// What a virtual host does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum VirtualHostContent {
    /// Sends everything to a service.
    Service {
        /// The service.
        service: ScopedService,
        /// The port of it.
        port: u16,
    },
    /// Follows a VirtualService.
    VirtualService {
        /// The virtual service.
        virtual_service: Shared<Object<VirtualService>>,
        /// Its rules that hold for the viewpoint and port, and those that they delegate to.
        rules: Vec<ChosenRule>,
        /// The port that the caller used.
        port: u16,
        /// The services that its destinations name, as far as they exist, with their rules: for ports, aliases and hash
        /// policies.
        destinations: Vec<ScopedService>,
    },
    /// Everything else.
    Fallback(OutboundTrafficPolicy),
}

/// The route configurations of a viewpoint.
#[must_use]
pub fn plan(scope: &Scope, viewpoint: &Viewpoint) -> Vec<RoutePlan> {
    match viewpoint.kind {
        ProxyKind::Sidecar => plan::sidecar(scope, viewpoint),
        ProxyKind::Grpc => plan::grpc(scope, viewpoint),
        // What a proxy at the edge routes follows from Gateways, which are not compiled yet.
        ProxyKind::Router => Vec::new(),
    }
}

/// One virtual host.
#[must_use]
pub fn virtual_host(input: &VirtualHostInput) -> Compiled<VirtualHost> {
    let content::Routes { mut routes, provenance } = content::routes(input);
    if input.for_grpc {
        routes = routes.into_iter().filter_map(grpc::reduce).collect();
    }
    let name: Arc<str> = name(input).into();
    let message = VirtualHost {
        name: name.to_string(),
        domains: input.domains.write(&input.config.spec.domain),
        routes,
        include_request_attempt_count: !input.for_grpc,
        ..VirtualHost::default()
    };
    let clusters = destination::clusters(&message).into_iter().map(Arc::from).collect();
    let references = References { clusters, ..References::default() };
    Compiled { name, message, references, provenance }
}

/// `host:port`, `allow_any` or `block_all`.
fn name(input: &VirtualHostInput) -> String {
    match (&input.host, &input.content) {
        (Some((host, port)), _) => format!("{host}:{port}"),
        (None, VirtualHostContent::Fallback(policy)) => fallback::name(*policy).to_owned(),
        (None, VirtualHostContent::Service { .. } | VirtualHostContent::VirtualService { .. }) => String::new(),
    }
}
