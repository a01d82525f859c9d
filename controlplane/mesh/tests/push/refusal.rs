//! Responses that a proxy refuses: what is bad is found and kept back, what is good is not lost.

use std::sync::Arc;

use mesh::{
    push::{Reply, SyncState},
    snapshot::Snapshot,
};
use proto::type_url::ResourceType::{Cluster, Endpoint, Listener, Route};

use crate::{
    proxy::{DELTA, Proxy, SOTW},
    snapshots::{cluster, endpoints, fixed, listener, route, snapshot},
};

/// Envoy's words for a response that it cannot decode: no name in them.
const UNDECODABLE: &str = "Invalid duration: Expected positive duration: seconds: -1";

fn abc(content: u32) -> Arc<Snapshot> {
    snapshot([fixed("a", content), fixed("b", content), fixed("c", content)])
}

#[test]
fn the_good_of_a_response_that_was_refused_as_a_whole_is_not_lost() {
    let mut proxy = Proxy::new(DELTA, &abc(1));
    proxy.wants_all(Cluster);
    let all = proxy.gets(Cluster, &["a", "b", "c"], &[]);
    let received = proxy.refuses(&all, UNDECODABLE);
    assert!(matches!(received.reply, Reply::Nacked { ref suspects, .. } if suspects.len() == 3));
    assert!(received.quarantined.is_empty(), "nobody knows yet which one it is");
    proxy.takes(Cluster, &["a"]);
    let b = proxy.gets(Cluster, &["b"], &[]);
    let received = proxy.refuses(&b, UNDECODABLE);
    assert_eq!(received.quarantined.len(), 1);
    assert_eq!(&*received.quarantined[0].resource, "b");
    proxy.takes(Cluster, &["c"]);
    proxy.gets_nothing();
    assert_eq!(proxy.sync(Cluster).state, SyncState::Nacked);
}

#[test]
fn a_refusal_that_names_the_culprit_costs_one_response() {
    let mut proxy = Proxy::new(DELTA, &abc(1));
    proxy.wants_all(Cluster);
    let all = proxy.gets(Cluster, &["a", "b", "c"], &[]);
    proxy.refuses(&all, "Error adding/updating cluster(s) b: no such extension");
    let rest = proxy.gets(Cluster, &["a", "c"], &[]);
    let received = proxy.accepts(&rest);
    let nack = &received.quarantined[0];
    assert_eq!(&*nack.resource, "b");
    assert_eq!(nack.provenance[0].object.to_string(), "Service default/b");
    assert_eq!(&*nack.error, "Error adding/updating cluster(s) b: no such extension");
    proxy.gets_nothing();
}

#[test]
fn in_the_state_of_the_world_the_others_come_without_the_culprit() {
    let mut proxy = Proxy::new(SOTW, &abc(1));
    proxy.wants_all(Cluster);
    let all = proxy.gets(Cluster, &["a", "b", "c"], &[]);
    proxy.refuses(&all, "cluster b: no such extension");
    let rest = proxy.gets(Cluster, &["a", "c"], &[]);
    assert_eq!(proxy.accepts(&rest).quarantined.len(), 1);
    proxy.gets_nothing();
    proxy.aim(&snapshot([fixed("a", 2), fixed("b", 1), fixed("c", 1)]));
    proxy.takes(Cluster, &["a", "c"]);
    proxy.gets_nothing();
}

#[test]
fn in_the_state_of_the_world_the_old_version_stays_in_the_place_of_the_refused_one() {
    let mut proxy = Proxy::new(SOTW, &abc(1));
    proxy.wants_all(Cluster);
    let before = proxy.takes(Cluster, &["a", "b", "c"]);
    proxy.aim(&snapshot([fixed("a", 1), fixed("b", 2), fixed("c", 1)]));
    let bad = proxy.gets(Cluster, &["a", "b", "c"], &[]);
    proxy.refuses(&bad, UNDECODABLE);
    proxy.gets_nothing();
    proxy.aim(&snapshot([fixed("a", 1), fixed("b", 2), fixed("c", 2)]));
    let after = proxy.takes(Cluster, &["a", "b", "c"]);
    assert_eq!(after.resources[1].version, before.resources[1].version);
}

#[test]
fn a_refused_version_is_not_sent_again_until_it_changes() {
    for protocol in [DELTA, SOTW] {
        let mut proxy = Proxy::new(protocol, &snapshot([fixed("a", 1)]));
        proxy.wants_all(Cluster);
        let bad = proxy.gets(Cluster, &["a"], &[]);
        proxy.refuses(&bad, UNDECODABLE);
        proxy.gets_nothing();
        proxy.aim(&snapshot([fixed("a", 1)]));
        proxy.gets_nothing();
        proxy.aim(&snapshot([fixed("a", 2)]));
        proxy.takes(Cluster, &["a"]);
        assert_eq!(proxy.sync(Cluster).state, SyncState::Synced);
    }
}

#[test]
fn a_proxy_that_refuses_everything_is_left_alone_after_a_while() {
    let mut proxy = Proxy::new(DELTA, &abc(1));
    proxy.wants_all(Cluster);
    let mut responses = 0;
    while let Some(response) = proxy.automaton.next() {
        proxy.refuses(&response, "no");
        responses += 1;
    }
    assert!(responses <= 5, "{responses} responses for three resources");
    assert_eq!(proxy.sync(Cluster).refused.len(), 3);
}

#[test]
fn what_changes_during_the_search_is_not_accused() {
    let mut proxy = Proxy::new(DELTA, &snapshot([fixed("a", 1), fixed("b", 1)]));
    proxy.wants_all(Cluster);
    let both = proxy.gets(Cluster, &["a", "b"], &[]);
    proxy.refuses(&both, UNDECODABLE);
    let a = proxy.gets(Cluster, &["a"], &[]);
    proxy.aim(&snapshot([fixed("a", 1), fixed("b", 2)]));
    assert!(proxy.accepts(&a).quarantined.is_empty());
    proxy.takes(Cluster, &["b"]);
    assert_eq!(proxy.sync(Cluster).state, SyncState::Synced);
}

#[test]
fn a_version_that_may_have_been_taken_is_replaced_though_the_proxy_was_believed_to_hold_the_old_one() {
    let mut proxy = Proxy::new(DELTA, &abc(1));
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["a", "b", "c"]);
    proxy.aim(&snapshot([fixed("a", 2), fixed("b", 2), fixed("c", 1)]));
    let bad = proxy.gets(Cluster, &["a", "b"], &[]);
    proxy.refuses(&bad, "b: no");
    // `a` may be there in version 2 now, so the first version has to be sent when it comes back.
    proxy.aim(&abc(1));
    proxy.takes(Cluster, &["a", "b"]);
    proxy.gets_nothing();
}

#[test]
fn a_removal_in_a_refused_response_is_sent_again() {
    let mut proxy = Proxy::new(DELTA, &abc(1));
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["a", "b", "c"]);
    proxy.aim(&snapshot([fixed("a", 2), fixed("b", 1)]));
    let bad = proxy.gets(Cluster, &["a"], &["c"]);
    proxy.refuses(&bad, UNDECODABLE);
    let again = proxy.gets(Cluster, &[], &["c"]);
    proxy.refuses(&again, "a proxy that will not let go");
    proxy.gets_nothing();
}

#[test]
fn a_refused_changed_cluster_keeps_its_old_version_and_what_names_it_goes_on() {
    let target = |content, path| {
        let inbound = listener("in", 1).route("web");
        snapshot([cluster("v1", content), endpoints("v1", 1), inbound, route("web", path).to("v1")])
    };
    let mut proxy = Proxy::new(DELTA, &target(1, 1));
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["v1"]);
    proxy.wants(Endpoint, &["v1"]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.wants_all(Listener);
    proxy.takes(Listener, &["in"]);
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.aim(&target(2, 2));
    let bad = proxy.gets(Cluster, &["v1"], &[]);
    proxy.takes(Endpoint, &["v1"]);
    proxy.gets_nothing();
    proxy.refuses(&bad, UNDECODABLE);
    proxy.takes(Route, &["web"]);
    proxy.gets_nothing();
}

#[test]
fn a_route_that_names_a_refused_new_cluster_waits_if_it_has_an_older_version() {
    let inbound = listener("in", 1).route("web");
    let mut proxy = Proxy::new(DELTA, &snapshot([fixed("v1", 1), inbound.clone(), route("web", 1).to("v1")]));
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["v1"]);
    proxy.wants_all(Listener);
    proxy.takes(Listener, &["in"]);
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.aim(&snapshot([fixed("v2", 1), inbound.clone(), route("web", 2).to("v2")]));
    let bad = proxy.gets(Cluster, &["v2"], &[]);
    proxy.refuses(&bad, UNDECODABLE);
    proxy.gets_nothing();
    proxy.aim(&snapshot([fixed("v2", 2), inbound, route("web", 2).to("v2")]));
    proxy.takes(Cluster, &["v2"]);
    proxy.takes(Route, &["web"]);
    proxy.takes_and_loses(Cluster, &[], &["v1"]);
    proxy.gets_nothing();
}

#[test]
fn a_starting_proxy_gets_its_routes_though_they_name_a_refused_cluster() {
    let target =
        snapshot([fixed("v1", 1), fixed("v2", 1), listener("in", 1).route("web"), route("web", 1).to("v1").to("v2")]);
    let mut proxy = Proxy::new(DELTA, &target);
    proxy.wants_all(Cluster);
    let all = proxy.gets(Cluster, &["v1", "v2"], &[]);
    proxy.refuses(&all, "v2: no");
    proxy.takes(Cluster, &["v1"]);
    proxy.wants_all(Listener);
    proxy.takes(Listener, &["in"]);
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
}

#[test]
fn a_changed_cluster_whose_new_endpoints_were_refused_warms_with_the_old_ones() {
    let mut proxy = Proxy::new(DELTA, &snapshot([cluster("v1", 1), endpoints("v1", 1)]));
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["v1"]);
    proxy.wants(Endpoint, &["v1"]);
    let good = proxy.takes(Endpoint, &["v1"]);
    proxy.aim(&snapshot([cluster("v1", 1), endpoints("v1", 2)]));
    let bad = proxy.gets(Endpoint, &["v1"], &[]);
    proxy.refuses(&bad, UNDECODABLE);
    proxy.aim(&snapshot([cluster("v1", 2), endpoints("v1", 2)]));
    proxy.takes(Cluster, &["v1"]);
    let again = proxy.takes(Endpoint, &["v1"]);
    assert_eq!(again.resources[0].version, good.resources[0].version);
    proxy.gets_nothing();
}

#[test]
fn a_proxy_that_keeps_its_old_version_without_an_error_refuses() {
    let mut proxy = Proxy::new(SOTW, &snapshot([fixed("a", 1)]));
    proxy.wants_all(Cluster);
    let response = proxy.gets(Cluster, &["a"], &[]);
    let received = proxy.receive(mesh::push::Request::Sotw {
        kind: Cluster,
        names: Vec::new(),
        version: "something else".to_owned(),
        nonce: response.nonce.to_string(),
        error: None,
    });
    assert!(matches!(received.reply, Reply::Nacked { .. }));
    assert_eq!(received.quarantined.len(), 1);
}

#[test]
fn long_words_of_refusal_are_cut_and_put_into_one_line() {
    let mut proxy = Proxy::new(DELTA, &snapshot([fixed("a", 1)]));
    proxy.wants_all(Cluster);
    let response = proxy.gets(Cluster, &["a"], &[]);
    let received = proxy.refuses(&response, &format!("goo.gle/debugproto  bad:\n{}", "é ".repeat(10_000)));
    let Reply::Nacked { error, .. } = received.reply else { panic!("a refusal") };
    assert!(error.starts_with("bad: é é") && error.len() <= 4_096);
    assert!(proxy.sync(Cluster).refused[0].error.len() <= 256);
}
