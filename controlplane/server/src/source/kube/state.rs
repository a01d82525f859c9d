//! What is known of the cluster, and what of it still has to be passed on. Pure: events in, updates out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use mesh::model::{Change, Config, Kind, ObjectId, Problem};
use tokio::time::Instant;

use super::{
    object::{Key, Seen},
    waiting::{WAIT_MAX, Waiting},
};
use crate::source::{
    Update,
    document::{Item, Reading},
    standing::{Standing, Standings},
};

/// What has happened to a resource.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) plural: &'static str,
    pub(super) event: Event,
}

/// An event of one resource.
#[derive(Debug)]
pub(super) enum Event {
    /// All of its objects come, one by one.
    ListBegins,
    /// An object of the list, or one that was added or changed.
    Object(Box<Seen>),
    /// That were all; what did not come is gone.
    ListEnds,
    /// An object was deleted, and that is its version.
    Gone(Key, String),
    /// The API server does not have the resource.
    Unserved,
}

/// All resources, and what is to be passed on.
#[derive(Debug)]
pub(super) struct State {
    resources: BTreeMap<&'static str, Resource>,
    /// Every Pod that is there: slices wait for them.
    pods: BTreeSet<ObjectId>,
    waiting: Waiting,
    problems: BTreeMap<(&'static str, Key), Vec<Problem>>,
    /// What is to be passed on, the last of each object.
    changes: BTreeMap<ObjectId, Change>,
    /// When every resource had been listed once.
    all_listed: Option<Instant>,
    /// The list of problems as it was passed on last.
    reported: Option<Arc<Vec<Problem>>>,
    problems_changed: bool,
    standings: Standings,
    standings_changed: bool,
}

/// What is known of one resource.
#[derive(Debug, Default)]
struct Resource {
    /// It was listed once, or is not served.
    synced: bool,
    held: BTreeMap<Key, Held>,
    /// What is not held was deleted at this version at the latest.
    swept: Option<u64>,
    list: Option<List>,
}

/// A list that is coming.
#[derive(Debug, Default)]
struct List {
    /// Of an object that has not changed it holds only the key.
    objects: BTreeMap<Key, Option<Box<Seen>>>,
    newest: Option<u64>,
}

#[derive(Debug)]
struct Held {
    version: String,
    /// What it declares, in its last good form.
    declared: Option<ObjectId>,
    /// Where it is among the standings.
    title: Option<Arc<str>>,
}

impl Resource {
    /// Whether this form of an object, or a later one, was seen already: a watch may repeat what it said.
    fn has_seen(&self, key: &Key, version: &str) -> bool {
        let latest = self.held.get(key).map_or(self.swept, |held| number(&held.version));
        number(version).is_some_and(|version| latest.is_some_and(|latest| version <= latest))
    }

    /// Whether an object is held that is newer than its deletion.
    fn has_outlived(&self, key: &Key, deletion: &str) -> bool {
        let held = self.held.get(key).and_then(|held| number(&held.version));
        number(deletion).is_some_and(|deletion| held.is_some_and(|held| deletion < held))
    }
}

/// Versions of one resource are numbers that grow, with API servers that keep to the rule; those of others are not
/// compared.
fn number(version: &str) -> Option<u64> {
    version.parse().ok()
}

impl State {
    /// Of a cluster with these resources, of which nothing is known yet.
    pub(super) fn new(resources: impl Iterator<Item = &'static str>) -> Self {
        Self {
            resources: resources.map(|plural| (plural, Resource::default())).collect(),
            pods: BTreeSet::new(),
            waiting: Waiting::default(),
            problems: BTreeMap::new(),
            changes: BTreeMap::new(),
            all_listed: None,
            reported: None,
            problems_changed: false,
            standings: Standings::new(),
            standings_changed: false,
        }
    }

    /// Takes an event in.
    pub(super) fn take(&mut self, Message { plural, event }: Message) {
        let Some(resource) = self.resources.get_mut(plural) else { return };
        match event {
            Event::ListBegins => resource.list = Some(List::default()),
            Event::Object(seen) => {
                if let Some(list) = &mut resource.list {
                    let is_held = resource.held.get(&seen.key).is_some_and(|held| held.version == seen.version);
                    list.newest = list.newest.max(number(&seen.version));
                    list.objects.insert(seen.key.clone(), (!is_held).then_some(seen));
                } else if !resource.has_seen(&seen.key, &seen.version) {
                    self.hold(plural, *seen);
                }
            }
            // A list says how things stand, whatever was heard before: the store may be an older one, from a backup.
            Event::ListEnds => {
                let list = resource.list.take().unwrap_or_default();
                resource.synced = true;
                resource.swept = list.newest;
                self.replace(plural, list.objects);
            }
            Event::Gone(key, version) => {
                if !resource.has_outlived(&key, &version) {
                    resource.swept = resource.swept.max(number(&version));
                    self.forget(plural, &key);
                }
            }
            Event::Unserved => {
                resource.list = None;
                resource.synced = true;
                resource.swept = None;
                self.replace(plural, BTreeMap::new());
            }
        }
    }

    /// What is to be passed on now. `None` when there is nothing, and before every resource was listed.
    pub(super) fn update(&mut self, now: Instant) -> Option<Update> {
        if !self.resources.values().all(|resource| resource.synced) {
            return None;
        }
        let overdue = self.waiting.overdue().clone();
        let mut changes = Vec::with_capacity(self.changes.len());
        for (id, change) in std::mem::take(&mut self.changes) {
            match change {
                Change::SetEndpoints(slice) => self.waiting.add(slice, now),
                Change::Set(_) | Change::Remove(_) => {
                    self.waiting.forget(&id);
                    changes.push(change);
                }
            }
        }
        // A first update without those that wait would take endpoints away that have been serving all along; but it does not
        // wait for ever, however many slices come meanwhile.
        let is_first = self.reported.is_none();
        let first_is_due = now >= *self.all_listed.get_or_insert(now) + WAIT_MAX;
        let horizon = if is_first && first_is_due { now + WAIT_MAX } else { now };
        let released = self.waiting.release(horizon, is_first, |pod| self.pods.contains(pod));
        self.problems_changed |= *self.waiting.overdue() != overdue;
        changes.extend(released);
        if is_first && self.waiting.deadline().is_some() {
            self.changes = changes.into_iter().map(|change| (id_of(&change), change)).collect();
            return None;
        }
        let problems = self.report();
        (!changes.is_empty() || problems.is_new).then_some(Update { changes, problems: problems.list })
    }

    /// How the objects of Istio stand, if that has changed since it was asked last.
    pub(super) fn standings(&mut self) -> Option<Standings> {
        std::mem::take(&mut self.standings_changed).then(|| self.standings.clone())
    }

    /// When to ask for an update again though nothing has happened.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.waiting.deadline()
    }

    fn replace(&mut self, plural: &'static str, list: BTreeMap<Key, Option<Box<Seen>>>) {
        let Some(resource) = self.resources.get(plural) else { return };
        let gone: Vec<Key> = resource.held.keys().filter(|key| !list.contains_key(key)).cloned().collect();
        for key in gone {
            self.forget(plural, &key);
        }
        for seen in list.into_values().flatten() {
            self.hold(plural, *seen);
        }
    }

    fn hold(&mut self, plural: &'static str, seen: Seen) {
        let Seen { key, version, reading: Reading { mut items, problems, unreadable }, standing } = seen;
        let Some(resource) = self.resources.get_mut(plural) else { return };
        let before = resource.held.get(&key).and_then(|held| held.declared.clone());
        let (declared, change) = match items.pop() {
            Some(Item { id, content: Some(content), location: _ }) => (Some(id), Some(content.into_change())),
            // The last good form stays in force.
            Some(Item { content: None, .. }) => (before, None),
            None if unreadable => (before, None),
            None => (None, before.map(Change::Remove)),
        };
        let standing = standing.map(|standing| {
            let standing = Standing { problems: problems.as_slice().into(), ..*standing };
            (standing.title(), Arc::new(standing))
        });
        let title = standing.as_ref().map(|(title, _)| Arc::clone(title));
        let stood = resource.held.insert(key.clone(), Held { version, declared, title: title.clone() });
        if let Some(gone) = stood.and_then(|held| held.title).filter(|_| title.is_none()) {
            self.standings.remove(&gone);
            self.standings_changed = true;
        }
        if let Some((title, standing)) = standing {
            self.standings.insert(title, standing);
            self.standings_changed = true;
        }
        if let Some(change) = change {
            self.note(change);
        }
        let had_problems = if problems.is_empty() {
            self.problems.remove(&(plural, key)).is_some()
        } else {
            self.problems.insert((plural, key), problems);
            true
        };
        self.problems_changed |= had_problems;
    }

    fn forget(&mut self, plural: &'static str, key: &Key) {
        let Some(resource) = self.resources.get_mut(plural) else { return };
        let held = resource.held.remove(key);
        if let Some(title) = held.as_ref().and_then(|held| held.title.as_ref()) {
            self.standings.remove(title);
            self.standings_changed = true;
        }
        if let Some(id) = held.and_then(|held| held.declared) {
            self.note(Change::Remove(id));
        }
        self.problems_changed |= self.problems.remove(&(plural, key.clone())).is_some();
    }

    fn note(&mut self, change: Change) {
        let id = id_of(&change);
        match &change {
            Change::Set(config) if matches!(**config, Config::Pod(_)) => {
                self.pods.insert(id.clone());
            }
            Change::Remove(_) if id.kind == Kind::Pod => {
                self.pods.remove(&id);
            }
            Change::Set(_) | Change::SetEndpoints(_) | Change::Remove(_) => {}
        }
        self.changes.insert(id, change);
    }

    fn report(&mut self) -> Report {
        if let Some(list) = &self.reported
            && !std::mem::take(&mut self.problems_changed)
        {
            return Report { list: Arc::clone(list), is_new: false };
        }
        let list = Arc::new(self.problems.values().flatten().cloned().chain(self.waiting.problems()).collect());
        let is_new = self.reported.as_ref() != Some(&list);
        self.reported = Some(Arc::clone(&list));
        self.problems_changed = false;
        Report { list, is_new }
    }
}

struct Report {
    list: Arc<Vec<Problem>>,
    is_new: bool,
}

fn id_of(change: &Change) -> ObjectId {
    match change {
        Change::Set(config) => config.id().clone(),
        Change::SetEndpoints(slice) => slice.id.clone(),
        Change::Remove(id) => id.clone(),
    }
}

#[cfg(test)]
mod tests;
