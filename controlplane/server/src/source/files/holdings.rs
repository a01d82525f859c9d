//! What is in force, and how it changes when files do.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use mesh::model::{Change, Config, Location, Object, ObjectId, Problem, code};

use crate::source::document::{Declared, Item};

/// The objects in force: of each the last good form.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    objects: BTreeMap<ObjectId, Held>,
}

#[derive(Debug)]
struct Held {
    content: Arc<Declared>,
    file: PathBuf,
}

/// An object that a file declares, as the state keeps it.
#[derive(Debug)]
pub(super) struct KeptItem {
    pub(super) id: ObjectId,
    pub(super) location: Option<Location>,
    /// `None` when there are errors in it.
    pub(super) content: Option<Arc<Declared>>,
}

impl From<Item> for KeptItem {
    fn from(item: Item) -> Self {
        let Item { id, location, content } = item;
        Self { id, location, content: content.map(Arc::new) }
    }
}

/// What a file says, for the purpose of what is in force.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileView<'a> {
    pub(super) path: &'a Path,
    pub(super) items: &'a [KeptItem],
    /// Part of it could not be read: what it held before and no other file holds now stays.
    pub(super) unreadable: bool,
}

impl Holdings {
    /// Brings what is in force in line with the files, which come in order of their paths.
    pub(super) fn reconcile<'a>(&mut self, files: impl Iterator<Item = FileView<'a>>) -> (Vec<Change>, Vec<Problem>) {
        let (mut changes, mut problems) = (Vec::new(), Vec::new());
        let mut declared: BTreeMap<&ObjectId, &KeptItem> = BTreeMap::new();
        let mut unreadable = BTreeSet::new();
        for file in files {
            if file.unreadable {
                unreadable.insert(file.path);
            }
            for item in file.items {
                if let Some(first) = declared.get(&item.id) {
                    problems.push(declared_twice(item, first));
                    continue;
                }
                declared.insert(&item.id, item);
                changes.extend(self.hold(item, file.path));
            }
        }
        self.objects.retain(|id, held| {
            let stays = declared.contains_key(id) || unreadable.contains(held.file.as_path());
            if !stays {
                changes.push(Change::Remove(id.clone()));
            }
            stays
        });
        (changes, problems)
    }

    fn hold(&mut self, item: &KeptItem, file: &Path) -> Option<Change> {
        let held = self.objects.get_mut(&item.id);
        let Some(content) = &item.content else {
            // The last good form stays, and now belongs to the file that speaks of the object.
            if let Some(held) = held {
                file.clone_into(&mut held.file);
            }
            return None;
        };
        if let Some(held) = held {
            file.clone_into(&mut held.file);
            if Arc::ptr_eq(&held.content, content) || is_same(&held.content, content) {
                return None;
            }
            held.content = Arc::clone(content);
        } else {
            let held = Held { content: Arc::clone(content), file: file.to_owned() };
            self.objects.insert(item.id.clone(), held);
        }
        Some(Declared::clone(content).into_change())
    }
}

fn declared_twice(item: &KeptItem, first: &KeptItem) -> Problem {
    let first = first.location.as_ref().map(ToString::to_string).unwrap_or_default();
    Problem {
        severity: code::DECLARED_TWICE.severity,
        code: code::DECLARED_TWICE.id,
        object: item.id.to_string(),
        field: String::new(),
        location: item.location.clone(),
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
            | Config::Sidecar(_),
            _,
        ) => false,
    }
}
