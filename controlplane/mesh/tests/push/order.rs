//! The order in which types go, and what waits for what.

use std::sync::Arc;

use mesh::{
    push::{Protocol, SyncState},
    snapshot::Snapshot,
};
use proto::type_url::ResourceType::{Cluster, Endpoint, Listener, Route, Secret};

use crate::{
    proxy::{DELTA, Proxy, SOTW},
    snapshots::{cluster, endpoints, fixed, listener, plain, route, snapshot},
};

const BOTH: [Protocol; 2] = [DELTA, SOTW];

/// One service behind one listener and one route configuration.
fn shop(content: u32) -> Arc<Snapshot> {
    snapshot([cluster("v1", content), endpoints("v1", 1), listener("in", 1).route("web"), route("web", 1).to("v1")])
}

/// An Envoy that started and took the whole of a snapshot of [`shop`]'s shape.
fn started(protocol: Protocol, target: &Arc<Snapshot>) -> Proxy {
    let mut proxy = Proxy::new(protocol, target);
    proxy.wants_all(Cluster);
    let clusters = proxy.gets(Cluster, &["v1"], &[]);
    // Envoy asks for endpoints before it acknowledges clusters, and for listeners only after that.
    proxy.wants(Endpoint, &["v1"]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.accepts(&clusters);
    proxy.wants_all(Listener);
    proxy.takes(Listener, &["in"]);
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.gets_nothing();
    proxy
}

#[test]
fn a_starting_envoy_gets_each_type_when_it_asks() {
    for protocol in BOTH {
        let proxy = started(protocol, &shop(1));
        assert!(proxy.automaton.sync().iter().all(|sync| sync.state == SyncState::Synced));
    }
}

#[test]
fn an_envoy_for_which_there_is_nothing_is_told_so_since_it_waits() {
    for protocol in BOTH {
        let mut proxy = Proxy::new(protocol, &snapshot([]));
        proxy.wants_all(Cluster);
        proxy.takes(Cluster, &[]);
        proxy.wants_all(Listener);
        proxy.takes(Listener, &[]);
        proxy.gets_nothing();
    }
}

#[test]
fn the_endpoints_of_a_changed_cluster_follow_it_though_they_did_not_change() {
    for protocol in BOTH {
        let mut proxy = started(protocol, &shop(1));
        proxy.aim(&shop(2));
        let clusters = proxy.gets(Cluster, &["v1"], &[]);
        proxy.takes(Endpoint, &["v1"]);
        proxy.gets_nothing();
        proxy.accepts(&clusters);
        proxy.gets_nothing();
    }
}

#[test]
fn endpoints_asked_for_while_their_cluster_warms_are_sent_though_the_proxy_has_them() {
    let (before, after) = (shop(1), shop(2));
    let version = before.of(Endpoint).get("v1").unwrap().version.to_string();
    let mut proxy = Proxy::new(DELTA, &after);
    proxy.comes_back(Cluster, &[], &[("v1", "0000000000000001")]);
    proxy.gets(Cluster, &["v1"], &[]);
    proxy.comes_back(Endpoint, &["v1"], &[("v1", &version)]);
    proxy.gets(Endpoint, &["v1"], &[]);
}

#[test]
fn endpoints_go_at_once_whatever_else_waits() {
    for protocol in BOTH {
        let mut proxy = started(protocol, &shop(1));
        proxy.aim(&snapshot([
            cluster("v1", 1),
            endpoints("v1", 1),
            cluster("v2", 1),
            endpoints("v2", 1),
            listener("in", 1).route("web"),
            route("web", 2).to("v2"),
        ]));
        proxy.response(Cluster);
        proxy.gets_nothing();
        proxy.aim(&snapshot([
            cluster("v1", 1),
            endpoints("v1", 2),
            cluster("v2", 1),
            endpoints("v2", 1),
            listener("in", 1).route("web"),
            route("web", 2).to("v2"),
        ]));
        proxy.takes(Endpoint, &["v1"]);
        proxy.gets_nothing();
    }
}

#[test]
fn endpoints_do_not_overtake_the_cluster_they_belong_to() {
    let mut proxy = started(DELTA, &shop(1));
    proxy.wants(Endpoint, &["v2"]);
    proxy.takes_and_loses(Endpoint, &[], &["v2"]);
    proxy.aim(&snapshot([
        cluster("v1", 2),
        endpoints("v1", 1),
        listener("in", 1).route("web"),
        route("web", 1).to("v1"),
    ]));
    let first = proxy.gets(Cluster, &["v1"], &[]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.aim(&snapshot([
        cluster("v1", 2),
        endpoints("v1", 1),
        cluster("v2", 1),
        endpoints("v2", 1),
        listener("in", 1).route("web"),
        route("web", 1).to("v1"),
    ]));
    proxy.gets_nothing();
    proxy.accepts(&first);
    proxy.gets(Cluster, &["v2"], &[]);
    proxy.gets(Endpoint, &["v2"], &[]);
}

#[test]
fn a_route_waits_for_its_new_cluster_and_the_old_cluster_for_the_route() {
    for protocol in BOTH {
        let mut proxy = started(protocol, &shop(1));
        proxy.aim(&snapshot([
            cluster("v2", 1),
            endpoints("v2", 1),
            listener("in", 1).route("web"),
            route("web", 2).to("v2"),
        ]));
        let both: &[&str] = if protocol == DELTA { &["v2"] } else { &["v1", "v2"] };
        let clusters = proxy.gets(Cluster, both, &[]);
        proxy.gets_nothing();
        proxy.wants(Endpoint, &["v2"]);
        let warm = proxy.gets(Endpoint, &["v2"], &[]);
        proxy.gets_nothing();
        proxy.accepts(&clusters);
        proxy.gets_nothing();
        proxy.accepts(&warm);
        let routes = proxy.gets(Route, &["web"], &[]);
        proxy.gets_nothing();
        proxy.accepts(&routes);
        let (left, gone): (&[&str], &[&str]) = if protocol == DELTA { (&[], &["v1"]) } else { (&["v2"], &[]) };
        proxy.takes_and_loses(Cluster, left, gone);
        proxy.drops(Endpoint, &["v1"]);
        proxy.gets_nothing();
        assert!(proxy.automaton.sync().iter().all(|sync| sync.state == SyncState::Synced));
    }
}

#[test]
fn a_cluster_that_nothing_names_goes_at_once() {
    let target = |parts: bool| {
        let shop = [cluster("v1", 1), endpoints("v1", 1), listener("in", 1).route("web"), route("web", 1).to("v1")];
        let [a, b, c, d] = shop;
        if parts { snapshot([a, b, c, d, fixed("spare", 1)]) } else { snapshot([a, b, c, d]) }
    };
    let mut proxy = started(DELTA, &target(false));
    proxy.aim(&target(true));
    proxy.takes(Cluster, &["spare"]);
    proxy.aim(&target(false));
    proxy.takes_and_loses(Cluster, &[], &["spare"]);
    proxy.gets_nothing();
}

#[test]
fn a_listener_waits_for_the_cluster_that_it_names() {
    for protocol in BOTH {
        let mut proxy = started(protocol, &shop(1));
        proxy.aim(&snapshot([
            cluster("v1", 1),
            endpoints("v1", 1),
            fixed("tcp", 1),
            listener("in", 1).route("web"),
            listener("tcp", 1).to("tcp"),
            route("web", 1).to("v1"),
        ]));
        let clusters = proxy.response(Cluster);
        proxy.gets_nothing();
        proxy.accepts(&clusters);
        let listeners: &[&str] = if protocol == DELTA { &["tcp"] } else { &["in", "tcp"] };
        proxy.takes(Listener, listeners);
        proxy.gets_nothing();
    }
}

#[test]
fn a_listener_serves_its_old_clusters_until_the_new_version_has_its_routes() {
    let mut proxy = Proxy::new(DELTA, &snapshot([fixed("old", 1), listener("in", 1).to("old")]));
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["old"]);
    proxy.wants_all(Listener);
    proxy.takes(Listener, &["in"]);
    proxy.aim(&snapshot([fixed("new", 1), listener("in", 2).route("web"), route("web", 1).to("new")]));
    proxy.takes(Cluster, &["new"]);
    proxy.takes(Listener, &["in"]);
    // The listener is acknowledged, but warms until its routes come; the one before still sends to `old`.
    proxy.gets_nothing();
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.takes_and_loses(Cluster, &[], &["old"]);
}

#[test]
fn the_routes_of_a_listener_that_goes_are_left_to_the_proxy_to_drop() {
    let mut proxy = started(DELTA, &shop(1));
    proxy.aim(&snapshot([]));
    proxy.takes_and_loses(Listener, &[], &["in"]);
    // While the listener drains, its routes are in use, and so is their cluster.
    proxy.gets_nothing();
    proxy.drops(Route, &["web"]);
    proxy.takes_and_loses(Cluster, &[], &["v1"]);
    proxy.drops(Endpoint, &["v1"]);
    proxy.gets_nothing();
}

#[test]
fn a_reference_to_a_cluster_that_the_target_lacks_holds_nothing_up() {
    let mut proxy = started(DELTA, &shop(1));
    proxy.aim(&snapshot([
        cluster("v1", 1),
        endpoints("v1", 1),
        listener("in", 1).route("web"),
        route("web", 2).to("v1").to("nothing"),
    ]));
    proxy.takes(Route, &["web"]);
}

#[test]
fn one_response_of_clusters_is_under_way_at_a_time_and_the_rest_follows_as_one() {
    let mut proxy = started(DELTA, &shop(1));
    proxy.aim(&shop(2));
    let first = proxy.gets(Cluster, &["v1"], &[]);
    proxy.takes(Endpoint, &["v1"]);
    for content in 3..9 {
        proxy.aim(&shop(content));
        proxy.gets_nothing();
    }
    proxy.accepts(&first);
    let second = proxy.gets(Cluster, &["v1"], &[]);
    assert_eq!(second.resources[0].version, shop(8).of(Cluster).get("v1").unwrap().version);
}

#[test]
fn a_route_waits_for_the_change_of_its_cluster_but_not_for_one_after_the_other() {
    let target = |content| {
        snapshot([
            cluster("v1", content),
            endpoints("v1", 1),
            listener("in", 1).route("web"),
            route("web", content).to("v1"),
        ])
    };
    let mut proxy = started(DELTA, &target(1));
    proxy.aim(&target(2));
    let clusters = proxy.gets(Cluster, &["v1"], &[]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.gets_nothing();
    proxy.aim(&target(3));
    proxy.gets_nothing();
    proxy.accepts(&clusters);
    // The next change of the cluster goes first, and the route does not wait for that as well.
    proxy.gets(Cluster, &["v1"], &[]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.takes(Route, &["web"]);
}

#[test]
fn proxyless_grpc_gets_each_type_by_name_in_its_own_order() {
    let mut proxy = Proxy::new(SOTW, &shop(1));
    proxy.wants(Listener, &["in"]);
    proxy.takes(Listener, &["in"]);
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.wants(Cluster, &["v1"]);
    proxy.takes(Cluster, &["v1"]);
    proxy.gets_nothing();
    proxy.wants(Endpoint, &["v1"]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.gets_nothing();
    proxy.aim(&snapshot([
        cluster("v2", 1),
        endpoints("v2", 1),
        listener("in", 1).route("web"),
        route("web", 2).to("v2"),
    ]));
    // It learns of the new cluster from the route, and keeps the old one until then.
    proxy.takes(Route, &["web"]);
    proxy.wants(Cluster, &["v2"]);
    proxy.takes(Cluster, &["v2"]);
}

#[test]
fn a_cluster_that_is_gone_before_its_endpoints_were_asked_for_gets_those_it_was_sent_with() {
    for protocol in BOTH {
        let mut proxy = Proxy::new(protocol, &shop(1));
        proxy.wants_all(Cluster);
        let clusters = proxy.gets(Cluster, &["v1"], &[]);
        proxy.aim(&snapshot([]));
        proxy.wants(Endpoint, &["v1"]);
        proxy.takes(Endpoint, &["v1"]);
        proxy.gets_nothing();
        proxy.accepts(&clusters);
        proxy.response(Cluster);
    }
}

#[test]
fn routes_of_a_listener_that_is_being_replaced_are_not_said_to_be_missing() {
    let mut proxy = Proxy::new(DELTA, &snapshot([listener("in", 1).route("web"), route("web", 1)]));
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &[]);
    proxy.wants_all(Listener);
    let listeners = proxy.gets(Listener, &["in"], &[]);
    proxy.aim(&snapshot([listener("in", 2).route("api"), route("api", 1)]));
    proxy.wants(Route, &["web"]);
    proxy.gets_nothing();
    proxy.accepts(&listeners);
    proxy.takes(Listener, &["in"]);
    proxy.drops(Route, &["web"]);
    proxy.wants(Route, &["api"]);
    proxy.takes(Route, &["api"]);
    proxy.gets_nothing();
}

#[test]
fn secrets_go_one_by_one_without_waiting_for_each_other() {
    let target = snapshot([plain(Secret, "default", 1), plain(Secret, "ROOTCA", 1)]);
    let mut proxy = Proxy::new(DELTA, &target);
    proxy.wants(Secret, &["default"]);
    let first = proxy.gets(Secret, &["default"], &[]);
    proxy.wants(Secret, &["ROOTCA"]);
    let second = proxy.gets(Secret, &["ROOTCA"], &[]);
    proxy.accepts(&first);
    assert_eq!(proxy.sync(Secret).in_flight, 1);
    proxy.accepts(&second);
    assert_eq!(proxy.sync(Secret).state, SyncState::Synced);
}
