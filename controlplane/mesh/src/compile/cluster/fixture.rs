//! Model values that the tests of clusters and endpoints start from.

use std::{collections::BTreeMap, net::IpAddr};

use crate::{
    compile::{
        cluster::{InboundInput, OutboundInput},
        scope::{Endpoints, MergedRule, MeshService},
        viewpoint::Interception,
    },
    model::{
        Hostname, Kind, Labels, Namespace, Object, ObjectId, Shared,
        destination_rule::{ConnectionPool, OutlierDetection, PortPolicy, Subset, TrafficPolicy},
        endpoint::{Endpoint, EndpointAddress, Health, Locality},
        mesh_config::MeshConfig,
        protocol::Protocol,
        service::{Registry, Resolution, Service, ServicePort, TargetPort, TrafficDistribution},
        visibility::ExportTo,
    },
};

pub(crate) fn namespace() -> Namespace {
    Namespace::parse("default").unwrap()
}

/// A Kubernetes Service of this name in `default`, with the HTTP port 9080.
pub(crate) fn service(name: &str) -> MeshService {
    MeshService {
        service: Service {
            hostname: Hostname::of_service(name, &namespace(), "cluster.local").unwrap(),
            name: name.to_owned(),
            namespace: namespace(),
            labels: Labels::new(),
            ports: vec![port(9080, Protocol::Http)],
            addresses: Vec::new(),
            resolution: Resolution::Static,
            selector: None,
            export_to: ExportTo::Default,
            registry: Registry::Kubernetes,
            node_local: false,
            publish_not_ready: false,
            subject_alt_names: Vec::new(),
            traffic_distribution: TrafficDistribution::Any,
        },
        origin: ObjectId::new(Kind::Service, namespace(), name),
        created: None,
    }
}

/// An entry for a host outside the mesh.
pub(crate) fn entry(host: &str, resolution: Resolution, ports: Vec<ServicePort>) -> MeshService {
    let mut entry = service("outside");
    entry.origin = ObjectId::new(Kind::ServiceEntry, namespace(), "outside");
    entry.service.hostname = Hostname::parse(host).unwrap();
    entry.service.name = host.to_owned();
    entry.service.registry = Registry::ExternalEntry;
    entry.service.resolution = resolution;
    entry.service.ports = ports;
    entry
}

/// A port that leads to the same number of its pods.
pub(crate) fn port(number: u16, protocol: Protocol) -> ServicePort {
    ServicePort { number, name: String::new(), protocol, target: TargetPort::Number(number) }
}

/// A port that leads to a container port of this name.
pub(crate) fn named_port(number: u16, protocol: Protocol, target: &str) -> ServicePort {
    ServicePort { target: TargetPort::Named(target.to_owned()), ..port(number, protocol) }
}

/// The rule `default/reviews`, which says nothing.
pub(crate) fn rule() -> MergedRule {
    let origin = ObjectId::new(Kind::DestinationRule, namespace(), "reviews");
    MergedRule {
        policy: TrafficPolicy::default(),
        policy_origin: Some(origin.clone()),
        subsets: Vec::new(),
        origins: vec![origin],
    }
}

/// A rule with these blocks for every port.
pub(crate) fn rule_with(settings: PortPolicy) -> MergedRule {
    MergedRule { policy: TrafficPolicy { settings, ports: Vec::new() }, ..rule() }
}

/// The subset of endpoints labelled `version: NAME`.
pub(crate) fn subset(name: &str) -> Subset {
    Subset {
        name: name.to_owned(),
        labels: Labels::from([("version".to_owned(), name.to_owned())]),
        policy: TrafficPolicy::default(),
    }
}

/// The rule with some subsets.
pub(crate) fn with_subsets(mut rule: MergedRule, names: &[&str]) -> MergedRule {
    let origin = rule.origins[0].clone();
    rule.subsets.extend(names.iter().map(|name| (subset(name), origin.clone())));
    rule
}

/// 100 connections, 10 requests waiting.
pub(crate) fn pool() -> ConnectionPool {
    ConnectionPool {
        max_connections: Some(100),
        http1_max_pending_requests: Some(10),
        max_requests_per_connection: Some(10),
        ..ConnectionPool::default()
    }
}

/// Seven errors in a row.
pub(crate) fn outlier() -> OutlierDetection {
    OutlierDetection { consecutive_5xx: Some(7), ..OutlierDetection::default() }
}

/// A healthy endpoint without labels.
pub(crate) fn endpoint(ip: &str, port: u16) -> Endpoint {
    Endpoint {
        address: EndpointAddress::Ip(ip.parse::<IpAddr>().unwrap(), port),
        labels: Labels::new(),
        weight: 1,
        locality: Locality::default(),
        node: None,
        network: String::new(),
        workload: ("w".to_owned(), "default".to_owned()),
        service_account: None,
        health: Health::Healthy,
        mesh_tls: false,
        hostname: None,
    }
}

/// An endpoint labelled `version: NAME`.
pub(crate) fn versioned(ip: &str, version: &str) -> Endpoint {
    Endpoint { labels: Labels::from([("version".to_owned(), version.to_owned())]), ..endpoint(ip, 9080) }
}

pub(crate) fn mesh(spec: MeshConfig) -> Shared<Object<MeshConfig>> {
    let id = ObjectId::new(Kind::MeshConfig, Namespace::parse("istio-system").unwrap(), "istio");
    Shared::new(Object { id, created: None, generation: None, location: None, spec })
}

/// What the clusters of a service depend on, for callers whose traffic is captured.
pub(crate) fn outbound_input(service: MeshService, rule: Option<MergedRule>) -> OutboundInput {
    OutboundInput {
        service: Shared::new(service),
        rule: rule.map(Shared::new),
        endpoints: None,
        config: mesh(MeshConfig::default()),
        for_grpc: false,
        captured: true,
        identities: None,
    }
}

/// The same with endpoints at one port.
pub(crate) fn with_endpoints(input: OutboundInput, port: u16, endpoints: Vec<Endpoint>) -> OutboundInput {
    OutboundInput { endpoints: Some(Shared::new(Endpoints(BTreeMap::from([(port, endpoints)])))), ..input }
}

/// What the inbound cluster of port 9080 depends on.
pub(crate) fn inbound_input(service: MeshService, rule: Option<MergedRule>) -> InboundInput {
    InboundInput {
        port: 9080,
        services: vec![(Shared::new(service), rule.map(Shared::new))],
        ingress: None,
        interception: Interception::Redirect,
        ipv6: false,
        config: mesh(MeshConfig::default()),
    }
}
