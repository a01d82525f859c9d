//! Carrying bytes to clusters.

use std::time::Duration;

use proto::{
    envoy::{
        config::listener::v3::{Filter, filter::ConfigType},
        extensions::filters::network::tcp_proxy::v3::{
            TcpProxy,
            tcp_proxy::{ClusterSpecifier, WeightedCluster, weighted_cluster::ClusterWeight},
        },
        r#type::v3::{
            HashPolicy,
            hash_policy::{PolicySpecifier, SourceIp},
        },
    },
    pack,
};

use super::access_log;
use crate::{
    compile::{
        cluster::name::{BLACK_HOLE, ClusterName, PASSTHROUGH},
        duration,
        route::text::{STAT_LEN_MAX, bounded},
    },
    model::{
        Origin,
        mesh_config::{MeshConfig, OutboundTrafficPolicy},
    },
};

/// Where connections go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TcpRoute {
    /// Clusters and their shares; never empty.
    pub clusters: Vec<(ClusterName, u32)>,
    /// Whether the caller's address chooses the endpoint.
    pub hash_source_ip: bool,
    /// How long a connection may be idle, where a rule says so; zero is for ever.
    pub idle_timeout: Option<Duration>,
    /// The field of the VirtualService that says so, when one does.
    pub origin: Option<Origin>,
}

impl TcpRoute {
    /// To one cluster, with nothing said about it.
    #[must_use]
    pub fn to(cluster: ClusterName) -> Self {
        Self { clusters: vec![(cluster, 1)], hash_source_ip: false, idle_timeout: None, origin: None }
    }

    /// Where what nobody knows goes.
    #[must_use]
    pub fn of_policy(policy: OutboundTrafficPolicy) -> Self {
        Self::to(ClusterName::fixed(match policy {
            OutboundTrafficPolicy::AllowAny => PASSTHROUGH,
            OutboundTrafficPolicy::RegistryOnly => BLACK_HOLE,
        }))
    }
}

/// The filter that carries connections there.
pub(super) fn filter(route: &TcpRoute, config: &MeshConfig) -> Filter {
    let TcpRoute { clusters, hash_source_ip, idle_timeout, origin } = route;
    let (stat_prefix, specifier) = match clusters.as_slice() {
        [(only, _)] => (only.to_string(), ClusterSpecifier::Cluster(only.to_string())),
        several => {
            let prefix = origin.as_ref().map(|origin| format!("{}.{}", origin.object.name, origin.object.namespace));
            let weight = |(name, weight): &(ClusterName, u32)| ClusterWeight {
                name: name.to_string(),
                weight: *weight,
                ..ClusterWeight::default()
            };
            let clusters = several.iter().map(weight).collect();
            (prefix.unwrap_or_default(), ClusterSpecifier::WeightedClusters(WeightedCluster { clusters }))
        }
    };
    let by_source = HashPolicy { policy_specifier: Some(PolicySpecifier::SourceIp(SourceIp {})) };
    let proxy = TcpProxy {
        stat_prefix: bounded(&stat_prefix, STAT_LEN_MAX),
        idle_timeout: idle_timeout.map(duration::of),
        access_log: access_log::logs(config),
        hash_policy: hash_source_ip.then_some(by_source).into_iter().collect(),
        cluster_specifier: Some(specifier),
        ..TcpProxy::default()
    };
    Filter {
        name: "envoy.filters.network.tcp_proxy".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&proxy))),
    }
}
