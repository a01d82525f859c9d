//! What a proxyless gRPC client asks for first: a listener named as its target, which says where its routes are.

use std::{collections::BTreeMap, sync::Arc};

use proto::envoy::config::listener::v3::{ApiListener, Listener};

use super::{OutboundContent, OutboundListenerInput, http_connection_manager};
use crate::{
    compile::{
        cluster::name::ClusterName,
        route::{Called, port},
        scope::Scope,
    },
    model::{Origin, service::Resolution},
};

/// One for each spelling of each port of each service; of services that share a spelling the first has it.
pub(super) fn plan(scope: &Scope) -> Vec<OutboundListenerInput> {
    let mut listeners: BTreeMap<Arc<str>, OutboundListenerInput> = BTreeMap::new();
    let mut put = |name: String, route: &ClusterName, origin: &Origin| {
        let name: Arc<str> = name.into();
        let content = OutboundContent::Api { route: route.shared(), origin: origin.clone() };
        let input = OutboundListenerInput { name: Arc::clone(&name), content, config: scope.config.clone() };
        listeners.entry(name).or_insert(input);
    };
    let domain = &scope.config.spec.domain;
    // What services were declared with goes before other spellings.
    for declared in [true, false] {
        for scoped in port::in_precedence(scope) {
            let service = &scoped.service.service;
            if service.hostname.is_wildcard() || matches!(service.resolution, Resolution::Alias(_)) {
                continue;
            }
            let origin = Origin::whole(&scoped.service.origin);
            let mut names = Called::service(&scoped.service, &scope.namespace, domain).spellings(domain);
            let others = names.split_off(1);
            let names = if declared { names } else { others };
            for port in service.ports.iter().filter(|port| port::reading(port.protocol).is_some()) {
                let route = ClusterName::outbound(port.number, None, &service.hostname);
                for name in &names {
                    put(format!("{name}:{}", port.number), &route, &origin);
                }
            }
        }
    }
    listeners.into_values().collect()
}

pub(super) fn listener(route: &Arc<str>) -> Listener {
    let api_listener = Some(http_connection_manager::for_grpc(route));
    Listener { api_listener: Some(ApiListener { api_listener }), ..Listener::default() }
}
