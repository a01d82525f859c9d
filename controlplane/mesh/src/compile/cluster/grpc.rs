//! What proxyless gRPC takes of a cluster: it refuses, or silently ignores, much of what Envoy knows.

use proto::envoy::config::cluster::v3::{
    CircuitBreakers, Cluster,
    circuit_breakers::Thresholds,
    cluster::{LbConfig, LbPolicy, RingHashLbConfig},
};

use super::{discovery::Discovery, dns};
use crate::model::destination_rule::PortPolicy;

/// Whether gRPC knows such a cluster at all: endpoints from us, or one name that is resolved.
pub(super) fn takes(discovery: &Discovery) -> bool {
    match discovery {
        Discovery::Eds => true,
        Discovery::Dns(_, assignment) => dns::endpoint_count(assignment) == 1,
        Discovery::DnsOnRequest | Discovery::OriginalDestination | Discovery::Nowhere => false,
    }
}

/// The cluster with the fields that gRPC takes. It balances in turn or on a ring and refuses anything else; of circuit
/// breakers it knows the requests under way.
pub(super) fn reduced(cluster: Cluster, policy: &PortPolicy) -> Cluster {
    let (lb_policy, lb_config) = load_balancing(&cluster);
    let max_requests = policy.connection_pool.as_ref().and_then(|pool| pool.http2_max_requests).filter(|&max| max > 0);
    Cluster {
        name: cluster.name,
        cluster_discovery_type: cluster.cluster_discovery_type,
        eds_cluster_config: cluster.eds_cluster_config,
        load_assignment: cluster.load_assignment,
        metadata: cluster.metadata,
        lb_policy: lb_policy.into(),
        lb_config,
        circuit_breakers: max_requests.map(|max| CircuitBreakers {
            thresholds: vec![Thresholds { max_requests: Some(max), ..Thresholds::default() }],
            per_host_thresholds: Vec::new(),
        }),
        outlier_detection: cluster.outlier_detection,
        ..Cluster::default()
    }
}

fn load_balancing(cluster: &Cluster) -> (LbPolicy, Option<LbConfig>) {
    match cluster.lb_policy() {
        LbPolicy::RingHash => (LbPolicy::RingHash, cluster.lb_config.clone()),
        // The same key, the same endpoint: that it is another table than Maglev's is the smaller evil.
        LbPolicy::Maglev => (LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(RingHashLbConfig::default()))),
        LbPolicy::RoundRobin
        | LbPolicy::LeastRequest
        | LbPolicy::Random
        | LbPolicy::ClusterProvided
        | LbPolicy::LoadBalancingPolicyConfig => (LbPolicy::RoundRobin, None),
    }
}
