//! Which listeners there are, and what they do.

use proto::{
    envoy::{
        config::listener::v3::{FilterChain, filter::ConfigType},
        extensions::filters::network::{
            http_connection_manager::v3::{HttpConnectionManager, http_connection_manager::RouteSpecifier},
            tcp_proxy::v3::{TcpProxy, tcp_proxy::ClusterSpecifier},
        },
    },
    pack,
};

use super::*;
use crate::{
    compile::{
        route::{
            self,
            fixture::{self, Mesh},
        },
        viewpoint::Interception,
    },
    model::{
        Kind,
        endpoint::{Endpoint, EndpointAddress, Health, Locality},
        peer_authentication::WorkloadTls,
        protocol::Protocol,
        sidecar::{Ingress, Sidecar},
        virtual_service::{Destination, L4Match, TcpRule, TlsRule},
    },
};

/// What a chain does: `http ROUTE` or `tcp CLUSTER`.
fn does(chain: &FilterChain) -> String {
    let Some(ConfigType::TypedConfig(config)) = &chain.filters[0].config_type else { panic!("no filter") };
    if let Ok(manager) = pack::unpack::<HttpConnectionManager>(config) {
        return match manager.route_specifier.unwrap() {
            RouteSpecifier::Rds(rds) => format!("http {}", rds.route_config_name),
            RouteSpecifier::RouteConfig(routes) => format!("http inline {}", routes.name),
            RouteSpecifier::ScopedRoutes(_) => panic!("scoped routes"),
        };
    }
    match pack::unpack::<TcpProxy>(config).unwrap().cluster_specifier.unwrap() {
        ClusterSpecifier::Cluster(name) => format!("tcp {name}"),
        ClusterSpecifier::WeightedClusters(weighted) => {
            let shares: Vec<String> = weighted.clusters.iter().map(|c| format!("{}={}", c.name, c.weight)).collect();
            format!("tcp {}", shares.join(" "))
        }
    }
}

/// What a chain takes and does.
fn shown(chain: &FilterChain) -> String {
    let takes = chain.filter_chain_match.clone().unwrap_or_default();
    let port = takes.destination_port.map(|port| format!(":{port}"));
    let ranges = takes.prefix_ranges.iter().map(|r| format!("{}/{}", r.address_prefix, r.prefix_len.unwrap()));
    let words = port
        .into_iter()
        .chain(ranges)
        .chain(takes.server_names)
        .chain((!takes.transport_protocol.is_empty()).then_some(takes.transport_protocol))
        .chain(takes.application_protocols);
    format!("{} -> {}", words.collect::<Vec<_>>().join(" "), does(chain))
}

fn chains(listener: &Listener) -> Vec<String> {
    let rest = listener.default_filter_chain.iter().map(|chain| format!("else -> {}", does(chain)));
    listener.filter_chains.iter().map(shown).chain(rest).collect()
}

fn compiled(mesh: &Mesh, viewpoint: &Viewpoint) -> Vec<Compiled<Listener>> {
    with_pods(mesh, viewpoint, &[])
}

fn with_pods(mesh: &Mesh, viewpoint: &Viewpoint, pods: &[&str]) -> Vec<Compiled<Listener>> {
    let endpoint = |ip: &&str| Endpoint {
        address: EndpointAddress::Ip(ip.parse().unwrap(), 5432),
        labels: crate::model::Labels::new(),
        weight: 1,
        locality: Locality::default(),
        node: None,
        network: String::new(),
        workload: (String::new(), String::new()),
        service_account: None,
        health: Health::Healthy,
        mesh_tls: false,
        hostname: None,
    };
    let endpoints = Shared::new(Endpoints([(5432, pods.iter().map(endpoint).collect())].into()));
    let plan = plan_outbound(&mesh.scope(), viewpoint, &|_| Some(endpoints.clone()));
    plan.iter().filter_map(outbound).collect()
}

fn names(listeners: &[Compiled<Listener>]) -> Vec<&str> {
    listeners.iter().map(|listener| &*listener.name).collect()
}

fn named<'a>(listeners: &'a [Compiled<Listener>], name: &str) -> &'a Compiled<Listener> {
    let found = listeners.iter().find(|listener| &*listener.name == name);
    found.unwrap_or_else(|| panic!("no listener {name} among {:?}", names(listeners)))
}

fn chains_of(mesh: &Mesh, viewpoint: &Viewpoint, name: &str) -> Vec<String> {
    chains(&named(&compiled(mesh, viewpoint), name).message)
}

fn filters(listener: &Listener) -> Vec<&str> {
    listener.listener_filters.iter().map(|f| f.name.rsplit('.').next().unwrap_or_default()).collect()
}

#[test]
fn an_http_port_is_shared_and_what_is_no_request_passes() {
    let mesh = Mesh::new()
        .service(fixture::service("a").port(80, "http").at("10.0.0.1"))
        .service(fixture::service("b").port(80, "grpc").at("10.0.0.2"));
    let listeners = compiled(&mesh, &fixture::sidecar());
    assert_eq!(names(&listeners), ["virtualOutbound", "0.0.0.0_80"]);
    let shared = &named(&listeners, "0.0.0.0_80");
    assert_eq!(chains(&shared.message), ["raw_buffer http/1.1 h2c -> http 80", "else -> tcp PassthroughCluster"]);
    assert_eq!(filters(&shared.message), ["http_inspector"]);
    assert_eq!(shared.message.bind_to_port, Some(false));
    assert_eq!(shared.references.routes.iter().map(|r| &**r).collect::<Vec<_>>(), ["80"]);
    assert_eq!(shared.references.clusters.iter().map(|c| &**c).collect::<Vec<_>>(), ["PassthroughCluster"]);
}

#[test]
fn what_nobody_knows_is_refused_where_the_policy_says_so() {
    let mesh = Mesh::new().service(fixture::service("a").port(80, "http")).registry_only();
    let last = |name| chains_of(&mesh, &fixture::sidecar(), name).pop();
    assert_eq!(last("0.0.0.0_80").as_deref(), Some("else -> tcp BlackHoleCluster"));
    assert_eq!(last("virtualOutbound").as_deref(), Some(" -> tcp BlackHoleCluster"));
}

#[test]
fn the_catch_all_never_calls_itself() {
    let listeners = compiled(&Mesh::new(), &fixture::sidecar());
    let catch_all = named(&listeners, "virtualOutbound");
    assert_eq!(chains(&catch_all.message), [":15001 -> tcp BlackHoleCluster", " -> tcp PassthroughCluster"]);
    assert_eq!(catch_all.message.use_original_dst, Some(true));
    assert_eq!(catch_all.message.transparent, None);
    let tproxy = Viewpoint { interception: Interception::Tproxy, ipv6_only: true, ..fixture::sidecar() };
    let listeners = compiled(&Mesh::new(), &tproxy);
    assert_eq!(listeners[0].message.transparent, Some(true));
    assert!(format!("{:?}", listeners[0].message.address).contains("\"::\""));
}

#[test]
fn bytes_are_met_at_the_address_of_their_service() {
    let mesh = Mesh::new().service(fixture::service("cache").port(6379, "redis").at("10.0.0.1").port(53, "udp"));
    let listeners = compiled(&mesh, &fixture::sidecar());
    assert_eq!(names(&listeners), ["virtualOutbound", "10.0.0.1_6379"]);
    let listener = &listeners[1].message;
    assert_eq!(chains(listener), [" -> tcp outbound|6379||cache.default.svc.cluster.local"]);
    assert!(listener.listener_filters.is_empty(), "a server may speak first");
    assert_eq!(listeners[1].provenance[0].object.to_string(), "Service default/cache");
}

#[test]
fn an_undeclared_port_is_sniffed_at_the_address_of_its_service() {
    let mesh = Mesh::new().service(fixture::service("any").port(8000, "auto").at("10.0.0.1"));
    assert_eq!(
        chains_of(&mesh, &fixture::sidecar(), "10.0.0.1_8000"),
        [
            "raw_buffer http/1.1 h2c -> http any.default.svc.cluster.local:8000",
            "else -> tcp outbound|8000||any.default.svc.cluster.local"
        ]
    );
}

#[test]
fn tls_without_an_address_is_told_apart_by_server_name() {
    let mesh = Mesh::new()
        .service(fixture::entry("a.example.com").port(443, "tls"))
        .service(fixture::entry("*.b.example.com").port(443, "https"));
    let listeners = compiled(&mesh, &fixture::sidecar());
    let listener = &named(&listeners, "0.0.0.0_443").message;
    assert_eq!(
        chains(listener),
        [
            "*.b.example.com -> tcp outbound|443||*.b.example.com",
            "a.example.com -> tcp outbound|443||a.example.com",
            "else -> tcp PassthroughCluster"
        ]
    );
    assert_eq!(filters(listener), ["tls_inspector"]);
}

#[test]
fn requests_tls_and_ranges_share_a_port() {
    let mesh = Mesh::new()
        .service(fixture::service("web").port(443, "http"))
        .service(fixture::entry("a.example.com").port(443, "tls"))
        .service(fixture::entry("range.example.com").port(443, "tcp").in_range("10.1.2.3", 16))
        .service(fixture::entry("sniffed.example.com").port(443, "auto").in_range("10.2.0.0", 16));
    let listeners = compiled(&mesh, &fixture::sidecar());
    let listener = &named(&listeners, "0.0.0.0_443").message;
    assert_eq!(
        chains(listener),
        [
            "raw_buffer http/1.1 h2c -> http 443",
            "a.example.com -> tcp outbound|443||a.example.com",
            "10.1.0.0/16 -> tcp outbound|443||range.example.com",
            "10.2.0.0/16 raw_buffer http/1.1 h2c -> http sniffed.example.com:443",
            "10.2.0.0/16 raw_buffer -> tcp outbound|443||sniffed.example.com",
            "10.2.0.0/16 -> tcp outbound|443||sniffed.example.com",
            "else -> tcp PassthroughCluster"
        ]
    );
    assert_eq!(filters(listener), ["tls_inspector", "http_inspector"]);
}

#[test]
fn requests_win_over_bytes_without_an_address() {
    let mesh = Mesh::new()
        .service(fixture::entry("bytes.example.com").port(80, "tcp"))
        .service(fixture::entry("web.example.com").port(80, "http"));
    assert_eq!(
        chains_of(&mesh, &fixture::sidecar(), "0.0.0.0_80"),
        ["raw_buffer http/1.1 h2c -> http 80", "else -> tcp PassthroughCluster"]
    );
    let alone = Mesh::new().service(fixture::entry("bytes.example.com").port(80, "tcp"));
    assert_eq!(chains_of(&alone, &fixture::sidecar(), "0.0.0.0_80"), [" -> tcp outbound|80||bytes.example.com"]);
}

#[test]
fn two_services_at_one_address_are_told_apart_where_they_can_be() {
    let mesh = Mesh::new()
        .service(fixture::entry("a.example.com").port(443, "tls").at("10.0.0.1").created(2))
        .service(fixture::entry("b.example.com").port(443, "tls").at("10.0.0.1").created(1));
    assert_eq!(
        chains_of(&mesh, &fixture::sidecar(), "10.0.0.1_443"),
        ["a.example.com -> tcp outbound|443||a.example.com", "else -> tcp outbound|443||b.example.com"]
    );
}

#[test]
fn a_headless_service_is_met_at_its_pods() {
    let mesh = Mesh::new().service(fixture::service("db").port(5432, "tcp").headless());
    let listeners = with_pods(&mesh, &fixture::sidecar(), &["10.0.0.8", "10.0.0.7", "2001:db8::7", "10.0.0.7"]);
    assert_eq!(names(&listeners), ["virtualOutbound", "10.0.0.7_5432", "10.0.0.8_5432"]);
    let http = Mesh::new().service(fixture::service("db").port(5432, "http").headless());
    assert_eq!(names(&with_pods(&http, &fixture::sidecar(), &["10.0.0.7"])), ["virtualOutbound", "0.0.0.0_5432"]);
}

#[test]
fn the_proxys_own_ports_are_never_listened_on_twice() {
    let mesh = Mesh::new().service(fixture::service("a").port(15001, "http").port(15006, "tcp"));
    assert_eq!(names(&compiled(&mesh, &fixture::sidecar())), ["virtualOutbound"]);
}

#[test]
fn without_capture_listeners_bind_the_address_of_the_proxy() {
    let mesh = Mesh::new()
        .service(fixture::service("web").port(9080, "http").at("10.0.0.1"))
        .service(fixture::service("cache").port(6379, "tcp").at("10.0.0.2"))
        .service(fixture::service("other").port(6379, "tcp").at("10.0.0.3"))
        .service(fixture::service("local").port(6380, "tcp").at("127.9.0.1"))
        .service(fixture::service("lost").port(9080, "tcp"));
    let viewpoint = Viewpoint { http_proxy_port: Some(15080), ..fixture::bound("127.0.0.7") };
    let listeners = compiled(&mesh, &viewpoint);
    assert_eq!(names(&listeners), ["127.0.0.7_15080", "127.0.0.7_6379", "127.0.0.7_9080", "127.9.0.1_6380"]);
    let shows = |name| chains(&named(&listeners, name).message);
    assert_eq!(shows("127.0.0.7_15080"), [" -> http http_proxy"]);
    assert_eq!(shows("127.0.0.7_9080"), [" -> http 9080"]);
    assert_eq!(shows("127.0.0.7_6379"), [" -> tcp outbound|6379||cache.default.svc.cluster.local"]);
    assert!(listeners.iter().all(|listener| listener.message.bind_to_port.is_none()));
    assert!(named(&listeners, "127.0.0.7_9080").message.listener_filters.is_empty());
}

#[test]
fn the_explicit_proxy_is_on_loopback_where_traffic_is_captured() {
    let viewpoint = Viewpoint { http_proxy_port: Some(15080), ..fixture::sidecar() };
    let listeners = compiled(&Mesh::new(), &viewpoint);
    assert_eq!(names(&listeners), ["virtualOutbound", "127.0.0.1_15080"]);
}

fn to(legs: &[(&str, u32)]) -> Vec<(Destination, u32)> {
    legs.iter().map(|(name, weight)| (fixture::leg(name, 0).destination, *weight)).collect()
}

#[test]
fn a_virtual_service_splits_bytes() {
    let tcp = TcpRule { matches: Vec::new(), route: to(&[("db/v1", 90), ("db/v2", 10), ("db/v3", 0)]) };
    let mesh = Mesh::new().service(fixture::service("db").port(5432, "tcp").at("10.0.0.1")).rules(
        "vs",
        &["db"],
        Vec::new(),
        Vec::new(),
        vec![tcp],
    );
    let listeners = compiled(&mesh, &fixture::sidecar());
    let listener = named(&listeners, "10.0.0.1_5432");
    assert_eq!(
        chains(&listener.message),
        [" -> tcp outbound|5432|v1|db.default.svc.cluster.local=90 outbound|5432|v2|db.default.svc.cluster.local=10"]
    );
    assert!(listener.provenance.iter().any(|origin| &*origin.field == "spec.tcp[0]"));
    assert!(listener.message.filter_chains[0].metadata.is_some());
    assert_eq!(listener.references.clusters.len(), 2);
}

#[test]
fn bytes_are_sorted_by_address_before_the_listener_is_or_by_its_chains() {
    let subnet = |ip: &str, prefix_len| crate::model::service::Address { ip: ip.parse().unwrap(), prefix_len };
    let rule = |subnets: Vec<_>, name: &str| TcpRule {
        matches: vec![L4Match { destination_subnets: subnets, ..L4Match::default() }],
        route: to(&[(name, 0)]),
    };
    let rules = || vec![rule(vec![subnet("10.1.0.0", 16)], "one"), rule(vec![subnet("10.2.0.0", 16)], "two")];
    let at = |written: route::fixture::Written| {
        Mesh::new().service(written.port(5432, "tcp")).rules("vs", &["db"], Vec::new(), Vec::new(), rules())
    };
    assert_eq!(
        chains_of(&at(fixture::service("db").at("10.2.0.1")), &fixture::sidecar(), "10.2.0.1_5432"),
        [" -> tcp outbound|5432||two.default.svc.cluster.local"]
    );
    assert_eq!(
        chains_of(&at(fixture::service("db").at("10.3.0.1")), &fixture::sidecar(), "10.3.0.1_5432"),
        [" -> tcp outbound|5432||db.default.svc.cluster.local"]
    );
    assert_eq!(
        chains_of(&at(fixture::service("db")), &fixture::sidecar(), "0.0.0.0_5432"),
        [
            "10.1.0.0/16 -> tcp outbound|5432||one.default.svc.cluster.local",
            "10.2.0.0/16 -> tcp outbound|5432||two.default.svc.cluster.local",
            "else -> tcp outbound|5432||db.default.svc.cluster.local"
        ]
    );
}

#[test]
fn a_virtual_service_sorts_tls_by_server_name() {
    let rule = |sni: &str, name: &str| TlsRule {
        matches: vec![L4Match { sni_hosts: vec![fixture::host(sni)], port: Some(443), ..L4Match::default() }],
        route: to(&[(name, 0)]),
    };
    let rules = vec![rule("a.example.com", "one"), rule("a.example.com", "late"), rule("*.example.com", "two")];
    let mesh = Mesh::new().service(fixture::entry("*.example.com").port(443, "tls").port(444, "tls")).rules(
        "vs",
        &["*.example.com"],
        Vec::new(),
        rules,
        Vec::new(),
    );
    assert_eq!(
        chains_of(&mesh, &fixture::sidecar(), "0.0.0.0_443"),
        [
            "a.example.com -> tcp outbound|443||one.default.svc.cluster.local",
            "*.example.com -> tcp outbound|443||two.default.svc.cluster.local",
            "else -> tcp PassthroughCluster"
        ]
    );
    assert_eq!(
        chains_of(&mesh, &fixture::sidecar(), "0.0.0.0_444"),
        ["*.example.com -> tcp outbound|444||*.example.com", "else -> tcp PassthroughCluster"],
        "no rule speaks of this port"
    );
}

#[test]
fn listeners_ask_for_the_route_configurations_that_are_planned() {
    let mesh = Mesh::new()
        .service(fixture::service("web").port(80, "http").port(8000, "auto").at("10.0.0.1").at("127.9.0.1"))
        .service(fixture::service("any").port(8001, "auto"))
        .service(fixture::entry("sniffed.example.com").port(443, "auto").in_range("10.2.0.0", 16));
    for viewpoint in [fixture::sidecar(), Viewpoint { http_proxy_port: Some(80), ..fixture::bound("127.0.0.7") }] {
        let asked: std::collections::BTreeSet<String> = compiled(&mesh, &viewpoint)
            .iter()
            .flat_map(|listener| listener.references.routes.iter().map(ToString::to_string))
            .collect();
        let planned: std::collections::BTreeSet<String> =
            route::plan(&mesh.scope(), &viewpoint).iter().map(|plan| plan.name.to_string()).collect();
        assert_eq!(asked, planned);
    }
}

fn inbound_of(viewpoint: &Viewpoint, ports: &[InboundInput]) -> Vec<Compiled<Listener>> {
    plan_inbound(&Mesh::new().scope(), viewpoint, ports, &WorkloadTls::disabled()).iter().filter_map(inbound).collect()
}

fn inbound_input(written: route::fixture::Written, port: u16) -> InboundInput {
    let scoped = written.scoped();
    InboundInput {
        port,
        services: vec![(scoped.service, scoped.rule)],
        ingress: None,
        interception: Interception::Redirect,
        ipv6: true,
        config: Mesh::new().scope().config,
    }
}

#[test]
fn inbound_ports_are_read_as_their_service_says() {
    let ports = [
        inbound_input(fixture::service("web").port(9080, "http"), 9080),
        inbound_input(fixture::service("db").port(5432, "mysql"), 5432),
        inbound_input(fixture::service("any").port(8000, "auto"), 8000),
        inbound_input(fixture::service("dns").port(53, "udp"), 53),
        inbound_input(fixture::service("odd").port(15006, "http"), 15006),
    ];
    let listeners = inbound_of(&fixture::sidecar(), &ports);
    let [listener] = listeners.as_slice() else { panic!("not one listener") };
    assert_eq!(&*listener.name, "virtualInbound");
    assert_eq!(
        chains(&listener.message),
        [
            ":15006 -> tcp BlackHoleCluster",
            "http/1.1 h2c -> http inline InboundPassthroughCluster",
            " -> tcp InboundPassthroughCluster",
            ":5432 -> tcp inbound|5432||",
            ":8000 http/1.1 h2c -> http inline inbound|8000||",
            ":8000 -> tcp inbound|8000||",
            ":9080 -> http inline inbound|9080||"
        ]
    );
    assert_eq!(listener.references.clusters.len(), 5);
    assert_eq!(filters(&listener.message), ["original_dst", "http_inspector"]);
    let disabled = format!("{:?}", listener.message.listener_filters[1].filter_disabled);
    assert!(["start: 5432", "start: 9080", "start: 15006"].iter().all(|port| disabled.contains(port)), "{disabled}");
    assert!(!disabled.contains("8000"));
}

#[test]
fn an_inbound_request_is_tried_again_only_when_the_application_never_saw_it() {
    let listeners = inbound_of(&fixture::sidecar(), &[inbound_input(fixture::service("web").port(80, "http"), 80)]);
    let chain = listeners[0].message.filter_chains.last().unwrap();
    assert_eq!(chain.name, "0.0.0.0_80");
    let Some(ConfigType::TypedConfig(config)) = &chain.filters[0].config_type else { panic!("no filter") };
    let manager: HttpConnectionManager = pack::unpack(config).unwrap();
    assert_eq!((manager.server_name.as_str(), manager.stat_prefix.as_str()), ("istio-envoy", "inbound_0.0.0.0_80;"));
    let Some(RouteSpecifier::RouteConfig(routes)) = manager.route_specifier else { panic!("no routes") };
    let shown = format!("{routes:?}");
    assert!(shown.contains("reset-before-request") && shown.contains("web.default.svc.cluster.local:80/*"), "{shown}");
}

#[test]
fn without_capture_only_ingress_entries_are_listened_on() {
    let ingress = Ingress {
        port: 9080,
        name: "http".into(),
        protocol: Protocol::Http,
        bind: None,
        default_endpoint: Some(EndpointAddress::Ip("127.0.0.1".parse().unwrap(), 8080)),
    };
    let sidecar =
        Sidecar { workload_selector: None, egress: None, ingress: vec![ingress], outbound_traffic_policy: None };
    let sidecar = Shared::new(fixture::object(Kind::Sidecar, "own", sidecar));
    let viewpoint = fixture::bound("127.0.0.7");
    let entry = InboundInput {
        services: Vec::new(),
        ingress: Some((sidecar, 0)),
        interception: viewpoint.interception,
        ..inbound_input(fixture::service("web").port(9080, "http"), 9080)
    };
    let service = inbound_input(fixture::service("other").port(1, "http"), 1);
    let listeners = inbound_of(&viewpoint, &[entry, service]);
    assert_eq!(names(&listeners), ["127.0.0.7_9080"]);
    assert_eq!(chains(&listeners[0].message), [" -> http inline inbound|9080||"]);
    assert_eq!(&*listeners[0].provenance[0].field, "spec.ingress[0]");
}

#[test]
fn a_grpc_client_finds_a_listener_for_every_spelling_of_its_target() {
    let mesh = Mesh::new().service(fixture::service("backend").port(9000, "grpc"));
    let viewpoint = Viewpoint { kind: ProxyKind::Grpc, ..fixture::sidecar() };
    let listeners = compiled(&mesh, &viewpoint);
    for name in ["backend:9000", "backend.default:9000", "backend.default.svc:9000"] {
        let listener = named(&listeners, name);
        assert!(listener.message.api_listener.is_some() && listener.message.address.is_none());
        assert_eq!(&*listener.references.routes[0], "outbound|9000||backend.default.svc.cluster.local");
    }
    assert!(inbound_of(&viewpoint, &[]).is_empty());
}
