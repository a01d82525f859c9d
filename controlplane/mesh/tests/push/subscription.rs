//! What a proxy asks for, and how it may say so.

use std::{collections::BTreeMap, sync::Arc};

use mesh::{
    push::{Automaton, Limits, Received, Refusal, Reply, Request, Subscription},
    snapshot::Snapshot,
};
use proto::type_url::ResourceType::{self, Cluster, Endpoint, Listener, Route};

use crate::{
    proxy::{DELTA, Proxy, SOTW},
    snapshots::{fixed, listener, plain, snapshot},
};

fn delta(kind: ResourceType, subscribe: &[&str], unsubscribe: &[&str], nonce: &str) -> Request {
    let strings = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    let (subscribe, unsubscribe) = (strings(subscribe), strings(unsubscribe));
    Request::Delta {
        kind,
        subscribe,
        unsubscribe,
        initial_versions: BTreeMap::new(),
        nonce: nonce.to_owned(),
        error: None,
    }
}

fn sotw(kind: ResourceType, names: &[&str], nonce: &str, version: &str) -> Request {
    let names = names.iter().map(ToString::to_string).collect();
    Request::Sotw { kind, names, version: version.to_owned(), nonce: nonce.to_owned(), error: None }
}

fn abc() -> Arc<Snapshot> {
    snapshot([fixed("a", 1), fixed("b", 1), fixed("c", 1)])
}

#[test]
fn a_star_is_everything_in_both_protocols() {
    for protocol in [DELTA, SOTW] {
        let mut proxy = Proxy::new(protocol, &abc());
        proxy.wants(Cluster, &["*"]);
        proxy.takes(Cluster, &["a", "b", "c"]);
        proxy.gets_nothing();
    }
}

#[test]
fn who_drops_the_star_keeps_what_it_named() {
    let mut proxy = Proxy::new(DELTA, &abc());
    proxy.wants(Cluster, &["*", "b"]);
    proxy.takes(Cluster, &["a", "b", "c"]);
    proxy.drops(Cluster, &["*"]);
    proxy.aim(&snapshot([fixed("a", 2), fixed("b", 2), fixed("d", 1)]));
    proxy.takes(Cluster, &["b"]);
    proxy.gets_nothing();
}

#[test]
fn who_names_a_cluster_beside_everything_is_sent_it_again_and_once_more_when_it_lets_go() {
    let mut proxy = Proxy::new(DELTA, &abc());
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["a", "b", "c"]);
    proxy.wants(Cluster, &["b", "x"]);
    proxy.takes_and_loses(Cluster, &["b"], &["x"]);
    // It cannot know whether they are part of everything.
    proxy.drops(Cluster, &["b", "x"]);
    proxy.takes_and_loses(Cluster, &["b"], &["x"]);
    proxy.gets_nothing();
}

#[test]
fn who_asks_again_is_sent_it_again_though_it_was_believed_to_have_it() {
    let mut proxy = Proxy::new(DELTA, &snapshot([plain(Route, "web", 1)]));
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.drops(Route, &["web"]);
    proxy.wants(Route, &["web"]);
    proxy.takes(Route, &["web"]);
    proxy.gets_nothing();
}

#[test]
fn no_names_after_some_means_none_in_the_state_of_the_world() {
    let mut proxy = Proxy::new(SOTW, &snapshot([plain(Endpoint, "a", 1)]));
    proxy.wants(Endpoint, &["a"]);
    proxy.takes(Endpoint, &["a"]);
    proxy.drops(Endpoint, &["a"]);
    proxy.aim(&snapshot([plain(Endpoint, "a", 2), plain(Endpoint, "b", 1)]));
    proxy.gets_nothing();
}

#[test]
fn a_name_may_be_asked_for_together_with_an_answer() {
    let target = snapshot([plain(Route, "a", 1), plain(Route, "b", 1)]);
    let mut proxy = Proxy::new(DELTA, &target);
    proxy.wants(Route, &["a"]);
    let response = proxy.gets(Route, &["a"], &[]);
    let received = proxy.receive(delta(Route, &["b"], &[], &response.nonce.to_string()));
    assert!(matches!(received.reply, Reply::Acked { .. }));
    assert_eq!(received.subscription, Subscription::Changed { subscribed: 1, unsubscribed: 0, wildcard: false });
    proxy.takes(Route, &["b"]);

    let mut proxy = Proxy::new(SOTW, &target);
    proxy.wants(Route, &["a"]);
    let response = proxy.gets(Route, &["a"], &[]);
    proxy.receive(sotw(Route, &["a", "b"], &response.nonce.to_string(), &response.version));
    proxy.takes(Route, &["b"]);
    proxy.gets_nothing();
}

#[test]
fn a_name_may_be_asked_for_while_a_response_is_on_its_way() {
    let mut proxy = Proxy::new(SOTW, &snapshot([plain(Route, "a", 1), plain(Route, "b", 1)]));
    proxy.wants(Route, &["a"]);
    let first = proxy.takes(Route, &["a"]);
    proxy.aim(&snapshot([plain(Route, "a", 2), plain(Route, "b", 1)]));
    let second = proxy.gets(Route, &["a"], &[]);
    // It has not seen the second response yet, so it repeats the first nonce.
    let received = proxy.receive(sotw(Route, &["a", "b"], &first.nonce.to_string(), &first.version));
    assert_eq!(received.reply, Reply::Stale);
    assert_eq!(proxy.sync(Route).in_flight, 1);
    let received = proxy.receive(sotw(Route, &["a", "b"], &second.nonce.to_string(), &second.version));
    assert!(matches!(received.reply, Reply::Acked { .. }));
    proxy.gets(Route, &["b"], &[]);
}

#[test]
fn the_same_request_again_is_not_answered() {
    let mut proxy = Proxy::new(SOTW, &snapshot([plain(Endpoint, "a", 1)]));
    proxy.wants(Endpoint, &["a"]);
    let response = proxy.takes(Endpoint, &["a"]);
    let received = proxy.receive(sotw(Endpoint, &["a"], &response.nonce.to_string(), &response.version));
    assert_eq!(
        received,
        Received { kind: Endpoint, reply: Reply::None, subscription: Subscription::Unchanged, quarantined: Vec::new() }
    );
    proxy.gets_nothing();
}

#[test]
fn answers_to_what_was_never_sent_or_was_answered_are_ignored() {
    let mut proxy = Proxy::new(DELTA, &abc());
    assert_eq!(proxy.receive(delta(Cluster, &[], &[], "cds9")).reply, Reply::Unsolicited);
    let response = proxy.gets(Cluster, &["a", "b", "c"], &[]);
    for nonce in ["lds1", "cds2", "cds", "cdsffffffffffffffffff", "x", "é"] {
        assert_eq!(proxy.receive(delta(Cluster, &[], &[], nonce)).reply, Reply::Unsolicited, "{nonce}");
    }
    assert_eq!(proxy.sync(Cluster).in_flight, 1);
    proxy.accepts(&response);
    assert_eq!(proxy.receive(delta(Cluster, &[], &[], "cds1")).reply, Reply::Stale);
    proxy.gets_nothing();
}

#[test]
fn an_answer_to_a_later_response_answers_those_before() {
    let mut proxy = Proxy::new(DELTA, &snapshot([plain(Route, "a", 1), plain(Route, "b", 1)]));
    proxy.wants(Route, &["a"]);
    proxy.gets(Route, &["a"], &[]);
    proxy.wants(Route, &["b"]);
    let second = proxy.gets(Route, &["b"], &[]);
    proxy.accepts(&second);
    assert_eq!(proxy.sync(Route).in_flight, 0);
}

#[test]
fn a_name_is_under_way_once_at_a_time_and_changes_meanwhile_go_as_one() {
    let target = |content| snapshot([plain(Endpoint, "a", content)]);
    let mut proxy = Proxy::new(DELTA, &target(1));
    proxy.wants(Endpoint, &["a"]);
    let first = proxy.gets(Endpoint, &["a"], &[]);
    for content in 2..9 {
        proxy.aim(&target(content));
        proxy.gets_nothing();
    }
    proxy.accepts(&first);
    let second = proxy.takes(Endpoint, &["a"]);
    assert_eq!(second.resources[0].version, target(8).of(Endpoint).get("a").unwrap().version);
    proxy.gets_nothing();
}

#[test]
fn a_change_that_is_taken_back_before_it_is_sent_is_not_sent() {
    let mut proxy = Proxy::new(DELTA, &abc());
    proxy.wants_all(Cluster);
    proxy.takes(Cluster, &["a", "b", "c"]);
    proxy.aim(&snapshot([fixed("a", 2)]));
    proxy.aim(&abc());
    proxy.gets_nothing();
}

#[test]
fn responses_under_way_are_bounded() {
    let names: Vec<String> = (0..20).map(|i| format!("r{i:02}")).collect();
    let parts: Vec<_> = names.iter().map(|name| plain(Route, name.clone().leak(), 1)).collect();
    let mut proxy = Proxy::new(DELTA, &snapshot(parts));
    let mut sent = Vec::new();
    for name in &names {
        proxy.wants(Route, &[name.as_str()]);
        sent.extend(proxy.automaton.next());
    }
    assert_eq!(sent.len(), Limits::default().in_flight_max);
    proxy.accepts(&sent[0]);
    let rest = proxy.response(Route);
    assert_eq!(rest.resources.len(), 12, "the rest goes as one");
}

#[test]
fn a_request_of_the_other_protocol_closes_the_stream() {
    let mut automaton = Automaton::new(DELTA, Limits::default(), abc());
    assert_eq!(automaton.receive(sotw(Cluster, &[], "", "")), Err(Refusal::Protocol { kind: Cluster }));
}

#[test]
fn too_many_or_too_long_names_close_the_stream() {
    let limits = Limits { names_max: 3, name_len_max: 4, ..Limits::default() };
    let mut automaton = Automaton::new(DELTA, limits, abc());
    automaton.receive(delta(Endpoint, &["a", "b"], &[], "")).unwrap();
    automaton.receive(delta(Endpoint, &["a", "b"], &[], "")).expect("the same names count once");
    automaton.receive(delta(Route, &["c"], &[], "")).unwrap();
    let refusal = automaton.receive(delta(Route, &["d"], &[], "")).unwrap_err();
    assert_eq!(refusal, Refusal::TooManyNames { kind: Route, max: 3 });
    let refusal = automaton.receive(delta(Route, &["abcde"], &[], "")).unwrap_err();
    assert_eq!(refusal, Refusal::NameTooLong { kind: Route, len: 5, max: 4 });
}

#[test]
fn an_incomplete_first_answer_does_not_make_an_envoy_ready() {
    // The listener waits for its cluster; an empty answer would let Envoy go to work without listeners.
    let mut proxy = Proxy::new(DELTA, &snapshot([fixed("a", 1), listener("in", 1).to("a")]));
    proxy.wants_all(Cluster);
    let clusters = proxy.gets(Cluster, &["a"], &[]);
    proxy.wants_all(Listener);
    proxy.gets_nothing();
    proxy.accepts(&clusters);
    proxy.takes(Listener, &["in"]);
}
