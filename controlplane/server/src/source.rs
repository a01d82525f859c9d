//! Where objects come from: a directory of YAML files, read once or watched, or an API server of Kubernetes.
//!
//! Text becomes a tree with positions, the tree is held against the schema of its kind, and what passes is converted
//! into values of the model. What does not pass becomes a [`Problem`] and leaves everything else as it was.

pub mod convert;
pub mod document;
pub mod files;
pub mod finding;
pub mod istio;
pub mod kind;
pub mod kube;
pub mod locate;
pub mod path;
pub mod schema;
pub mod standing;
pub mod wire;
pub mod yaml;

use std::sync::Arc;

use mesh::model::{Change, Namespace, Problem};
use tokio::{sync::mpsc, task::JoinSet};

pub use files::{Loaded, existing_directory, load, load_counting};

/// A change of the mesh as a source saw it, whole: what belongs together comes together.
#[derive(Debug, Default)]
pub struct Update {
    /// What to apply, in this order. The first update holds every object.
    pub changes: Vec<Change>,
    /// Every problem of the source as it stands now: it replaces the list of the update before.
    pub problems: Arc<Vec<Problem>>,
}

/// A source that is being followed; dropping it ends that.
#[derive(Debug)]
pub struct Watch {
    updates: mpsc::Receiver<Update>,
    _tasks: JoinSet<()>,
}

impl Watch {
    /// The next update; the first one holds every object. `None` only when the watch itself has ended.
    ///
    /// May be cancelled without loss.
    pub async fn next(&mut self) -> Option<Update> {
        self.updates.recv().await
    }
}

/// What the meaning of objects depends on, though no object says it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The DNS domain of the cluster: short names are completed with it.
    pub domain: String,
    /// The namespace of objects that do not name one.
    pub default_namespace: Namespace,
    /// The namespace of the mesh's own configuration, ConfigMap `istio`.
    pub system_namespace: Namespace,
}

impl Default for Settings {
    /// `cluster.local`, `default` and `istio-system`.
    fn default() -> Self {
        let namespace = |name| Namespace::parse(name).unwrap_or_else(|_| Namespace::none());
        Self {
            domain: "cluster.local".into(),
            default_namespace: namespace("default"),
            system_namespace: namespace("istio-system"),
        }
    }
}

/// Most updates that wait to be taken; while they wait, further changes join into one.
pub const UPDATES_MAX: usize = 4;
