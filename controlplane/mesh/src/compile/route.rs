//! Routes: which virtual hosts a route configuration holds, and each virtual host.
//!
//! The virtual host is the grain: it is compiled, encoded and versioned once, and shared by every route configuration
//! and viewpoint that holds it.

use std::sync::Arc;

use bytes::Bytes;
use proto::envoy::config::route::v3::VirtualHost;

use super::{
    Compiled,
    scope::{Scope, ScopedService},
    viewpoint::Viewpoint,
};
use crate::model::{
    Hostname, Namespace, Object, Shared, mesh_config::MeshConfig, mesh_config::OutboundTrafficPolicy,
    virtual_service::VirtualService,
};

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

/// What one virtual host depends on. Owned by the route compiler: extend it with what the compiled host needs, but with
/// nothing that it does not.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VirtualHostInput {
    /// `host:port`, `allow_any` or `block_all`.
    pub name: Arc<str>,
    /// The names that lead to it.
    pub domains: Vec<String>,
    /// What it does.
    pub content: VirtualHostContent,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
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
        /// Its rules that hold for the viewpoint and port: rule, and matches of it (empty when it has none).
        rules: Vec<(usize, Vec<usize>)>,
        /// The host that it stands for here, and the port.
        host: Hostname,
        /// The port of the listener.
        port: u16,
        /// The services that its destinations name, as far as they exist, with their rules (for hash policies and ports).
        destinations: Vec<ScopedService>,
        /// The VirtualServices that it delegates to.
        delegates: Vec<Shared<Object<VirtualService>>>,
        /// The namespace of the caller, where the result depends on it.
        namespace: Option<Namespace>,
    },
    /// Everything else.
    Fallback(OutboundTrafficPolicy),
}

/// The route configurations of a viewpoint.
#[must_use]
pub fn plan(scope: &Scope, viewpoint: &Viewpoint) -> Vec<RoutePlan> {
    let _ = (scope, viewpoint);
    Vec::new()
}

/// One virtual host.
#[must_use]
pub fn virtual_host(input: &VirtualHostInput) -> Compiled<VirtualHost> {
    Compiled {
        name: Arc::clone(&input.name),
        message: VirtualHost::default(),
        references: crate::snapshot::References::default(),
        provenance: Vec::new(),
    }
}
