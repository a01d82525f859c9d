//! What a stream costs: it shares the snapshot's memory whenever it is in step with it.

use std::{collections::BTreeMap, sync::Arc};

use proto::type_url::ResourceType;

use super::{Automaton, Limits, Protocol, Request, Response};
use crate::snapshot::{References, Resource, Snapshot};

const SERVICES: usize = 200;
const KINDS: [ResourceType; 4] =
    [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Listener, ResourceType::Route];

fn resource(kind: ResourceType, name: &str, content: u32) -> Arc<Resource> {
    let references = match kind {
        ResourceType::Cluster => References { endpoints: Some(name.into()), ..References::default() },
        ResourceType::Listener => References { routes: vec![name.into()], ..References::default() },
        ResourceType::Route => References { clusters: vec![name.into()], ..References::default() },
        ResourceType::Endpoint | ResourceType::Secret | ResourceType::ExtensionConfig => References::default(),
    };
    let content = content.to_string().into_bytes().into();
    Arc::new(Resource::encode(kind, name.into(), &[content], references, Vec::new()))
}

fn names() -> Vec<String> {
    (0..SERVICES).map(|service| format!("service-{service:04}")).collect()
}

fn mesh() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for kind in KINDS {
        let set = snapshot.of_mut(kind).expect("a set for each type");
        names().iter().for_each(|name| set.insert(resource(kind, name, 1)));
    }
    snapshot
}

fn request(kind: ResourceType, subscribe: Vec<String>, versions: BTreeMap<String, String>, nonce: String) -> Request {
    Request::Delta { kind, subscribe, unsubscribe: Vec::new(), initial_versions: versions, nonce, error: None }
}

fn wanted(kind: ResourceType) -> Vec<String> {
    if super::interest::is_complete(kind) { Vec::new() } else { names() }
}

/// Takes and accepts all that comes.
fn drain(automaton: &mut Automaton) -> Vec<Response> {
    let mut responses = Vec::new();
    while let Some(response) = automaton.next() {
        let nonce = response.nonce.to_string();
        automaton.receive(request(response.kind, Vec::new(), BTreeMap::new(), nonce)).expect("within the limits");
        responses.push(response);
    }
    responses
}

fn connected(target: &Arc<Snapshot>) -> Automaton {
    let mut automaton = Automaton::new(Protocol::Delta, Limits::default(), Arc::clone(target));
    for kind in KINDS {
        automaton.receive(request(kind, wanted(kind), BTreeMap::new(), String::new())).expect("within the limits");
        drain(&mut automaton);
    }
    automaton
}

fn assert_shared(automaton: &Automaton) {
    for kind in KINDS {
        let lane = automaton.lanes.of(kind);
        assert!(lane.sent.set().is_shared_with(automaton.target().of(kind)), "{kind}");
        assert!(lane.due.is_empty() && lane.flights.is_empty(), "{kind}");
    }
}

#[test]
fn a_stream_in_step_with_its_snapshot_shares_its_memory() {
    assert_shared(&connected(&Arc::new(mesh())));
}

#[test]
fn after_a_change_only_that_is_sent_and_the_memory_is_shared_again() {
    let before = Arc::new(mesh());
    let mut automaton = connected(&before);
    for kind in KINDS {
        let mut after = Snapshot::clone(automaton.target());
        after.of_mut(kind).expect("a set for each type").insert(resource(kind, "service-0007", 2));
        automaton.aim(Arc::new(after));
        let due: usize = KINDS.iter().map(|kind| automaton.lanes.of(*kind).due.len()).sum();
        assert_eq!(due, 1, "nothing but the change is looked at");
        let responses = drain(&mut automaton);
        let sent: Vec<ResourceType> = responses.iter().map(|response| response.kind).collect();
        let expected = match kind {
            ResourceType::Cluster => vec![ResourceType::Cluster, ResourceType::Endpoint],
            ResourceType::Endpoint
            | ResourceType::Listener
            | ResourceType::Route
            | ResourceType::Secret
            | ResourceType::ExtensionConfig => vec![kind],
        };
        assert_eq!(sent, expected);
        assert!(responses.iter().all(|response| response.resources.len() == 1));
        assert_shared(&automaton);
    }
}

#[test]
fn a_stream_that_brings_everything_along_shares_the_memory_at_once() {
    let target = Arc::new(mesh());
    let mut automaton = Automaton::new(Protocol::Delta, Limits::default(), Arc::clone(&target));
    for kind in KINDS {
        let held = target.of(kind).iter().map(|r| (r.name.to_string(), r.version.to_string())).collect();
        automaton.receive(request(kind, wanted(kind), held, String::new())).expect("within the limits");
        assert!(automaton.next().is_none());
    }
    assert_shared(&automaton);
}

#[test]
fn names_that_the_snapshot_has_are_its_names() {
    let target = Arc::new(mesh());
    let automaton = connected(&target);
    for name in automaton.lanes.of(ResourceType::Endpoint).interest.names.iter() {
        let owner = target.of(ResourceType::Endpoint).get(name).expect("a name of the snapshot");
        assert!(Arc::ptr_eq(name, &owner.name));
    }
}
