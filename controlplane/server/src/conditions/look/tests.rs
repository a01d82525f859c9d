//! Whole looks: what they find, and what they cost.

use std::time::Instant;

use mesh::{
    model::{Change, Config, Kind, Namespace, Object, Origin, sidecar::Sidecar},
    snapshot::{References, Resource, Snapshot},
    store::Store,
};
use proto::ResourceType;

use super::*;
use crate::{
    ads::Held,
    source::{istio, standing::Standing},
};

fn object(at: usize) -> ObjectId {
    ObjectId::new(Kind::Sidecar, Namespace::parse("shop").unwrap(), &format!("s-{at}"))
}

fn change(at: usize, generation: i64) -> Change {
    let spec = Sidecar { workload_selector: None, egress: None, ingress: Vec::new(), outbound_traffic_policy: None };
    let object = Object { id: object(at), created: None, generation: Some(generation), location: None, spec };
    Change::Set(Box::new(Config::Sidecar(object)))
}

fn standing(at: usize, generation: i64) -> (Arc<str>, Arc<Standing>) {
    let standing = Standing {
        kind: &istio::SIDECAR,
        version: "v1".into(),
        namespace: "shop".into(),
        name: format!("s-{at}").into(),
        uid: "u".into(),
        generation,
        resource_version: generation.to_string().into(),
        conditions: None,
        problems: Arc::default(),
    };
    (standing.title(), Arc::new(standing))
}

/// A cluster that is made of these objects.
fn cluster(name: usize, content: u8, objects: impl Iterator<Item = usize>) -> Arc<Resource> {
    let provenance = objects.map(|at| Origin::whole(&object(at))).collect();
    let content = bytes::Bytes::copy_from_slice(&[content]);
    let name = format!("c-{name}").into();
    Arc::new(Resource::encode(ResourceType::Cluster, name, &[content], References::default(), provenance))
}

fn with(snapshot: &Snapshot, resources: impl Iterator<Item = Arc<Resource>>) -> Arc<Snapshot> {
    let mut snapshot = snapshot.clone();
    for resource in resources {
        snapshot.of_mut(ResourceType::Cluster).unwrap().insert(resource);
    }
    Arc::new(snapshot)
}

fn holder(stream: u64, newest: &Arc<Snapshot>, held: &Arc<Snapshot>) -> Holder {
    let held = Some(Held { snapshot: Arc::clone(held), refused: Vec::new() });
    Holder { stream, newest: Arc::clone(newest), held }
}

fn programmed(wanted: &HashMap<Arc<str>, Wanted>, at: usize) -> Option<String> {
    let wanted = wanted.get(&*format!("Sidecar shop/s-{at}"))?;
    let [.., programmed] = &wanted.verdicts;
    Some(format!("{} {}", programmed.reason, programmed.message))
}

#[test]
fn an_object_is_looked_at_when_its_form_has_reached_the_mesh() {
    let mut store = Store::new();
    store.apply(vec![change(1, 1), change(2, 1)]);
    let checked = Checked { mesh: Some(store.mesh().clone()), problems: Arc::default() };
    let old = with(&Snapshot::default(), [cluster(1, 0, 1..2), cluster(2, 0, 2..3)].into_iter());
    let new = with(&old, std::iter::once(cluster(1, 1, 1..2)));
    let holders = [holder(1, &new, &old), holder(2, &new, &new)];
    let standings: Standings = [standing(1, 1), standing(2, 2)].into_iter().collect();
    let mut looker = Looker::default();
    let wanted = looker.look(standings.clone(), &checked, &holders);
    assert_eq!(programmed(&wanted, 1).as_deref(), Some("Pending 1/2 proxies"));
    assert_eq!(programmed(&wanted, 2), None, "its second form is not in the mesh yet");
    store.apply(vec![change(2, 2)]);
    let checked = Checked { mesh: Some(store.mesh().clone()), problems: Arc::default() };
    let wanted = looker.look(standings, &checked, &holders);
    assert_eq!(programmed(&wanted, 2).as_deref(), Some("Programmed 2/2 proxies"));
    assert!(Looker::default().look(Standings::new(), &Checked::default(), &holders).is_empty());
}

/// What looks cost at 10,000 objects and 2,000 proxies of 20 viewpoints, each of which sees all of them.
#[test]
#[ignore = "a measurement"]
fn cost() {
    const OBJECTS: usize = 10_000;
    const PROXIES: u64 = 2_000;
    const VIEWPOINTS: usize = 20;
    let mut store = Store::new();
    store.apply((0..OBJECTS).map(|at| change(at, 1)).collect());
    let checked = Checked { mesh: Some(store.mesh().clone()), problems: Arc::default() };
    let standings: Standings = (0..OBJECTS).map(|at| standing(at, 1)).collect();
    let clusters: Vec<_> = (0..OBJECTS / 4).map(|at| cluster(at, 0, 4 * at..4 * at + 4)).collect();
    let all: Vec<_> = (0..VIEWPOINTS).map(|_| with(&Snapshot::default(), clusters.iter().cloned())).collect();
    let one_more: Vec<_> = all.iter().map(|of| with(of, std::iter::once(cluster(7, 1, 28..32)))).collect();
    let of = |snapshots: &[Arc<Snapshot>], stream: u64| {
        let at = usize::try_from(stream).unwrap() % VIEWPOINTS;
        Arc::clone(&snapshots[at])
    };
    let settled: Vec<Holder> =
        (0..PROXIES).map(|stream| holder(stream, &of(&all, stream), &of(&all, stream))).collect();
    let moving: Vec<Holder> =
        (0..PROXIES).map(|stream| holder(stream, &of(&one_more, stream), &of(&all, stream))).collect();
    let mut looker = Looker::default();
    for (what, holders) in [
        ("first", &settled),
        ("nothing new", &settled),
        ("one change under way to all", &moving),
        ("nothing new", &moving),
    ] {
        let began = Instant::now();
        let wanted = looker.look(standings.clone(), &checked, holders);
        println!("{what}: {:.1} ms, {} differ", began.elapsed().as_secs_f64() * 1e3, wanted.len());
    }
}
