//! What proxies are to hold: encoded, versioned resources in immutable sets, shared by every proxy of a viewpoint.

mod compiler;
mod counters;
mod destinations;
mod encoder;
mod entrances;
mod inbound;
mod memo;
mod placed;
mod resource;
mod snapshots;
mod table;

pub use counters::Counters;
pub use resource::{Resource, Version};
pub use snapshots::Snapshots;

pub use crate::compile::References;

use std::sync::Arc;

use imbl::{OrdMap, ordmap::DiffItem};
use proto::type_url::ResourceType;

/// The encoded results of one compile function.
type Unit = Arc<[Arc<Resource>]>;

/// The resources of one type, by name. A clone costs nothing, and sets that share history are compared quickly.
#[derive(Debug, Clone, Default)]
pub struct ResourceSet(OrdMap<Arc<str>, Arc<Resource>>);

/// How one set differs from another.
#[derive(Debug)]
pub enum Difference<'a> {
    /// The resource is new, or has another version.
    Changed(&'a Arc<Resource>),
    /// The resource is gone.
    Removed(&'a Arc<str>),
}

impl ResourceSet {
    /// The resource with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.0.get(name)
    }

    /// Whether a resource with this name is there.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// All resources in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.0.values()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Puts a resource in; one with the same name and version stays as it is, so that shared memory stays shared.
    pub fn insert(&mut self, resource: Arc<Resource>) {
        if self.0.get(&resource.name).is_none_or(|held| held.version != resource.version) {
            self.0.insert(Arc::clone(&resource.name), resource);
        }
    }

    /// Takes a resource out.
    pub fn remove(&mut self, name: &str) -> Option<Arc<Resource>> {
        self.0.remove(name)
    }

    /// What of `self` differs from `before`, in the order of names; equal versions are silent.
    pub fn differences<'a>(&'a self, before: &'a Self) -> impl Iterator<Item = Difference<'a>> {
        before.0.diff(&self.0).map(|item| match item {
            DiffItem::Add(_, resource) | DiffItem::Update { new: (_, resource), .. } => Difference::Changed(resource),
            DiffItem::Remove(name, _) => Difference::Removed(name),
        })
    }

    /// Whether both are the same memory.
    #[must_use]
    pub fn is_shared_with(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Whether both hold the same names in the same versions.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.is_shared_with(other) || self.differences(other).next().is_none()
    }
}

impl FromIterator<Arc<Resource>> for ResourceSet {
    fn from_iter<I: IntoIterator<Item = Arc<Resource>>>(resources: I) -> Self {
        let mut set = Self::default();
        for resource in resources {
            set.insert(resource);
        }
        set
    }
}

/// Everything that the proxies of one viewpoint are to hold.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    sets: [ResourceSet; ResourceType::ALL.len()],
}

impl Snapshot {
    /// The resources of one type.
    #[must_use]
    pub fn of(&self, kind: ResourceType) -> &ResourceSet {
        // `sets` has one place for each type, in the order of `ResourceType::ALL`.
        self.sets.get(kind.index()).unwrap_or_else(|| unreachable_set())
    }

    /// The resources of one type, to be changed while the snapshot is built.
    pub fn of_mut(&mut self, kind: ResourceType) -> Option<&mut ResourceSet> {
        self.sets.get_mut(kind.index())
    }

    /// Whether both hold the same resources in the same versions.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        self.sets.iter().zip(&other.sets).all(|(a, b)| a.same(b))
    }

    /// A digest of all names and versions: equal on every replica that holds the same.
    #[must_use]
    pub fn digest(&self) -> Version {
        let mut hasher = xxhash_rust::xxh3::Xxh3::new();
        for resource in self.sets.iter().flat_map(ResourceSet::iter) {
            hasher.update(resource.name.as_bytes());
            hasher.update(&resource.version.to_bytes());
        }
        Version::from_hash(hasher.digest())
    }
}

fn unreachable_set() -> &'static ResourceSet {
    static EMPTY: std::sync::OnceLock<ResourceSet> = std::sync::OnceLock::new();
    EMPTY.get_or_init(ResourceSet::default)
}
