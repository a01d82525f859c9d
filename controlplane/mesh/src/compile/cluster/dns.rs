//! Clusters whose endpoints Envoy resolves itself.

use std::time::Duration;

use proto::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{self, ClusterDiscoveryType, CustomClusterType, DiscoveryType, LbPolicy},
            },
            core::v3::TypedExtensionConfig,
            endpoint::v3::ClusterLoadAssignment,
        },
        extensions::{
            clusters::{
                common::dns::v3::DnsLookupFamily,
                dns::v3::{DnsCluster, dns_cluster::RefreshRate},
                dynamic_forward_proxy::v3::{ClusterConfig, cluster_config::ClusterImplementationSpecifier},
            },
            common::dynamic_forward_proxy::v3::DnsCacheConfig,
            network::dns_resolver::cares::v3::CaresDnsResolverConfig,
        },
    },
    pack,
};

use crate::{compile::duration, model::mesh_config::MeshConfig};

/// How often names are resolved when the mesh says zero.
const REFRESH_RATE: Duration = Duration::from_secs(60);
/// Shortest time between two resolutions that is asked of a name server.
const REFRESH_RATE_MIN: Duration = Duration::from_millis(100);
/// How soon a failed resolution is tried again, at first. By Envoy's default it would wait for the ordinary rate, and a
/// name that appears a moment late would be down for a minute.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// Spread of resolutions, so that the proxies of a mesh do not ask all at once.
const JITTER: Duration = Duration::from_millis(100);
/// Queries after which the resolver takes a new UDP port: with one port for ever a node's connection tracking keeps
/// sending queries to a name server that is gone.
const QUERIES_PER_PORT: u32 = 100;

/// Which addresses of its names a cluster uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Addresses {
    /// Every address is an endpoint.
    All,
    /// One name, one address at a time: a new one for new connections.
    OneAtATime,
}

/// The type of cluster that resolves the names in its load assignment. This typed form replaces `STRICT_DNS` and
/// `LOGICAL_DNS`, whose own fields are deprecated.
pub(super) fn resolving(addresses: Addresses, mesh: &MeshConfig) -> ClusterDiscoveryType {
    let rate = refresh_rate(mesh);
    let config = DnsCluster {
        dns_refresh_rate: Some(duration::of(rate)),
        dns_failure_refresh_rate: Some(RefreshRate {
            base_interval: Some(duration::of(RETRY_FIRST.min(rate))),
            max_interval: Some(duration::of(rate)),
        }),
        respect_dns_ttl: true,
        dns_jitter: Some(duration::of(JITTER)),
        typed_dns_resolver_config: Some(resolver()),
        // IPv6 only where a name has nothing else: right on hosts of either kind and of both.
        dns_lookup_family: DnsLookupFamily::V4Preferred.into(),
        all_addresses_in_single_endpoint: addresses == Addresses::OneAtATime,
        dns_min_refresh_rate: None,
    };
    ClusterDiscoveryType::ClusterType(CustomClusterType {
        name: "envoy.cluster.dns".to_owned(),
        typed_config: Some(pack::any(&config)),
    })
}

/// What proxyless gRPC knows of DNS: one name, one address at a time.
pub(super) fn resolving_for_grpc() -> ClusterDiscoveryType {
    ClusterDiscoveryType::Type(DiscoveryType::LogicalDns.into())
}

/// Makes a cluster one that resolves the host of each request when it comes.
///
/// The cluster does so by itself in the Envoy we target; no HTTP filter is needed for it.
pub(super) fn resolve_on_request(cluster: &mut Cluster, mesh: &MeshConfig) {
    let rate = refresh_rate(mesh);
    let cache = DnsCacheConfig {
        // Envoy refuses other settings under a name that it holds, so what may change is part of the name.
        name: format!("mainsheet-{rate:?}"),
        dns_lookup_family: cluster::DnsLookupFamily::V4Preferred.into(),
        dns_refresh_rate: Some(duration::of(rate)),
        typed_dns_resolver_config: Some(resolver()),
        ..DnsCacheConfig::default()
    };
    let config = ClusterConfig {
        // Envoy would insist on names taken from each request; here the rule says which names are checked, if there is TLS.
        allow_insecure_cluster_options: true,
        cluster_implementation_specifier: Some(ClusterImplementationSpecifier::DnsCacheConfig(cache)),
        ..ClusterConfig::default()
    };
    cluster.cluster_discovery_type = Some(ClusterDiscoveryType::ClusterType(CustomClusterType {
        name: "envoy.clusters.dynamic_forward_proxy".to_owned(),
        typed_config: Some(pack::any(&config)),
    }));
    cluster.lb_policy = LbPolicy::ClusterProvided.into();
    cluster.lb_config = None;
}

/// How many endpoints an assignment holds.
pub(super) fn endpoint_count(assignment: &ClusterLoadAssignment) -> usize {
    assignment.endpoints.iter().map(|locality| locality.lb_endpoints.len()).sum()
}

fn refresh_rate(mesh: &MeshConfig) -> Duration {
    if mesh.dns_refresh_rate.is_zero() { REFRESH_RATE } else { mesh.dns_refresh_rate.max(REFRESH_RATE_MIN) }
}

fn resolver() -> TypedExtensionConfig {
    let config =
        CaresDnsResolverConfig { udp_max_queries: Some(QUERIES_PER_PORT), ..CaresDnsResolverConfig::default() };
    TypedExtensionConfig { name: "envoy.network.dns_resolver.cares".to_owned(), typed_config: Some(pack::any(&config)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(mesh: &MeshConfig, addresses: Addresses) -> DnsCluster {
        let ClusterDiscoveryType::ClusterType(custom) = resolving(addresses, mesh) else { panic!("not typed") };
        assert_eq!(custom.name, "envoy.cluster.dns");
        pack::unpack(&custom.typed_config.unwrap()).unwrap()
    }

    #[test]
    fn names_are_resolved_at_the_meshs_rate_and_failures_are_retried_soon() {
        let dns = config(&MeshConfig::default(), Addresses::All);
        assert_eq!(dns.dns_refresh_rate.map(|d| d.seconds), Some(60));
        let retry = dns.dns_failure_refresh_rate.unwrap();
        assert_eq!(
            (retry.base_interval.map(|d| d.seconds), retry.max_interval.map(|d| d.seconds)),
            (Some(1), Some(60))
        );
        assert!(dns.respect_dns_ttl);
        assert!(!dns.all_addresses_in_single_endpoint);
        assert!(config(&MeshConfig::default(), Addresses::OneAtATime).all_addresses_in_single_endpoint);
    }

    #[test]
    fn rates_that_envoy_refuses_are_mended() {
        let rate = |dns_refresh_rate| {
            let mesh = MeshConfig { dns_refresh_rate, ..MeshConfig::default() };
            let dns = config(&mesh, Addresses::All);
            (dns.dns_refresh_rate.unwrap(), dns.dns_failure_refresh_rate.and_then(|r| r.base_interval).unwrap())
        };
        assert_eq!(rate(Duration::ZERO).0.seconds, 60);
        let (refresh, retry) = rate(Duration::from_nanos(1));
        assert_eq!((refresh.seconds, refresh.nanos), (0, 100_000_000));
        assert_eq!(retry, refresh);
    }
}
