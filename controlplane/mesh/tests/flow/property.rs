//! What holds for every world and every way to it.

use std::collections::BTreeMap;

use mesh::{
    compile::viewpoint::{ProxyDescription, Viewpoint},
    model::{Change, Shared, mesh_service::Identities},
    snapshot::{Snapshot, Snapshots},
    store::{ServiceKey, Store, Touched},
};
use proptest::prelude::*;
use proto::type_url::ResourceType;

use crate::world::{SLOTS, VARIANTS, World, change, changes, proxies};

/// Some objects become other variants, at once.
type Batch = Vec<(usize, usize)>;

fn batches(most: usize) -> impl Strategy<Value = Vec<Batch>> {
    let edit = (0..SLOTS, 0..VARIANTS);
    prop::collection::vec(prop::collection::vec(edit, 1..8), 1..most)
}

fn world() -> impl Strategy<Value = World> {
    prop::collection::btree_map(0..SLOTS, 1..VARIANTS, 0..SLOTS)
}

/// A control plane with its proxies, kept up to date as the dispatcher does it.
struct Kept {
    store: Store,
    snapshots: Snapshots,
    proxies: Vec<(ProxyDescription, Viewpoint)>,
}

impl Kept {
    fn new() -> Self {
        let store = Store::new();
        let viewpoint = |proxy: ProxyDescription| {
            let viewpoint = Viewpoint::of(&proxy, store.mesh());
            (proxy, viewpoint)
        };
        let proxies = proxies().into_iter().map(viewpoint).collect();
        let mut kept = Self { store, snapshots: Snapshots::new(), proxies };
        kept.held();
        kept
    }

    /// Applies changes, and checks on the way that what is said to differ is what differs.
    fn apply(&mut self, batch: Vec<Change>) -> Touched {
        let before: BTreeMap<Viewpoint, Snapshot> = self
            .proxies
            .iter()
            .map(|(_, v)| (v.clone(), (*self.snapshots.get(self.store.mesh(), v)).clone()))
            .collect();
        let touched = self.store.apply(batch);
        let mesh = self.store.mesh();
        let different: BTreeMap<_, _> = self.snapshots.update(mesh, &touched).into_iter().collect();
        for (viewpoint, before) in &before {
            let now = self.snapshots.get(mesh, viewpoint);
            assert_eq!(different.contains_key(viewpoint), !now.same(before), "{viewpoint:?}");
        }
        for (proxy, held) in &mut self.proxies {
            let viewpoint = Viewpoint::of(proxy, mesh);
            assert!(touched.may_move(proxy, mesh) || viewpoint == *held, "{proxy:?} moved unseen: {touched:?}");
            *held = viewpoint;
        }
        for viewpoint in before.keys().filter(|v| self.proxies.iter().all(|(_, held)| held != *v)) {
            self.snapshots.forget(viewpoint);
        }
        self.held();
        touched
    }

    fn held(&mut self) -> Vec<(Viewpoint, Snapshot)> {
        let Self { store, snapshots, proxies } = self;
        let of = |(_, v): &(ProxyDescription, Viewpoint)| (v.clone(), (*snapshots.get(store.mesh(), v)).clone());
        proxies.iter().map(of).collect()
    }
}

/// What a control plane that begins with this world holds.
fn from_scratch(changes: Vec<Change>) -> Vec<(Viewpoint, Snapshot)> {
    let mut store = Store::new();
    store.apply(changes);
    let mut snapshots = Snapshots::new();
    let of = |proxy: &ProxyDescription| Viewpoint::of(proxy, store.mesh());
    proxies().iter().map(of).map(|v| (v.clone(), (*snapshots.get(store.mesh(), &v)).clone())).collect()
}

fn assert_same(held: &[(Viewpoint, Snapshot)], expected: &[(Viewpoint, Snapshot)]) {
    for ((viewpoint, snapshot), (expected_viewpoint, expected)) in held.iter().zip(expected) {
        assert_eq!(viewpoint, expected_viewpoint);
        for kind in ResourceType::ALL {
            let names = |snapshot: &Snapshot| -> Vec<String> {
                snapshot.of(kind).iter().map(|resource| format!("{} {}", resource.name, resource.version)).collect()
            };
            assert_eq!(names(snapshot), names(expected), "{kind} of {viewpoint:?}");
        }
        assert_eq!(snapshot.digest(), expected.digest());
        assert!(snapshot.same(expected));
    }
}

/// Every name that a resource refers to is there.
fn assert_whole(held: &[(Viewpoint, Snapshot)]) {
    for (viewpoint, snapshot) in held {
        for cluster in snapshot.of(ResourceType::Cluster).iter() {
            let asked = cluster.references.endpoints.as_ref();
            assert!(asked.is_none_or(|name| snapshot.of(ResourceType::Endpoint).contains(name)), "{asked:?}");
        }
        for assignment in snapshot.of(ResourceType::Endpoint).iter() {
            assert!(snapshot.of(ResourceType::Cluster).contains(&assignment.name), "{}", assignment.name);
        }
        for listener in snapshot.of(ResourceType::Listener).iter() {
            for name in &listener.references.routes {
                assert!(snapshot.of(ResourceType::Route).contains(name), "{name} of {viewpoint:?}");
            }
        }
    }
}

/// The versions of outbound clusters of viewpoints that have certificates, or of those that have none. Inbound ones may
/// follow endpoints, where a port is known by name only.
fn outbound(held: &[(Viewpoint, Snapshot)], certificates: bool) -> Vec<String> {
    let held = held.iter().filter(|(viewpoint, _)| viewpoint.has_certificates == certificates);
    let clusters = held.flat_map(|(_, snapshot)| snapshot.of(ResourceType::Cluster).iter());
    let outbound = clusters.filter(|cluster| cluster.name.starts_with("outbound"));
    outbound.map(|cluster| format!("{} {}", cluster.name, cluster.version)).collect()
}

/// Who answers for each service.
fn identities(store: &Store) -> Vec<Option<Shared<Identities>>> {
    let mesh = store.mesh();
    mesh.services().map(|service| mesh.identities(&ServiceKey::of(service)).cloned()).collect()
}

fn apply_to(world: &mut World, batch: &Batch) {
    for (slot, variant) in batch {
        world.insert(*slot, *variant);
    }
}

fn edits(batch: &Batch) -> Vec<Change> {
    batch.iter().map(|(slot, variant)| change(*slot, *variant)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn step_by_step_leads_to_what_is_made_from_scratch(start in world(), batches in batches(12)) {
        let mut kept = Kept::new();
        let mut world = start;
        kept.apply(changes(&world));
        for batch in &batches {
            kept.apply(edits(batch));
            apply_to(&mut world, batch);
            let held = kept.held();
            assert_same(&held, &from_scratch(changes(&world)));
            assert_whole(&held);
        }
    }

    #[test]
    fn neither_order_nor_batches_of_changes_make_a_difference(
        world in world(),
        order in Just((0..SLOTS).collect::<Vec<_>>()).prop_shuffle(),
        size in 1..SLOTS,
    ) {
        let expected = from_scratch(changes(&world));
        let mut shuffled: Vec<_> = order.iter().filter_map(|slot| Some((*slot, *world.get(slot)?))).collect();
        assert_same(&from_scratch(edits(&shuffled)), &expected);
        let mut kept = Kept::new();
        while !shuffled.is_empty() {
            let batch: Batch = shuffled.drain(..size.min(shuffled.len())).collect();
            kept.apply(edits(&batch));
        }
        assert_same(&kept.held(), &expected);
    }

    #[test]
    fn an_equal_world_touches_nothing(world in world()) {
        let mut kept = Kept::new();
        kept.apply(changes(&world));
        let counted = kept.snapshots.counters();
        let touched = kept.apply(changes(&world));
        prop_assert!(touched.is_nothing());
        prop_assert_eq!(kept.snapshots.counters(), counted);
    }

    #[test]
    fn the_short_path_of_endpoints_equals_the_long_one(world in world(), slices in prop::collection::vec((5..11_usize, 0..VARIANTS), 1..6)) {
        let mut kept = Kept::new();
        let mut world = world;
        kept.apply(changes(&world));
        for slice in slices {
            let counted = kept.snapshots.counters();
            let [clear, mutual] = [false, true].map(|certificates| outbound(&kept.held(), certificates));
            let answering = identities(&kept.store);
            let touched = kept.apply(edits(&vec![slice]));
            prop_assert!(touched.only_endpoints());
            prop_assert!(touched.endpoints.len() <= 1);
            apply_to(&mut world, &vec![slice]);
            let held = kept.held();
            assert_same(&held, &from_scratch(changes(&world)));
            let counters = kept.snapshots.counters();
            prop_assert_eq!(counters.compiled(ResourceType::Route), counted.compiled(ResourceType::Route));
            prop_assert_eq!(counters.scopes_computed, counted.scopes_computed);
            prop_assert_eq!(counters.scopes_amended, counted.scopes_amended);
            prop_assert_eq!(outbound(&held, false), clear);
            // Who has a certificate checks those of others, and must know of whoever answers now.
            if identities(&kept.store) == answering {
                prop_assert_eq!(outbound(&held, true), mutual);
            }
        }
    }
}
