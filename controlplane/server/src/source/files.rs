//! Objects from files: `*.yaml`, `*.yml` and `*.json` under a directory.

use std::path::{Path, PathBuf};

use tokio::{sync::mpsc, task::JoinSet};

use super::{Settings, UPDATES_MAX, Update};

/// A directory that is being watched; dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    updates: mpsc::Receiver<Update>,
    _task: JoinSet<()>,
}

impl Watch {
    /// The next update; the first one holds every object. `None` only when the watch itself has ended.
    ///
    /// May be cancelled without loss.
    pub async fn next(&mut self) -> Option<Update> {
        self.updates.recv().await
    }
}

/// Reads all files at and under `paths` once: what `analyze` and `compile` work on.
#[must_use]
pub fn load(_paths: &[PathBuf], _settings: &Settings) -> Update {
    Update::default()
}

/// Watches `directory` on the current tokio runtime.
#[must_use]
pub fn watch(_directory: &Path, _settings: Settings) -> Watch {
    let (_sender, updates) = mpsc::channel(UPDATES_MAX);
    Watch { updates, _task: JoinSet::new() }
}
