//! Every interleaving of a rotation with two leaders, replicas, proxies, a store, crashes, late writes and lost answers.
//!
//! Checked in every state: whoever presents a live leaf is trusted by every proxy that holds a bundle, and no key that the store's
//! record needs is deleted.

#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking, in its helpers too")]

#[path = "rotation_model/world.rs"]
mod world;

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use ca::rotation::{Phase, Timing};
use world::{Budget, LIFETIME_S, Size, World};

/// What a search has seen.
#[derive(Debug, Default)]
struct Explored {
    states: usize,
    switched: usize,
    finished: usize,
    aborted: usize,
}

/// Explores everything that can happen; gives the shortest way to a broken invariant as an error.
fn explore(first: World) -> Result<Explored, String> {
    let mut seen = HashSet::new();
    let mut explored = Explored::default();
    // Only hashes of what was seen are kept, and the way to a state as the index of the one before.
    let mut ways: Vec<(usize, String)> = vec![(0, "start".to_owned())];
    let mut open = VecDeque::from([(first, 0)]);
    while let Some((world, way)) = open.pop_front() {
        if let Err(broken) = world.check() {
            return Err(format!("{broken}\n{world:#?}\n{}", told(&ways, way)));
        }
        explored.states += 1;
        match world.store.phase() {
            Phase::Draining { signing, .. } if *signing != world::OLD() => explored.switched += 1,
            Phase::Steady { signing, .. } if *signing != world::OLD() => explored.finished += 1,
            Phase::Steady { .. } if world.store.generation() > 0 => explored.aborted += 1,
            Phase::Steady { .. } | Phase::Publishing { .. } | Phase::Draining { .. } => {}
        }
        for (what, next) in world.successors() {
            let mut hasher = DefaultHasher::new();
            next.hash(&mut hasher);
            if seen.insert(hasher.finish()) {
                ways.push((way, what));
                open.push_back((next, ways.len() - 1));
            }
        }
    }
    Ok(explored)
}

fn told(ways: &[(usize, String)], mut way: usize) -> String {
    let mut steps = Vec::new();
    while way != 0 {
        steps.push(ways[way].1.as_str());
        way = ways[way].0;
    }
    steps.reverse();
    steps.join("\n")
}

const TIMING: Timing = Timing { propagation_s: 1, clock_skew_s: 0 };

fn holds(size: Size, budget: Budget) {
    match explore(World::new(size, TIMING, budget)) {
        Err(broken) => panic!("{broken}"),
        Ok(explored) => {
            println!("{explored:?}");
            assert!(explored.switched > 0 && explored.finished > 0, "the search must reach the end: {explored:?}");
            assert!(budget.aborts == 0 || explored.aborted > 0, "the search must reach an abort's end: {explored:?}");
        }
    }
}

const ONE: Size = Size { leaders: 1, replicas: 1, verifiers: 1 };
const NONE: Budget = Budget { begins: 1, aborts: 0, crashes: 0, unanswered: 0, restarts: 0, until_s: 5 };

#[test]
fn two_leaders_never_break_trust() {
    holds(Size { leaders: 2, ..ONE }, Budget { begins: 2, until_s: 4, ..NONE });
}

#[test]
fn a_leader_that_crashes_at_any_step_never_breaks_trust() {
    holds(ONE, Budget { crashes: 2, ..NONE });
}

#[test]
fn writes_that_arrive_late_never_break_trust() {
    holds(ONE, Budget { aborts: 1, unanswered: 1, ..NONE });
}

#[test]
fn replicas_that_lag_and_proxies_that_restart_never_break_trust() {
    holds(Size { replicas: 2, ..ONE }, Budget { restarts: 1, ..NONE });
    holds(Size { verifiers: 2, ..ONE }, Budget { until_s: 4, ..NONE });
}

#[test]
fn aborts_at_every_step_never_break_trust() {
    holds(ONE, Budget { aborts: 2, until_s: 6, ..NONE });
}

/// For long: `cargo test -p ca --release --test rotation_model -- --ignored`.
#[test]
#[ignore = "takes minutes"]
fn faults_together_never_break_trust() {
    holds(Size { leaders: 2, ..ONE }, Budget { begins: 2, crashes: 1, until_s: 4, ..NONE });
    holds(Size { replicas: 2, verifiers: 2, ..ONE }, Budget { crashes: 1, restarts: 1, until_s: 6, ..NONE });
    holds(Size { verifiers: 2, ..ONE }, Budget { aborts: 2, crashes: 1, until_s: 6, ..NONE });
}

/// The model must be able to find what it looks for: leaders that wait too little are caught.
#[test]
fn leaders_that_wait_too_little_are_caught() {
    let (size, budget) = (Size { replicas: 2, ..ONE }, Budget { until_s: 6, ..NONE });
    let hasty = Timing { propagation_s: 0, ..TIMING };
    let broken = explore(World::new(size, hasty, budget)).unwrap_err();
    assert!(broken.contains("does not trust"), "{broken}");
    let mut longer = World::new(size, TIMING, budget);
    longer.lifetime_s = LIFETIME_S + 2;
    let broken = explore(longer).unwrap_err();
    assert!(broken.contains("does not trust"), "{broken}");
}
