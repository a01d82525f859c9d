//! Outbound and inbound clusters, feature by feature.

use proto::{
    envoy::{
        config::{
            cluster::v3::{
                Cluster,
                cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
            },
            core::v3::{address::Address, config_source::ConfigSourceSpecifier, socket_address::PortSpecifier},
            endpoint::v3::{ClusterLoadAssignment, lb_endpoint::HostIdentifier},
        },
        extensions::clusters::dns::v3::DnsCluster,
    },
    pack,
};

use super::{OutboundInput, fixture::*, outbound};
use crate::{
    compile::scope::MeshService,
    model::{
        Hostname, Labels, Shared,
        destination_rule::{
            Algorithm, ClientTls, ClientTlsMode, ConsistentHash, HashKey, HashTable, LoadBalancer, PortPolicy,
        },
        endpoint::{Endpoint, EndpointAddress},
        mesh_config::MeshConfig,
        protocol::Protocol,
        service::{Resolution, TargetPort},
    },
};

fn names(input: &OutboundInput) -> Vec<String> {
    outbound(input).iter().map(|c| c.name.to_string()).collect()
}

fn only(input: &OutboundInput) -> Cluster {
    let mut clusters = outbound(input);
    assert_eq!(clusters.len(), 1, "{clusters:?}");
    clusters.remove(0).message
}

fn type_of(cluster: &Cluster) -> Result<DiscoveryType, String> {
    match cluster.cluster_discovery_type.as_ref().unwrap() {
        ClusterDiscoveryType::Type(number) => Ok(DiscoveryType::try_from(*number).unwrap()),
        ClusterDiscoveryType::ClusterType(custom) => Err(custom.name.clone()),
    }
}

fn dns_of(cluster: &Cluster) -> DnsCluster {
    match cluster.cluster_discovery_type.as_ref().unwrap() {
        ClusterDiscoveryType::ClusterType(custom) => pack::unpack(custom.typed_config.as_ref().unwrap()).unwrap(),
        ClusterDiscoveryType::Type(_) => panic!("not DNS"),
    }
}

fn addresses(assignment: Option<&ClusterLoadAssignment>) -> Vec<String> {
    let endpoints = assignment.unwrap().endpoints.iter().flat_map(|locality| &locality.lb_endpoints);
    let text = |host: &HostIdentifier| match host {
        HostIdentifier::Endpoint(endpoint) => match endpoint.address.as_ref().unwrap().address.as_ref().unwrap() {
            Address::SocketAddress(socket) => match socket.port_specifier.as_ref().unwrap() {
                PortSpecifier::PortValue(port) => format!("{}:{port}", socket.address),
                PortSpecifier::NamedPort(name) => name.clone(),
            },
            other @ (Address::Pipe(_) | Address::EnvoyInternalAddress(_)) => format!("{other:?}"),
        },
        HostIdentifier::EndpointName(name) => name.clone(),
    };
    endpoints.map(|endpoint| text(endpoint.host_identifier.as_ref().unwrap())).collect()
}

fn named(host: &str, port: u16) -> Endpoint {
    Endpoint { address: EndpointAddress::Dns(host.to_owned(), port), ..endpoint("10.0.0.1", port) }
}

fn lb(algorithm: Algorithm) -> PortPolicy {
    PortPolicy { load_balancer: Some(LoadBalancer { algorithm, ..LoadBalancer::default() }), ..PortPolicy::default() }
}

fn ports(mut service: MeshService, protocols: &[Protocol]) -> MeshService {
    service.service.ports = (9080..).zip(protocols).map(|(number, protocol)| port(number, *protocol)).collect();
    service
}

#[test]
fn every_port_has_a_cluster_alone_and_for_each_subset_but_udp_has_none() {
    let service = ports(service("reviews"), &[Protocol::Http, Protocol::Udp, Protocol::Tcp]);
    let input = outbound_input(service, Some(with_subsets(rule(), &["v2", "v1", "v1", ""])));
    let host = "reviews.default.svc.cluster.local";
    let expected = ["9080|v1", "9080|v2", "9080|", "9082|v1", "9082|v2", "9082|"];
    let mut expected: Vec<String> = expected.iter().map(|name| format!("outbound|{name}|{host}")).collect();
    expected.sort();
    assert_eq!(names(&input), expected);
}

#[test]
fn endpoints_come_over_ads_under_the_clusters_own_name_and_are_never_waited_for_without_end() {
    let clusters = outbound(&outbound_input(service("reviews"), None));
    let compiled = &clusters[0];
    let eds = compiled.message.eds_cluster_config.as_ref().unwrap();
    assert_eq!(eds.service_name, &*compiled.name);
    assert_eq!(compiled.references.endpoints.as_deref(), Some(&*compiled.name));
    let config = eds.eds_config.as_ref().unwrap();
    assert!(matches!(config.config_source_specifier, Some(ConfigSourceSpecifier::Ads(_))));
    assert!(config.initial_fetch_timeout.unwrap().seconds > 0);
    assert_eq!(compiled.message.alt_stat_name, format!("{};", compiled.name));
}

#[test]
fn a_service_without_a_rule_has_istios_defaults() {
    let cluster = only(&outbound_input(service("reviews"), None));
    assert_eq!(cluster.lb_policy(), LbPolicy::LeastRequest);
    assert_eq!(cluster.connect_timeout.unwrap().seconds, 10);
    assert_eq!(cluster.circuit_breakers.unwrap().thresholds[0].max_connections, Some(u32::MAX));
    let common = cluster.common_lb_config.unwrap();
    assert_eq!(common.healthy_panic_threshold.unwrap().value, 0.0);
    assert_eq!(common.update_merge_window.unwrap().nanos, 100_000_000);
    assert_eq!(cluster.outlier_detection, None);
    assert!(cluster.typed_extension_protocol_options.is_empty());
    assert_eq!(cluster.transport_socket, None);
}

#[test]
fn the_rules_blocks_reach_the_cluster() {
    let policy =
        PortPolicy { connection_pool: Some(pool()), outlier_detection: Some(outlier()), ..lb(Algorithm::Random) };
    let cluster = only(&outbound_input(service("reviews"), Some(rule_with(policy))));
    assert_eq!(cluster.lb_policy(), LbPolicy::Random);
    assert_eq!(cluster.circuit_breakers.unwrap().thresholds[0].max_connections, Some(100));
    assert_eq!(cluster.outlier_detection.unwrap().consecutive_5xx, Some(7));
    assert_eq!(cluster.typed_extension_protocol_options.len(), 1);
}

#[test]
fn provenance_names_the_service_the_policy_and_the_subset() {
    let rule = with_subsets(rule_with(lb(Algorithm::Random)), &["v1"]);
    let clusters = outbound(&outbound_input(service("reviews"), Some(rule)));
    let v1 = clusters.iter().find(|c| c.name.contains("|v1|")).unwrap();
    let texts: Vec<String> = v1.provenance.iter().map(|o| format!("{} {}", o.object, o.field)).collect();
    let rule = "DestinationRule default/reviews";
    let expected = [
        "Service default/reviews ".to_owned(),
        format!("{rule} spec.subsets[name=v1]"),
        format!("{rule} spec.trafficPolicy"),
    ];
    assert_eq!(texts, expected);
}

#[test]
fn an_alias_has_no_cluster() {
    let mut alias = service("alias");
    alias.service.resolution = Resolution::Alias(Hostname::parse("a.example.com").unwrap());
    assert!(outbound(&outbound_input(alias, None)).is_empty());
}

#[test]
fn callers_of_a_headless_service_dial_its_pods_and_get_endpoints_where_they_cannot() {
    let mut db = ports(service("db"), &[Protocol::Tcp]);
    db.service.resolution = Resolution::Headless;
    let mut input = outbound_input(db, None);
    let captured = only(&input);
    assert_eq!(type_of(&captured), Ok(DiscoveryType::OriginalDst));
    assert_eq!(captured.lb_policy(), LbPolicy::ClusterProvided);
    input.captured = false;
    assert_eq!(type_of(&only(&input)), Ok(DiscoveryType::Eds));
}

#[test]
fn passing_through_keeps_the_callers_destination_where_it_is_known() {
    let mut input = outbound_input(service("reviews"), Some(rule_with(lb(Algorithm::Passthrough))));
    assert_eq!(type_of(&only(&input)), Ok(DiscoveryType::OriginalDst));
    assert_eq!(outbound(&input)[0].references.endpoints, None);
    input.captured = false;
    let explicit = only(&input);
    assert_eq!((type_of(&explicit), explicit.lb_policy()), (Ok(DiscoveryType::Eds), LbPolicy::LeastRequest));
}

#[test]
fn an_entry_with_dns_resolves_its_host_at_the_target_port() {
    let mut http = port(80, Protocol::Http);
    http.target = TargetPort::Number(8080);
    let input = outbound_input(entry("api.example.com", Resolution::Dns, vec![http]), None);
    let cluster = only(&input);
    assert_eq!(type_of(&cluster), Err("envoy.cluster.dns".to_owned()));
    assert!(!dns_of(&cluster).all_addresses_in_single_endpoint);
    let assignment = cluster.load_assignment.as_ref();
    assert_eq!(addresses(assignment), ["api.example.com:8080"]);
    assert_eq!(assignment.unwrap().cluster_name, cluster.name);
}

#[test]
fn an_entry_with_dns_resolves_its_endpoints_by_subset() {
    let api = entry("api.example.com", Resolution::Dns, vec![port(80, Protocol::Http)]);
    let mut v1 = named("one.example.com", 80);
    v1.labels = Labels::from([("version".into(), "v1".into())]);
    let mut pipe = endpoint("10.0.0.1", 80);
    pipe.address = EndpointAddress::Pipe("/run/x".into());
    let endpoints = vec![named("two.example.com", 80), v1, pipe];
    let input = with_endpoints(outbound_input(api, Some(with_subsets(rule(), &["v1", "v9"]))), 80, endpoints);
    let clusters = outbound(&input);
    let seen = |part: &str| &clusters.iter().find(|c| c.name.contains(part)).unwrap().message;
    assert_eq!(addresses(seen("|v1|").load_assignment.as_ref()), ["one.example.com:80"]);
    assert_eq!(addresses(seen("||").load_assignment.as_ref()), ["one.example.com:80", "two.example.com:80"]);
    assert_eq!(type_of(seen("|v9|")), Ok(DiscoveryType::Static));
}

#[test]
fn one_address_at_a_time_is_for_one_name() {
    let api = || entry("api.example.com", Resolution::DnsRoundRobin, vec![port(80, Protocol::Http)]);
    assert!(dns_of(&only(&outbound_input(api(), None))).all_addresses_in_single_endpoint);
    let two = vec![named("a.example.com", 80), named("b.example.com", 80)];
    assert!(!dns_of(&only(&with_endpoints(outbound_input(api(), None), 80, two))).all_addresses_in_single_endpoint);
}

#[test]
fn an_entry_without_resolution_goes_where_the_caller_dialled_or_where_its_name_leads() {
    let api = |host| entry(host, Resolution::None, vec![port(80, Protocol::Http), port(443, Protocol::Tls)]);
    let types = |host, captured| {
        let input = OutboundInput { captured, ..outbound_input(api(host), None) };
        outbound(&input).iter().map(|c| type_of(&c.message)).collect::<Vec<_>>()
    };
    let dns = || Err("envoy.cluster.dns".to_owned());
    assert_eq!(types("*.example.com", true), [Ok(DiscoveryType::OriginalDst), Ok(DiscoveryType::OriginalDst)]);
    assert_eq!(types("a.example.com", false), [dns(), dns()]);
    // Sorted by name: 443 comes before 80.
    let on_request = Err("envoy.clusters.dynamic_forward_proxy".to_owned());
    assert_eq!(types("*.example.com", false), [Ok(DiscoveryType::Static), on_request]);
}

#[test]
fn tls_of_a_rule_reaches_the_cluster_with_names_of_each_request() {
    let tls = ClientTls {
        mode: ClientTlsMode::Simple,
        sni: None,
        subject_alt_names: Vec::new(),
        client_certificate: None,
        private_key: None,
        ca_certificates: None,
        insecure_skip_verify: false,
    };
    let policy = PortPolicy { tls: Some(tls), ..PortPolicy::default() };
    let api = entry("api.example.com", Resolution::Dns, vec![port(80, Protocol::Http)]);
    let cluster = only(&outbound_input(api, Some(rule_with(policy))));
    assert_eq!(cluster.transport_socket.unwrap().name, "envoy.transport_sockets.tls");
    assert_eq!(cluster.typed_extension_protocol_options.len(), 1);
}

#[test]
fn a_timeout_of_zero_is_the_meshs_or_ten_seconds() {
    let mut input = outbound_input(service("a"), None);
    input.config = mesh(MeshConfig { connect_timeout: std::time::Duration::ZERO, ..MeshConfig::default() });
    assert_eq!(only(&input).connect_timeout.unwrap().seconds, 10);
    let mut pool = pool();
    pool.connect_timeout = Some(std::time::Duration::from_secs(3));
    let policy = PortPolicy { connection_pool: Some(pool), ..PortPolicy::default() };
    input.rule = Some(Shared::new(rule_with(policy)));
    assert_eq!(only(&input).connect_timeout.unwrap().seconds, 3);
}

mod proxyless_grpc {
    use super::*;

    fn grpc(service: MeshService, policy: PortPolicy) -> OutboundInput {
        OutboundInput { for_grpc: true, ..outbound_input(service, Some(rule_with(policy))) }
    }

    #[test]
    fn balances_in_turn_or_on_a_ring_and_nothing_else() {
        let hash = |table| lb(Algorithm::ConsistentHash(ConsistentHash { key: HashKey::SourceIp, table }));
        let policy = |policy| only(&grpc(service("a"), policy)).lb_policy();
        assert_eq!(policy(PortPolicy::default()), LbPolicy::RoundRobin);
        assert_eq!(policy(lb(Algorithm::Random)), LbPolicy::RoundRobin);
        assert_eq!(policy(lb(Algorithm::Passthrough)), LbPolicy::RoundRobin);
        assert_eq!(policy(hash(HashTable::Ring { size_min: 1024 })), LbPolicy::RingHash);
        assert_eq!(policy(hash(HashTable::Maglev { size: None })), LbPolicy::RingHash);
    }

    #[test]
    fn gets_no_field_that_it_does_not_take() {
        let policy = PortPolicy { connection_pool: Some(pool()), ..PortPolicy::default() };
        let cluster = only(&grpc(service("a"), policy));
        assert_eq!(type_of(&cluster), Ok(DiscoveryType::Eds));
        assert!(cluster.typed_extension_protocol_options.is_empty());
        assert_eq!((cluster.circuit_breakers, cluster.common_lb_config, cluster.transport_socket), (None, None, None));
    }

    #[test]
    fn sees_only_what_has_endpoints_or_one_name() {
        let mut headless = service("db");
        headless.service.resolution = Resolution::Headless;
        assert_eq!(type_of(&only(&grpc(headless, PortPolicy::default()))), Ok(DiscoveryType::Eds));
        let api = |resolution| entry("api.example.com", resolution, vec![port(80, Protocol::Grpc)]);
        let dns = grpc(api(Resolution::Dns), PortPolicy::default());
        assert_eq!(type_of(&only(&dns)), Ok(DiscoveryType::LogicalDns));
        let two = vec![named("a.example.com", 80), named("b.example.com", 80)];
        assert!(outbound(&with_endpoints(dns, 80, two)).is_empty());
        let wildcard = entry("*.example.com", Resolution::None, vec![port(80, Protocol::Grpc)]);
        assert!(outbound(&grpc(wildcard, PortPolicy::default())).is_empty());
    }
}
