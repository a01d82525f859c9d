//! Routes as they come of a VirtualService.

use proto::{
    envoy::{config::route::v3::VirtualHost, extensions::filters::http::fault::v3::HttpFault},
    google::protobuf::ValueKind,
    pack,
};

use super::*;
use crate::{
    compile::{
        Compiled,
        route::{
            self,
            fixture::{self, Mesh},
        },
    },
    model::virtual_service::{
        AbortStatus, Cors, Fault, FaultAbort, FaultDelay, HeaderOperations, Millionths, Mirror, Redirect, Retries,
        Rewrite,
    },
};

fn mesh() -> Mesh {
    Mesh::new()
        .service(fixture::service("reviews").port(9080, "http").at("10.96.0.2"))
        .service(fixture::service("ratings").port(9080, "http"))
        .service(fixture::service("many").port(80, "http").port(9080, "http"))
}

/// The compiled virtual host of `reviews` at 9080.
fn compiled(mesh: &Mesh) -> Compiled<VirtualHost> {
    let plans = route::plan(&mesh.scope(), &fixture::sidecar());
    let hosts = plans.into_iter().find(|plan| &*plan.name == "9080").unwrap().hosts;
    hosts.iter().map(route::virtual_host).find(|host| host.name.starts_with("reviews.")).unwrap()
}

fn with_rules(rules: Vec<HttpRule>) -> Compiled<VirtualHost> {
    compiled(&mesh().virtual_service("vs", &["reviews"], rules))
}

fn only(rule: HttpRule) -> Route {
    let mut routes = with_rules(vec![rule]).message.routes;
    assert_eq!(routes.len(), 1);
    routes.remove(0)
}

fn forwarding(route: &Route) -> &RouteAction {
    let Some(Action::Route(action)) = &route.action else { panic!("not forwarded: {route:?}") };
    action
}

fn shares(route: &Route) -> Vec<(String, u32)> {
    match forwarding(route).cluster_specifier.as_ref().unwrap() {
        ClusterSpecifier::Cluster(name) => vec![(name.clone(), 100)],
        ClusterSpecifier::WeightedClusters(weighted) => {
            weighted.clusters.iter().map(|c| (c.name.clone(), c.weight.unwrap())).collect()
        }
        ClusterSpecifier::ClusterHeader(_)
        | ClusterSpecifier::ClusterSpecifierPlugin(_)
        | ClusterSpecifier::InlineClusterSpecifierPlugin(_) => panic!("unexpected clusters: {route:?}"),
    }
}

fn to(legs: Vec<HttpDestination>) -> HttpRule {
    HttpRule { action: HttpAction::Route(legs), ..HttpRule::default() }
}

#[test]
fn a_service_alone_gets_everything_with_the_default_retries() {
    let host = compiled(&mesh());
    let route = &host.message.routes[0];
    assert_eq!(route.name, "default");
    assert_eq!(shares(route), [("outbound|9080||reviews.default.svc.cluster.local".to_owned(), 100)]);
    let action = forwarding(route);
    assert_eq!(action.timeout, Some(duration::of(Duration::ZERO)));
    assert_eq!(action.retry_policy.as_ref().unwrap().num_retries, Some(2));
    assert_eq!(route.decorator.as_ref().unwrap().operation, "reviews.default.svc.cluster.local:9080/*");
    assert!(host.message.include_request_attempt_count);
    assert_eq!(&*host.references.clusters[0], "outbound|9080||reviews.default.svc.cluster.local");
    assert_eq!(host.provenance[0].object.to_string(), "Service default/reviews");
}

#[test]
fn weights_split_and_a_weight_of_zero_drops_its_leg() {
    let route =
        only(to(vec![fixture::leg("reviews/v1", 90), fixture::leg("reviews/v2", 0), fixture::leg("ratings", 10)]));
    assert_eq!(
        shares(&route),
        [
            ("outbound|9080|v1|reviews.default.svc.cluster.local".to_owned(), 90),
            ("outbound|9080||ratings.default.svc.cluster.local".to_owned(), 10)
        ]
    );
    assert_eq!(route.decorator.as_ref().unwrap().operation, "vs:9080/*");
    let single = only(to(vec![fixture::leg("reviews/v1", 0)]));
    assert_eq!(shares(&single).len(), 1);
    let left_over = only(to(vec![fixture::leg("reviews/v1", 100), fixture::leg("reviews/v2", 0)]));
    assert!(matches!(forwarding(&left_over).cluster_specifier, Some(ClusterSpecifier::Cluster(_))));
}

#[test]
fn each_match_is_a_route_and_what_comes_after_everything_is_left_out() {
    let path = |path: &str| HttpMatch { uri: Some(StringMatch::Prefix(path.into())), ..HttpMatch::default() };
    let host = with_rules(vec![
        fixture::rule("ratings").when(path("/a")).when(path("/b")),
        fixture::rule("reviews"),
        fixture::rule("ratings").when(path("/c")),
    ]);
    assert_eq!(host.message.routes.len(), 3);
    let origins: Vec<&str> = host.provenance.iter().map(|origin| &*origin.field).collect();
    assert_eq!(origins, ["spec.http[0].match[0]", "spec.http[0].match[1]", "spec.http[1]"]);
}

#[test]
fn metadata_name_the_object_and_the_field() {
    let condition = HttpMatch { name: "match".into(), ..HttpMatch::default() };
    let route = only(HttpRule { name: "rule".into(), ..fixture::rule("reviews") }.when(condition));
    assert_eq!(route.name, "rule.match");
    let metadata = route.metadata.unwrap().filter_metadata;
    let config = metadata["istio"].fields["config"].kind.clone();
    let expected = "/apis/networking.istio.io/v1/namespaces/default/virtual-service/vs";
    assert_eq!(config, Some(ValueKind::StringValue(expected.to_owned())));
    let origins = format!("{:?}", metadata["mainsheet"]);
    assert!(origins.contains("VirtualService default/vs: spec.http[0].match[0]"), "{origins}");
}

#[test]
fn a_timeout_stands_alone_and_zero_is_without_end() {
    let timeout = |timeout| forwarding(&only(HttpRule { timeout, ..fixture::rule("reviews") })).clone();
    let half = timeout(Some(Duration::from_millis(500)));
    assert_eq!(half.timeout, Some(duration::of(Duration::from_millis(500))));
    assert_eq!(half.max_stream_duration, None, "Envoy would ignore the timeout");
    assert_eq!(timeout(Some(Duration::ZERO)), timeout(None));
    assert_eq!(timeout(None).max_stream_duration, Some(endless()));
}

#[test]
fn retries_faults_mirrors_and_cors_are_on_the_route() {
    let fault = Fault {
        delay: Some(FaultDelay { duration: Duration::from_secs(2), share: Millionths(1_000_000) }),
        abort: Some(FaultAbort { status: AbortStatus::Http(500), share: Millionths(500_000) }),
    };
    let route = only(HttpRule {
        fault: Some(fault),
        retries: Some(Retries { attempts: 3, ..Retries::default() }),
        mirrors: vec![
            Mirror { destination: fixture::destination("ratings"), share: Millionths(250_000) },
            Mirror { destination: fixture::destination("many"), share: Millionths(0) },
        ],
        cors: Some(Cors::default()),
        ..fixture::rule("reviews")
    });
    let action = forwarding(&route);
    assert_eq!(action.retry_policy.as_ref().unwrap().num_retries, Some(3));
    let [mirror] = action.request_mirror_policies.as_slice() else { panic!("not one mirror") };
    assert_eq!(mirror.cluster, "outbound|9080||ratings.default.svc.cluster.local");
    assert!(mirror.disable_shadow_host_suffix_append);
    let fault: HttpFault = pack::unpack(&route.typed_per_filter_config[fault::FILTER]).unwrap();
    assert!(fault.delay.is_some() && fault.abort.is_some());
    assert!(route.typed_per_filter_config.contains_key(cors::FILTER));
}

#[test]
fn references_name_every_cluster() {
    let mirror = Mirror { destination: fixture::destination("many"), share: Millionths(1) };
    let host = with_rules(vec![
        to(vec![fixture::leg("reviews/v1", 1), fixture::leg("reviews/v2", 1)])
            .when(HttpMatch { method: Some(StringMatch::Exact("GET".into())), ..HttpMatch::default() }),
        HttpRule { mirrors: vec![mirror], ..fixture::rule("missing") },
    ]);
    let names: Vec<&str> = host.references.clusters.iter().map(|name| &**name).collect();
    assert_eq!(
        names,
        [
            "outbound|9080|v1|reviews.default.svc.cluster.local",
            "outbound|9080|v2|reviews.default.svc.cluster.local",
            "outbound|9080||many.default.svc.cluster.local",
            "outbound|9080||missing.default.svc.cluster.local"
        ]
    );
}

#[test]
fn a_redirect_keeps_response_headers_and_drops_faults() {
    let mut rule = HttpRule {
        action: HttpAction::Redirect(Redirect { uri: Some("/x".into()), code: 301, ..Redirect::default() }),
        fault: Some(Fault {
            delay: None,
            abort: Some(FaultAbort { status: AbortStatus::Http(500), share: Millionths(1) }),
        }),
        ..HttpRule::default()
    };
    rule.headers.response.set.push(("x-a".into(), "1".into()));
    let route = only(rule);
    assert!(matches!(route.action, Some(Action::Redirect(_))));
    assert_eq!(route.response_headers_to_add.len(), 1);
    assert!(route.typed_per_filter_config.is_empty());
}

fn setting(name: &str, value: &str) -> HeaderChanges {
    let set = vec![(name.to_owned(), value.to_owned())];
    HeaderChanges { request: HeaderOperations { set, ..HeaderOperations::default() }, ..HeaderChanges::default() }
}

#[test]
fn a_destinations_headers_win_over_the_routes() {
    let mut legs = vec![fixture::leg("reviews/v1", 1), fixture::leg("reviews/v2", 1)];
    legs[0].headers = setting("x-a", "leg");
    let route = only(HttpRule { headers: setting("x-a", "route"), ..to(legs) });
    assert!(route.request_headers_to_add.is_empty(), "Envoy would apply these last");
    let Some(ClusterSpecifier::WeightedClusters(weighted)) = &forwarding(&route).cluster_specifier else {
        panic!("not weighted")
    };
    let values = |cluster: &ClusterWeight| -> Vec<String> {
        cluster.request_headers_to_add.iter().map(|o| o.header.clone().unwrap().value).collect()
    };
    assert_eq!(values(&weighted.clusters[0]), ["route", "leg"]);
    assert_eq!(values(&weighted.clusters[1]), ["route"]);
}

#[test]
fn headers_of_the_route_alone_stay_with_the_route() {
    let legs = vec![fixture::leg("reviews/v1", 1), fixture::leg("reviews/v2", 1)];
    let route = only(HttpRule { headers: setting("x-a", "route"), ..to(legs) });
    assert_eq!(route.request_headers_to_add.len(), 1);
}

#[test]
fn a_host_header_of_one_leg_rewrites_the_host_of_that_leg() {
    let legs = || {
        let mut legs = vec![fixture::leg("reviews/v1", 1), fixture::leg("reviews/v2", 1)];
        legs[0].headers = setting("host", "other");
        legs
    };
    let rewritten = |rule| {
        let route = only(rule);
        let Some(ClusterSpecifier::WeightedClusters(weighted)) = &forwarding(&route).cluster_specifier else {
            panic!("not weighted")
        };
        weighted.clusters.iter().map(|cluster| cluster.host_rewrite_specifier.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(rewritten(to(legs())), [true, false]);
    let rewrite = Rewrite { authority: Some("all".into()), ..Rewrite::default() };
    assert_eq!(rewritten(HttpRule { rewrite: Some(rewrite), ..to(legs()) }), [false, false]);
}

#[test]
fn hashing_of_a_destination_is_a_policy_of_the_route() {
    let mesh =
        Mesh::new().service(fixture::service("reviews").port(9080, "http").hashed(HashKey::SourceIp)).virtual_service(
            "vs",
            &["reviews"],
            vec![to(vec![fixture::leg("reviews/v1", 1), fixture::leg("reviews/v2", 1)])],
        );
    let host = compiled(&mesh);
    assert_eq!(forwarding(&host.message.routes[0]).hash_policy.len(), 1, "once for two subsets");
    let rule = host.provenance.iter().find(|origin| origin.object.to_string() == "DestinationRule default/reviews");
    assert_eq!(&*rule.unwrap().field, "spec.trafficPolicy.loadBalancer");
    let plain = Mesh::new().service(fixture::service("reviews").port(9080, "http").hashed(HashKey::SourceIp));
    assert_eq!(forwarding(&compiled(&plain).message.routes[0]).hash_policy.len(), 1);
}

#[test]
fn a_delegates_rules_stand_in_place_of_the_rule() {
    let prefix = |path: &str| HttpMatch { uri: Some(StringMatch::Prefix(path.into())), ..HttpMatch::default() };
    let mesh = mesh()
        .virtual_service(
            "vs",
            &["reviews"],
            vec![fixture::delegating("leaf").when(prefix("/a")), fixture::rule("reviews")],
        )
        .delegate(
            "leaf",
            vec![fixture::rule("ratings").when(prefix("/a/b")), fixture::rule("many").when(prefix("/z"))],
        );
    let host = compiled(&mesh);
    assert_eq!(host.message.routes.len(), 2, "the match outside the root's is dropped");
    assert_eq!(shares(&host.message.routes[0])[0].0, "outbound|9080||ratings.default.svc.cluster.local");
    let objects: Vec<String> =
        host.provenance.iter().map(|origin| format!("{} {}", origin.object.name, origin.field)).collect();
    assert_eq!(objects, ["leaf spec.http[0].match[0]", "vs spec.http[0].match[0]", "vs spec.http[1]"]);
}

#[test]
fn long_texts_are_cut() {
    let name = "n".repeat(5000);
    let condition = HttpMatch {
        uri: Some(StringMatch::Exact(format!("/{name}"))),
        stat_prefix: name.clone(),
        ..HttpMatch::default()
    };
    let route = only(HttpRule { name, ..fixture::rule("reviews") }.when(condition));
    assert_eq!((route.name.len(), route.stat_prefix.len()), (STAT_LEN_MAX, STAT_LEN_MAX));
    assert_eq!(route.decorator.unwrap().operation.len(), STAT_LEN_MAX);
}

#[test]
fn a_grpc_client_gets_what_it_understands() {
    let query = HttpMatch {
        query_params: vec![("q".into(), crate::model::string_match::ValueMatch::Present)],
        ..HttpMatch::default()
    };
    let fault =
        Fault { delay: Some(FaultDelay { duration: Duration::from_secs(2), share: Millionths(1) }), abort: None };
    let mesh = mesh().virtual_service(
        "vs",
        &["reviews"],
        vec![
            fixture::rule("ratings").when(query),
            HttpRule {
                headers: setting("x-a", "1"),
                timeout: Some(Duration::from_secs(1)),
                fault: Some(fault),
                ..to(vec![fixture::leg("reviews/v1", 1), fixture::leg("reviews/v2", 1)])
            },
        ],
    );
    let viewpoint =
        crate::compile::viewpoint::Viewpoint { kind: crate::compile::viewpoint::ProxyKind::Grpc, ..fixture::sidecar() };
    let plans = route::plan(&mesh.scope(), &viewpoint);
    let plan = plans.iter().find(|plan| plan.name.ends_with("reviews.default.svc.cluster.local")).unwrap();
    let host = route::virtual_host(&plan.hosts[0]);
    let [route] = host.message.routes.as_slice() else { panic!("not one route") };
    let action = forwarding(route);
    assert!(route.typed_per_filter_config.is_empty() && route.request_headers_to_add.is_empty());
    assert_eq!(action.retry_policy.as_ref().unwrap().retry_on, "unavailable,cancelled");
    let longest = action.max_stream_duration.as_ref().unwrap().max_stream_duration;
    assert_eq!((longest, action.timeout), (Some(duration::of(Duration::from_secs(1))), None));
    assert_eq!(host.references.clusters.len(), 2);
}
