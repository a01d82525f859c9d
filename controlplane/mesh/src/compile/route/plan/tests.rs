//! What route configurations hold.

use super::*;
use crate::{
    compile::route::fixture::{self, Mesh},
    model::virtual_service::HttpMatch,
};

fn bookinfo() -> Mesh {
    Mesh::new()
        .service(fixture::service("details").port(9080, "http").at("10.96.0.1"))
        .service(fixture::service("reviews").port(9080, "http").at("10.96.0.2"))
        .service(fixture::entry("api.example.com").port(80, "http").port(443, "tls"))
}

/// Name of each virtual host and its domains.
fn hosts(mesh: &Mesh, viewpoint: &Viewpoint, name: &str) -> Vec<(String, Vec<String>)> {
    let plans = super::super::plan(&mesh.scope(), viewpoint);
    let plan = plans.into_iter().find(|plan| &*plan.name == name);
    let plan = plan.unwrap_or_else(|| panic!("no route configuration {name}"));
    let compiled = plan.hosts.iter().map(|host| super::super::virtual_host(host).message);
    compiled.map(|host| (host.name, host.domains)).collect()
}

fn names(mesh: &Mesh, viewpoint: &Viewpoint) -> Vec<String> {
    super::super::plan(&mesh.scope(), viewpoint).into_iter().map(|plan| plan.name.to_string()).collect()
}

fn domains_of(mesh: &Mesh, viewpoint: &Viewpoint, name: &str, host: &str) -> Vec<String> {
    let found = hosts(mesh, viewpoint, name).into_iter().find(|(name, _)| name == host);
    found.map(|(_, domains)| domains).unwrap_or_default()
}

/// The name of the VirtualService that a virtual host follows, or `-`.
fn followed(mesh: &Mesh, name: &str, host: &str) -> String {
    let plans = super::super::plan(&mesh.scope(), &fixture::sidecar());
    let plan = plans.into_iter().find(|plan| &*plan.name == name).unwrap();
    let found = plan.hosts.into_iter().find(|input| &*super::super::virtual_host(input).name == host);
    match found.unwrap_or_else(|| panic!("no virtual host {host}")).content {
        VirtualHostContent::VirtualService { virtual_service, .. } => virtual_service.id.name.to_string(),
        VirtualHostContent::Service { .. } | VirtualHostContent::Fallback(_) => "-".to_owned(),
    }
}

#[test]
fn each_http_port_has_a_route_configuration_with_its_services_and_a_fallback() {
    let mesh = bookinfo();
    assert_eq!(names(&mesh, &fixture::sidecar()), ["80", "9080"]);
    let at_9080: Vec<String> = hosts(&mesh, &fixture::sidecar(), "9080").into_iter().map(|(name, _)| name).collect();
    assert_eq!(
        at_9080,
        ["details.default.svc.cluster.local:9080", "reviews.default.svc.cluster.local:9080", "allow_any"]
    );
    let blocked = hosts(&bookinfo().registry_only(), &fixture::sidecar(), "80");
    assert_eq!(blocked.last(), Some(&("block_all".to_owned(), vec!["*".to_owned()])));
}

#[test]
fn the_head_is_that_of_istio() {
    let plans = super::super::plan(&bookinfo().scope(), &fixture::sidecar());
    let head = RouteConfiguration::decode(plans[1].head.clone()).unwrap();
    assert_eq!(head.name, "9080");
    assert!(head.ignore_port_in_host_matching);
    assert_eq!(head.validate_clusters, Some(false));
    assert_eq!(head.max_direct_response_body_size_bytes, Some(1_048_576));
}

#[test]
fn a_sniffed_port_takes_any_host_at_its_own_address() {
    let mesh = Mesh::new().service(fixture::service("any").port(8000, "auto").at("10.96.0.9"));
    let name = "any.default.svc.cluster.local:8000";
    assert_eq!(hosts(&mesh, &fixture::sidecar(), name), [(name.to_owned(), vec!["*".to_owned()])]);
    let without_address = Mesh::new().service(fixture::service("any").port(8000, "auto"));
    assert_eq!(names(&without_address, &fixture::sidecar()), ["8000"]);
}

#[test]
fn a_virtual_service_holds_for_the_service_in_all_its_spellings() {
    let mesh = bookinfo().virtual_service("vs", &["reviews"], vec![fixture::rule("reviews")]);
    let reviews = "reviews.default.svc.cluster.local:9080";
    assert_eq!(followed(&mesh, "9080", reviews), "vs");
    assert_eq!(followed(&mesh, "9080", "details.default.svc.cluster.local:9080"), "-");
    assert!(domains_of(&mesh, &fixture::sidecar(), "9080", reviews).contains(&"reviews".to_owned()));
}

#[test]
fn a_virtual_service_without_a_rule_for_here_leaves_the_service_alone() {
    let elsewhere = HttpMatch { port: Some(1), ..HttpMatch::default() };
    let mesh = bookinfo().virtual_service("none", &["reviews"], vec![]).virtual_service(
        "elsewhere",
        &["reviews"],
        vec![fixture::rule("reviews").when(elsewhere)],
    );
    assert_eq!(followed(&mesh, "9080", "reviews.default.svc.cluster.local:9080"), "-");
    let mesh = mesh.virtual_service("here", &["reviews"], vec![fixture::rule("reviews")]);
    assert_eq!(followed(&mesh, "9080", "reviews.default.svc.cluster.local:9080"), "here");
}

#[test]
fn a_foreign_host_is_served_on_port_80_under_its_very_name() {
    let mesh = bookinfo().virtual_service("vs", &["foreign.example.com"], vec![fixture::rule("reviews")]);
    let domains = domains_of(&mesh, &fixture::sidecar(), "80", "foreign.example.com:80");
    assert_eq!(domains, ["foreign.example.com"]);
    assert!(domains_of(&mesh, &fixture::sidecar(), "9080", "foreign.example.com:9080").is_empty());
}

#[test]
fn a_foreign_host_is_served_where_another_host_of_its_virtual_service_is() {
    let mesh = bookinfo().virtual_service("vs", &["foreign.example.com", "reviews"], vec![fixture::rule("reviews")]);
    assert_eq!(domains_of(&mesh, &fixture::sidecar(), "9080", "foreign.example.com:9080"), ["foreign.example.com"]);
}

#[test]
fn a_virtual_service_named_like_a_short_form_takes_that_form_alone() {
    let mesh = Mesh::new().service(fixture::service("web").port(80, "http")).virtual_service(
        "vs",
        &["web.default"],
        vec![fixture::rule("web")],
    );
    assert_eq!(domains_of(&mesh, &fixture::sidecar(), "80", "web.default:80"), ["web.default"]);
    let web = domains_of(&mesh, &fixture::sidecar(), "80", "web.default.svc.cluster.local:80");
    assert!(!web.contains(&"web.default".to_owned()) && web.contains(&"web".to_owned()));
}

#[test]
fn of_two_virtual_services_for_a_foreign_host_the_first_counts() {
    let mesh = bookinfo()
        .virtual_service("first", &["foreign.example.com"], vec![fixture::rule("reviews")])
        .virtual_service("second", &["foreign.example.com"], vec![fixture::rule("details")]);
    assert_eq!(followed(&mesh, "80", "foreign.example.com:80"), "first");
}

#[test]
fn a_star_covers_services_but_not_unknown_hosts() {
    let mesh = bookinfo().virtual_service("star", &["*"], vec![fixture::rule("reviews")]);
    assert_eq!(followed(&mesh, "9080", "details.default.svc.cluster.local:9080"), "star");
    assert_eq!(followed(&mesh, "9080", "allow_any"), "-");
}

#[test]
fn a_wildcard_is_served_for_hosts_that_no_service_has() {
    let mesh = bookinfo().virtual_service("wild", &["*.example.com"], vec![fixture::rule("reviews")]);
    assert_eq!(followed(&mesh, "80", "api.example.com:80"), "wild");
    assert_eq!(domains_of(&mesh, &fixture::sidecar(), "80", "*.example.com:80"), ["*.example.com"]);
}

#[test]
fn an_alias_is_another_name_of_its_target() {
    let mesh = bookinfo().service(fixture::alias("stars", "reviews"));
    let reviews = domains_of(&mesh, &fixture::sidecar(), "9080", "reviews.default.svc.cluster.local:9080");
    assert!(reviews.contains(&"stars".to_owned()) && reviews.contains(&"stars.default".to_owned()));
    assert_eq!(hosts(&mesh, &fixture::sidecar(), "9080").len(), 3);
}

#[test]
fn an_alias_that_a_virtual_service_names_has_rules_of_its_own() {
    let mesh = bookinfo().service(fixture::alias("stars", "reviews")).virtual_service(
        "vs",
        &["stars"],
        vec![fixture::rule("details")],
    );
    assert_eq!(followed(&mesh, "9080", "stars.default.svc.cluster.local:9080"), "vs");
    let stars = domains_of(&mesh, &fixture::sidecar(), "9080", "stars.default.svc.cluster.local:9080");
    assert!(stars.contains(&"stars".to_owned()));
}

#[test]
fn the_explicit_proxy_is_right_for_every_port() {
    let mesh = Mesh::new()
        .service(fixture::service("web").port(80, "http").port(8080, "http").at("10.96.0.1"))
        .service(fixture::service("db").port(5432, "tcp").at("10.96.0.2"));
    let mut viewpoint = fixture::bound("127.0.0.7");
    viewpoint.http_proxy_port = Some(15080);
    let at_80 = domains_of(&mesh, &viewpoint, HTTP_PROXY, "web.default.svc.cluster.local:80");
    assert!(at_80.contains(&"web".to_owned()) && at_80.contains(&"web:80".to_owned()));
    assert!(at_80.contains(&"10.96.0.1:80".to_owned()));
    let at_8080 = domains_of(&mesh, &viewpoint, HTTP_PROXY, "web.default.svc.cluster.local:8080");
    assert!(at_8080.contains(&"web:8080".to_owned()) && at_8080.iter().all(|domain| domain.ends_with(":8080")));
    let plans = super::super::plan(&mesh.scope(), &viewpoint);
    let plan = plans.iter().find(|plan| &*plan.name == HTTP_PROXY).unwrap();
    assert!(!RouteConfiguration::decode(plan.head.clone()).unwrap().ignore_port_in_host_matching);
    assert_eq!(plan.hosts.len(), 3);
}

#[test]
fn an_address_that_two_services_have_belongs_to_the_older() {
    let mesh = Mesh::new()
        .service(fixture::entry("a.example.com").port(80, "http").at("10.0.0.1").created(20))
        .service(fixture::entry("b.example.com").port(80, "http").at("10.0.0.1").created(10));
    let has = |host: &str| domains_of(&mesh, &fixture::sidecar(), "80", host).contains(&"10.0.0.1".to_owned());
    assert_eq!((has("a.example.com:80"), has("b.example.com:80")), (false, true));
}

#[test]
fn a_service_for_every_host_takes_the_place_of_the_fallback() {
    let mesh = Mesh::new().service(fixture::entry("*").port(80, "http"));
    assert_eq!(hosts(&mesh, &fixture::sidecar(), "80"), [("*:80".to_owned(), vec!["*".to_owned()])]);
}

#[test]
fn a_grpc_client_has_a_route_configuration_for_each_port_of_each_service() {
    let mesh = Mesh::new().service(fixture::service("backend").port(9000, "grpc").port(9001, "udp"));
    let viewpoint = Viewpoint { kind: crate::compile::viewpoint::ProxyKind::Grpc, ..fixture::sidecar() };
    let name = "outbound|9000||backend.default.svc.cluster.local";
    assert_eq!(names(&mesh, &viewpoint), [name]);
    let domains = domains_of(&mesh, &viewpoint, name, "backend.default.svc.cluster.local:9000");
    for domain in ["backend", "backend:9000", "backend.default.svc:9000", "backend.default.svc.cluster.local:9000"] {
        assert!(domains.contains(&domain.to_owned()), "{domain}");
    }
}

#[test]
fn a_name_that_was_declared_is_kept_from_those_who_only_spell_it() {
    let mesh = Mesh::new()
        .service(fixture::service("web").port(80, "http").at("10.0.0.1"))
        .service(fixture::service("db").port(80, "http").headless())
        .service(fixture::entry("web.default.svc").port(80, "http"))
        .service(fixture::entry("*.db.default").port(80, "http"))
        .service(fixture::entry("10.0.0.1").port(80, "http"));
    let of = |host: &str| domains_of(&mesh, &fixture::sidecar(), "80", host);
    assert_eq!(
        of("web.default.svc.cluster.local:80"),
        ["web.default.svc.cluster.local", "web.default.svc.cluster.local.", "web", "web.default"]
    );
    assert!(!of("db.default.svc.cluster.local:80").contains(&"*.db.default".to_owned()));
    assert_eq!(of("*.db.default:80"), ["*.db.default"]);
    assert_eq!(of("10.0.0.1:80"), ["10.0.0.1", "10.0.0.1."]);
}

#[test]
fn the_explicit_proxy_settles_each_port_alone() {
    let mesh = Mesh::new()
        .service(fixture::service("web").port(80, "http").port(81, "http"))
        .service(fixture::entry("web.default").port(80, "http"));
    let viewpoint = Viewpoint { http_proxy_port: Some(15080), ..fixture::bound("127.0.0.7") };
    let of = |host: &str| domains_of(&mesh, &viewpoint, HTTP_PROXY, host);
    assert!(!of("web.default.svc.cluster.local:80").iter().any(|d| d == "web.default" || d == "web.default:80"));
    assert!(of("web.default.svc.cluster.local:81").contains(&"web.default:81".to_owned()));
    assert!(of("web.default:80").contains(&"web.default".to_owned()));
}
