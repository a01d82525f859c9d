//! Objects from files: `*.yaml`, `*.yml` and `*.json` under a directory, read once or watched.

mod holdings;
mod scan;
mod state;
mod watch;

use std::path::{Path, PathBuf};

use tokio::{sync::mpsc, task::JoinSet};

pub use self::scan::{FILE_LEN_MAX, FILES_MAX, TOTAL_LEN_MAX};
use self::state::{Dirty, State};
use super::{Settings, UPDATES_MAX, Update, Watch};

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
    let mut tasks = JoinSet::new();
    tasks.spawn(watch::run(directory.to_owned(), settings, sender));
    Watch { updates, _tasks: tasks }
}

#[cfg(test)]
mod tests;
