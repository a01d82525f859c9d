//! The clusters that every sidecar has, whatever is in the mesh.

use proto::envoy::config::{
    cluster::v3::{Cluster, cluster::DiscoveryType},
    core::v3::{BindConfig, ExtraSourceAddress, SocketAddress, socket_address::PortSpecifier},
};

use super::{
    circuit_breaker, connect_timeout, discovery, dns, http_protocol_options,
    name::{BLACK_HOLE, ClusterName, INBOUND_PASSTHROUGH, PASSTHROUGH},
};
use crate::{
    compile::{Compiled, References, viewpoint::Interception},
    model::{Object, destination_rule::ConnectionPool, mesh_config::MeshConfig},
};

/// Requests that may be under way through [`resolving_passthrough`]: Envoy's own default.
const RESOLVED_REQUESTS_MAX: u32 = 1024;
/// Where connections to the application come from, so that the rules of interception let them pass.
const INBOUND_SOURCE: &str = "127.0.0.6";
/// The same for IPv6.
const INBOUND_SOURCE_IPV6: &str = "::6";

/// `BlackHoleCluster`, `PassthroughCluster` and, where traffic is captured, `InboundPassthroughCluster`.
pub(super) fn all(config: &Object<MeshConfig>, interception: Interception, ipv6: bool) -> Vec<Compiled<Cluster>> {
    let mesh = &config.spec;
    let (passthrough, inbound) = match interception {
        Interception::Redirect | Interception::Tproxy => {
            (original_passthrough(mesh), Some(inbound_passthrough(mesh, ipv6)))
        }
        Interception::None(_) => (resolving_passthrough(mesh), None),
    };
    let compiled = |cluster: Cluster| Compiled {
        name: cluster.name.as_str().into(),
        message: cluster,
        references: References::default(),
        provenance: config.origin().into_iter().collect(),
    };
    [Some(black_hole(mesh)), Some(passthrough), inbound].into_iter().flatten().map(compiled).collect()
}

/// No endpoints: whatever is sent there is refused.
fn black_hole(mesh: &MeshConfig) -> Cluster {
    Cluster { cluster_discovery_type: discovery::kind(DiscoveryType::Static), ..named(BLACK_HOLE, mesh) }
}

/// To the address that the caller dialled.
fn original_passthrough(mesh: &MeshConfig) -> Cluster {
    let mut cluster = open(PASSTHROUGH, mesh);
    discovery::original_destination(&mut cluster);
    cluster
}

/// To the address that the caller dialled, which is the application's own.
fn inbound_passthrough(mesh: &MeshConfig, ipv6: bool) -> Cluster {
    let mut cluster = open(INBOUND_PASSTHROUGH, mesh);
    discovery::original_destination(&mut cluster);
    cluster.upstream_bind_config = Some(inbound_source(ipv6));
    cluster
}

/// Without interception nobody dialled an address: the caller talks to the proxy, and only the request says where it
/// wants to go. So its host is resolved when it comes; routes name the cluster as ever.
///
/// A request whose host is the proxy itself comes back to it for ever. A limit of requests under way ends that, and no
/// other limit would: requests that wait for a connection would wait for each other.
fn resolving_passthrough(mesh: &MeshConfig) -> Cluster {
    let limit = ConnectionPool { http2_max_requests: Some(RESOLVED_REQUESTS_MAX), ..ConnectionPool::default() };
    let mut cluster =
        Cluster { circuit_breakers: Some(circuit_breaker::thresholds(Some(&limit))), ..open(PASSTHROUGH, mesh) };
    dns::resolve_on_request(&mut cluster, mesh);
    cluster
}

/// A cluster without limits that speaks what its caller speaks.
fn open(name: &'static str, mesh: &MeshConfig) -> Cluster {
    Cluster {
        circuit_breakers: Some(circuit_breaker::thresholds(None)),
        typed_extension_protocol_options: http_protocol_options::passthrough(),
        ..named(name, mesh)
    }
}

fn named(name: &'static str, mesh: &MeshConfig) -> Cluster {
    let name = ClusterName::fixed(name);
    Cluster {
        name: name.as_str().to_owned(),
        alt_stat_name: name.stat(),
        connect_timeout: Some(connect_timeout(mesh)),
        ..Cluster::default()
    }
}

/// The source address of connections to the application; of two Envoy takes the one of the destination's family.
pub(super) fn inbound_source(ipv6: bool) -> BindConfig {
    let address = |address: &str| SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(0)),
        ..SocketAddress::default()
    };
    let second = ipv6.then(|| ExtraSourceAddress { address: Some(address(INBOUND_SOURCE_IPV6)), socket_options: None });
    BindConfig {
        source_address: Some(address(INBOUND_SOURCE)),
        extra_source_addresses: second.into_iter().collect(),
        ..BindConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use proto::envoy::config::cluster::v3::cluster::ClusterDiscoveryType;

    use super::*;
    use crate::compile::cluster::fixture::mesh;

    fn clusters(interception: Interception) -> Vec<Cluster> {
        all(&mesh(MeshConfig::default()), interception, true).into_iter().map(|compiled| compiled.message).collect()
    }

    fn is(cluster: &Cluster, kind: DiscoveryType) -> bool {
        cluster.cluster_discovery_type == discovery::kind(kind)
    }

    #[test]
    fn captured_traffic_passes_through_to_the_address_dialled() {
        for interception in [Interception::Redirect, Interception::Tproxy] {
            let clusters = clusters(interception);
            let names: Vec<&str> = clusters.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(names, [BLACK_HOLE, PASSTHROUGH, INBOUND_PASSTHROUGH]);
            assert!(is(&clusters[0], DiscoveryType::Static) && clusters[0].load_assignment.is_none());
            assert!(is(&clusters[1], DiscoveryType::OriginalDst) && is(&clusters[2], DiscoveryType::OriginalDst));
            assert_eq!(clusters[2].alt_stat_name, "InboundPassthroughCluster;");
        }
    }

    #[test]
    fn the_mesh_configuration_made_them_only_where_somebody_wrote_it() {
        let written = all(&mesh(MeshConfig::default()), Interception::Redirect, false);
        assert_eq!(written[0].provenance[0].object.to_string(), "ConfigMap istio-system/istio");
        let built_in = all(&Object::built_in(), Interception::Redirect, false);
        assert!(built_in.iter().all(|cluster| cluster.provenance.is_empty()), "{built_in:?}");
    }

    #[test]
    fn inbound_connections_come_from_an_address_that_interception_lets_pass() {
        let clusters = clusters(Interception::Redirect);
        let bind = clusters[2].upstream_bind_config.as_ref().unwrap();
        assert_eq!(bind.source_address.as_ref().unwrap().address, "127.0.0.6");
        assert_eq!(bind.extra_source_addresses[0].address.as_ref().unwrap().address, "::6");
        assert_eq!(clusters[1].upstream_bind_config, None);
        assert!(inbound_source(false).extra_source_addresses.is_empty());
    }

    #[test]
    fn without_interception_unknown_hosts_are_resolved_and_a_loop_comes_to_an_end() {
        let clusters = clusters(Interception::None(None));
        let names: Vec<&str> = clusters.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, [BLACK_HOLE, PASSTHROUGH]);
        let Some(ClusterDiscoveryType::ClusterType(custom)) = &clusters[1].cluster_discovery_type else {
            panic!("not typed");
        };
        assert_eq!(custom.name, "envoy.clusters.dynamic_forward_proxy");
        let limits = clusters[1].circuit_breakers.as_ref().unwrap().thresholds[0];
        assert_eq!((limits.max_requests, limits.max_connections), (Some(1024), Some(u32::MAX)));
    }
}
