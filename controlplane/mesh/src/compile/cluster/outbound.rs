//! The cluster of one port of a service, or of one of its subsets.

use proto::envoy::config::cluster::v3::Cluster;

use super::{
    OutboundInput, circuit_breaker,
    discovery::{self, Discovery},
    grpc, http_protocol_options,
    http_protocol_options::Upstream,
    keepalive, load_balancing,
    metadata::ClusterMetadata,
    mutual_tls::{self, Destination},
    name::ClusterName,
    outlier_detection, policy, transport_socket,
};
use crate::{
    compile::{Compiled, References, duration},
    model::{Origin, destination_rule::PortPolicy, service::ServicePort},
};

/// The cluster; `None` where the service has none for such a caller.
pub(super) fn cluster(input: &OutboundInput, port: &ServicePort, subset: Option<&str>) -> Option<Compiled<Cluster>> {
    let service = &input.service;
    let rule = input.rule.as_deref();
    let policy = policy::effective(rule, port.number, subset);
    let discovery = discovery::of(input, port, subset, &policy)?;
    if input.for_grpc && !grpc::takes(&discovery) {
        return None;
    }
    let pool = policy.connection_pool.as_ref();
    let upstream = Upstream::of(port.protocol, pool, input.config.spec.h2_upgrade);
    let transport =
        mutual_tls::transport(&Destination { input, port, subset, upstream }, policy.tls.as_ref(), &discovery)
            .unwrap_or_else(|| {
                transport_socket::transport(policy.tls.as_ref(), &service.service.subject_alt_names, upstream)
            });
    let name = ClusterName::outbound(port.number, subset, &service.service.hostname);
    let provenance = provenance(input, port, subset);
    let metadata = ClusterMetadata {
        services: vec![service],
        rule: rule.and_then(|rule| rule.shown(subset)),
        subset,
        origins: &provenance,
        sniffed: transport.sniffed,
    };
    let mut cluster = Cluster {
        name: name.as_str().to_owned(),
        alt_stat_name: name.stat(),
        metadata: Some(metadata.to_proto()),
        ..Cluster::default()
    };
    shape(&mut cluster, input, &policy);
    cluster.typed_extension_protocol_options = http_protocol_options::options(upstream, pool, transport.names);
    cluster.transport_socket = transport.socket;
    cluster.transport_socket_matches = transport.matches;
    let endpoints = (discovery == Discovery::Eds).then(|| name.shared());
    let resolves = matches!(discovery, Discovery::Dns(..));
    discovery::apply(discovery, &mut cluster, &name, input);
    let cluster = if input.for_grpc { grpc::reduced(cluster, &policy) } else { cluster };
    Some(Compiled {
        name: name.shared(),
        message: cluster,
        references: References { endpoints, resolves, ..References::default() },
        provenance,
    })
}

/// How a cluster spreads and limits its load.
fn shape(cluster: &mut Cluster, input: &OutboundInput, policy: &PortPolicy) {
    let mesh = &input.config.spec;
    let pool = policy.connection_pool.as_ref();
    let (lb_policy, lb_config) = load_balancing::algorithm(policy.load_balancer.as_ref());
    cluster.connect_timeout = Some(connect_timeout(input, policy));
    cluster.lb_policy = lb_policy.into();
    cluster.lb_config = lb_config;
    cluster.common_lb_config = Some(load_balancing::common(policy, mesh));
    cluster.circuit_breakers = Some(circuit_breaker::thresholds(pool));
    cluster.upstream_connection_options =
        keepalive::options(pool.and_then(|pool| pool.tcp_keepalive.as_ref()), mesh.tcp_keepalive.as_ref());
    cluster.outlier_detection = policy.outlier_detection.as_ref().map(outlier_detection::detection);
}

fn connect_timeout(input: &OutboundInput, policy: &PortPolicy) -> proto::google::protobuf::Duration {
    let rule = policy.connection_pool.as_ref().and_then(|pool| pool.connect_timeout);
    duration::positive(rule).unwrap_or_else(|| super::connect_timeout(&input.config.spec))
}

/// The objects and fields that made the cluster.
fn provenance(input: &OutboundInput, port: &ServicePort, subset: Option<&str>) -> Vec<Origin> {
    let mut origins = vec![Origin::whole(&input.service.origin)];
    if let Some(rule) = input.rule.as_deref() {
        origins.extend(subset.and_then(|name| policy::origin_of_subset(rule, name)));
        origins.extend(policy::origins(rule, port.number, subset));
    }
    origins
}
