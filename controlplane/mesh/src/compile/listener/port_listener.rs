//! The listener of one port: requests by route configuration, TLS by server name, bytes by address.

use std::{net::IpAddr, sync::Arc};

use proto::envoy::config::{
    core::v3::TrafficDirection,
    listener::v3::{FilterChain, FilterChainMatch, Listener, ListenerFilter},
};

use super::{
    address,
    filter_chain::{self, FALLTHROUGH, RAW, Rest, TcpChain},
    http_connection_manager::{self, Certificates, Direction},
    listener_filter,
    tcp_proxy::TcpRoute,
};
use crate::{
    compile::duration,
    model::{Origin, mesh_config::MeshConfig},
};

/// What the listener of one port depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PortListener {
    /// Where it listens.
    pub address: IpAddr,
    /// At which port.
    pub port: u16,
    /// Whether it only takes what the catch-all hands to it, and has no socket of its own.
    pub captured: bool,
    /// Whether the proxy has certificates of the mesh.
    pub certificates: Certificates,
    /// What happens to requests.
    pub http: Option<HttpChain>,
    /// Connections to some of its destinations; of two that take the same, the first has it.
    pub chains: Vec<TcpChain>,
    /// What happens to all others.
    pub rest: Rest,
    /// The objects that made it.
    pub origins: Vec<Origin>,
}

/// What happens to requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpChain {
    /// The route configuration.
    pub route: Arc<str>,
    /// Whether the first bytes decide if a connection carries requests at all.
    pub sniffed: bool,
}

/// The listener; none when nothing of it is left.
pub(super) fn listener(port: &PortListener, config: &MeshConfig) -> Option<Listener> {
    let chains = filter_chain::disjoint(&port.chains);
    let mut filter_chains: Vec<FilterChain> = Vec::new();
    let stat_prefix = format!("outbound_{}_{};", port.address, port.port);
    let reads = |takes: Option<FilterChainMatch>, route: &Arc<str>| {
        let filter =
            http_connection_manager::filter(stat_prefix.clone(), Direction::Outbound(route, port.certificates), config);
        filter_chain::chain(takes, filter)
    };
    if let Some(HttpChain { route, sniffed }) = &port.http {
        let takes = sniffed.then(|| filter_chain::looks_like_http(FilterChainMatch::default()));
        filter_chains.push(reads(takes, route));
    }
    for chain in &chains {
        let takes = filter_chain::destination_match(chain);
        if let Some(route) = &chain.http {
            filter_chains.push(reads(Some(filter_chain::looks_like_http(takes.clone())), route));
            // Envoy does not go back from "clear text" to "any transport": both need a chain for bytes.
            let raw = FilterChainMatch { transport_protocol: RAW.to_owned(), ..takes.clone() };
            filter_chains.push(filter_chain::tcp_chain(Some(raw), &chain.route, config));
        }
        filter_chains.push(filter_chain::tcp_chain(Some(takes), &chain.route, config));
    }
    let mut default_filter_chain = None;
    match &port.rest {
        Rest::Closed => {}
        Rest::To(route) if filter_chains.is_empty() => {
            filter_chains.push(filter_chain::tcp_chain(None, route, config));
        }
        Rest::To(route) => default_filter_chain = Some(filter_chain::tcp_chain(None, route, config)),
        Rest::Unknown(policy) => {
            let route = TcpRoute::of_policy(*policy);
            default_filter_chain = Some(filter_chain::named_tcp_chain(FALLTHROUGH, None, &route, config));
        }
    }
    if filter_chains.is_empty() {
        return None;
    }
    Some(Listener {
        address: Some(address::socket(port.address, port.port)),
        filter_chains,
        default_filter_chain,
        listener_filters: inspectors(port, &chains),
        listener_filters_timeout: Some(duration::of(config.protocol_detection_timeout)),
        continue_on_listener_filters_timeout: true,
        traffic_direction: TrafficDirection::Outbound.into(),
        bind_to_port: port.captured.then_some(false),
        ..Listener::default()
    })
}

/// Only what the chains need to be told: to look is to wait for the caller's first bytes.
fn inspectors(port: &PortListener, chains: &[TcpChain]) -> Vec<ListenerFilter> {
    let tls = chains.iter().any(|chain| !chain.server_names.is_empty() || chain.http.is_some());
    let http = port.http.as_ref().is_some_and(|http| http.sniffed) || chains.iter().any(|chain| chain.http.is_some());
    let tls = tls.then(listener_filter::tls_inspector);
    tls.into_iter().chain(http.then(listener_filter::http_inspector)).collect()
}
