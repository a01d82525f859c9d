//! Load assignments, feature by feature.

use std::collections::BTreeMap;

use proto::envoy::config::endpoint::v3::LocalityLbEndpoints;

use super::*;
use crate::{
    compile::cluster::fixture::*,
    model::{
        destination_rule::{LoadBalancer, LocalityLb},
        protocol::Protocol,
    },
};

fn input(service: MeshService, rule: Option<MergedRule>, endpoints: Vec<Endpoint>) -> AssignmentInput {
    AssignmentInput {
        service: Shared::new(service),
        rule: rule.map(Shared::new),
        endpoints: Shared::new(Endpoints(BTreeMap::from([(9080, endpoints)]))),
        place: None,
        config: mesh(MeshConfig::default()),
    }
}

fn at(ip: &str, locality: &str) -> Endpoint {
    Endpoint { locality: Locality::parse(locality), ..endpoint(ip, 9080) }
}

fn place(locality: &str) -> Option<Place> {
    Some(Place { locality: Locality::parse(locality), ..Place::default() })
}

fn localities(input: &AssignmentInput, part: &str) -> Vec<LocalityLbEndpoints> {
    let assignments = assignments(input);
    assignments.into_iter().find(|a| a.name.contains(part)).unwrap().message.endpoints
}

/// Region, priority and weight of each locality.
fn seen(input: &AssignmentInput) -> Vec<(String, u32, u32)> {
    let one = |locality: &LocalityLbEndpoints| {
        let region = locality.locality.as_ref().unwrap().region.clone();
        (region, locality.priority, locality.load_balancing_weight.unwrap())
    };
    localities(input, "||").iter().map(one).collect()
}

fn with_locality(settings: LocalityLb) -> PortPolicy {
    PortPolicy {
        load_balancer: Some(LoadBalancer { locality: Some(settings), ..LoadBalancer::default() }),
        outlier_detection: Some(outlier()),
        ..PortPolicy::default()
    }
}

#[test]
fn each_subset_has_the_endpoints_with_its_labels() {
    let endpoints = vec![versioned("10.0.0.1", "v1"), versioned("10.0.0.2", "v2"), versioned("10.0.0.3", "v1")];
    let input = input(service("reviews"), Some(with_subsets(rule(), &["v1", "v9"])), endpoints);
    let count = |part| localities(&input, part).iter().map(|l| l.lb_endpoints.len()).sum::<usize>();
    assert_eq!((count("||"), count("|v1|"), count("|v9|")), (3, 2, 0));
}

#[test]
fn assignments_have_the_names_of_the_clusters() {
    let names = |service: MeshService| {
        let rule = with_subsets(rule(), &["v2", "v1"]);
        let clusters = crate::compile::cluster::outbound(&outbound_input(service, Some(rule)));
        clusters.iter().filter_map(|c| c.references.endpoints.clone()).collect::<Vec<_>>()
    };
    let two_ports = || {
        let mut service = service("reviews");
        service.service.ports.push(port(53, Protocol::Udp));
        service.service.ports.push(port(443, Protocol::Tls));
        service
    };
    let made = assignments(&input(two_ports(), Some(with_subsets(rule(), &["v2", "v1"])), Vec::new()));
    assert_eq!(made.iter().map(|a| a.name.clone()).collect::<Vec<_>>(), names(two_ports()));
    assert!(made.iter().all(|a| *a.message.cluster_name == *a.name));
}

#[test]
fn a_port_without_endpoints_has_an_assignment_without_endpoints() {
    let assignments = assignments(&input(service("reviews"), None, Vec::new()));
    assert_eq!(assignments.len(), 1);
    assert!(assignments[0].message.endpoints.is_empty());
}

#[test]
fn services_that_are_resolved_have_none() {
    for resolution in [Resolution::Dns, Resolution::DnsRoundRobin, Resolution::None] {
        let entry = entry("api.example.com", resolution, vec![port(80, Protocol::Http)]);
        assert!(assignments(&input(entry, None, Vec::new())).is_empty());
    }
}

#[test]
fn near_endpoints_come_first_once_outliers_are_detected() {
    let endpoints = vec![at("10.0.0.1", "us/a"), at("10.0.0.2", "eu/a"), at("10.0.0.3", "ap/a")];
    let mut input = input(service("a"), None, endpoints);
    input.place = place("eu/a");
    let flat = |region: &str| (region.to_owned(), 0, 1);
    assert_eq!(seen(&input), [flat("ap"), flat("eu"), flat("us")]);
    let failover = LocalityLb { failover: vec![("eu".into(), "us".into())], ..LocalityLb::default() };
    input.rule = Some(Shared::new(rule_with(with_locality(failover))));
    let ranked = |region: &str, priority| (region.to_owned(), priority, 1);
    assert_eq!(seen(&input), [ranked("eu", 0), ranked("us", 1), ranked("ap", 2)]);
    input.place = None;
    assert_eq!(seen(&input), [flat("ap"), flat("eu"), flat("us")]);
}

#[test]
fn traffic_is_distributed_as_the_rule_says() {
    let endpoints = vec![at("10.0.0.1", "us/a"), at("10.0.0.2", "eu/a"), at("10.0.0.3", "ap/a")];
    let distribute = vec![("us/*".to_owned(), vec![("us/*".to_owned(), 80), ("eu/*".to_owned(), 20)])];
    let policy = with_locality(LocalityLb { distribute, ..LocalityLb::default() });
    let mut input = input(service("a"), Some(rule_with(policy)), endpoints);
    input.place = place("us/a");
    assert_eq!(seen(&input), [("eu".to_owned(), 0, 200_000), ("us".to_owned(), 0, 800_000)]);
}

#[test]
fn the_place_counts_only_where_something_asks_for_it() {
    let config = MeshConfig::default();
    let depends = |service: &MeshService, rule: Option<MergedRule>| depends_on_place(service, rule.as_ref(), &config);
    let plain = service("a");
    assert!(!depends(&plain, None));
    assert!(!depends(&plain, Some(rule_with(PortPolicy { connection_pool: Some(pool()), ..PortPolicy::default() }))));
    let outliers = PortPolicy { outlier_detection: Some(outlier()), ..PortPolicy::default() };
    assert!(depends(&plain, Some(rule_with(outliers.clone()))));
    let off = with_locality(LocalityLb { enabled: Some(false), ..LocalityLb::default() });
    assert!(!depends(&plain, Some(rule_with(off))));
    let mut in_subset = with_subsets(rule(), &["v1"]);
    in_subset.subsets[0].0.policy.settings = outliers;
    assert!(depends(&plain, Some(in_subset)));
    let mut local = service("a");
    local.service.node_local = true;
    assert!(depends(&local, None));
    let mut close = service("a");
    close.service.traffic_distribution = TrafficDistribution::SameZone;
    assert!(depends(&close, None));
    close.service.resolution = Resolution::Dns;
    assert!(!depends(&close, None));
}
