//! How much is done for a change, and how much is shared.

use mesh::{
    compile::viewpoint::{Interception, ProxyKind, Viewpoint},
    model::{Change, Config, Kind, Object, ObjectId, endpoint::Locality, workload::NamespaceInfo},
    snapshot::{Difference, Snapshots},
    store::{Store, Touched},
};
use proto::type_url::ResourceType::{Cluster, Endpoint, Listener, Route};

use crate::sample::*;

const SERVICES: usize = 20;

/// A mesh of services `default/s0` and on, each with two endpoints and a rule with one subset.
fn mesh() -> (Store, Snapshots) {
    let mut store = Store::new();
    for n in 0..SERVICES {
        let name = format!("s{n}");
        let id = format!("default/{name}");
        store.apply(vec![service(&id).set(), at(n, &["10.1.0.1", "10.1.0.2"]), rule(&id, &fqdn(&id), &["v1"]).set()]);
    }
    (store, Snapshots::new())
}

fn at(n: usize, addresses: &[&str]) -> Change {
    let empty = slice(&format!("default/s{n}-x"), &format!("s{n}"));
    addresses.iter().fold(empty, |slice, address| slice.at(address)).set()
}

fn viewpoint(of: &str, pairs: &[(&str, &str)]) -> Viewpoint {
    Viewpoint {
        kind: ProxyKind::Sidecar,
        namespace: namespace(of),
        labels: labels(pairs),
        network: String::new(),
        locality: Locality::default(),
        node: None,
        interception: Interception::Redirect,
        http_proxy_port: None,
        ipv6_only: false,
        has_certificates: false,
    }
}

fn update(store: &mut Store, snapshots: &mut Snapshots, changes: Vec<Change>) -> (Touched, usize) {
    let touched = store.apply(changes);
    let different = snapshots.update(store.mesh(), &touched).len();
    (touched, different)
}

#[test]
fn what_viewpoints_have_in_common_is_compiled_once() {
    let (store, mut snapshots) = mesh();
    let first = snapshots.get(store.mesh(), &viewpoint("default", &[("app", "s0")]));
    let once = snapshots.counters();
    assert_eq!(once.compiled(Endpoint), SERVICES as u64);
    for n in 1..SERVICES {
        let held = snapshots.get(store.mesh(), &viewpoint("default", &[("app", &format!("s{n}"))]));
        assert!(held.of(Endpoint).same(first.of(Endpoint)));
    }
    let all = snapshots.counters();
    assert_eq!(all.compiled(Endpoint), once.compiled(Endpoint));
    assert_eq!(all.scopes_computed, 1);
    assert_eq!(all.compiled(Cluster), once.compiled(Cluster) + SERVICES as u64 - 1, "the inbound ones");
    snapshots.get(store.mesh(), &viewpoint("other", &[]));
    let elsewhere = snapshots.counters();
    assert_eq!(elsewhere.compiled(Cluster), all.compiled(Cluster), "no service is seen otherwise from there");
    assert_eq!(elsewhere.scopes_computed, 2);
}

#[test]
fn an_endpoint_change_encodes_the_assignments_of_one_service_and_nothing_else() {
    let (mut store, mut snapshots) = mesh();
    let views: Vec<_> = (0..SERVICES).map(|n| viewpoint("default", &[("app", &format!("s{n}"))])).collect();
    let before: Vec<_> = views.iter().map(|v| snapshots.get(store.mesh(), v)).collect();
    let counted = snapshots.counters();
    let (touched, different) = update(&mut store, &mut snapshots, vec![at(3, &["10.1.0.1", "10.1.0.9"])]);
    assert!(touched.only_endpoints());
    assert_eq!(different, SERVICES);
    let counters = snapshots.counters();
    assert_eq!(counters.compiled(Endpoint), counted.compiled(Endpoint) + 1);
    assert_eq!(counters.encodes(Endpoint), counted.encodes(Endpoint) + 2, "the service and its subset");
    for kind in [Cluster, Listener, Route] {
        assert_eq!(counters.compiled(kind), counted.compiled(kind), "{kind}");
    }
    for (view, before) in views.iter().zip(&before) {
        let now = snapshots.get(store.mesh(), view);
        let changed: Vec<_> = now.of(Endpoint).differences(before.of(Endpoint)).collect();
        assert!(
            matches!(changed.as_slice(), [Difference::Changed(one)] if &*one.name == "outbound|80||s3.default.svc.cluster.local")
        );
        assert!(now.of(Cluster).same(before.of(Cluster)));
    }
}

#[test]
fn a_new_subset_compiles_the_clusters_of_one_service() {
    let (mut store, mut snapshots) = mesh();
    let view = viewpoint("default", &[("app", "s0")]);
    let before = snapshots.get(store.mesh(), &view);
    let counted = snapshots.counters();
    let of = fqdn("default/s3");
    let (_, different) = update(&mut store, &mut snapshots, vec![rule("default/s3", &of, &["v1", "v2"]).set()]);
    assert_eq!(different, 1);
    let counters = snapshots.counters();
    assert_eq!(counters.compiled(Cluster), counted.compiled(Cluster) + 1);
    assert_eq!(counters.compiled(Endpoint), counted.compiled(Endpoint) + 1);
    assert_eq!((counters.scopes_computed, counters.scopes_amended), (counted.scopes_computed, 1));
    let now = snapshots.get(store.mesh(), &view);
    let added: Vec<_> = now.of(Cluster).differences(before.of(Cluster)).collect();
    assert!(matches!(added.as_slice(), [Difference::Changed(one)] if one.name.contains("|v2|")), "{added:?}");
}

#[test]
fn a_route_encodes_its_virtual_host_once_for_all_viewpoints() {
    let (mut store, mut snapshots) = mesh();
    let of = fqdn("default/s3");
    store.apply(vec![route("default/s3", &of, &of).set()]);
    for n in 0..SERVICES {
        snapshots.get(store.mesh(), &viewpoint("default", &[("app", &format!("s{n}"))]));
    }
    let counted = snapshots.counters();
    assert_eq!(counted.virtual_hosts, SERVICES as u64 + 1, "one for each service, one for what belongs to none");
    let elsewhere = route("default/s3", &of, &fqdn("default/s4"));
    let (_, different) = update(&mut store, &mut snapshots, vec![elsewhere.set()]);
    assert_eq!(different, SERVICES);
    let counters = snapshots.counters();
    assert_eq!(counters.virtual_hosts, counted.virtual_hosts + 1);
    assert_eq!(counters.encodes(Route), counted.encodes(Route) + 1, "the route configuration that all share");
    assert_eq!(counters.encodes(Cluster), counted.encodes(Cluster));
}

#[test]
fn what_nothing_depends_on_builds_no_snapshot() {
    let (mut store, mut snapshots) = mesh();
    snapshots.get(store.mesh(), &viewpoint("default", &[("app", "s0")]));
    let counted = snapshots.counters();
    let id = ObjectId::new(Kind::Namespace, mesh::model::Namespace::none(), "default");
    let labelled = NamespaceInfo { labels: labels(&[("team", "a")]) };
    let namespace = Object { id, created: None, generation: None, location: None, spec: labelled };
    let mut labelled = service("default/s5");
    labelled.created = Some(0);
    let quiet = vec![
        vec![Change::Set(Box::new(Config::Namespace(namespace)))],
        vec![node("n1", "r/z").set()],
        vec![pod("default/unknown", &[("app", "none")]).set()],
        vec![labelled.set()],
        vec![sidecar("elsewhere/all", &["./*"]).set()],
        vec![rule("elsewhere/rule", &fqdn("default/s1"), &["v9"]).set()],
        vec![Change::Remove(ObjectId::new(Kind::Service, crate::sample::namespace("no"), "no"))],
    ];
    for changes in quiet {
        let said = format!("{changes:?}");
        let (_, different) = update(&mut store, &mut snapshots, changes);
        assert_eq!(different, 0, "{said}");
    }
    assert_eq!(snapshots.counters(), counted);
}

#[test]
fn a_service_out_of_scope_touches_no_snapshot() {
    let (mut store, mut snapshots) = mesh();
    store.apply(vec![sidecar("shop/few", &["default/s1.default.svc.cluster.local", "./*"]).set()]);
    let view = viewpoint("shop", &[]);
    assert_eq!(snapshots.get(store.mesh(), &view).of(Endpoint).len(), 2);
    let counted = snapshots.counters();
    let of = fqdn("default/s2");
    let changes = vec![at(2, &["10.1.0.7"]), rule("default/s2", &of, &["v7"]).set(), service("default/new").set()];
    assert_eq!(update(&mut store, &mut snapshots, changes).1, 0);
    assert_eq!(snapshots.counters(), counted);
    assert_eq!(update(&mut store, &mut snapshots, vec![service("shop/new").set()]).1, 1);
}

#[test]
fn forgotten_viewpoints_leave_nothing_behind() {
    let (mut store, mut snapshots) = mesh();
    let views = [viewpoint("default", &[("app", "s0")]), viewpoint("other", &[])];
    for view in &views {
        snapshots.get(store.mesh(), view);
    }
    assert!(snapshots.memoised() > SERVICES);
    for view in &views {
        snapshots.forget(view);
    }
    update(&mut store, &mut snapshots, vec![at(0, &["10.1.0.3"])]);
    assert_eq!((snapshots.len(), snapshots.scope_count(), snapshots.memoised()), (0, 0, 0));
}

#[test]
fn many_changes_of_one_service_do_not_pile_up() {
    let (mut store, mut snapshots) = mesh();
    snapshots.get(store.mesh(), &viewpoint("default", &[("app", "s0")]));
    for n in 0..5000_u32 {
        let address = std::net::Ipv4Addr::from(0x0a02_0000 + n).to_string();
        assert_eq!(update(&mut store, &mut snapshots, vec![at(0, &[&address])]).1, 1);
    }
    assert!(snapshots.memoised() < 3000, "{} results held", snapshots.memoised());
    assert_eq!(snapshots.counters().snapshots_built, 5001);
}

#[test]
fn a_gateway_has_destinations_and_nothing_yet_that_lets_traffic_in() {
    let (store, mut snapshots) = mesh();
    let mut edge = viewpoint("default", &[("app", "s0")]);
    edge.kind = ProxyKind::Router;
    let held = snapshots.get(store.mesh(), &edge);
    assert_eq!(held.of(Cluster).len(), 2 * SERVICES);
    assert_eq!((held.of(Listener).len(), held.of(Route).len()), (0, 0));
    assert!(held.of(Cluster).iter().all(|cluster| cluster.name.starts_with("outbound|")));
}

#[test]
fn a_workload_lets_in_what_its_services_lead_to() {
    let mut store = Store::new();
    let mut web = service("default/web");
    web.spec.ports[0].target = mesh::model::service::TargetPort::Named("www".to_owned());
    store.apply(vec![web.set(), service("default/api").set(), service("other/web").set()]);
    let mut snapshots = Snapshots::new();
    let view = viewpoint("default", &[("app", "web")]);
    let inbound = |snapshots: &mut Snapshots, store: &Store| -> Vec<String> {
        let held = snapshots.get(store.mesh(), &view);
        let names = held.of(Cluster).iter().map(|cluster| cluster.name.to_string());
        names.filter(|name| name.starts_with("inbound|")).collect()
    };
    assert!(inbound(&mut snapshots, &store).is_empty(), "nobody says where `www` is");
    let mut running = pod("default/web-0", &[("app", "web")]);
    running.spec.named_ports.insert("www".to_owned(), 8080);
    update(&mut store, &mut snapshots, vec![running.clone().set()]);
    assert_eq!(inbound(&mut snapshots, &store), ["inbound|8080||"]);
    let mut own = sidecar("default/own", &[]);
    own.spec.ingress = vec![mesh::model::sidecar::Ingress {
        port: 9000,
        name: "http".to_owned(),
        protocol: mesh::model::protocol::Protocol::Http,
        bind: None,
        default_endpoint: None,
    }];
    update(&mut store, &mut snapshots, vec![own.clone().set()]);
    assert_eq!(inbound(&mut snapshots, &store), ["inbound|9000||"]);
    update(&mut store, &mut snapshots, vec![own.gone(), running.gone(), at_named("10.1.0.1")]);
    assert_eq!(inbound(&mut snapshots, &store), ["inbound|8080||"], "from where the service answers");
}

fn at_named(address: &str) -> Change {
    slice("default/web-x", "web").at(address).set()
}

#[test]
fn without_interception_only_what_a_sidecar_names_is_let_in() {
    let mut store = Store::new();
    store.apply(vec![service("default/web").set()]);
    let mut view = viewpoint("default", &[("app", "web")]);
    view.interception = Interception::None(None);
    let held = Snapshots::new().get(store.mesh(), &view);
    assert!(held.of(Cluster).iter().all(|cluster| !cluster.name.starts_with("inbound|")));
}
