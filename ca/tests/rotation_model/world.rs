//! The world around a rotation: what there is, and all that can happen to it next.

use std::collections::{BTreeMap, BTreeSet};

use ca::Fingerprint;
use ca::rotation::{Action, Command, Event, Phase, ProxyName, Record, Root, Rotation, Timing};

/// The longest life of a leaf.
pub(crate) const LIFETIME_S: u64 = 2;

fn root(name: &str) -> Root {
    Root { fingerprint: Fingerprint::of(name.as_bytes()), lifetime_max_s: LIFETIME_S }
}

/// The root at the beginning.
#[allow(non_snake_case, reason = "a constant, but for the hash in it")]
pub(crate) fn OLD() -> Root {
    root("old")
}

/// How much there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) leaders: usize,
    pub(crate) replicas: usize,
    pub(crate) verifiers: usize,
}

/// How often things may happen, so that the search ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) begins: u8,
    pub(crate) aborts: u8,
    pub(crate) crashes: u8,
    pub(crate) unanswered: u8,
    /// Of verifiers.
    pub(crate) restarts: u8,
    /// When the search ends, in seconds from its start.
    pub(crate) until_s: u64,
}

/// A leader, and an observation of all verifiers that is on its way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Leader {
    rotation: Rotation,
    observation: Option<(u64, Vec<Bundle>)>,
}

/// What a proxy trusts; nothing when it has just started.
type Bundle = Option<BTreeSet<Fingerprint>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    now_s: u64,
    pub(crate) store: Record,
    /// Whose keys are stored.
    keys: BTreeSet<Fingerprint>,
    /// A replica signs and hands out bundles by the record that it read in this second; before it has read, it does neither.
    replicas: Vec<Option<Record>>,
    leaders: Vec<Leader>,
    /// Writes that have not arrived.
    writes: Vec<(usize, Record)>,
    /// The bundles of proxies. Their leaves are below, since trust is between the leaf of one and the bundle of another.
    verifiers: Vec<Bundle>,
    /// For each root when the last leaf expires that a replica may have signed: whoever can sign does, at every moment.
    leaves: BTreeMap<Fingerprint, u64>,
    budget: Budget,
    leaders_timing: Timing,
    /// How long leaves really live.
    pub(crate) lifetime_s: u64,
}

impl World {
    pub(crate) fn new(size: Size, leaders: Timing, budget: Budget) -> Self {
        let store = Record::new(OLD());
        let leader = Leader { rotation: Rotation::new(store.clone(), leaders, 0), observation: None };
        let old = BTreeSet::from([OLD().fingerprint]);
        Self {
            now_s: 0,
            keys: old.clone(),
            replicas: vec![None; size.replicas],
            leaders: vec![leader; size.leaders],
            writes: Vec::new(),
            verifiers: vec![Some(old); size.verifiers],
            leaves: BTreeMap::new(),
            store,
            budget,
            leaders_timing: leaders,
            lifetime_s: LIFETIME_S,
        }
    }

    pub(crate) fn check(&self) -> Result<(), String> {
        for root in self.leaves.keys() {
            let distrusts = |held: &Bundle| held.as_ref().is_some_and(|held| !held.contains(root));
            if let Some(verifier) = self.verifiers.iter().position(distrusts) {
                return Err(format!("verifier {verifier} does not trust a live leaf of {root}"));
            }
        }
        match self.store.trusted().find(|root| !self.keys.contains(root)) {
            Some(root) => Err(format!("the key of {root} is lost")),
            None => Ok(()),
        }
    }

    pub(crate) fn successors(&self) -> Vec<(String, Self)> {
        let mut next = Vec::new();
        self.time_passes(&mut next);
        self.replicas_and_proxies_act(&mut next);
        self.leaders_act(&mut next);
        self.writes_arrive(&mut next);
        next
    }

    fn with(&self, next: &mut Vec<(String, Self)>, what: String, change: impl FnOnce(&mut Self)) {
        let mut world = self.clone();
        change(&mut world);
        if world != *self {
            next.push((format!("{}s {what}", self.now_s), world));
        }
    }

    fn time_passes(&self, next: &mut Vec<(String, Self)>) {
        if self.now_s < self.budget.until_s {
            self.with(next, "a second passes".to_owned(), |world| {
                world.now_s += 1;
                world.leaves.retain(|_, expires_s| *expires_s > world.now_s);
                // Replicas act for one second on what they have read: `Timing::may_serve` with a propagation of one second.
                world.replicas.fill(None);
            });
        }
    }

    fn replicas_and_proxies_act(&self, next: &mut Vec<(String, Self)>) {
        for (r, replica) in self.replicas.iter().enumerate() {
            self.with(next, format!("replica {r} reads the record"), |world| {
                world.replicas[r] = Some(world.store.clone());
                world.leaves.insert(world.store.signing().fingerprint, world.now_s + world.lifetime_s);
            });
            let Some(record) = replica else { continue };
            for v in 0..self.verifiers.len() {
                self.with(next, format!("verifier {v} takes the bundle of replica {r}"), |world| {
                    world.verifiers[v] = Some(record.trusted().collect());
                });
            }
        }
        if self.budget.restarts > 0 {
            for v in 0..self.verifiers.len() {
                self.with(next, format!("verifier {v} starts anew"), |world| {
                    world.budget.restarts -= 1;
                    world.verifiers[v] = None;
                });
            }
        }
    }

    fn leaders_act(&self, next: &mut Vec<(String, Self)>) {
        for l in 0..self.leaders.len() {
            self.with(next, format!("leader {l} looks at the clock"), |world| world.step(l, Event::Tick));
            // Observations count while a root is being published, and are left out elsewhere to keep the search small.
            let publishing = matches!(self.leaders[l].rotation.record().phase(), Phase::Publishing { .. });
            if publishing && self.leaders[l].observation.is_none() {
                self.with(next, format!("the verifiers are observed for leader {l}"), |world| {
                    world.leaders[l].observation = Some((world.now_s, world.verifiers.clone()));
                });
            }
            self.with(next, format!("leader {l} receives the observation"), |world| {
                if let Some((taken_s, bundles)) = world.leaders[l].observation.take() {
                    let proxies = (0..bundles.len()).map(name).collect();
                    let held = bundles.into_iter().enumerate().filter_map(|(v, held)| Some((name(v), held?))).collect();
                    world.step(l, Event::Report { taken_s, held });
                    world.step(l, Event::Census { taken_s, proxies });
                }
            });
            if self.budget.begins > 0 {
                self.with(next, format!("leader {l} begins"), |world| {
                    // Each leader makes a root of its own.
                    let new = root(["new", "other"][l]);
                    world.budget.begins -= 1;
                    world.command(l, Command::Begin { next: new });
                });
            }
            if self.budget.aborts > 0 {
                self.with(next, format!("leader {l} aborts"), |world| {
                    world.budget.aborts -= 1;
                    world.command(l, Command::Abort);
                });
            }
            if self.budget.crashes > 0 {
                self.with(next, format!("leader {l} crashes and starts anew"), |world| {
                    world.budget.crashes -= 1;
                    world.leaders[l] = Leader {
                        rotation: Rotation::new(world.store.clone(), world.leaders_timing, world.now_s),
                        observation: None,
                    };
                });
            }
            if self.budget.unanswered > 0 && self.writes.iter().any(|(writer, _)| *writer == l) {
                self.with(next, format!("leader {l} waits no longer for its write"), |world| {
                    world.budget.unanswered -= 1;
                    world.step(l, Event::Unanswered);
                });
            }
        }
    }

    fn writes_arrive(&self, next: &mut Vec<(String, Self)>) {
        for (index, (l, record)) in self.writes.iter().enumerate() {
            self.with(next, format!("the write {} of leader {l} arrives", record.generation()), |world| {
                world.writes.remove(index);
                if record.generation() == world.store.generation() + 1 {
                    world.store = record.clone();
                }
                let store = world.store.clone();
                world.step(*l, Event::Loaded(store));
            });
        }
    }

    fn step(&mut self, leader: usize, event: Event) {
        let actions = self.leaders[leader].rotation.step(event, self.now_s);
        self.follow(leader, actions);
    }

    fn command(&mut self, leader: usize, command: Command) {
        if let Command::Begin { next } = &command {
            self.keys.insert(next.fingerprint);
        }
        if let Ok(actions) = self.leaders[leader].rotation.command(command) {
            self.follow(leader, actions);
        }
    }

    fn follow(&mut self, leader: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Write(record) => self.writes.push((leader, record)),
                Action::Load => self.step(leader, Event::Loaded(self.store.clone())),
                Action::Forget(root) => {
                    self.keys.remove(&root);
                    self.step(leader, Event::Forgotten(root));
                }
            }
        }
    }
}

fn name(verifier: usize) -> ProxyName {
    ProxyName(verifier.to_string())
}
