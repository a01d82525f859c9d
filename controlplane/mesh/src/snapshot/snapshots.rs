//! The snapshots of all viewpoints in use, kept up to date.
//!
//! What is shared is kept apart from what is not: scopes, the destinations and entrances of scopes, and per viewpoint
//! only what lets traffic in. An update pulls, from each viewpoint, what it stands on; each part is brought up to date
//! once, and those that come out as they were end the matter there.
//!
//! A proxy on its own (a gateway) has the destinations of its scope, and no listeners or routes yet: those follow from
//! Gateway objects. A proxyless gRPC client has destinations, listeners and routes of its own form, and lets nothing in.

use std::{collections::BTreeMap, sync::Arc};

use proto::type_url::ResourceType;

use super::{
    Counters, ResourceSet, Snapshot, Unit,
    compiler::Compiler,
    destinations::{Destinations, DestinationsKey},
    entrances::{Entrances, EntrancesKey},
    inbound::Inbound,
    placed::Differences,
    table::Table,
};
use crate::{
    compile::{
        scope::{Amended, BuiltScope, Scope, ScopeKey},
        viewpoint::{Interception, ProxyKind, Viewpoint},
    },
    model::Shared,
    store::{Mesh, Touched},
};

/// Updates between two sweeps of what nobody holds any more, at least, while viewpoints come and go.
const SWEEP_EVERY: u64 = 64;

/// The snapshots of all viewpoints in use. Owned by the one task that owns the store.
#[derive(Debug, Default)]
pub struct Snapshots {
    compiler: Compiler,
    scopes: Table<ScopeKey, HeldScope>,
    destinations: Table<DestinationsKey, Destinations>,
    entrances: Table<EntrancesKey, Entrances>,
    viewpoints: BTreeMap<Viewpoint, HeldViewpoint>,
    /// Counts updates.
    now: u64,
    /// A viewpoint was forgotten since the last sweep, which was then.
    forgot: bool,
    swept: u64,
}

/// A scope in use.
#[derive(Debug)]
struct HeldScope {
    built: BuiltScope,
    differences: Differences,
    /// When it was last brought up to date, and when it last changed.
    seen: u64,
    changed: u64,
}

/// A viewpoint in use, with what it stands on.
#[derive(Debug)]
struct HeldViewpoint {
    key: ScopeKey,
    parts: Parts,
    inbound: Inbound,
    snapshot: Arc<Snapshot>,
}

/// The numbers of the shared parts that a viewpoint stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Parts {
    scope: usize,
    destinations: usize,
    entrances: usize,
}

/// Which sets of a snapshot are put together again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Renewed {
    clusters: bool,
    endpoints: bool,
    entrances: bool,
}

impl Renewed {
    const ALL: Self = Self { clusters: true, endpoints: true, entrances: true };
}

impl Snapshots {
    /// No snapshots yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The snapshot of a viewpoint, which from now on is kept up to date. `mesh` must be the one of the last
    /// [`Snapshots::update`], or of the first call.
    pub fn get(&mut self, mesh: &Mesh, viewpoint: &Viewpoint) -> Arc<Snapshot> {
        if let Some(held) = self.viewpoints.get(viewpoint) {
            return Arc::clone(&held.snapshot);
        }
        let key = ScopeKey::of(viewpoint, mesh);
        let nothing = Touched::default();
        let scope = self.scope_of(mesh, &key, &nothing);
        let parts = self.parts_of(mesh, viewpoint, scope, &nothing);
        let scope = self.scope(scope);
        let inbound = Inbound::new(&mut self.compiler, mesh, &key, &scope, viewpoint);
        let snapshot = Arc::new(self.assemble(parts, &inbound, &Snapshot::default(), Renewed::ALL));
        self.compiler.encoder.counters.snapshots_built += 1;
        let held = HeldViewpoint { key, parts, inbound, snapshot: Arc::clone(&snapshot) };
        self.viewpoints.insert(viewpoint.clone(), held);
        snapshot
    }

    /// Brings all snapshots up to date, and returns those that differ from what they were.
    pub fn update(&mut self, mesh: &Mesh, touched: &Touched) -> Vec<(Viewpoint, Arc<Snapshot>)> {
        // Pods and nodes alone move proxies to other viewpoints; they change nothing for those who look from there.
        if !touched.changes_resources() {
            return Vec::new();
        }
        self.now += 1;
        let mut different = Vec::new();
        let mut viewpoints = std::mem::take(&mut self.viewpoints);
        for (viewpoint, held) in &mut viewpoints {
            if self.update_one(mesh, viewpoint, held, touched) {
                different.push((viewpoint.clone(), Arc::clone(&held.snapshot)));
            }
        }
        self.viewpoints = viewpoints;
        self.let_go();
        different
    }

    /// Forgets a viewpoint that no proxy has any more.
    pub fn forget(&mut self, viewpoint: &Viewpoint) {
        self.forgot |= self.viewpoints.remove(viewpoint).is_some();
    }

    /// How many viewpoints are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.viewpoints.len()
    }

    /// Whether no viewpoint is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.viewpoints.is_empty()
    }

    /// How many scopes are in use.
    #[must_use]
    pub fn scope_count(&self) -> usize {
        self.scopes.len()
    }

    /// How many results are memoised.
    #[must_use]
    pub fn memoised(&self) -> usize {
        self.compiler.memoised()
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.compiler.encoder.counters.clone()
    }
}

/// Bringing parts up to date.
impl Snapshots {
    /// Brings one viewpoint up to date; tells whether its snapshot differs.
    fn update_one(&mut self, mesh: &Mesh, viewpoint: &Viewpoint, held: &mut HeldViewpoint, touched: &Touched) -> bool {
        let before = held.parts;
        if may_have_another_scope(mesh, viewpoint, &held.key, touched) {
            held.key = ScopeKey::of(viewpoint, mesh);
        }
        let scope = self.scope_of(mesh, &held.key, touched);
        let scope_differs =
            scope != before.scope || self.scopes.get(scope).is_some_and(|held| held.changed == self.now);
        if scope_differs {
            held.parts = self.parts_of(mesh, viewpoint, scope, touched);
        } else {
            self.update_destinations(mesh, before.destinations, touched);
            self.update_entrances(mesh, before.entrances, touched);
        }
        let arc = self.scope(scope);
        let let_in = held.inbound.update(&mut self.compiler, mesh, &held.key, &arc, viewpoint, touched);
        let now = self.now;
        let moved = held.parts != before;
        let destinations = self.destinations.get(held.parts.destinations);
        let renewed = Renewed {
            clusters: moved || let_in || destinations.is_some_and(|d| d.clusters_changed == now),
            endpoints: moved || destinations.is_some_and(|d| d.endpoints_changed == now),
            entrances: moved || let_in || self.entrances.get(held.parts.entrances).is_some_and(|e| e.changed == now),
        };
        if renewed == Renewed::default() {
            return false;
        }
        let made = self.assemble(held.parts, &held.inbound, &held.snapshot, renewed);
        let counters = &mut self.compiler.encoder.counters;
        if made.same(&held.snapshot) {
            counters.snapshots_equal += 1;
            return false;
        }
        counters.snapshots_built += 1;
        held.snapshot = Arc::new(made);
        true
    }

    /// The number of the scope of a key, brought up to date.
    fn scope_of(&mut self, mesh: &Mesh, key: &ScopeKey, touched: &Touched) -> usize {
        let Self { compiler, scopes, now, .. } = self;
        let mut merge = |rules| compiler.merged(rules);
        let Some(number) = scopes.number(key) else {
            let built = BuiltScope::new(mesh, key, &mut merge);
            compiler.encoder.counters.scopes_computed += 1;
            let differences = Differences::of(&built.scope);
            return scopes.insert(key.clone(), HeldScope { built, differences, seen: *now, changed: *now });
        };
        let Some((key, held)) = scopes.entry_mut(number).filter(|(_, held)| held.seen != *now) else { return number };
        held.seen = *now;
        match held.built.amend(mesh, key, touched, &mut merge) {
            Amended::Same => return number,
            Amended::Parts => compiler.encoder.counters.scopes_amended += 1,
            Amended::Whole => compiler.encoder.counters.scopes_computed += 1,
        }
        held.changed = *now;
        held.differences = Differences::of(&held.built.scope);
        number
    }

    /// What a viewpoint with this scope stands on, brought up to date.
    fn parts_of(&mut self, mesh: &Mesh, viewpoint: &Viewpoint, scope: usize, touched: &Touched) -> Parts {
        let arc = self.scope(scope);
        let differences = self.scopes.get(scope).map(|held| held.differences.clone()).unwrap_or_default();
        // Callers of a gateway dial the gateway, and gRPC clients dial what they are given.
        let captured = match (viewpoint.kind, viewpoint.interception) {
            (ProxyKind::Sidecar, Interception::Redirect | Interception::Tproxy) => true,
            (ProxyKind::Sidecar, Interception::None(_)) | (ProxyKind::Router | ProxyKind::Grpc, _) => false,
        };
        let key = DestinationsKey {
            scope,
            kind: viewpoint.kind,
            captured,
            has_certificates: viewpoint.has_certificates,
            place: differences.place(viewpoint),
        };
        let destinations = match self.destinations.number(&key) {
            Some(number) => {
                self.update_destinations(mesh, number, touched);
                number
            }
            None => {
                let made = Destinations::new(&mut self.compiler, mesh, &key, &arc, self.now);
                self.destinations.insert(key, made)
            }
        };
        let key = EntrancesKey { scope, viewpoint: differences.entrance(viewpoint) };
        let entrances = match self.entrances.number(&key) {
            Some(number) => {
                self.update_entrances(mesh, number, touched);
                number
            }
            None => {
                let made = Entrances::new(&mut self.compiler, mesh, &key.viewpoint, &arc, self.now);
                self.entrances.insert(key, made)
            }
        };
        Parts { scope, destinations, entrances }
    }

    fn update_destinations(&mut self, mesh: &Mesh, number: usize, touched: &Touched) {
        let Self { compiler, scopes, destinations, now, .. } = self;
        let Some((key, held)) = destinations.entry_mut(number).filter(|(_, held)| held.seen != *now) else { return };
        if let Some(scope) = scopes.get(key.scope) {
            held.update(compiler, mesh, key, &scope.built.scope, &touched.endpoints, *now);
        }
    }

    fn update_entrances(&mut self, mesh: &Mesh, number: usize, touched: &Touched) {
        let Self { compiler, scopes, entrances, now, .. } = self;
        let Some((key, held)) = entrances.entry_mut(number).filter(|(_, held)| held.seen != *now) else { return };
        if let Some(scope) = scopes.get(key.scope) {
            held.update(compiler, mesh, &key.viewpoint, &scope.built.scope, &touched.endpoints, *now);
        }
    }

    /// The scope of this number; an empty one stands for the impossible, since numbers in use are in the table.
    fn scope(&self, number: usize) -> Arc<Scope> {
        let held = self.scopes.get(number).map(|held| Arc::clone(&held.built.scope));
        held.unwrap_or_else(|| {
            let config = Shared::new(crate::model::Object::built_in());
            Arc::new(Scope::empty(crate::model::Namespace::none(), config))
        })
    }

    /// A snapshot from its parts: `before`, with the sets that are renewed. A set that nothing is added to is taken over
    /// in its memory.
    fn assemble(&self, parts: Parts, inbound: &Inbound, before: &Snapshot, renewed: Renewed) -> Snapshot {
        let mut made = before.clone();
        if let Some(destinations) = self.destinations.get(parts.destinations) {
            if renewed.clusters {
                set(&mut made, ResourceType::Cluster, &destinations.clusters, &inbound.clusters);
            }
            if renewed.endpoints {
                set(&mut made, ResourceType::Endpoint, &destinations.endpoints, &[]);
            }
        }
        if let Some(entrances) = self.entrances.get(parts.entrances)
            && renewed.entrances
        {
            set(&mut made, ResourceType::Listener, &entrances.listeners, &inbound.listeners);
            set(&mut made, ResourceType::Route, &entrances.routes, &[]);
        }
        made
    }

    /// Lets go of what no viewpoint stands on any more: it was not seen in this update.
    fn let_go(&mut self) {
        let now = self.now;
        self.scopes.retain(|held| held.seen == now);
        self.destinations.retain(|held| held.seen == now);
        self.entrances.retain(|held| held.seen == now);
        if self.forgot && (self.viewpoints.is_empty() || now >= self.swept + SWEEP_EVERY) {
            self.compiler.sweep();
            self.forgot = false;
            self.swept = now;
        }
    }
}

fn may_have_another_scope(mesh: &Mesh, viewpoint: &Viewpoint, key: &ScopeKey, touched: &Touched) -> bool {
    let root = &mesh.config().spec.root_namespace;
    touched.config
        || touched.sidecars.contains(&viewpoint.namespace)
        || touched.sidecars.contains(root)
        || !touched.rules.is_empty()
            && (!key.rules.is_empty() || mesh.rules().selecting(&viewpoint.namespace).next().is_some())
}

/// Puts shared resources and those of one viewpoint together.
fn set(snapshot: &mut Snapshot, kind: ResourceType, shared: &ResourceSet, own: &[Unit]) {
    let mut made = shared.clone();
    for resource in own.iter().flat_map(|unit| unit.iter()) {
        made.insert(Arc::clone(resource));
    }
    if let Some(set) = snapshot.of_mut(kind) {
        *set = made;
    }
}
