//! What PeerAuthentications demand, of whom, and what is made anew when that changes.

use mesh::{
    compile::viewpoint::{Interception, ProxyKind, Viewpoint},
    model::{Change, Labels, endpoint::Locality, peer_authentication::MutualTls},
    snapshot::Snapshots,
    store::{ServiceKey, Store},
};
use proto::type_url::ResourceType::{Cluster, Endpoint, Listener, Route};

use crate::sample::*;

const DISABLE: Option<MutualTls> = Some(MutualTls::Disable);
const PERMISSIVE: Option<MutualTls> = Some(MutualTls::Permissive);
const STRICT: Option<MutualTls> = Some(MutualTls::Strict);

fn web() -> Labels {
    labels(&[("app", "web")])
}

fn at(store: &Store, of: &Labels, port: u16) -> MutualTls {
    let held = store.mesh().authentications(&namespace("default"));
    let of_workload = held.of(of);
    assert_eq!(of_workload.at(port), held.at(of, port), "both ways of asking say the same");
    of_workload.at(port)
}

#[test]
fn the_narrowest_that_says_something_holds() {
    let mut store = Store::new();
    let other = labels(&[("app", "other")]);
    assert_eq!(at(&store, &web(), 80), MutualTls::Permissive);
    store.apply(vec![peer_authentication("istio-system/mesh", &[], STRICT, &[]).set()]);
    assert_eq!(at(&store, &web(), 80), MutualTls::Strict);
    store.apply(vec![peer_authentication("default/all", &[], None, &[]).set()]);
    assert_eq!(at(&store, &web(), 80), MutualTls::Strict, "what is not said is left to the mesh");
    store.apply(vec![peer_authentication("default/all", &[], DISABLE, &[]).set()]);
    assert_eq!(at(&store, &web(), 80), MutualTls::Disable);
    let own = peer_authentication("default/web", &[("app", "web")], PERMISSIVE, &[(80, STRICT), (81, None)]);
    store.apply(vec![own.set()]);
    let ports = [80, 81, 82].map(|port| at(&store, &web(), port));
    assert_eq!(ports, [MutualTls::Strict, MutualTls::Permissive, MutualTls::Permissive]);
    assert_eq!(at(&store, &other, 80), MutualTls::Disable);
    let origins = store.mesh().authentications(&namespace("default")).of(&other).origins;
    assert_eq!(origins.iter().map(ToString::to_string).collect::<Vec<_>>(), ["PeerAuthentication default/all"]);
}

#[test]
fn the_oldest_of_several_holds_alone() {
    let mut store = Store::new();
    store.apply(vec![
        peer_authentication("default/z", &[], DISABLE, &[]).created(1).set(),
        peer_authentication("default/a", &[], STRICT, &[]).created(2).set(),
        peer_authentication("default/y", &[("app", "web")], None, &[(80, STRICT)]).created(1).set(),
        peer_authentication("default/b", &[("app", "web")], STRICT, &[(81, STRICT)]).created(2).set(),
        peer_authentication("istio-system/web", &[("app", "web")], STRICT, &[]).created(0).set(),
    ]);
    assert_eq!([80, 81].map(|port| at(&store, &web(), port)), [MutualTls::Strict, MutualTls::Disable]);
}

/// A service with two pods, the second of which has this account.
fn answering(account: &str) -> Vec<Change> {
    let running = |id: &str, account: &str| {
        let mut made = pod(id, &[("app", "web"), ("security.istio.io/tlsMode", "istio")]);
        made.spec.service_account = account.to_owned();
        made.set()
    };
    let of = |address, name| endpoint_of(address, name);
    vec![
        service("default/web").set(),
        running("default/web-1", "one"),
        running("default/web-2", account),
        slice("default/web-x", "web").with(of("10.1.0.1", "web-1")).with(of("10.1.0.2", "web-2")).set(),
    ]
}

fn viewpoint(app: &str, has_certificates: bool) -> Viewpoint {
    Viewpoint {
        kind: ProxyKind::Sidecar,
        namespace: namespace("default"),
        labels: labels(&[("app", app)]),
        network: String::new(),
        locality: Locality::default(),
        node: None,
        interception: Interception::Redirect,
        http_proxy_port: None,
        ipv6_only: false,
        has_certificates,
    }
}

#[test]
fn only_a_new_account_makes_clusters_anew_and_only_for_those_who_check_it() {
    let mut store = Store::new();
    let mut snapshots = Snapshots::new();
    store.apply(answering("one"));
    for has_certificates in [true, false] {
        snapshots.get(store.mesh(), &viewpoint("client", has_certificates));
    }
    let mut made = |changes| {
        let before = snapshots.counters();
        let touched = store.apply(changes);
        let different = snapshots.update(store.mesh(), &touched);
        let now = snapshots.counters();
        let identified: Vec<bool> = different.iter().map(|(viewpoint, _)| viewpoint.has_certificates).collect();
        let compiled = [Cluster, Endpoint, Listener, Route].map(|kind| now.compiled(kind) - before.compiled(kind));
        (identified, compiled)
    };
    let more = |address| {
        slice("default/web-x", "web").with(endpoint_of(address, "web-1")).with(endpoint_of("10.1.0.2", "web-2"))
    };
    assert_eq!(made(vec![more("10.1.0.9").set()]).1, [0, 1, 0, 0], "another endpoint of the same account");
    let (identified, compiled) = made(answering("two"));
    assert_eq!(compiled, [1, 1, 0, 0], "another account");
    assert_eq!(identified.len(), 2, "the endpoint is known to both");
    assert_eq!(made(answering("two")).1, [0; 4], "the same again");
}

#[test]
fn a_demand_makes_anew_the_listener_of_those_it_selects_and_the_endpoints_that_it_turns() {
    let mut store = Store::new();
    let mut snapshots = Snapshots::new();
    store.apply(answering("one"));
    for app in ["web", "client"] {
        snapshots.get(store.mesh(), &viewpoint(app, true));
    }
    let mut made = |change| {
        let before = snapshots.counters();
        let touched = store.apply(vec![change]);
        snapshots.update(store.mesh(), &touched);
        let now = snapshots.counters();
        [Cluster, Endpoint, Listener, Route].map(|kind| now.compiled(kind) - before.compiled(kind))
    };
    let of_web = |mode| peer_authentication("default/web", &[("app", "web")], mode, &[]);
    assert_eq!(made(of_web(PERMISSIVE).set())[1..], [0, 1, 0], "its origin is known");
    assert_eq!(made(of_web(STRICT).set()), [0, 0, 1, 0]);
    assert_eq!(made(of_web(STRICT).set()), [0; 4]);
    let [clusters, endpoints, listeners, routes] = made(of_web(DISABLE).set());
    assert_eq!((endpoints, listeners, routes), (1, 1, 0));
    // All endpoints of a port turn at once, which counts where the address that is dialled says nothing.
    assert_eq!(clusters, 1);
    let key = ServiceKey { host: fqdn("default/web"), namespace: namespace("default") };
    let endpoints = store.mesh().endpoints(&key).unwrap();
    assert!(endpoints.0.values().flatten().all(|endpoint| !endpoint.mesh_tls));
}
