//! Filter chains: which connections they take, and what they do with them.
//!
//! Envoy refuses a listener whose chains overlap, and it chooses a chain step by step (port, address, server name,
//! transport, application protocol) without ever going back a step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proto::{
    envoy::{
        config::{
            listener::v3::{Filter, FilterChain, FilterChainMatch, Listener, filter::ConfigType},
            route::v3::RouteConfiguration,
        },
        extensions::filters::network::{
            http_connection_manager::v3::{HttpConnectionManager, http_connection_manager::RouteSpecifier},
            tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
    },
    google::protobuf::{Any, Duration},
    pack,
};

use super::{address, tcp_proxy, tcp_proxy::TcpRoute};
use crate::{
    compile::{
        References,
        route::{destination, provenance},
    },
    model::{
        Hostname,
        mesh_config::{MeshConfig, OutboundTrafficPolicy},
        service::Address,
    },
};

/// The chain for what no other chain takes, as Istio names it whatever its policy.
pub(super) const FALLTHROUGH: &str = "PassthroughFilterChain";
/// How long the TLS handshake of a caller may take, in seconds.
const TRANSPORT_CONNECT_TIMEOUT_S: i64 = 15;
/// Application protocols that the HTTP inspector sees.
const HTTP_PROTOCOLS: [&str; 2] = ["http/1.1", "h2c"];
pub(super) const RAW: &str = "raw_buffer";

/// Connections to some destinations, carried as bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpChain {
    /// The ranges of the destination; empty is everywhere.
    pub ranges: Vec<Address>,
    /// The server names of TLS; empty is any or none.
    pub server_names: Vec<Hostname>,
    /// Where requests go when the first bytes look like HTTP.
    pub http: Option<Arc<str>>,
    /// Where bytes go.
    pub route: TcpRoute,
}

/// What happens to connections that no chain takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Rest {
    /// They are closed.
    Closed,
    /// What happens to everything that the mesh does not know.
    Unknown(OutboundTrafficPolicy),
    /// They go there.
    To(TcpRoute),
}

/// Chains that do not overlap: of a pair of range and server name that several take, the first keeps it.
pub(super) fn disjoint(chains: &[TcpChain]) -> Vec<TcpChain> {
    let mut taken: BTreeSet<(Option<Address>, Option<&Hostname>)> = BTreeSet::new();
    let mut left = Vec::with_capacity(chains.len());
    for chain in chains {
        // Ranges that are left with the same server names stay together.
        let mut by_names: BTreeMap<Vec<Option<&Hostname>>, Vec<Option<Address>>> = BTreeMap::new();
        for range in optional(chain.ranges.iter().map(|range| address::canonical(*range))) {
            let names = optional(chain.server_names.iter()).into_iter().filter(|name| taken.insert((range, *name)));
            by_names.entry(names.collect()).or_default().push(range);
        }
        for (names, ranges) in by_names.into_iter().filter(|(names, _)| !names.is_empty()) {
            left.push(TcpChain {
                ranges: ranges.into_iter().flatten().collect(),
                server_names: names.into_iter().flatten().cloned().collect(),
                ..chain.clone()
            });
        }
    }
    left
}

/// The values, or none of them as one.
fn optional<T>(values: impl Iterator<Item = T>) -> Vec<Option<T>> {
    let values: Vec<Option<T>> = values.map(Some).collect();
    if values.is_empty() { vec![None] } else { values }
}

/// The connections that a chain takes.
pub(super) fn destination_match(chain: &TcpChain) -> FilterChainMatch {
    FilterChainMatch {
        prefix_ranges: chain.ranges.iter().map(|range| address::cidr(*range)).collect(),
        server_names: chain.server_names.iter().map(|name| name.as_str().to_owned()).collect(),
        ..FilterChainMatch::default()
    }
}

/// Of these connections, those that look like HTTP in clear text.
pub(super) fn looks_like_http(of: FilterChainMatch) -> FilterChainMatch {
    FilterChainMatch {
        transport_protocol: RAW.to_owned(),
        application_protocols: HTTP_PROTOCOLS.map(str::to_owned).into(),
        ..of
    }
}

/// The connections to one port.
pub(super) fn to_port(port: u16) -> FilterChainMatch {
    FilterChainMatch { destination_port: Some(u32::from(port)), ..FilterChainMatch::default() }
}

/// A chain of one filter.
pub(super) fn chain(takes: Option<FilterChainMatch>, filter: Filter) -> FilterChain {
    FilterChain {
        filter_chain_match: takes,
        filters: vec![filter],
        transport_socket_connect_timeout: Some(Duration { seconds: TRANSPORT_CONNECT_TIMEOUT_S, nanos: 0 }),
        ..FilterChain::default()
    }
}

/// A chain that carries bytes; it says which object made it, where one did.
pub(super) fn tcp_chain(takes: Option<FilterChainMatch>, route: &TcpRoute, config: &MeshConfig) -> FilterChain {
    let origin = route.origin.as_ref();
    let metadata = origin.map(|origin| provenance::metadata(&origin.object, std::slice::from_ref(origin)));
    FilterChain { metadata, ..chain(takes, tcp_proxy::filter(route, config)) }
}

/// The same with a name and without a handshake.
pub(super) fn named_tcp_chain(
    name: &str,
    takes: Option<FilterChainMatch>,
    route: &TcpRoute,
    config: &MeshConfig,
) -> FilterChain {
    FilterChain { name: name.to_owned(), transport_socket_connect_timeout: None, ..tcp_chain(takes, route, config) }
}

/// Every cluster and route configuration that a listener names.
pub(super) fn references(listener: &Listener) -> References {
    let mut clusters = BTreeSet::new();
    let mut routes = BTreeSet::new();
    let chains = listener.filter_chains.iter().chain(&listener.default_filter_chain);
    let filters = chains.flat_map(|chain| &chain.filters).filter_map(|filter| match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => Some(config),
        Some(ConfigType::ConfigDiscovery(_)) | None => None,
    });
    let api = listener.api_listener.iter().filter_map(|api| api.api_listener.as_ref());
    for config in filters.chain(api) {
        collect(config, &mut clusters, &mut routes);
    }
    let shared = |names: BTreeSet<String>| names.into_iter().map(Arc::from).collect();
    References { clusters: shared(clusters), routes: shared(routes), ..References::default() }
}

fn collect(config: &Any, clusters: &mut BTreeSet<String>, routes: &mut BTreeSet<String>) {
    if let Ok(manager) = pack::unpack::<HttpConnectionManager>(config) {
        match manager.route_specifier {
            Some(RouteSpecifier::Rds(rds)) => {
                routes.insert(rds.route_config_name);
            }
            Some(RouteSpecifier::RouteConfig(RouteConfiguration { virtual_hosts, .. })) => {
                clusters.extend(virtual_hosts.iter().flat_map(destination::clusters));
            }
            Some(RouteSpecifier::ScopedRoutes(_)) | None => {}
        }
    } else if let Ok(proxy) = pack::unpack::<TcpProxy>(config) {
        match proxy.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                clusters.insert(name);
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                clusters.extend(weighted.clusters.into_iter().map(|cluster| cluster.name));
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::cluster::name::ClusterName;

    fn tcp(ranges: &[(&str, u8)], names: &[&str], cluster: &'static str) -> TcpChain {
        TcpChain {
            ranges: ranges.iter().map(|(ip, len)| Address { ip: ip.parse().unwrap(), prefix_len: *len }).collect(),
            server_names: names.iter().map(|name| Hostname::parse(name).unwrap()).collect(),
            http: None,
            route: TcpRoute::to(ClusterName::fixed(cluster)),
        }
    }

    fn shown(chains: &[TcpChain]) -> Vec<String> {
        let show = |chain: &TcpChain| {
            let ranges: Vec<String> = chain.ranges.iter().map(|r| format!("{}/{}", r.ip, r.prefix_len)).collect();
            let names: Vec<&str> = chain.server_names.iter().map(Hostname::as_str).collect();
            format!("{} {} {}", ranges.join(","), names.join(","), chain.route.clusters[0].0)
        };
        disjoint(chains).iter().map(show).collect()
    }

    #[test]
    fn a_server_name_is_kept_by_the_first() {
        let chains = [tcp(&[], &["a.b", "b.b"], "1"), tcp(&[], &["b.b", "c.b"], "2"), tcp(&[], &["a.b"], "3")];
        assert_eq!(shown(&chains), [" a.b,b.b 1", " c.b 2"]);
    }

    #[test]
    fn ranges_that_mean_the_same_are_the_same() {
        let chains = [tcp(&[("10.1.2.3", 16)], &[], "1"), tcp(&[("10.1.0.0", 16), ("10.2.0.0", 16)], &[], "2")];
        assert_eq!(shown(&chains), ["10.1.0.0/16  1", "10.2.0.0/16  2"]);
    }

    #[test]
    fn a_name_may_be_taken_in_one_range_and_free_in_another() {
        let chains =
            [tcp(&[("10.0.0.0", 8)], &["a.b"], "1"), tcp(&[("10.0.0.0", 8), ("11.0.0.0", 8)], &["a.b", "b.b"], "2")];
        assert_eq!(shown(&chains), ["10.0.0.0/8 a.b 1", "11.0.0.0/8 a.b,b.b 2", "10.0.0.0/8 b.b 2"]);
    }

    #[test]
    fn a_name_said_twice_counts_once() {
        assert_eq!(shown(&[tcp(&[], &["a.b", "a.b"], "1")]), [" a.b 1"]);
    }
}
