//! Tallies of hand-made snapshots.

use bytes::Bytes;
use mesh::{
    model::{Kind, Namespace},
    snapshot::References,
};

use super::*;

fn object(name: &str) -> ObjectId {
    ObjectId::new(Kind::VirtualService, Namespace::parse("shop").unwrap(), name)
}

/// A snapshot of route configurations: name, content, and the objects that made it.
fn snapshot(routes: &[(&str, &str, &[&str])]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (name, content, objects) in routes {
        let provenance = objects.iter().map(|name| Origin::field(&object(name), "spec.http[0]")).collect();
        let content = Bytes::copy_from_slice(content.as_bytes());
        let kind = ResourceType::Route;
        let resource = Resource::encode(kind, (*name).into(), &[content], References::default(), provenance);
        snapshot.of_mut(kind).unwrap().insert(Arc::new(resource));
    }
    Arc::new(snapshot)
}

fn holder(stream: u64, newest: &Arc<Snapshot>, held: Option<&Arc<Snapshot>>) -> Holder {
    let held = held.map(|snapshot| Held { snapshot: Arc::clone(snapshot), refused: Vec::new() });
    Holder { stream, newest: Arc::clone(newest), held }
}

fn refusing(stream: u64, newest: &Arc<Snapshot>, name: &str) -> Holder {
    let refusal = StandingRefusal { kind: ResourceType::Route, name: name.into(), error: "no".into() };
    let held = Held { snapshot: Arc::clone(newest), refused: vec![refusal] };
    Holder { stream, newest: Arc::clone(newest), held: Some(held) }
}

fn shown(coverage: &Coverage, name: &str) -> (u32, u32, u32) {
    let tally = coverage.of(&object(name)).cloned().unwrap_or_default();
    (tally.holding, tally.proxies, tally.refusing)
}

fn nothing_proven(_: &ObjectId) -> bool {
    false
}

#[test]
fn a_proxy_counts_for_what_its_resources_are_made_of() {
    let (both, one) = (snapshot(&[("80", "a", &["x", "y"])]), snapshot(&[("80", "b", &["x"])]));
    let mut coverage = Coverage::default();
    coverage
        .count(&[holder(1, &both, Some(&both)), holder(2, &one, Some(&one)), holder(3, &one, None)], nothing_proven);
    assert_eq!((shown(&coverage, "x"), shown(&coverage, "y")), ((2, 3, 0), (1, 1, 0)));
    assert_eq!(coverage.of(&object("z")), None);
    coverage.count(&[holder(2, &one, Some(&one))], nothing_proven);
    assert_eq!((shown(&coverage, "x"), shown(&coverage, "y")), ((1, 1, 0), (0, 0, 0)));
}

#[test]
fn what_is_on_its_way_is_not_held_and_all_else_is() {
    let old = snapshot(&[("80", "a", &["x"]), ("81", "a", &["y"])]);
    let new = snapshot(&[("80", "b", &["x"]), ("81", "a", &["y"]), ("82", "a", &["z"])]);
    let mut coverage = Coverage::default();
    coverage.count(&[holder(1, &old, Some(&old))], nothing_proven);
    coverage.count(&[holder(1, &new, Some(&old))], nothing_proven);
    assert_eq!(
        (shown(&coverage, "x"), shown(&coverage, "y"), shown(&coverage, "z")),
        ((0, 1, 0), (1, 1, 0), (0, 1, 0))
    );
    coverage.count(&[holder(1, &new, Some(&new))], nothing_proven);
    assert_eq!((shown(&coverage, "x"), shown(&coverage, "z")), ((1, 1, 0), (1, 1, 0)));
}

#[test]
fn step_by_step_is_the_same_as_from_scratch() {
    let steps = [
        snapshot(&[("80", "a", &["x", "x", "y"])]),
        snapshot(&[("80", "b", &["x"]), ("81", "a", &["z", "y"])]),
        snapshot(&[("81", "b", &["z"])]),
        snapshot(&[]),
        snapshot(&[("80", "c", &["y", "w"])]),
    ];
    let mut coverage = Coverage::default();
    for step in &steps {
        coverage.count(&[holder(1, step, Some(step))], nothing_proven);
        let mut fresh = Coverage::default();
        fresh.count(&[holder(1, step, Some(step))], nothing_proven);
        for name in ["w", "x", "y", "z"] {
            assert_eq!(shown(&coverage, name), shown(&fresh, name), "{name}");
        }
    }
}

#[test]
fn a_refusal_is_held_against_what_is_new_in_the_resource() {
    let all = snapshot(&[("80", "a", &["x", "y"]), ("81", "a", &["z"])]);
    let mut coverage = Coverage::default();
    let proxies = [holder(1, &all, Some(&all)), refusing(2, &all, "80")];
    coverage.count(&proxies, |object| &*object.name == "x");
    assert_eq!(
        (shown(&coverage, "x"), shown(&coverage, "y"), shown(&coverage, "z")),
        ((2, 2, 0), (1, 2, 1), (2, 2, 0))
    );
    let refusal = coverage.of(&object("y")).unwrap().refusal.clone().unwrap();
    assert_eq!((&*refusal.error, &*refusal.resource, &*refusal.field), ("no", "80", "spec.http[0]"));
    // Where nothing is new, everything may be at fault.
    coverage.count(&proxies, |_| true);
    assert_eq!((shown(&coverage, "x"), shown(&coverage, "y")), ((1, 2, 1), (1, 2, 1)));
}

#[test]
fn objects_that_are_gone_are_forgotten() {
    let mut coverage = Coverage::default();
    for round in 0..3 * SLACK {
        let name = round.to_string();
        let only = snapshot(&[("80", "a", &[&name])]);
        coverage.count(&[holder(1, &only, Some(&only))], nothing_proven);
    }
    assert!(coverage.numbers.len() <= SLACK + 4, "{}", coverage.numbers.len());
}
