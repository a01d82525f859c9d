//! Visits every state that an automaton and a model Envoy can reach together, whatever the order in which messages are
//! sent and arrive, snapshots change and streams break.
//!
//! No timeout ever helps, except a proxy that comes back in the state of the world: it may wait for endpoints of a cluster that is gone, or of a placeholder while no endpoints are left whose answer
//! could show that what was sent along is at work. A state without a next step must therefore be one in which Envoy
//! holds the target, and a state that leads back to itself is endless chatter.

use std::{
    collections::{HashMap, VecDeque, hash_map::DefaultHasher},
    hash::{Hash, Hasher},
    sync::Arc,
};

use mesh::{
    push::{Protocol, Response, SyncState},
    snapshot::{Resource, ResourceSet, Snapshot, Version},
};
use proto::type_url::ResourceType;

use crate::{
    envoy::{Badness, Envoy, Name, Nature, Slot},
    server::{Fault, Server},
};

/// What is to be explored.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) nature: Nature,
    pub(crate) fault: Fault,
    /// The snapshots that are aimed at, one after the other.
    pub(crate) targets: Vec<Arc<Snapshot>>,
    /// How often the stream breaks, at any moment.
    pub(crate) reconnects: u32,
    /// How often Envoy starts anew, at any moment.
    pub(crate) restarts: u32,
    /// States after which the exploration gives up.
    pub(crate) states_max: usize,
}

/// What was seen.
#[derive(Debug)]
pub(crate) struct Explored {
    pub(crate) states: usize,
    /// Steps of the longest way.
    pub(crate) depth: usize,
    pub(crate) ends: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Send,
    ToEnvoy,
    ToServer,
    Aim,
    Reconnect,
    Restart,
    EndDrain,
    /// The server hears nothing more of what Envoy says first.
    Silence,
    /// Possible only where nothing else is.
    TimeOut,
}

const STEPS: [Step; 8] = [
    Step::Send,
    Step::ToEnvoy,
    Step::ToServer,
    Step::Aim,
    Step::Reconnect,
    Step::Restart,
    Step::EndDrain,
    Step::Silence,
];

#[derive(Debug, Clone)]
struct State {
    server: Server,
    envoy: Envoy,
    on_the_way: VecDeque<Response>,
    aimed: usize,
    reconnects: u32,
    restarts: u32,
    /// Whether Envoy came back in the state of the world, and may have to wait.
    is_behind: bool,
    /// Whether it came back with a cluster that has no endpoints of ours and is gone: it cannot say so. Or it had to wait
    /// longer than placeholders do. Nothing can be promised then until it holds the target.
    is_excused: bool,
}

struct Frame {
    state: State,
    id: u64,
    /// The step that led here; none for the first.
    step: Option<Step>,
    /// What can follow.
    next: std::vec::IntoIter<(Step, State)>,
}

impl Case {
    /// Visits all states. The error tells the way to the first bad one.
    pub(crate) fn explore(&self) -> Result<Explored, String> {
        // Whether a state is on the way to the one at hand.
        let mut seen: HashMap<u64, bool> = HashMap::new();
        let mut explored = Explored { states: 0, depth: 0, ends: 0 };
        let mut path = vec![self.enter(self.first(), None, &mut seen)];
        while let Some(frame) = path.last_mut() {
            let Some((step, state)) = frame.next.next() else {
                seen.insert(frame.id, false);
                path.pop();
                continue;
            };
            match seen.get(&state.identity()) {
                Some(false) => continue,
                Some(true) => return Err(tell(&path, step, "leads back to where it was: endless chatter")),
                None => {}
            }
            self.check(&state).map_err(|fault| tell(&path, step, &fault))?;
            let frame = self.enter(state, Some(step), &mut seen);
            if frame.next.as_slice().is_empty() {
                explored.ends += 1;
                self.check_end(&frame.state).map_err(|fault| tell(&path, step, &fault))?;
            }
            path.push(frame);
            explored.depth = explored.depth.max(path.len());
            explored.states = seen.len();
            if seen.len() > self.states_max {
                return Err(format!("more than {} states", self.states_max));
            }
        }
        Ok(explored)
    }

    fn first(&self) -> State {
        State {
            server: self.server(0),
            envoy: Envoy::new(&Arc::new(self.nature.clone())),
            on_the_way: VecDeque::new(),
            aimed: 0,
            reconnects: self.reconnects,
            restarts: self.restarts,
            is_behind: false,
            is_excused: false,
        }
    }

    fn server(&self, aimed: usize) -> Server {
        Server::new(self.nature.protocol, self.fault, &self.targets[aimed])
    }

    fn enter(&self, state: State, step: Option<Step>, seen: &mut HashMap<u64, bool>) -> Frame {
        let id = state.identity();
        seen.insert(id, true);
        // What cannot be done is no step: an end is known by having none.
        let mut next: Vec<(Step, State)> =
            STEPS.iter().filter_map(|step| Some((*step, self.take(&state, *step)?))).collect();
        if next.is_empty() && state.is_behind && state.envoy.is_warming() {
            next.extend(self.take(&state, Step::TimeOut).map(|after| (Step::TimeOut, after)));
        }
        Frame { state, id, step, next: next.into_iter() }
    }

    fn take(&self, before: &State, step: Step) -> Option<State> {
        if !self.can(before, step) {
            return None;
        }
        let mut state = before.clone();
        match step {
            Step::Send => {
                let response = state.server.next()?;
                state.on_the_way.push_back(response);
            }
            Step::ToEnvoy => {
                let response = state.on_the_way.pop_front()?;
                state.envoy.take(&response);
            }
            Step::ToServer => {
                let request = state.envoy.outbox.pop_front()?;
                state.server.receive(request);
            }
            Step::Aim => {
                state.aimed += 1;
                state.server.aim(&self.targets[state.aimed]);
                state.is_excused |= self.is_unknown(&state) && self.cannot_tell(&state);
            }
            Step::Reconnect => {
                state.reconnects -= 1;
                state.on_the_way.clear();
                state.envoy.reconnect();
                state.server = self.server(state.aimed);
                state.is_behind = self.nature.protocol == Protocol::StateOfTheWorld;
                state.is_excused = self.is_unknown(&state) && self.cannot_tell(&state);
            }
            Step::Restart => {
                state.restarts -= 1;
                state.on_the_way.clear();
                state.envoy = Envoy::new(&Arc::new(self.nature.clone()));
                state.server = self.server(state.aimed);
                (state.is_behind, state.is_excused) = (false, false);
            }
            Step::EndDrain => {
                state.envoy.end_drain();
            }
            Step::Silence => {
                state.server.hear_silence();
            }
            Step::TimeOut => {
                state.envoy.time_out();
                state.is_excused = true;
            }
        }
        let is_over = |state: &State| {
            let has_placeholder = !state.envoy.clusters.values().all(Slot::serves);
            state.on_the_way.is_empty() && self.misses(state).is_none() && !has_placeholder
        };
        state.is_excused = state.is_excused && !is_over(&state);
        Some(state)
    }

    fn can(&self, state: &State, step: Step) -> bool {
        match step {
            Step::Send => true,
            Step::ToEnvoy => !state.on_the_way.is_empty(),
            Step::ToServer => !state.envoy.outbox.is_empty(),
            Step::Aim => state.aimed + 1 < self.targets.len(),
            Step::Reconnect => state.reconnects > 0,
            Step::Restart => state.restarts > 0,
            Step::EndDrain => !state.envoy.draining.is_empty(),
            Step::Silence => state.envoy.outbox.is_empty() && state.server.automaton().is_listening(),
            Step::TimeOut => state.envoy.is_warming(),
        }
    }

    /// Whether the server does not know yet which clusters an Envoy has that came back.
    fn is_unknown(&self, state: &State) -> bool {
        let sync = state.server.automaton().sync();
        let is_known = sync.iter().any(|s| s.kind == ResourceType::Cluster && (s.in_flight > 0 || s.acked.is_some()));
        self.nature.protocol == Protocol::StateOfTheWorld && !is_known
    }

    /// Whether Envoy holds something that it has no words for, and that is gone.
    fn cannot_tell(&self, state: &State) -> bool {
        let target = self.targets[state.aimed].of(ResourceType::Cluster);
        let versions = state.envoy.clusters.values().flat_map(Slot::versions);
        versions.filter(|cluster| cluster.references.endpoints.is_none()).any(|cluster| !target.contains(&cluster.name))
    }

    /// What must hold always: nothing at work names a cluster that is not at work.
    fn check(&self, state: &State) -> Result<(), String> {
        if state.is_excused {
            return Ok(());
        }
        let broken = state.envoy.broken_references();
        match broken.into_iter().find(|(user, cluster)| !self.allows(user, cluster)) {
            Some((user, cluster)) => {
                Err(format!("{} {} names {cluster}, which is not served", user.name, user.version))
            }
            None => Ok(()),
        }
    }

    /// A reference may be broken if the target that had it lacks the cluster too, or if Envoy refuses the cluster.
    fn allows(&self, user: &Resource, cluster: &Name) -> bool {
        self.targets
            .iter()
            .filter(|target| has(target, user))
            .any(|target| target.of(ResourceType::Cluster).get(cluster).is_none_or(|aimed| self.is_bad(aimed)))
    }

    fn is_bad(&self, resource: &Resource) -> bool {
        self.nature.bad.iter().any(|(name, version, _)| *name == resource.name && *version == resource.version)
    }

    /// What must hold when nothing more can happen.
    fn check_end(&self, state: &State) -> Result<(), String> {
        if let Some(miss) = self.misses(state) {
            return Err(format!("ends without the target: {miss}\n{:#?}", state.server.automaton().sync()));
        }
        // The last question finds nothing to send, and clears away what no longer has to be.
        let mut server = state.server.clone();
        assert!(server.next().is_none());
        for sync in server.automaton().sync() {
            let has_bad = self.targets[state.aimed].of(sync.kind).iter().any(|resource| self.is_bad(resource));
            let is_waiting = sync.state == SyncState::Pending && !self.may_linger(state);
            if is_waiting || (sync.state == SyncState::Nacked && !has_bad) {
                return Err(format!("ends with the server unsettled: {sync:#?}"));
            }
        }
        Ok(())
    }

    /// How Envoy differs from the target, if it does. Around what it refuses, it may have what was before.
    fn misses(&self, state: &State) -> Option<String> {
        let target = &self.targets[state.aimed];
        let envoy = &state.envoy;
        if envoy.is_warming() || envoy.listeners.values().any(|slot| slot.warming.is_some()) {
            return Some("something warms for ever".to_owned());
        }
        let active = |slots: &std::collections::BTreeMap<Name, Slot>| -> ResourceSet {
            slots.values().filter_map(|slot| slot.active.clone()).collect()
        };
        let routes: ResourceSet = envoy.routes.values().flatten().cloned().collect();
        let endpoints: ResourceSet = envoy.endpoints.values().cloned().collect();
        let held = [
            (ResourceType::Cluster, active(&envoy.clusters)),
            (ResourceType::Listener, active(&envoy.listeners)),
            (ResourceType::Route, routes),
            (ResourceType::Endpoint, endpoints),
        ];
        held.iter().find_map(|(kind, held)| self.difference(state, *kind, held, target.of(*kind)))
    }

    fn difference(&self, state: &State, kind: ResourceType, held: &ResourceSet, aimed: &ResourceSet) -> Option<String> {
        let is_held = |resource: &&Arc<Resource>| {
            held.get(&resource.name).is_some_and(|held| held.version == resource.version)
                || self.is_bad(resource)
                || self.is_hostage(state, kind, resource)
        };
        // Clusters, with their endpoints, may have to stay for an old version of what names them.
        let may_stay = matches!(kind, ResourceType::Cluster | ResourceType::Endpoint) && self.may_linger(state);
        let is_aimed = |resource: &&Arc<Resource>| may_stay || aimed.contains(&resource.name);
        let missing = aimed.iter().find(|resource| !is_held(resource));
        let surplus = held.iter().find(|resource| !is_aimed(resource));
        missing
            .map(|resource| format!("{kind} {} is missing or old", resource.name))
            .or_else(|| surplus.map(|resource| format!("{kind} {} is left over", resource.name)))
    }

    /// Whether something good may be missing since Envoy refuses the cluster that it belongs to or names.
    fn is_hostage(&self, state: &State, kind: ResourceType, resource: &Resource) -> bool {
        let clusters = self.targets[state.aimed].of(ResourceType::Cluster);
        let is_refused = |name: &Name| clusters.get(name).is_some_and(|aimed| self.is_bad(aimed));
        match kind {
            ResourceType::Endpoint => !clusters.contains(&resource.name) || is_refused(&resource.name),
            ResourceType::Listener | ResourceType::Route => resource.references.clusters.iter().any(is_refused),
            ResourceType::Cluster | ResourceType::Secret | ResourceType::ExtensionConfig => false,
        }
    }

    /// Whether clusters may have to stay for an old version of something whose new one is refused or waits.
    fn may_linger(&self, state: &State) -> bool {
        let target = &self.targets[state.aimed];
        ResourceType::ALL.iter().any(|kind| target.of(*kind).iter().any(|resource| self.is_bad(resource)))
    }
}

impl State {
    fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut names: HashMap<u64, u64> = HashMap::from([(0, 0)]);
        let mut rename = |nonce: u64| {
            let next = names.len() as u64;
            *names.entry(nonce).or_insert(next)
        };
        self.server.fingerprint(&mut hasher, &mut rename);
        self.envoy.fingerprint(&mut hasher, &mut rename);
        self.on_the_way.len().hash(&mut hasher);
        for Response { kind, nonce, version, resources, removed } in &self.on_the_way {
            let resources: Vec<(&Name, Version)> = resources.iter().map(|r| (&r.name, r.version)).collect();
            (kind, rename(nonce.count()), version, resources, removed).hash(&mut hasher);
        }
        (self.aimed, self.reconnects, self.restarts, self.is_behind, self.is_excused).hash(&mut hasher);
        hasher.finish()
    }
}

fn has(target: &Snapshot, resource: &Resource) -> bool {
    [ResourceType::Listener, ResourceType::Route]
        .iter()
        .any(|kind| target.of(*kind).get(&resource.name).is_some_and(|aimed| aimed.version == resource.version))
}

fn describe(response: &Response) -> String {
    let names: Vec<&str> = response.resources.iter().map(|resource| &*resource.name).collect();
    format!("{} +{names:?} -{:?}", response.nonce, response.removed)
}

fn tell(path: &[Frame], last: Step, fault: &str) -> String {
    let steps = path.iter().skip(1).filter_map(|frame| frame.step).chain([last]);
    let told = path.iter().zip(steps).map(|(frame, step)| {
        let mut state = frame.state.clone();
        match step {
            Step::Send => format!("send {}", state.server.next().as_ref().map(describe).unwrap_or_default()),
            Step::ToEnvoy => format!("Envoy takes {}", state.on_the_way.front().map(describe).unwrap_or_default()),
            Step::ToServer => format!("server takes {:?}", state.envoy.outbox.front()),
            Step::Aim => format!("aim at {}", state.aimed + 1),
            Step::Reconnect | Step::Restart | Step::TimeOut | Step::EndDrain | Step::Silence => format!("{step:?}"),
        }
    });
    format!("{fault}\nafter:\n  {}", told.collect::<Vec<_>>().join("\n  "))
}

/// A bad version of a resource.
pub(crate) fn bad(resource: &Resource, badness: Badness) -> (Name, Version, Badness) {
    (Arc::clone(&resource.name), resource.version, badness)
}
