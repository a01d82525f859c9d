//! What is in force, and how it changes when files do.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
    sync::Arc,
};

use mesh::model::{Change, Config, Location, Object, ObjectId, Problem, code};

use crate::source::document::{Declared, Item};

/// What files say, and the objects in force because of it: of each the last good form.
///
/// What a file says is told with [`Holdings::says`]; only the objects that it names, and named before, are looked at by
/// the next [`Holdings::reconcile`].
#[derive(Debug, Default)]
pub(super) struct Holdings {
    files: HashMap<Arc<Path>, Said>,
    objects: BTreeMap<ObjectId, Entry>,
    /// Objects that what was said since the last time may have changed.
    unsettled: BTreeSet<ObjectId>,
    /// Objects in force that no file declares: the file that held them cannot be read.
    kept: BTreeSet<ObjectId>,
    /// What is wrong with objects that are declared more than once.
    twice: BTreeMap<ObjectId, Vec<Problem>>,
}

/// What a file says.
#[derive(Debug)]
struct Said {
    ids: BTreeSet<ObjectId>,
    /// Part of it could not be read: what it held before and no other file holds now stays.
    unreadable: bool,
}

#[derive(Debug, Default)]
struct Entry {
    /// In order of path and place in the file: the first counts.
    claims: Vec<Claim>,
    held: Option<Held>,
}

/// A declaration of an object.
#[derive(Debug)]
struct Claim {
    file: Arc<Path>,
    location: Option<Location>,
    /// `None` when there are errors in it.
    content: Option<Arc<Declared>>,
}

#[derive(Debug)]
struct Held {
    content: Arc<Declared>,
    file: Arc<Path>,
}

impl Holdings {
    /// A file says this, and nothing that it said before.
    pub(super) fn says(&mut self, path: &Path, items: Vec<Item>, unreadable: bool) {
        self.forget(path);
        let file: Arc<Path> = path.into();
        let mut ids = BTreeSet::new();
        for Item { id, location, content } in items {
            let claims = &mut self.objects.entry(id.clone()).or_default().claims;
            let at = claims.partition_point(|claim| *claim.file <= *file);
            // Nearly every object is declared once: room for more would be most of what a claim takes.
            claims.reserve_exact(1);
            claims.insert(at, Claim { file: Arc::clone(&file), location, content: content.map(Arc::new) });
            self.unsettled.insert(id.clone());
            ids.insert(id);
        }
        self.files.insert(file, Said { ids, unreadable });
    }

    /// A file is gone, and says nothing any more.
    pub(super) fn forget(&mut self, path: &Path) {
        let Some(said) = self.files.remove(path) else { return };
        for id in said.ids {
            if let Some(entry) = self.objects.get_mut(&id) {
                entry.claims.retain(|claim| *claim.file != *path);
            }
            self.unsettled.insert(id);
        }
    }

    /// Brings what is in force in line with what files say: what is set comes first, then what is removed.
    pub(super) fn reconcile(&mut self) -> Vec<Change> {
        let mut unsettled = std::mem::take(&mut self.unsettled);
        unsettled.append(&mut self.kept);
        let (mut changes, mut removed) = (Vec::new(), Vec::new());
        for id in unsettled {
            self.twice.remove(&id);
            let Some(entry) = self.objects.get_mut(&id) else { continue };
            if let [first, others @ ..] = entry.claims.as_slice() {
                // One with errors in it has more to mend than its name.
                let whole = others.iter().filter(|other| other.content.is_some());
                let problems: Vec<Problem> = whole.map(|other| declared_twice(&id, other, first)).collect();
                if !problems.is_empty() {
                    self.twice.insert(id, problems);
                }
                changes.extend(hold(&mut entry.held, first));
                continue;
            }
            let unreadable = |held: &Held| self.files.get(&held.file).is_some_and(|said| said.unreadable);
            if entry.held.as_ref().is_some_and(unreadable) {
                self.kept.insert(id);
                continue;
            }
            let was_held = entry.held.is_some();
            self.objects.remove(&id);
            if was_held {
                removed.push(Change::Remove(id));
            }
        }
        changes.append(&mut removed);
        changes
    }

    /// What is wrong with objects that are declared more than once.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.twice.values().flatten()
    }
}

/// Puts the declaration that counts in force.
fn hold(held: &mut Option<Held>, claim: &Claim) -> Option<Change> {
    let Some(content) = &claim.content else {
        // The last good form stays, and now belongs to the file that speaks of the object.
        if let Some(held) = held {
            held.file = Arc::clone(&claim.file);
        }
        return None;
    };
    let same = held.as_ref().is_some_and(|held| is_same(&held.content, content));
    *held = Some(Held { content: Arc::clone(content), file: Arc::clone(&claim.file) });
    (!same).then(|| Declared::clone(content).into_change())
}

fn declared_twice(id: &ObjectId, claim: &Claim, first: &Claim) -> Problem {
    let first = first.location.as_ref().map(ToString::to_string).unwrap_or_default();
    Problem {
        severity: code::DECLARED_TWICE.severity,
        code: code::DECLARED_TWICE.id,
        object: id.to_string(),
        field: String::new(),
        location: claim.location.clone(),
        reason: format!("the object is declared twice, and the one at {first} counts"),
        remedy: "remove one of them".into(),
    }
}

/// Whether nothing has changed, not even where the object stands.
fn is_same(one: &Declared, other: &Declared) -> bool {
    fn same<T: PartialEq>(one: &Object<T>, other: &Object<T>) -> bool {
        one.means_the_same(other) && one.generation == other.generation && one.location == other.location
    }
    let (one, other) = match (one, other) {
        (Declared::Endpoints(one), Declared::Endpoints(other)) => return same(one, other),
        (Declared::Config(one), Declared::Config(other)) => (&**one, &**other),
        (Declared::Endpoints(_), Declared::Config(_)) | (Declared::Config(_), Declared::Endpoints(_)) => return false,
    };
    match (one, other) {
        (Config::MeshConfig(one), Config::MeshConfig(other)) => same(one, other),
        (Config::Namespace(one), Config::Namespace(other)) => same(one, other),
        (Config::Node(one), Config::Node(other)) => same(one, other),
        (Config::ServiceAccount(one), Config::ServiceAccount(other)) => same(one, other),
        (Config::Pod(one), Config::Pod(other)) => same(one, other),
        (Config::Service(one), Config::Service(other)) => same(one, other),
        (Config::ServiceEntry(one), Config::ServiceEntry(other)) => same(one, other),
        (Config::WorkloadEntry(one), Config::WorkloadEntry(other)) => same(one, other),
        (Config::VirtualService(one), Config::VirtualService(other)) => same(one, other),
        (Config::DestinationRule(one), Config::DestinationRule(other)) => same(one, other),
        (Config::Sidecar(one), Config::Sidecar(other)) => same(one, other),
        (Config::PeerAuthentication(one), Config::PeerAuthentication(other)) => same(one, other),
        (
            Config::MeshConfig(_)
            | Config::Namespace(_)
            | Config::Node(_)
            | Config::ServiceAccount(_)
            | Config::Pod(_)
            | Config::Service(_)
            | Config::ServiceEntry(_)
            | Config::WorkloadEntry(_)
            | Config::VirtualService(_)
            | Config::DestinationRule(_)
            | Config::Sidecar(_)
            | Config::PeerAuthentication(_),
            _,
        ) => false,
    }
}
