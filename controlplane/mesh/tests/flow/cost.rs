//! What changes cost at scale; run by hand, optimised: `cargo test --release -p mesh --test flow -- --ignored --nocapture cost`.

use std::time::Duration;

use mesh::{
    compile::viewpoint::{Interception, ProxyKind, Viewpoint},
    model::{Change, endpoint::Locality},
    snapshot::Snapshots,
    store::Store,
};

use crate::sample::*;

/// The clock of processor time ticks every few milliseconds, so short things are done many times.
const ENOUGH: Duration = Duration::from_millis(400);
const ROUNDS_MIN: u32 = 20;
const ROUNDS_MAX: u32 = 4000;

/// A mesh of this many namespaces with this many services each, with ten endpoints, a rule with two subsets and a route.
struct Shape {
    namespaces: usize,
    services: usize,
    viewpoints: usize,
    scoped: bool,
}

/// The processor time of this thread: other work on the machine does not count.
fn cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn at(id: &str, name: &str, last: u32) -> Change {
    let slice = (0..10).fold(slice(&format!("{id}-x"), name), |slice, n| {
        slice.with(endpoint_of(
            &format!("10.1.{}.{}", if n == 9 { last % 250 } else { 0 }, n + 1),
            &format!("{name}-{n}"),
        ))
    });
    slice.set()
}

fn measure(shape: &Shape) {
    let mut store = Store::new();
    let mut changes = Vec::new();
    for n in 0..shape.namespaces {
        if shape.scoped {
            changes.push(sidecar(&format!("n{n}/only"), &["./*"]).set());
        }
        for s in 0..shape.services {
            let (id, name) = (format!("n{n}/s{s}"), format!("s{s}"));
            let host = fqdn(&id);
            changes.push(service(&id).set());
            changes.push(at(&id, &name, 0));
            changes.push(rule(&id, &host, &["v1", "v2"]).set());
            changes.push(route(&id, &host, &host).set());
            for p in 0..10 {
                changes.push(pod(&format!("{id}-{p}"), &[("app", &name), ("version", ["v1", "v2"][p % 2])]).set());
            }
        }
    }
    let objects = changes.len();
    let started = cpu();
    store.apply(changes);
    println!("{objects} objects taken in: {:?}", cpu() - started);
    let views: Vec<_> = (0..shape.viewpoints)
        .map(|n| Viewpoint {
            kind: ProxyKind::Sidecar,
            namespace: namespace(&format!("n{}", n % shape.namespaces)),
            labels: labels(&[("app", &format!("s{}", n / shape.namespaces))]),
            network: String::new(),
            locality: Locality::default(),
            node: None,
            interception: Interception::Redirect,
            http_proxy_port: None,
            ipv6_only: false,
            has_certificates: false,
        })
        .collect();
    let mut snapshots = Snapshots::new();
    let started = cpu();
    for view in &views {
        snapshots.get(store.mesh(), view);
    }
    println!("{} viewpoints: {:?}, {} results", views.len(), cpu() - started, snapshots.memoised());
    let of = fqdn("n0/s3");
    let mut time = |what: &str, change: &dyn Fn(u32) -> Vec<Change>| {
        let (mut rounds, mut different) = (0, 0);
        let (mut applied, mut updated) = (Duration::ZERO, Duration::ZERO);
        while rounds < ROUNDS_MIN || (applied + updated < ENOUGH && rounds < ROUNDS_MAX) {
            rounds += 1;
            let change = change(rounds);
            let started = cpu();
            let touched = store.apply(change);
            applied += cpu() - started;
            let started = cpu();
            different = snapshots.update(store.mesh(), &touched).len();
            updated += cpu() - started;
        }
        let (store, each) = (applied / rounds, updated / rounds / different.max(1) as u32);
        println!("{what}: store {store:?}, snapshots {:?}: {different}, {each:?} each", updated / rounds);
    };
    time("one endpoint", &|n| vec![at("n0/s3", "s3", n)]);
    time("one subset", &|n| vec![rule("n0/s3", &of, &["v1", "v2", &format!("v{}", n + 2)]).set()]);
    time("one route", &|n| {
        let mut routed = route("n0/s3", &of, &of);
        routed.spec.http[0].timeout = Some(Duration::from_secs(n.into()));
        vec![routed.set()]
    });
    time("one pod", &|n| vec![pod("n0/s3-4", &[("app", "s3"), ("version", ["v1", "v2"][n as usize % 2])]).set()]);
    time("one service", &|n| match n % 2 {
        0 => vec![service("n0/new").gone()],
        _ => vec![service("n0/new").set()],
    });
    println!("{:?}", snapshots.counters());
}

#[test]
#[ignore = "measures, and shows nothing but numbers"]
fn cost_of_changes() {
    println!("--- 20 namespaces of 50 services, 1,000 viewpoints scoped to their namespace");
    measure(&Shape { namespaces: 20, services: 50, viewpoints: 1000, scoped: true });
    println!("--- 1 namespace of 1,000 services, 200 viewpoints");
    measure(&Shape { namespaces: 1, services: 1000, viewpoints: 200, scoped: false });
    println!("--- 20 namespaces of 50 services, 200 viewpoints that see all");
    measure(&Shape { namespaces: 20, services: 50, viewpoints: 200, scoped: false });
}
