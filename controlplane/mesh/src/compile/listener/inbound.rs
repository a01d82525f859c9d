//! Where traffic for the application arrives: `virtualInbound` with a filter chain for each port, or, where nothing is
//! captured, a listener for each ingress entry of the Sidecar.

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
    mutual_tls::{self, Carries, Way},
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
    model::{
        Hostname, Origin,
        mesh_config::MeshConfig,
        peer_authentication::{MutualTls, WorkloadTls},
    },
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
        /// What is demanded at all others.
        undeclared: WorkloadTls,
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
    /// What is demanded of callers.
    pub tls: MutualTls,
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

pub(super) fn plan(
    scope: &Scope,
    viewpoint: &Viewpoint,
    ports: &[InboundInput],
    tls: &WorkloadTls,
) -> Vec<InboundListenerInput> {
    let input =
        |name: String, content| InboundListenerInput { name: name.into(), content, config: scope.config.clone() };
    let chains = || ports.iter().filter_map(|port| Some((port, inbound_chain(port, tls)?)));
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
    let mut undeclared = tls.clone();
    undeclared.ports.retain(|port, mode| {
        let differs = *mode != tls.mode;
        differs && *port != own_port && !by_port.contains_key(port)
    });
    let chains = by_port.into_values().collect();
    let content = InboundContent::Virtual { ipv6: viewpoint.ipv6_only, transparent, chains, undeclared };
    vec![input(VIRTUAL.to_owned(), content)]
}

/// What happens at a port; nothing where it carries datagrams.
fn inbound_chain(input: &InboundInput, tls: &WorkloadTls) -> Option<InboundChain> {
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
    origins.extend(tls.origins.iter().map(Origin::whole));
    Some(InboundChain { port: input.port, protocol, tls: tls.at(input.port), service, origins })
}

pub(super) fn provenance(content: &InboundContent) -> Vec<Origin> {
    let mut origins: Vec<Origin> = match content {
        InboundContent::Virtual { chains, undeclared, .. } => {
            let of_undeclared = undeclared.origins.iter().map(Origin::whole);
            chains.iter().flat_map(|chain| &chain.origins).cloned().chain(of_undeclared).collect()
        }
        InboundContent::Bound { chain, .. } => chain.origins.clone(),
    };
    origins.sort();
    origins.dedup();
    origins
}

/// The listener; its name is set by the caller.
pub(super) fn listener(content: &InboundContent, config: &MeshConfig) -> Listener {
    let listener = match content {
        InboundContent::Virtual { ipv6, transparent, chains, undeclared } => {
            virtual_inbound(*ipv6, *transparent, chains, undeclared, config)
        }
        InboundContent::Bound { address, chain } => bound(*address, chain, config),
    };
    Listener {
        traffic_direction: TrafficDirection::Inbound.into(),
        listener_filters_timeout: Some(duration::of(config.protocol_detection_timeout)),
        continue_on_listener_filters_timeout: true,
        ..listener
    }
}

fn virtual_inbound(
    ipv6: bool,
    transparent: bool,
    chains: &[InboundChain],
    undeclared: &WorkloadTls,
    config: &MeshConfig,
) -> Listener {
    let own_port = config.proxy_inbound_listen_port;
    let wildcard = address::wildcard(ipv6);
    // A connection to the port itself would go round in a circle.
    let black_hole = TcpRoute::to(ClusterName::fixed(BLACK_HOLE));
    let itself = Some(filter_chain::to_port(own_port));
    let mut filter_chains =
        vec![filter_chain::named_tcp_chain("virtualInbound-blackhole", itself, &black_hole, config)];
    filter_chains.extend(undeclared_chains(undeclared.mode, &FilterChainMatch::default(), config));
    for (port, mode) in &undeclared.ports {
        filter_chains.extend(undeclared_chains(*mode, &filter_chain::to_port(*port), config));
    }
    for chain in chains {
        let name = format!("{wildcard}_{}", chain.port);
        let of_port = chains_of(chain, wildcard, &filter_chain::to_port(chain.port), config);
        filter_chains.extend(of_port.into_iter().map(|made| FilterChain { name: name.clone(), ..made }));
    }
    Listener {
        address: Some(address::socket(wildcard, own_port)),
        filter_chains,
        listener_filters: virtual_listener_filters(own_port, chains, undeclared),
        transparent: transparent.then_some(true),
        max_connections_to_accept_per_socket_event: Some(catch_all::CONNECTIONS_PER_EVENT),
        ..Listener::default()
    }
}

/// Ports that nobody declared: the first bytes decide.
fn undeclared_chains(mode: MutualTls, takes: &FilterChainMatch, config: &MeshConfig) -> Vec<FilterChain> {
    let cluster = ClusterName::fixed(INBOUND_PASSTHROUGH);
    let bytes = TcpRoute::to(cluster.clone());
    let made = |way: Way| {
        let routes = || route_configuration(INBOUND_PASSTHROUGH, &cluster, 0, "", 0);
        let name = match way.carries {
            Carries::Requests => format!("{VIRTUAL}-catchall-http"),
            Carries::Bytes => VIRTUAL.to_owned(),
        };
        let chain = filter_chain_of(way, &format!("{INBOUND_PASSTHROUGH};"), &routes, &bytes, config);
        // Whoever comes with a handshake is timed; the rest of it may be slow to say anything.
        let timeout = chain.transport_socket.is_some().then_some(chain.transport_socket_connect_timeout).flatten();
        FilterChain { name, transport_socket_connect_timeout: timeout, ..chain }
    };
    mutual_tls::ways(InboundProtocol::Sniffed, mode, takes).into_iter().map(made).collect()
}

/// Ports are looked at only as far as their chains must be told: to look is to wait for the caller's first bytes.
fn virtual_listener_filters(own_port: u16, chains: &[InboundChain], undeclared: &WorkloadTls) -> Vec<ListenerFilter> {
    let declared = || chains.iter().map(|chain| (chain.port, chain.protocol, Some(chain.tls)));
    let others = || undeclared.ports.iter().map(|(port, mode)| (*port, InboundProtocol::Sniffed, Some(*mode)));
    let inspector = |filter: ListenerFilter, needed: &dyn Fn(InboundProtocol, MutualTls) -> bool| {
        let by_default = needed(InboundProtocol::Sniffed, undeclared.mode);
        let ports = declared().chain(others()).chain([(own_port, InboundProtocol::Tcp, None)]);
        let differing: BTreeSet<u16> = ports
            .filter(|(_, protocol, mode)| mode.is_some_and(|mode| needed(*protocol, mode)) != by_default)
            .map(|(port, ..)| port)
            .collect();
        if by_default {
            Some(listener_filter::except_ports(filter, &differing))
        } else {
            (!differing.is_empty()).then(|| listener_filter::only_ports(filter, &differing))
        }
    };
    let tls = inspector(listener_filter::tls_inspector(), &|_, mode| mutual_tls::inspects_tls(mode));
    let http = inspector(listener_filter::http_inspector(), &mutual_tls::inspects_http);
    std::iter::once(listener_filter::original_dst()).chain(tls).chain(http).collect()
}

fn bound(address: IpAddr, chain: &InboundChain, config: &MeshConfig) -> Listener {
    let tls = mutual_tls::inspects_tls(chain.tls).then(listener_filter::tls_inspector);
    let http = mutual_tls::inspects_http(chain.protocol, chain.tls).then(listener_filter::http_inspector);
    Listener {
        address: Some(address::socket(address, chain.port)),
        filter_chains: chains_of(chain, address, &FilterChainMatch::default(), config),
        listener_filters: tls.into_iter().chain(http).collect(),
        ..Listener::default()
    }
}

/// The chains of a port, for the connections that `takes` says.
fn chains_of(chain: &InboundChain, address: IpAddr, takes: &FilterChainMatch, config: &MeshConfig) -> Vec<FilterChain> {
    let to_application = TcpRoute::to(ClusterName::inbound(chain.port));
    let prefix = format!("inbound_{address}_{};", chain.port);
    let made = |way| filter_chain_of(way, &prefix, &|| routes_of(chain), &to_application, config);
    mutual_tls::ways(chain.protocol, chain.tls, takes).into_iter().map(made).collect()
}

fn filter_chain_of(
    way: Way,
    stat_prefix: &str,
    routes: &dyn Fn() -> RouteConfiguration,
    bytes: &TcpRoute,
    config: &MeshConfig,
) -> FilterChain {
    let transport_socket = way.socket(config);
    let takes = Some(way.takes).filter(|takes| *takes != FilterChainMatch::default());
    let chain = match way.carries {
        Carries::Requests => {
            let direction = Direction::Inbound(Box::new(routes()));
            filter_chain::chain(takes, http_connection_manager::filter(stat_prefix.to_owned(), direction, config))
        }
        Carries::Bytes if transport_socket.is_some() => filter_chain::tcp_chain(takes, bytes, config),
        Carries::Bytes => {
            FilterChain { transport_socket_connect_timeout: None, ..filter_chain::tcp_chain(takes, bytes, config) }
        }
    };
    FilterChain { transport_socket, ..chain }
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
