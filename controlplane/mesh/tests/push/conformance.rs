//! The eighteen scenarios with which public conformance suites try an xDS server, told in our words: twelve of the state
//! of the world, six of delta, each for every type that it is about.

use std::sync::Arc;

use mesh::{push::Protocol, snapshot::Snapshot};
use proto::type_url::ResourceType::{self, Cluster, Endpoint, Listener, Route};

use crate::{
    proxy::{DELTA, Proxy, SOTW},
    snapshots::{plain, snapshot},
};

/// Types that can be asked for as a whole, and whose responses in the state of the world are complete.
const WHOLE: [ResourceType; 2] = [Cluster, Listener];
/// Types that are asked for by name, and whose responses may hold a part.
const NAMED: [ResourceType; 2] = [Endpoint, Route];
const ALL: [ResourceType; 4] = [Cluster, Listener, Route, Endpoint];

/// Resources of one type with their contents.
fn world(kind: ResourceType, resources: &[(&'static str, u32)]) -> Arc<Snapshot> {
    snapshot(resources.iter().map(|(name, content)| plain(kind, name, *content)))
}

fn abcd(kind: ResourceType) -> Arc<Snapshot> {
    world(kind, &[("a", 1), ("b", 1), ("c", 1), ("d", 1)])
}

/// A proxy that asked for some names, got them and accepted them.
fn subscribed(protocol: Protocol, kind: ResourceType, target: &Arc<Snapshot>, names: &[&str]) -> Proxy {
    let mut proxy = Proxy::new(protocol, target);
    proxy.wants(kind, names);
    proxy.takes(kind, names);
    proxy.gets_nothing();
    proxy
}

// Twelve scenarios of the state of the world.

#[test]
fn sotw_01_who_asks_for_all_gets_all_and_no_answer_to_the_acknowledgement() {
    for kind in WHOLE {
        let mut proxy = Proxy::new(SOTW, &world(kind, &[("c", 1), ("a", 1), ("b", 1)]));
        proxy.wants_all(kind);
        proxy.takes(kind, &["a", "b", "c"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_02_who_asked_for_all_gets_all_again_when_one_changes() {
    for kind in WHOLE {
        let mut proxy = Proxy::new(SOTW, &world(kind, &[("a", 1), ("b", 1), ("c", 1)]));
        proxy.wants_all(kind);
        let before = proxy.takes(kind, &["a", "b", "c"]);
        proxy.aim(&world(kind, &[("a", 2), ("b", 1), ("c", 1)]));
        let after = proxy.takes(kind, &["a", "b", "c"]);
        assert_ne!(before.version, after.version);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_03_who_asked_for_all_gets_what_is_added() {
    for kind in WHOLE {
        let mut proxy = Proxy::new(SOTW, &world(kind, &[("a", 1), ("b", 1)]));
        proxy.wants_all(kind);
        proxy.takes(kind, &["a", "b"]);
        proxy.aim(&world(kind, &[("a", 1), ("b", 1), ("c", 1)]));
        proxy.takes(kind, &["a", "b", "c"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_04_who_asks_for_some_gets_only_those() {
    for kind in ALL {
        subscribed(SOTW, kind, &abcd(kind), &["b", "d"]);
    }
}

#[test]
fn sotw_05_who_asked_for_some_clusters_or_listeners_gets_all_of_those_when_one_changes() {
    for kind in WHOLE {
        let mut proxy = subscribed(SOTW, kind, &abcd(kind), &["b", "d"]);
        proxy.aim(&world(kind, &[("a", 2), ("b", 2), ("c", 1), ("d", 1)]));
        proxy.takes(kind, &["b", "d"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_06_who_asked_for_some_endpoints_or_routes_gets_only_what_changes() {
    for kind in NAMED {
        let mut proxy = subscribed(SOTW, kind, &abcd(kind), &["b", "d"]);
        proxy.aim(&world(kind, &[("a", 2), ("b", 2), ("c", 1), ("d", 1)]));
        proxy.takes(kind, &["b"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_07_a_cluster_or_listener_that_did_not_exist_comes_with_the_others_when_it_does() {
    for kind in WHOLE {
        let mut proxy = Proxy::new(SOTW, &abcd(kind));
        proxy.wants(kind, &["a", "z"]);
        proxy.takes(kind, &["a"]);
        proxy.gets_nothing();
        proxy.aim(&world(kind, &[("a", 1), ("b", 1), ("z", 1)]));
        proxy.takes(kind, &["a", "z"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_08_endpoints_or_routes_that_did_not_exist_come_alone_when_they_do() {
    for kind in NAMED {
        let mut proxy = Proxy::new(SOTW, &abcd(kind));
        proxy.wants(kind, &["a", "z"]);
        proxy.takes(kind, &["a"]);
        proxy.aim(&world(kind, &[("a", 1), ("b", 1), ("z", 1)]));
        proxy.takes(kind, &["z"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_09_a_cluster_or_listener_that_was_dropped_does_not_come_again() {
    for kind in WHOLE {
        let mut proxy = subscribed(SOTW, kind, &abcd(kind), &["a", "b", "c"]);
        proxy.drops(kind, &["b"]);
        proxy.gets_nothing();
        proxy.aim(&world(kind, &[("a", 2), ("b", 2), ("c", 2)]));
        proxy.takes(kind, &["a", "c"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_10_endpoints_or_routes_that_were_dropped_do_not_come_again() {
    for kind in NAMED {
        let mut proxy = subscribed(SOTW, kind, &abcd(kind), &["b", "d"]);
        proxy.drops(kind, &["d"]);
        proxy.aim(&world(kind, &[("b", 2), ("d", 2)]));
        proxy.takes(kind, &["b"]);
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_11_who_drops_all_gets_nothing() {
    for kind in ALL {
        let mut proxy = subscribed(SOTW, kind, &abcd(kind), &["a", "b"]);
        proxy.drops(kind, &["a", "b"]);
        proxy.aim(&world(kind, &[("a", 2), ("b", 2)]));
        proxy.gets_nothing();
    }
}

#[test]
fn sotw_12_several_types_share_a_stream() {
    for (kind, other) in [(Cluster, Listener), (Route, Endpoint)] {
        let parts = |content| [plain(kind, "a", 1), plain(kind, "b", content), plain(other, "b", 1)];
        let mut proxy = Proxy::new(SOTW, &snapshot(parts(1)));
        proxy.wants(kind, &["b"]);
        proxy.takes(kind, &["b"]);
        proxy.wants(other, &["b"]);
        proxy.takes(other, &["b"]);
        proxy.aim(&snapshot(parts(2)));
        proxy.takes(kind, &["b"]);
        proxy.gets_nothing();
    }
}

// Six scenarios of delta.

#[test]
fn delta_13_who_asks_for_some_gets_those_and_no_answer_to_the_acknowledgement() {
    for kind in ALL {
        subscribed(DELTA, kind, &abcd(kind), &["a", "b", "c"]);
    }
    for kind in WHOLE {
        let mut proxy = Proxy::new(DELTA, &abcd(kind));
        proxy.wants_all(kind);
        proxy.takes(kind, &["a", "b", "c", "d"]);
        proxy.gets_nothing();
    }
}

#[test]
fn delta_14_who_asks_for_one_after_the_other_gets_one_after_the_other() {
    for kind in ALL {
        let mut proxy = subscribed(DELTA, kind, &abcd(kind), &["a"]);
        proxy.wants(kind, &["b"]);
        proxy.takes(kind, &["b"]);
        proxy.gets_nothing();
    }
}

#[test]
fn delta_15_only_what_changes_is_sent() {
    for kind in ALL {
        let mut proxy = subscribed(DELTA, kind, &abcd(kind), &["a", "b", "c"]);
        proxy.aim(&world(kind, &[("a", 2), ("b", 1), ("c", 1), ("d", 2)]));
        proxy.takes(kind, &["a"]);
        proxy.gets_nothing();
    }
}

#[test]
fn delta_16_who_asks_for_what_does_not_exist_is_told_and_gets_it_when_it_does() {
    for kind in ALL {
        let mut proxy = Proxy::new(DELTA, &world(kind, &[("a", 1)]));
        proxy.wants(kind, &["a", "b"]);
        proxy.takes_and_loses(kind, &["a"], &["b"]);
        proxy.gets_nothing();
        proxy.aim(&world(kind, &[("a", 1), ("b", 1)]));
        proxy.takes(kind, &["b"]);
        proxy.gets_nothing();
    }
}

#[test]
fn delta_17_who_has_what_is_removed_is_told_and_gets_it_when_it_returns() {
    for kind in ALL {
        let mut proxy = subscribed(DELTA, kind, &world(kind, &[("a", 1), ("b", 1)]), &["a", "b"]);
        proxy.aim(&world(kind, &[("a", 1)]));
        proxy.takes_and_loses(kind, &[], &["b"]);
        proxy.gets_nothing();
        proxy.aim(&world(kind, &[("a", 1), ("b", 2)]));
        proxy.takes(kind, &["b"]);
        proxy.gets_nothing();
    }
}

#[test]
fn delta_18_what_was_dropped_does_not_come_again() {
    for kind in ALL {
        let mut proxy = subscribed(DELTA, kind, &world(kind, &[("a", 1), ("b", 1)]), &["a", "b"]);
        proxy.drops(kind, &["b"]);
        proxy.aim(&world(kind, &[("a", 1), ("b", 2)]));
        proxy.gets_nothing();
        proxy.drops(kind, &["a"]);
        proxy.aim(&world(kind, &[("a", 2), ("b", 2)]));
        proxy.gets_nothing();
    }
}
