//! Where traffic for the application arrives: `virtualInbound` with a filter chain for each port, or, where nothing is
//! captured, a listener for each ingress entry of the Sidecar.
//!
//! Chains take clear text only so far. Those for mutual TLS will stand before them, with a TLS inspector before the HTTP
//! inspector.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use proto::{
    envoy::config::{
        core::v3::TrafficDirection,
        listener::v3::{FilterChain, FilterChainMatch, Listener, ListenerFilter},
        route::v3::{
            Route, RouteAction, RouteConfiguration, VirtualHost, route::Action, route_action::ClusterSpecifier,
        },
    },
    google::protobuf::Duration,
};

use super::{
    InboundListenerInput, address, catch_all, filter_chain,
    http_connection_manager::{self, Direction},
    listener_filter,
    tcp_proxy::TcpRoute,
};
use crate::{
    compile::{
        cluster::{
            InboundInput,
            name::{BLACK_HOLE, ClusterName, INBOUND_PASSTHROUGH},
        },
        duration,
        route::{
            content, matcher,
            port::{self, Reading},
            retry,
        },
        scope::Scope,
        viewpoint::{Interception, Viewpoint},
    },
    model::{Hostname, Origin, mesh_config::MeshConfig},
};

/// The name that Istio's tools know.
const VIRTUAL: &str = "virtualInbound";

/// What an inbound listener does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum InboundContent {
    /// Takes everything that is captured.
    Virtual {
        /// Whether it listens on `::`.
        ipv6: bool,
        /// Whether the destination is the socket's own address.
        transparent: bool,
        /// What happens at the ports that somebody declared, in their order.
        chains: Vec<InboundChain>,
    },
    /// Takes what is sent to one port.
    Bound {
        /// Where it listens.
        address: IpAddr,
        /// What happens there.
        chain: InboundChain,
    },
}

/// What happens at one port of the application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct InboundChain {
    /// The port.
    pub port: u16,
    /// How its traffic is read.
    pub protocol: InboundProtocol,
    /// The service that it belongs to and the port there, for traces.
    pub service: Option<(Hostname, u16)>,
    /// The objects that declared it.
    pub origins: Vec<Origin>,
}

/// How inbound traffic is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InboundProtocol {
    /// As HTTP.
    Http,
    /// As bytes.
    Tcp,
    /// As HTTP when its first bytes look so, else as bytes.
    Sniffed,
}

pub(super) fn plan(scope: &Scope, viewpoint: &Viewpoint, ports: &[InboundInput]) -> Vec<InboundListenerInput> {
    let input =
        |name: String, content| InboundListenerInput { name: name.into(), content, config: scope.config.clone() };
    let chains = || ports.iter().filter_map(|port| Some((port, inbound_chain(port)?)));
    let transparent = match viewpoint.interception {
        Interception::Redirect => false,
        Interception::Tproxy => true,
        Interception::None(_) => {
            let mut bound = BTreeMap::new();
            for (port, chain) in chains() {
                // Without capture, an application behind no ingress entry is called directly.
                let Some(entry) = port.ingress_entry() else { continue };
                let address = entry.bind.unwrap_or_else(|| port::shared_address(viewpoint));
                if viewpoint.http_proxy_port == Some(chain.port) && address == port::proxy_address(viewpoint) {
                    continue;
                }
                bound.entry((address, chain.port)).or_insert(chain);
            }
            let listener =
                |((address, port), chain)| input(format!("{address}_{port}"), InboundContent::Bound { address, chain });
            return bound.into_iter().map(listener).collect();
        }
    };
    let own_port = scope.config.spec.proxy_inbound_listen_port;
    let mut by_port = BTreeMap::new();
    for (_, chain) in chains().filter(|(_, chain)| chain.port != own_port) {
        by_port.entry(chain.port).or_insert(chain);
    }
    let chains = by_port.into_values().collect();
    vec![input(VIRTUAL.to_owned(), InboundContent::Virtual { ipv6: viewpoint.ipv6_only, transparent, chains })]
}

/// What happens at a port; nothing where it carries datagrams.
fn inbound_chain(input: &InboundInput) -> Option<InboundChain> {
    let protocol = match port::reading(input.protocol())? {
        Reading::Http => InboundProtocol::Http,
        Reading::Sniffed => InboundProtocol::Sniffed,
        Reading::Tls | Reading::Tcp => InboundProtocol::Tcp,
    };
    let service = input.services.first().map(|(service, _)| {
        let number = input.service_port(&service.service).map_or(input.port, |port| port.number);
        (service.service.hostname.clone(), number)
    });
    let mut origins: Vec<Origin> = input.services.iter().map(|(service, _)| Origin::whole(&service.origin)).collect();
    if let Some((sidecar, place)) = &input.ingress {
        origins.push(Origin::field(&sidecar.id, &format!("spec.ingress[{place}]")));
    }
    Some(InboundChain { port: input.port, protocol, service, origins })
}

pub(super) fn provenance(content: &InboundContent) -> Vec<Origin> {
    let mut origins: Vec<Origin> = match content {
        InboundContent::Virtual { chains, .. } => chains.iter().flat_map(|chain| &chain.origins).cloned().collect(),
        InboundContent::Bound { chain, .. } => chain.origins.clone(),
    };
    origins.sort();
    origins.dedup();
    origins
}

/// The listener; its name is set by the caller.
pub(super) fn listener(content: &InboundContent, config: &MeshConfig) -> Listener {
    let listener = match content {
        InboundContent::Virtual { ipv6, transparent, chains } => virtual_inbound(*ipv6, *transparent, chains, config),
        InboundContent::Bound { address, chain } => bound(*address, chain, config),
    };
    Listener {
        traffic_direction: TrafficDirection::Inbound.into(),
        listener_filters_timeout: Some(duration::of(config.protocol_detection_timeout)),
        continue_on_listener_filters_timeout: true,
        ..listener
    }
}

fn virtual_inbound(ipv6: bool, transparent: bool, chains: &[InboundChain], config: &MeshConfig) -> Listener {
    let own_port = config.proxy_inbound_listen_port;
    let wildcard = address::wildcard(ipv6);
    // A connection to the port itself would go round in a circle.
    let black_hole = TcpRoute::to(ClusterName::fixed(BLACK_HOLE));
    let itself = Some(filter_chain::to_port(own_port));
    let mut filter_chains =
        vec![filter_chain::named_tcp_chain("virtualInbound-blackhole", itself, &black_hole, config)];
    filter_chains.extend(undeclared(config));
    for chain in chains {
        let name = format!("{wildcard}_{}", chain.port);
        let of_port = chains_of(chain, wildcard, &filter_chain::to_port(chain.port), config);
        filter_chains.extend(of_port.into_iter().map(|made| FilterChain { name: name.clone(), ..made }));
    }
    Listener {
        address: Some(address::socket(wildcard, own_port)),
        filter_chains,
        listener_filters: virtual_listener_filters(own_port, chains),
        transparent: transparent.then_some(true),
        max_connections_to_accept_per_socket_event: Some(catch_all::CONNECTIONS_PER_EVENT),
        ..Listener::default()
    }
}

/// Ports that nobody declared: the first bytes decide.
fn undeclared(config: &MeshConfig) -> [FilterChain; 2] {
    let cluster = ClusterName::fixed(INBOUND_PASSTHROUGH);
    let routes = route_configuration(INBOUND_PASSTHROUGH, &cluster, 0, "", 0);
    let filter = http_connection_manager::filter(
        format!("{INBOUND_PASSTHROUGH};"),
        Direction::Inbound(Box::new(routes)),
        config,
    );
    let requests = FilterChain {
        name: format!("{VIRTUAL}-catchall-http"),
        transport_socket_connect_timeout: None,
        ..filter_chain::chain(Some(http_by_inspector(FilterChainMatch::default())), filter)
    };
    [requests, filter_chain::named_tcp_chain(VIRTUAL, None, &TcpRoute::to(cluster), config)]
}

/// Without a TLS inspector every transport is clear text, and to ask for it would shut out the chain beside.
fn http_by_inspector(of: FilterChainMatch) -> FilterChainMatch {
    FilterChainMatch { transport_protocol: String::new(), ..filter_chain::looks_like_http(of) }
}

/// Ports whose protocol is declared are not looked at.
fn virtual_listener_filters(own_port: u16, chains: &[InboundChain]) -> Vec<ListenerFilter> {
    let declared = chains.iter().filter(|chain| chain.protocol != InboundProtocol::Sniffed).map(|chain| chain.port);
    let not_inspected: BTreeSet<u16> = declared.chain([own_port]).collect();
    let inspector = listener_filter::except_ports(listener_filter::http_inspector(), &not_inspected);
    vec![listener_filter::original_dst(), inspector]
}

fn bound(address: IpAddr, chain: &InboundChain, config: &MeshConfig) -> Listener {
    let is_sniffed = chain.protocol == InboundProtocol::Sniffed;
    Listener {
        address: Some(address::socket(address, chain.port)),
        filter_chains: chains_of(chain, address, &FilterChainMatch::default(), config),
        listener_filters: is_sniffed.then(listener_filter::http_inspector).into_iter().collect(),
        ..Listener::default()
    }
}

/// The chains of a port, for the connections that `takes` says.
fn chains_of(chain: &InboundChain, address: IpAddr, takes: &FilterChainMatch, config: &MeshConfig) -> Vec<FilterChain> {
    let requests = |takes| {
        let routes = routes_of(chain);
        let prefix = format!("inbound_{address}_{};", chain.port);
        filter_chain::chain(
            Some(takes),
            http_connection_manager::filter(prefix, Direction::Inbound(Box::new(routes)), config),
        )
    };
    let to_application = TcpRoute::to(ClusterName::inbound(chain.port));
    let bytes = |takes| FilterChain {
        transport_socket_connect_timeout: None,
        ..filter_chain::tcp_chain(Some(takes), &to_application, config)
    };
    match chain.protocol {
        InboundProtocol::Http => vec![requests(takes.clone())],
        InboundProtocol::Tcp => vec![bytes(takes.clone())],
        InboundProtocol::Sniffed => vec![requests(http_by_inspector(takes.clone())), bytes(takes.clone())],
    }
}

fn routes_of(chain: &InboundChain) -> RouteConfiguration {
    let cluster = ClusterName::inbound(chain.port);
    let (host, port) = chain.service.as_ref().map_or(("", chain.port), |(host, port)| (host.as_str(), *port));
    route_configuration(cluster.as_str(), &cluster, chain.port, host, port)
}

/// Everything goes to the cluster, without end, and again only when the application cannot have seen it.
fn route_configuration(
    name: &str,
    cluster: &ClusterName,
    port: u16,
    host: &str,
    service_port: u16,
) -> RouteConfiguration {
    let action = RouteAction {
        cluster_specifier: Some(ClusterSpecifier::Cluster(cluster.to_string())),
        timeout: Some(Duration::default()),
        retry_policy: Some(retry::inbound()),
        max_stream_duration: Some(content::endless()),
        ..RouteAction::default()
    };
    let route = Route {
        name: "default".to_owned(),
        r#match: Some(matcher::everything()),
        decorator: Some(content::decorator(host, service_port, None)),
        action: Some(Action::Route(action)),
        ..Route::default()
    };
    RouteConfiguration {
        name: name.to_owned(),
        virtual_hosts: vec![VirtualHost {
            name: format!("inbound|http|{port}"),
            domains: vec!["*".to_owned()],
            routes: vec![route],
            ..VirtualHost::default()
        }],
        validate_clusters: Some(false),
        ..RouteConfiguration::default()
    }
}
