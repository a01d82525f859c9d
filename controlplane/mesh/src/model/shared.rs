//! Shared values that are compared by identity, so that they can be the keys of a memo at no cost.

use std::{
    hash::{Hash, Hasher},
    ops::Deref,
    sync::Arc,
};

/// A value in shared memory; two are equal when they are the same memory.
///
/// The store keeps the memory of a value that a change leaves as it was, so "the same memory" is "nothing changed".
/// A key that holds a `Shared` keeps it alive, so that its address cannot come to mean something else.
#[derive(Debug)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Puts a value into shared memory.
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// How many hold this memory: a memo lets go of what it alone holds.
    #[must_use]
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Eq for Shared<T> {}

impl<T> Hash for Shared<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
