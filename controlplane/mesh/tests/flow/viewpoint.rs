//! From where proxies look.

use proto::{
    envoy::config::core::v3::{Locality as NodeLocality, Node},
    google::protobuf::{Struct, Value, ValueKind},
};

use crate::sample::*;
use mesh::{
    compile::viewpoint::{Interception, InterceptionMode, NodeError, ProxyDescription, ProxyKind, Viewpoint},
    model::{
        Change, Selector,
        destination_rule::{LoadBalancer, LocalityLb, OutlierDetection},
        endpoint::Locality,
        service::TrafficDistribution,
    },
    store::Store,
};

fn mesh(changes: Vec<Change>) -> Store {
    let mut store = Store::new();
    store.apply(changes);
    store
}

fn text(value: &str) -> Value {
    Value { kind: Some(ValueKind::StringValue(value.to_owned())) }
}

fn node_of(id: &str, metadata: &[(&str, Value)]) -> Node {
    let fields = metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    Node { id: id.to_owned(), metadata: Some(Struct { fields }), ..Node::default() }
}

fn structure(pairs: &[(&str, &str)]) -> Value {
    let fields = pairs.iter().map(|(key, value)| ((*key).to_owned(), text(value))).collect();
    Value { kind: Some(ValueKind::StructValue(Struct { fields })) }
}

fn described(metadata: &[(&str, Value)]) -> ProxyDescription {
    ProxyDescription::of_node(&node_of("sidecar~10.1.0.1~web-0.default~default.svc.cluster.local", metadata)).unwrap()
}

#[test]
fn a_node_describes_its_proxy() {
    let mut node = node_of(
        "sidecar~10.1.0.1~web.v1-0.default~default.svc.cluster.local",
        &[
            ("LABELS", structure(&[("app", "web")])),
            ("INSTANCE_IPS", text("10.1.0.1,fd00::1, nonsense")),
            ("HTTP_PROXY_PORT", text("15080")),
            ("INTERCEPTION_MODE", text("TPROXY")),
            ("NODE_NAME", text("n1")),
            ("NETWORK", text("east")),
        ],
    );
    node.locality = Some(NodeLocality { region: "r".into(), zone: "z".into(), sub_zone: "s".into() });
    let proxy = ProxyDescription::of_node(&node).unwrap();
    assert_eq!((proxy.kind, proxy.namespace.as_str(), proxy.pod.as_str()), (ProxyKind::Sidecar, "default", "web.v1-0"));
    assert_eq!((proxy.labels, proxy.http_proxy_port), (labels(&[("app", "web")]), Some(15080)));
    assert_eq!((proxy.addresses, proxy.mode), (vec![ip("10.1.0.1"), ip("fd00::1")], InterceptionMode::Tproxy));
    assert_eq!((proxy.locality, proxy.node.as_deref()), (Locality::parse("r/z/s"), Some("n1")));
    assert_eq!(proxy.network, "east");
}

#[test]
fn a_node_without_metadata_is_described_by_its_id() {
    let bare = |id: &str| ProxyDescription::of_node(&Node { id: id.to_owned(), ..Node::default() });
    let proxy = bare("router~10.1.0.1~edge.gates~gates.svc.cluster.local").unwrap();
    assert_eq!((proxy.kind, proxy.namespace.as_str()), (ProxyKind::Router, "gates"));
    assert_eq!(proxy.addresses, [ip("10.1.0.1")]);
    assert_eq!(bare("sidecar~~edge~gates.svc.cluster.local").unwrap().namespace.as_str(), "gates");
    assert_eq!(bare(""), Err(NodeError::Missing));
    assert!(matches!(bare("sidecar~10.1.0.1~web.default"), Err(NodeError::Malformed(_))));
    assert!(matches!(bare("ztunnel~10.1.0.1~z.default~default.svc"), Err(NodeError::Kind(_))));
    assert!(matches!(bare("sidecar~10.1.0.1~web~"), Err(NodeError::Namespace(_))));
    assert!(matches!(bare(&"~".repeat(5000)), Err(NodeError::Malformed(_))));
}

#[test]
fn a_generator_makes_a_proxyless_client_and_numbers_may_be_numbers() {
    let number = |number| Value { kind: Some(ValueKind::NumberValue(number)) };
    assert_eq!(described(&[("GENERATOR", text("grpc"))]).kind, ProxyKind::Grpc);
    assert_eq!(described(&[("HTTP_PROXY_PORT", number(15080.0))]).http_proxy_port, Some(15080));
    for bad in [number(0.0), number(1.5), number(70_000.0), number(f64::NAN), text("x")] {
        assert_eq!(described(&[("HTTP_PROXY_PORT", bad)]).http_proxy_port, None);
    }
}

#[test]
fn the_pod_counts_before_what_a_proxy_says_of_itself() {
    let store = mesh(vec![service("default/web").set(), pod("default/web-0", &[("app", "web")]).set()]);
    let lying = described(&[("LABELS", structure(&[("app", "bank")]))]);
    assert_eq!(Viewpoint::of(&lying, store.mesh()).labels, labels(&[("app", "web")]));
    let without_pod = ProxyDescription { pod: "web-9".to_owned(), ..lying };
    assert_eq!(Viewpoint::of(&without_pod, store.mesh()).labels, labels(&[("app", "bank")]));
}

#[test]
fn only_labels_that_something_looks_at_are_kept() {
    let of = |store: &Store| {
        let all = structure(&[("app", "web"), ("version", "v1"), ("pod-template-hash", "x"), ("team", "a")]);
        Viewpoint::of(&described(&[("LABELS", all)]), store.mesh()).labels
    };
    let web = fqdn("default/web");
    let mut store = mesh(vec![service("default/web").set(), rule("default/web", &web, &["v1"]).set()]);
    assert_eq!(of(&store), labels(&[("app", "web")]), "subsets select endpoints, not callers");
    store.apply(vec![route("other/web", &web, &web).for_callers(&[("version", "v1")], &web).set()]);
    assert_eq!(of(&store), labels(&[("app", "web"), ("version", "v1")]));
    let mut own = sidecar("default/own", &[]);
    own.spec.workload_selector = Some(Selector(labels(&[("team", "b")])));
    store.apply(vec![own.set()]);
    assert_eq!(of(&store), labels(&[("app", "web"), ("team", "a"), ("version", "v1")]));
}

#[test]
fn where_a_proxy_runs_counts_only_when_something_prefers_near_endpoints() {
    let place = |store: &Store, pod_node: Option<&str>| {
        let mut proxy = described(&[("NODE_NAME", text("claimed"))]);
        proxy.locality = Locality::parse("own/own");
        proxy.node = pod_node.map(str::to_owned).or(proxy.node);
        let viewpoint = Viewpoint::of(&proxy, store.mesh());
        (viewpoint.locality, viewpoint.node)
    };
    let mut store = mesh(vec![service("default/web").set(), node("n1", "r/z").set()]);
    assert_eq!(place(&store, Some("n1")), (Locality::default(), None));
    let mut near = rule("default/web", &fqdn("default/web"), &[]);
    near.spec.policy.settings.outlier_detection = Some(OutlierDetection::default());
    store.apply(vec![near.clone().set()]);
    assert_eq!(place(&store, Some("n1")), (Locality::parse("r/z"), None));
    assert_eq!(place(&store, Some("unknown")), (Locality::parse("own/own"), None));
    let mut local = service("default/local");
    local.spec.traffic_distribution = TrafficDistribution::SameNode;
    store.apply(vec![near.gone(), local.set()]);
    assert_eq!(place(&store, Some("n1")), (Locality::parse("r/z"), Some("n1".to_owned())));
}

#[test]
fn labels_that_decide_which_endpoints_are_near_are_kept_everywhere() {
    let mut near = rule("other/web", &fqdn("other/web"), &[]);
    let locality = LocalityLb { failover_priority: vec!["cell=c1".into(), "rack".into()], ..LocalityLb::default() };
    near.spec.policy.settings.load_balancer =
        Some(LoadBalancer { locality: Some(locality), ..LoadBalancer::default() });
    let store = mesh(vec![near.set()]);
    let proxy = described(&[("LABELS", structure(&[("cell", "c1"), ("rack", "7"), ("app", "web")]))]);
    assert_eq!(Viewpoint::of(&proxy, store.mesh()).labels, labels(&[("cell", "c1"), ("rack", "7")]));
}

#[test]
fn without_interception_listeners_are_bound_to_the_proxys_own_loopback_address() {
    let interception = |ips: &str, mode: &str| {
        let proxy = described(&[("INSTANCE_IPS", text(ips)), ("INTERCEPTION_MODE", text(mode))]);
        Viewpoint::of(&proxy, Store::new().mesh()).interception
    };
    assert_eq!(interception("127.0.7.1", "NONE"), Interception::None(Some(ip("127.0.7.1"))));
    assert_eq!(interception("127.0.0.1", "NONE"), Interception::None(None));
    assert_eq!(interception("10.1.0.1", "NONE"), Interception::None(None));
    assert_eq!(interception("127.0.7.1", "REDIRECT"), Interception::Redirect);
}

#[test]
fn a_proxy_with_ipv6_addresses_alone_is_known() {
    let v6_only = |ips: &str| Viewpoint::of(&described(&[("INSTANCE_IPS", text(ips))]), Store::new().mesh()).ipv6_only;
    assert!(v6_only("fd00::1,fd00::2"));
    assert!(!v6_only("fd00::1,10.0.0.1"));
    assert!(!v6_only(""));
}
