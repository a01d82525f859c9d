//! No state that a stream can reach lets a proxy name a cluster that it does not serve, and every one leads to the target.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, in its helpers too")]

#[path = "push_model/envoy.rs"]
mod envoy;
#[path = "push_model/explorer.rs"]
mod explorer;
#[path = "push_model/identity.rs"]
mod identity;
#[path = "push_model/server.rs"]
mod server;
#[path = "push/snapshots.rs"]
mod snapshots;

use std::sync::Arc;

use mesh::{push::Protocol, snapshot::Snapshot};

use self::{
    envoy::{Badness, Nature},
    explorer::{Case, bad},
    server::Fault,
    snapshots::{Part, cluster, endpoints, fixed, listener, route, snapshot},
};

/// States per case after which a test gives up: all cases end far below.
const STATES_MAX: usize = 3_000_000;

fn case(protocol: Protocol, targets: Vec<Arc<Snapshot>>) -> Case {
    Case {
        nature: Nature { protocol, acks_first: false, drains: false, bad: Vec::new() },
        fault: Fault::None,
        targets,
        reconnects: 0,
        restarts: 0,
        states_max: STATES_MAX,
    }
}

/// Explores the case in both protocols and with and without the peculiarities of Envoy that differ.
fn holds(name: &str, targets: Vec<Arc<Snapshot>>, change: impl Fn(&mut Case)) {
    for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
        for is_odd in [false, true] {
            let mut case = case(protocol, targets.clone());
            (case.nature.acks_first, case.nature.drains) = (is_odd, is_odd);
            change(&mut case);
            let started = std::time::Instant::now();
            match case.explore() {
                Ok(explored) => println!(
                    "{name}, {protocol:?}: {} states, {} ends, longest way {}, {:?}",
                    explored.states,
                    explored.ends,
                    explored.depth,
                    started.elapsed()
                ),
                Err(fault) => panic!("{name}, {protocol:?}: {fault}"),
            }
        }
    }
}

fn reviews(version: &'static str) -> [Part; 2] {
    [cluster(version, 1), endpoints(version, 1)]
}

/// A service whose route moves from one version to the other by way of both.
fn canary() -> Vec<Arc<Snapshot>> {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    let inbound = listener("in", 1).route("web");
    vec![
        snapshot([v1.clone(), e1.clone(), inbound.clone(), route("web", 1).to("v1")]),
        snapshot([v1, e1, v2.clone(), e2.clone(), inbound.clone(), route("web", 2).to("v1").to("v2")]),
        snapshot([v2, e2, inbound, route("web", 3).to("v2")]),
    ]
}

/// The route moves to a new cluster while the old one goes, and all comes back.
fn there_and_back() -> Vec<Arc<Snapshot>> {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    let inbound = listener("in", 1).route("web");
    let before = snapshot([v1, e1, inbound.clone(), route("web", 1).to("v1")]);
    let after = snapshot([v2, e2, inbound, route("web", 2).to("v2")]);
    vec![Arc::clone(&before), after, before]
}

/// A listener that leads to a cluster, then to routes, then to others and to a cluster of its own.
fn moving_listener() -> Vec<Arc<Snapshot>> {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    vec![
        snapshot([v1, e1, listener("in", 1).to("v1")]),
        snapshot([v2.clone(), e2.clone(), listener("in", 2).to("v2").route("web"), route("web", 1).to("v2")]),
        snapshot([v2, e2, fixed("hole", 1), listener("in", 3).to("hole").route("api"), route("api", 1).to("v2")]),
    ]
}

#[test]
fn a_route_moves_between_clusters() {
    holds("canary", canary(), |_| {});
}

#[test]
fn a_cluster_is_swapped_and_comes_back() {
    holds("there and back", there_and_back(), |_| {});
}

#[test]
fn a_stream_that_breaks_anywhere_loses_nothing() {
    holds("reconnect", there_and_back()[..2].to_vec(), |case| case.reconnects = 1);
}

#[test]
fn a_listener_that_nobody_knows_any_more_serves_until_its_successor_has_its_routes() {
    holds("listener, reconnect", moving_listener(), |case| case.reconnects = 1);
}

#[test]
fn a_changed_cluster_is_refused_after_the_stream_broke() {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    let inbound = listener("in", 1).route("web");
    let targets = vec![
        snapshot([v1, e1.clone(), inbound.clone(), route("web", 1).to("v1")]),
        snapshot([cluster("v1", 2), e1, v2, e2, inbound, route("web", 2).to("v1").to("v2")]),
    ];
    let bad = vec![bad(&cluster("v1", 2).build(), Badness::Alone)];
    holds("refused, reconnect", targets, |case| (case.reconnects, case.nature.bad) = (1, bad.clone()));
}

#[test]
fn clusters_that_get_no_endpoints_from_here_come_while_others_go_and_the_stream_breaks() {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    let (inbound, hole) = (listener("in", 1).route("web"), fixed("hole", 1));
    let targets = vec![
        snapshot([v1, e1, inbound.clone(), route("web", 1).to("v1")]),
        snapshot([v2.clone(), e2.clone(), hole.clone(), inbound.clone(), route("web", 2).to("v2").to("hole")]),
        snapshot([v2, e2, hole, fixed("pit", 1), inbound, route("web", 3).to("pit").to("v2")]),
    ];
    holds("fixed, reconnect", targets, |case| case.reconnects = 1);
}

#[test]
fn a_stream_may_break_twice() {
    holds("reconnect twice", canary()[..2].to_vec(), |case| case.reconnects = 2);
}

#[test]
fn a_stream_may_break_twice_while_the_target_moves_and_comes_back() {
    holds("there and back, twice", there_and_back(), |case| case.reconnects = 2);
}

#[test]
fn a_proxy_that_starts_anew_gets_everything() {
    holds("restart", there_and_back()[..2].to_vec(), |case| case.restarts = 1);
}

/// Configurations that have everything in common that can be had in common.
fn universe() -> Vec<Arc<Snapshot>> {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    let (inbound, tcp) = (listener("in", 1).route("web"), listener("tcp", 1));
    let other = listener("in", 2).route("api");
    vec![
        snapshot([]),
        snapshot([v1.clone(), e1.clone(), inbound.clone(), route("web", 1).to("v1")]),
        snapshot([v2.clone(), e2.clone(), inbound.clone(), route("web", 2).to("v2")]),
        snapshot([v1.clone(), e1.clone(), v2.clone(), e2.clone(), inbound.clone(), route("web", 3).to("v1").to("v2")]),
        snapshot([cluster("v1", 2), endpoints("v1", 2), inbound.clone(), route("web", 1).to("v1")]),
        snapshot([
            v1.clone(),
            e1.clone(),
            v2.clone(),
            e2.clone(),
            inbound,
            tcp.clone().to("v2"),
            route("web", 1).to("v1"),
        ]),
        snapshot([v1, e1, other, route("api", 1).to("v1")]),
        snapshot([v2, e2, tcp.to("v2")]),
    ]
}

/// Explores all ways through the universe of so many steps; returns the number of states.
fn explore_universe(universe: &[Arc<Snapshot>], steps: u32, change: impl Fn(&mut Case)) -> usize {
    let mut states = 0;
    for way in 0..universe.len().pow(steps) {
        let places = (0..steps).map(|step| way / universe.len().pow(step) % universe.len());
        let targets: Vec<Arc<Snapshot>> = places.clone().map(|place| Arc::clone(&universe[place])).collect();
        for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
            let mut case = case(protocol, targets.clone());
            change(&mut case);
            match case.explore() {
                Ok(explored) => states += explored.states,
                Err(fault) => panic!("way {:?}, {protocol:?}: {fault}", places.collect::<Vec<_>>()),
            }
        }
    }
    states
}

#[test]
fn every_configuration_may_follow_every_other_while_listeners_drain() {
    println!("{} states", explore_universe(&universe(), 2, |case| case.nature.drains = true));
}

#[test]
fn configurations_may_follow_each_other_while_the_stream_breaks() {
    println!("{} states", explore_universe(&universe()[1..6], 2, |case| case.reconnects = 1));
}

#[test]
fn ways_that_once_led_astray_are_safe() {
    let universe = universe();
    let (delta, sotw) = (Protocol::Delta, Protocol::StateOfTheWorld);
    for (way, protocol) in [([0, 1, 5], delta), ([1, 0, 1], sotw), ([4, 1, 0], delta), ([5, 4, 2], delta)] {
        let targets = way.iter().map(|place| Arc::clone(&universe[*place])).collect();
        let mut case = case(protocol, targets);
        (case.reconnects, case.nature.drains) = (1, true);
        let explored = case.explore().unwrap_or_else(|fault| panic!("way {way:?}, {protocol:?}: {fault}"));
        println!("way {way:?}, {protocol:?}: {} states", explored.states);
    }
}

#[test]
#[ignore = "takes minutes: for the soak"]
fn any_three_configurations_may_follow_each_other_while_the_stream_breaks_and_listeners_drain() {
    println!("{} states", explore_universe(&universe(), 3, |case| (case.reconnects, case.nature.drains) = (1, true)));
}

#[test]
#[ignore = "takes minutes: for the soak"]
fn every_configuration_may_follow_every_other_while_the_stream_breaks_twice() {
    println!("{} states", explore_universe(&universe(), 2, |case| (case.reconnects, case.nature.drains) = (2, true)));
}

#[test]
fn a_changed_cluster_becomes_warm_though_its_endpoints_stay() {
    let [v1, e1] = reviews("v1");
    let inbound = listener("in", 1).route("web");
    let web = route("web", 1).to("v1");
    let targets = vec![
        snapshot([v1, e1.clone(), inbound.clone(), web.clone()]),
        snapshot([cluster("v1", 2), e1, inbound.clone(), web.clone()]),
        snapshot([cluster("v1", 3), endpoints("v1", 2), inbound, web]),
    ];
    holds("changed cluster", targets, |case| case.reconnects = 1);
}

#[test]
fn a_listener_moves_between_clusters_and_routes() {
    holds("listener", moving_listener(), |_| {});
}

#[test]
fn everything_goes_and_something_else_comes() {
    let [v1, e1] = reviews("v1");
    let targets = vec![
        snapshot([v1, e1, listener("in", 1).route("web"), route("web", 1).to("v1")]),
        snapshot([]),
        snapshot([fixed("hole", 1), listener("out", 1).route("all"), route("all", 1).to("hole")]),
    ];
    holds("everything", targets, |_| {});
}

#[test]
fn a_route_does_not_wait_for_ever_behind_a_cluster_that_always_changes() {
    let inbound = listener("in", 1).route("web");
    let [_, e1] = reviews("v1");
    let target =
        |content: u32| snapshot([cluster("v1", content), e1.clone(), inbound.clone(), route("web", content).to("v1")]);
    holds("churn", (1..=4).map(target).collect(), |_| {});
}

#[test]
fn a_reference_to_nothing_holds_nobody_up() {
    let [v1, e1] = reviews("v1");
    let inbound = listener("in", 1).route("web");
    let targets = vec![
        snapshot([v1.clone(), e1.clone(), inbound.clone(), route("web", 1).to("v1").to("nothing")]),
        snapshot([inbound.clone(), route("web", 1).to("v1").to("nothing")]),
        snapshot([v1, e1, inbound, route("web", 2).to("v1")]),
    ];
    holds("dangling", targets, |_| {});
}

#[test]
fn a_refused_cluster_takes_nothing_else_with_it() {
    for badness in [Badness::Whole, Badness::Alone] {
        let [v1, e1] = reviews("v1");
        let [v2, e2] = reviews("v2");
        let [v3, e3] = reviews("v3");
        let inbound = listener("in", 1).route("web");
        let web = route("web", 1).to("v1");
        let good = [v1.clone(), e1.clone(), inbound.clone(), web.clone()];
        let targets = vec![
            snapshot(good),
            snapshot([v1, e1, v2, e2, v3.clone(), e3.clone(), inbound.clone(), route("web", 2).to("v1").to("v3")]),
            snapshot([cluster("v2", 2), endpoints("v2", 1), v3, e3, inbound, route("web", 3).to("v2").to("v3")]),
        ];
        holds(&format!("bad cluster, {badness:?}"), targets[..2].to_vec(), |case| {
            case.nature.bad = vec![bad(&reviews("v2")[0].build(), badness)];
        });
        holds(&format!("bad cluster mended, {badness:?}"), targets, |case| {
            case.nature.bad = vec![bad(&reviews("v2")[0].build(), badness)];
        });
    }
}

#[test]
fn what_names_a_refused_new_cluster_waits_until_it_is_mended() {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    let inbound = listener("in", 1).route("web");
    let targets = [
        snapshot([v1, e1, inbound.clone(), route("web", 1).to("v1")]),
        snapshot([v2, e2.clone(), inbound.clone(), route("web", 2).to("v2")]),
        snapshot([cluster("v2", 2), e2, inbound, route("web", 3).to("v2")]),
    ];
    for badness in [Badness::Whole, Badness::Alone] {
        let bad = vec![bad(&reviews("v2")[0].build(), badness)];
        holds("swap to a bad cluster", targets[..2].to_vec(), |case| case.nature.bad.clone_from(&bad));
        holds("swap to a bad cluster, mended", targets.to_vec(), |case| case.nature.bad.clone_from(&bad));
        holds(
            "swap to a bad cluster and back",
            vec![targets[0].clone(), targets[1].clone(), targets[0].clone()],
            |c| {
                c.nature.bad.clone_from(&bad);
            },
        );
    }
}

#[test]
fn a_refused_route_or_listener_leaves_the_old_one_at_work() {
    let [v1, e1] = reviews("v1");
    let [v2, e2] = reviews("v2");
    let inbound = listener("in", 1).route("web");
    let (web, api) = (route("web", 2).to("v2"), route("api", 2).to("v2"));
    let out = listener("out", 1).route("api");
    let targets = vec![
        snapshot([
            v1.clone(),
            e1.clone(),
            inbound.clone(),
            out.clone(),
            route("web", 1).to("v1"),
            route("api", 1).to("v1"),
        ]),
        snapshot([v2, e2, inbound.clone(), out.clone(), web.clone(), api]),
        snapshot([v1, e1, inbound, out, route("web", 3).to("v1"), route("api", 3).to("v1")]),
    ];
    for badness in [Badness::Whole, Badness::Alone] {
        let bad = vec![bad(&web.build(), badness)];
        holds("bad route", targets[..2].to_vec(), |case| case.nature.bad.clone_from(&bad));
        holds("bad route mended", targets.clone(), |case| case.nature.bad.clone_from(&bad));
    }
}

/// The explorer finds what is wrong with a server that has this fault.
fn finds(fault: Fault, protocol: Protocol, targets: Vec<Arc<Snapshot>>, expected: &str) {
    let mut case = case(protocol, targets);
    case.fault = fault;
    case.reconnects = u32::from(fault == Fault::LeavesOutPlaceholders);
    let [v2, _] = reviews("v2");
    if fault == Fault::LosesTheGood {
        case.nature.bad = vec![bad(&v2.build(), Badness::Whole)];
    }
    let found = case.explore().expect_err("a fault that is there");
    assert!(found.contains(expected), "{fault:?}: expected {expected:?}, found {found}");
    println!("{fault:?}, {protocol:?}: {found}");
}

#[test]
fn a_server_that_does_not_wait_for_acknowledgements_is_found_out() {
    finds(Fault::HopesForTheBest, Protocol::Delta, there_and_back(), "which is not served");
}

#[test]
fn a_server_that_does_not_repeat_endpoints_is_found_out() {
    let [v1, e1] = reviews("v1");
    for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
        let targets = vec![snapshot([v1.clone(), e1.clone()]), snapshot([cluster("v1", 2), e1.clone()])];
        finds(Fault::SkipsEndpoints, protocol, targets, "warms for ever");
    }
}

#[test]
fn a_server_that_removes_clusters_early_is_found_out() {
    for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
        finds(Fault::RemovesEarly, protocol, there_and_back(), "which is not served");
    }
}

#[test]
fn a_server_that_forgets_the_clusters_of_an_earlier_stream_is_found_out() {
    finds(Fault::LeavesOutPlaceholders, Protocol::StateOfTheWorld, there_and_back(), "which is not served");
}

#[test]
fn a_server_that_loses_what_was_refused_with_others_is_found_out() {
    finds(Fault::LosesTheGood, Protocol::Delta, canary(), "which is not served");
}
