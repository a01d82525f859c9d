//! `virtualOutbound`: where captured traffic of the application arrives.

use proto::envoy::config::{core::v3::TrafficDirection, listener::v3::Listener};

use super::{address, filter_chain, tcp_proxy::TcpRoute};
use crate::{
    compile::cluster::name::{BLACK_HOLE, ClusterName},
    model::mesh_config::{MeshConfig, OutboundTrafficPolicy},
};

/// The name that Istio's tools know.
pub(super) const NAME: &str = "virtualOutbound";
/// Connections taken at once, so that the worker threads get equal shares.
pub(super) const CONNECTIONS_PER_EVENT: u32 = 1;

pub(super) fn listener(ipv6: bool, transparent: bool, policy: OutboundTrafficPolicy, config: &MeshConfig) -> Listener {
    let port = config.proxy_listen_port;
    // A connection to the port itself would go round in a circle.
    let black_hole = TcpRoute::to(ClusterName::fixed(BLACK_HOLE));
    let itself = Some(filter_chain::to_port(port));
    Listener {
        address: Some(address::socket(address::wildcard(ipv6), port)),
        filter_chains: vec![
            filter_chain::named_tcp_chain("virtualOutbound-blackhole", itself, &black_hole, config),
            filter_chain::named_tcp_chain("virtualOutbound-catchall-tcp", None, &TcpRoute::of_policy(policy), config),
        ],
        use_original_dst: Some(true),
        transparent: transparent.then_some(true),
        traffic_direction: TrafficDirection::Outbound.into(),
        max_connections_to_accept_per_socket_event: Some(CONNECTIONS_PER_EVENT),
        ..Listener::default()
    }
}
