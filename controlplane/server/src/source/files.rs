//! Objects from files: `*.yaml`, `*.yml` and `*.json` under a directory, read once or watched.

mod holdings;
mod scan;
mod state;
mod watch;

use std::path::{Path, PathBuf};

use tokio::{sync::mpsc, task::JoinSet};

pub use self::scan::{FILE_LEN_MAX, FILES_MAX, TOTAL_LEN_MAX};
use self::state::{Dirty, State};
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
pub fn load(paths: &[PathBuf], settings: &Settings) -> Update {
    let mut state = State::new(paths.to_vec(), settings.clone());
    // Nobody is writing to files that are read once.
    let _ = state.refresh(&Dirty::default());
    state.reconcile()
}

/// Watches `directory` on the current tokio runtime.
///
/// Edits by rename, by truncating and writing, and of many files at once each come as one update. What cannot be read
/// keeps its last good form.
#[must_use]
pub fn watch(directory: &Path, settings: Settings) -> Watch {
    let (sender, updates) = mpsc::channel(UPDATES_MAX);
    let mut task = JoinSet::new();
    task.spawn(watch::run(directory.to_owned(), settings, sender));
    Watch { updates, _task: task }
}

#[cfg(test)]
mod tests;
