//! The objects of one kind, by identity.

use imbl::OrdMap;

use crate::model::{Namespace, Object, ObjectId, Shared};

/// Most objects of one kind; what comes beyond is left out.
pub const OBJECTS_MAX: usize = 500_000;

/// The objects of one kind, in the order of namespace and name. A clone costs nothing.
#[derive(Debug, Clone)]
pub struct Objects<T>(OrdMap<ObjectId, Shared<Object<T>>>);

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self(OrdMap::new())
    }
}

/// What became of an object that was put in.
pub(super) enum Placed<T> {
    /// It means what was there: the old one stays, in its memory.
    Same,
    /// There are too many.
    Refused,
    /// It is in.
    Changed {
        /// What it replaced.
        before: Option<Shared<Object<T>>>,
        /// It.
        after: Shared<Object<T>>,
    },
}

impl<T> Objects<T> {
    /// The object of this identity.
    #[must_use]
    pub fn get(&self, id: &ObjectId) -> Option<&Shared<Object<T>>> {
        self.0.get(id)
    }

    /// All of them, by namespace and name.
    pub fn iter(&self) -> impl Iterator<Item = &Shared<Object<T>>> {
        self.0.values()
    }

    /// Those of one namespace, by name.
    pub fn in_namespace<'a>(&'a self, namespace: &Namespace) -> impl Iterator<Item = &'a Shared<Object<T>>> {
        // All keys of one map are of one kind, so the first of a namespace can only be found through a key of that kind.
        let kind = self.0.get_min().map(|(id, _)| id.kind);
        kind.into_iter().flat_map(move |kind| {
            self.0
                .range(ObjectId::new(kind, namespace.clone(), "")..)
                .take_while(move |(id, _)| id.namespace == *namespace)
                .map(|(_, object)| object)
        })
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

    pub(super) fn take(&mut self, id: &ObjectId) -> Option<Shared<Object<T>>> {
        self.0.remove(id)
    }
}

impl<T: PartialEq> Objects<T> {
    /// Puts an object in, unless it were more than `max`.
    pub(super) fn place(&mut self, object: Object<T>, max: usize) -> Placed<T> {
        match self.0.get(&object.id) {
            Some(held) if held.means_the_same(&object) => return Placed::Same,
            None if self.0.len() >= max => return Placed::Refused,
            Some(_) | None => {}
        }
        let after = Shared::new(object);
        let before = self.0.insert(after.id.clone(), after.clone());
        Placed::Changed { before, after }
    }
}
