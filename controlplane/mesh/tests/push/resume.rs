//! Proxies that come back with a configuration: what they have is not sent again, what they should not have goes.

use std::sync::Arc;

use mesh::{push::SyncState, snapshot::Snapshot};
use proto::type_url::ResourceType::{self, Cluster, Endpoint, Listener, Route};

use crate::{
    proxy::{DELTA, Proxy, SOTW},
    snapshots::{cluster, endpoints, fixed, listener, route, snapshot},
};

fn shop() -> Arc<Snapshot> {
    snapshot([cluster("v1", 1), endpoints("v1", 1), listener("in", 1).route("web"), route("web", 1).to("v1")])
}

fn version(target: &Snapshot, kind: ResourceType, name: &str) -> String {
    target.of(kind).get(name).expect("a resource").version.to_string()
}

#[test]
fn a_proxy_that_has_everything_is_sent_nothing() {
    let target = shop();
    let mut proxy = Proxy::new(DELTA, &target);
    for (kind, names, name) in
        [(Cluster, &[] as &[&str], "v1"), (Endpoint, &["v1"], "v1"), (Listener, &[], "in"), (Route, &["web"], "web")]
    {
        proxy.comes_back(kind, names, &[(name, &version(&target, kind, name))]);
        proxy.gets_nothing();
    }
    assert!(proxy.automaton.sync().iter().all(|sync| sync.state == SyncState::Synced && sync.acked.is_some()));
}

#[test]
fn a_proxy_that_has_everything_of_the_state_of_the_world_is_sent_only_routes() {
    let target = shop();
    let types =
        [(Cluster, &[] as &[&str], "v1"), (Endpoint, &["v1"], "v1"), (Listener, &[], "in"), (Route, &["web"], "web")];
    let mut proxy = Proxy::new(SOTW, &target);
    let mut versions = Vec::new();
    for (kind, names, name) in types {
        proxy.wants(kind, names);
        versions.push(proxy.takes(kind, &[name]).version);
    }
    // Another replica, which never saw the proxy.
    let mut proxy = Proxy::new(SOTW, &target);
    for ((kind, names, name), version) in types.into_iter().zip(&versions) {
        proxy.comes_back_at(kind, names, version);
        if kind == Route {
            // It may have dropped the name and asked for it again, and would say the same version.
            proxy.takes(kind, &[name]);
        }
        proxy.gets_nothing();
    }
}

#[test]
fn a_proxy_that_has_another_version_is_sent_the_right_one_and_only_that() {
    let target = snapshot([fixed("a", 1), fixed("b", 1)]);
    let mut proxy = Proxy::new(DELTA, &target);
    proxy.comes_back(Cluster, &[], &[("a", &version(&target, Cluster, "a")), ("b", "not a version of ours")]);
    proxy.takes(Cluster, &["b"]);
    proxy.gets_nothing();
}

#[test]
fn a_proxy_of_the_state_of_the_world_with_another_version_is_sent_everything() {
    for version in ["0000000000000000", "another server's"] {
        let mut proxy = Proxy::new(SOTW, &snapshot([fixed("a", 1), fixed("b", 1)]));
        proxy.comes_back_at(Cluster, &[], version);
        proxy.gets_nothing();
        assert!(proxy.automaton.is_listening());
        proxy.automaton.hear_silence();
        proxy.takes(Cluster, &["a", "b"]);
        proxy.gets_nothing();
    }
}

#[test]
fn what_a_proxy_has_and_should_not_is_removed_once_it_has_said_all() {
    let target = snapshot([fixed("a", 1)]);
    let mut proxy = Proxy::new(DELTA, &target);
    proxy.comes_back(Cluster, &[], &[("a", &version(&target, Cluster, "a")), ("gone", "0123456789abcdef")]);
    // It may be about to say that it has routes which name the cluster. An answer shows that it is done.
    proxy.takes(Cluster, &[]);
    proxy.takes_and_loses(Cluster, &[], &["gone"]);
    proxy.gets_nothing();
}

#[test]
fn a_cluster_that_an_unknown_route_may_name_stays_until_that_is_replaced() {
    let target = snapshot([fixed("new", 1), listener("in", 1).route("web"), route("web", 2).to("new")]);
    let mut proxy = Proxy::new(DELTA, &target);
    proxy.comes_back(Cluster, &[], &[("old", "0000000000000001")]);
    let clusters = proxy.gets(Cluster, &["new"], &[]);
    proxy.comes_back(Listener, &[], &[("in", &version(&target, Listener, "in"))]);
    proxy.comes_back(Route, &["web"], &[("web", "0000000000000002")]);
    proxy.gets_nothing();
    proxy.accepts(&clusters);
    let routes = proxy.gets(Route, &["web"], &[]);
    proxy.gets_nothing();
    proxy.accepts(&routes);
    proxy.takes_and_loses(Cluster, &[], &["old"]);
    proxy.gets_nothing();
}

#[test]
fn a_route_of_a_proxy_that_asks_for_clusters_last_waits_for_them() {
    // Envoy says nothing about clusters while it warms some, but asks for all else.
    let target = snapshot([
        cluster("v1", 1),
        endpoints("v1", 1),
        fixed("new", 1),
        listener("in", 1).route("web"),
        route("web", 2).to("new"),
    ]);
    let mut proxy = Proxy::new(DELTA, &target);
    proxy.comes_back(Endpoint, &["v1"], &[("v1", &version(&target, Endpoint, "v1"))]);
    // It has the endpoints, but it may be them that the cluster waits for.
    proxy.takes(Endpoint, &["v1"]);
    proxy.comes_back(Listener, &[], &[("in", &version(&target, Listener, "in"))]);
    proxy.comes_back(Route, &["web"], &[("web", "0000000000000002")]);
    proxy.gets_nothing();
    proxy.comes_back(Cluster, &[], &[("v1", &version(&target, Cluster, "v1"))]);
    proxy.takes(Cluster, &["new"]);
    proxy.takes(Route, &["web"]);
    proxy.gets_nothing();
}

#[test]
fn a_cluster_that_warms_gets_endpoints_though_it_left_the_target_before_they_were_asked_for() {
    let mut proxy = Proxy::new(DELTA, &snapshot([cluster("v1", 2), endpoints("v1", 2)]));
    proxy.comes_back(Cluster, &[], &[("v1", "0000000000000001")]);
    proxy.gets(Cluster, &["v1"], &[]);
    proxy.aim(&snapshot([]));
    proxy.comes_back(Endpoint, &["v1"], &[("v1", "0000000000000002")]);
    proxy.takes(Endpoint, &["v1"]);
}

#[test]
fn a_route_waits_for_a_cluster_that_the_proxy_brought_along_and_is_being_told_to_drop() {
    let back = snapshot([fixed("v2", 1), listener("in", 1).route("web"), route("web", 2).to("v2")]);
    let mut proxy = Proxy::new(DELTA, &snapshot([listener("in", 1).route("web"), route("web", 1)]));
    proxy.comes_back(Cluster, &[], &[("v2", &version(&back, Cluster, "v2"))]);
    proxy.comes_back(Listener, &[], &[("in", &version(&back, Listener, "in"))]);
    proxy.wants(Route, &["web"]);
    // Until the routes are there, a listener of before may be at work.
    proxy.takes(Route, &["web"]);
    let removal = proxy.gets(Cluster, &[], &["v2"]);
    proxy.aim(&back);
    proxy.gets_nothing();
    proxy.accepts(&removal);
    proxy.takes(Cluster, &["v2"]);
    proxy.takes(Route, &["web"]);
}

/// The shop with its route on the other cluster, told to a proxy that has the shop as it was and says so in SotW.
fn reopened() -> Proxy {
    let target =
        snapshot([cluster("v2", 1), endpoints("v2", 1), listener("in", 1).route("web"), route("web", 2).to("v2")]);
    let mut proxy = Proxy::new(SOTW, &target);
    let old = "0000000000000001";
    proxy.comes_back_at(Cluster, &[], old);
    proxy.comes_back_at(Endpoint, &["v1"], old);
    proxy.gets_nothing();
    proxy.comes_back_at(Listener, &[], old);
    proxy.comes_back_at(Route, &["web"], old);
    proxy
}

#[test]
fn a_cluster_of_which_only_the_name_is_known_stays_until_no_route_of_the_proxy_can_name_it() {
    let mut proxy = reopened();
    // The proxy keeps its answer back while the placeholder for `v1` warms.
    let bridge = proxy.gets(Cluster, &["v1", "v2"], &[]);
    assert!(bridge.resources[0].provenance.is_empty() && !bridge.resources[1].provenance.is_empty());
    proxy.takes(Listener, &["in"]);
    proxy.gets_nothing();
    proxy.wants(Endpoint, &["v1", "v2"]);
    let endpoints = proxy.gets(Endpoint, &["v2"], &[]);
    proxy.gets_nothing();
    proxy.accepts(&endpoints);
    proxy.takes(Route, &["web"]);
    proxy.takes(Cluster, &["v2"]);
    proxy.gets_nothing();
    assert!(proxy.automaton.sync().iter().all(|sync| sync.state == SyncState::Synced));
}

#[test]
fn a_proxy_that_lost_its_stream_with_a_placeholder_is_sent_clusters_though_it_does_not_ask() {
    let mut proxy = Proxy::new(SOTW, &shop());
    let old = "0000000000000001";
    proxy.comes_back_at(Endpoint, &["v1", "placeholder|v1", "placeholder|v9"], old);
    proxy.comes_back_at(Listener, &[], old);
    proxy.comes_back_at(Route, &["web"], old);
    proxy.gets(Cluster, &["v1", "v9"], &[]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.takes(Listener, &["in"]);
    proxy.takes(Route, &["web"]);
    proxy.takes(Cluster, &["v1"]);
    proxy.gets_nothing();
}

#[test]
fn another_change_does_not_wait_for_the_answer_about_placeholders() {
    let mut proxy = reopened();
    let bridge = proxy.gets(Cluster, &["v1", "v2"], &[]);
    proxy.aim(&snapshot([fixed("v3", 1), listener("in", 1).route("web"), route("web", 3).to("v3")]));
    // `v2` was sent, so it goes by the same rules as `v1`.
    let next = proxy.gets(Cluster, &["v1", "v2", "v3"], &[]);
    proxy.takes(Listener, &["in"]);
    proxy.gets_nothing();
    proxy.accepts(&bridge);
    proxy.gets_nothing();
    proxy.accepts(&next);
    proxy.takes(Route, &["web"]);
    proxy.takes(Cluster, &["v3"]);
    proxy.gets_nothing();
}

#[test]
fn names_that_a_proxy_brings_along_but_does_not_want_are_nothing_to_it() {
    let mut proxy = Proxy::new(DELTA, &snapshot([route("web", 1)]));
    proxy.comes_back(Route, &["web"], &[("other", "0123456789abcdef")]);
    proxy.takes(Route, &["web"]);
    proxy.gets_nothing();
}
