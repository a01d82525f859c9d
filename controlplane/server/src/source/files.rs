//! Objects from files: `*.yaml`, `*.yml` and `*.json` under a directory, read once or watched.

mod batch;
mod events;
mod holdings;
mod read;
mod scan;
mod state;
mod watch;

use std::path::{Path, PathBuf};

use tokio::{sync::mpsc, task::JoinSet};

pub use self::scan::{FILE_LEN_MAX, FILES_MAX, TOTAL_LEN_MAX};
use self::{
    batch::{Dirty, Extent},
    events::Watched,
    state::State,
};
use super::{Settings, UPDATES_MAX, Update, Watch};

/// What files hold that are read once, and how many there are.
#[derive(Debug)]
pub struct Loaded {
    /// All objects, and what is wrong with them.
    pub update: Update,
    /// How many files were read, or could not be.
    pub files: usize,
}

/// Reads all files at and under `paths` once: what `analyze` and `compile` work on.
#[must_use]
pub fn load(paths: &[PathBuf], settings: &Settings) -> Update {
    load_counting(paths, settings).update
}

/// As [`load`], for those who say how much there was.
#[must_use]
pub fn load_counting(paths: &[PathBuf], settings: &Settings) -> Loaded {
    let mut state = State::new(paths.to_vec(), settings.clone(), Watched::default());
    // Nobody is writing to files that are read once.
    let _ = state.refresh(&Dirty { extent: Extent::Tree, ..Dirty::default() });
    Loaded { update: state.reconcile(), files: state.file_count() }
}

/// The directory of a mesh, as a command line names it.
///
/// # Errors
/// When there is no such directory.
pub fn existing_directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => Ok(path),
        Ok(_) => Err("it is a file; give the directory that holds it".to_owned()),
        Err(error) => Err(format!("{error}; give a directory that exists")),
    }
}

/// Watches `directory` on the current tokio runtime.
///
/// Edits by rename, by truncating and writing, and of many files at once each come as one update: docs/SCALE.md says how
/// far apart they may be for that. What cannot be read keeps its last good form.
#[must_use]
pub fn watch(directory: &Path, settings: Settings) -> Watch {
    let (sender, updates) = mpsc::channel(UPDATES_MAX);
    let mut tasks = JoinSet::new();
    tasks.spawn(watch::run(directory.to_owned(), settings, sender));
    Watch { updates, _tasks: tasks }
}

#[cfg(test)]
mod tests;
