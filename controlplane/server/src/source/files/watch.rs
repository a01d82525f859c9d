//! Sees that files have changed, waits until they are whole, and sends one update for all of it.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mesh::model::Problem;
use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::mpsc, task, time};
use tracing::{debug, warn};

use super::state::{Dirty, Refreshed, State};
use crate::source::{Settings, Update};

/// Files are whole when nothing has happened for so long.
const QUIET: Duration = Duration::from_millis(40);
/// But nobody waits longer than this for quiet.
const QUIET_MAX: Duration = Duration::from_millis(500);
/// A file that looks half written is looked at again after this.
const SETTLE: Duration = Duration::from_millis(100);
/// How often that is done before what was seen is taken as it is.
const SETTLES_MAX: u32 = 5;
/// How often files are looked at without being told, for changes that no event comes for.
const POLL: Duration = Duration::from_secs(2);
/// Most paths that wait to be looked at; when there are more, all files are.
const PATHS_MAX: usize = 4096;

/// Watches until nobody takes updates any more.
pub(super) async fn run(directory: PathBuf, settings: Settings, updates: mpsc::Sender<Update>) {
    // Watching begins before the first look, so that nothing falls between.
    let mut events = Events::new(&directory);
    let mut state = State::new(vec![directory.clone()], settings);
    let mut dirty = Dirty::default();
    let mut published: Option<Arc<Vec<Problem>>> = None;
    loop {
        let mut refreshed;
        (state, refreshed) = refresh(state, dirty).await;
        // Another file may look half written by then, and one that is empty may stay so on a busy machine.
        for _ in 0..SETTLES_MAX {
            if refreshed.suspicious.is_empty() {
                break;
            }
            debug!(files = refreshed.suspicious.len(), "files look half written, looking again");
            time::sleep(SETTLE).await;
            let again = Dirty { paths: refreshed.suspicious.clone(), all: false };
            let waited_for = refreshed.suspicious;
            (state, refreshed) = refresh(state, again).await;
            refreshed.suspicious.extend(waited_for.into_iter().filter(|path| state.is_empty(path)));
        }
        let update = state.reconcile();
        if published.as_ref() != Some(&update.problems) || !update.changes.is_empty() {
            published = Some(Arc::clone(&update.problems));
            if updates.send(update).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = updates.closed() => return,
            first = events.first() => dirty = events.until_quiet(first).await,
            () = time::sleep(POLL) => {
                events.renew(&directory);
                dirty = Dirty::default();
            }
        }
    }
}

/// Reads files on a thread that may block.
async fn refresh(mut state: State, dirty: Dirty) -> (State, Refreshed) {
    let work = task::spawn_blocking(move || {
        let refreshed = state.refresh(&dirty);
        (state, refreshed)
    });
    match work.await {
        Ok(done) => done,
        // The runtime is shutting down, or reading has a bug: there is nothing to go on with.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => std::future::pending().await,
    }
}

/// What the operating system tells of the directory.
struct Events {
    paths: mpsc::Receiver<PathBuf>,
    sender: mpsc::Sender<PathBuf>,
    overflow: Arc<AtomicBool>,
    watcher: Option<RecommendedWatcher>,
    /// The directory that is watched, by device and inode: its name may come to mean another one.
    watched: Option<(u64, u64)>,
}

impl Events {
    fn new(directory: &Path) -> Self {
        let (sender, paths) = mpsc::channel(PATHS_MAX);
        let mut events = Self { paths, sender, overflow: Arc::default(), watcher: None, watched: None };
        events.renew(directory);
        events
    }

    /// Watches the directory anew if its name means another one than before. Without a watch, polling goes on.
    fn renew(&mut self, directory: &Path) {
        let found = std::fs::metadata(directory).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        if found == self.watched {
            return;
        }
        self.watched = found;
        self.watcher = None;
        if found.is_none() {
            return;
        }
        match self.watcher(directory) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => warn!(%error, directory = %directory.display(), "cannot watch, looking every 2 s instead"),
        }
    }

    fn watcher(&self, directory: &Path) -> notify::Result<RecommendedWatcher> {
        let (sender, overflow) = (self.sender.clone(), Arc::clone(&self.overflow));
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let (paths, lost) = match event {
                Ok(event) if !is_edit(event.kind) => return,
                Ok(event) => {
                    let lost = event.need_rescan();
                    (event.paths, lost)
                }
                Err(error) => (error.paths, true),
            };
            if lost {
                overflow.store(true, Ordering::Release);
            }
            // An empty path wakes the other side when there is nothing to name.
            let none = paths.is_empty();
            for path in paths.into_iter().chain(none.then(PathBuf::new)) {
                if sender.try_send(path).is_err() {
                    overflow.store(true, Ordering::Release);
                }
            }
        })?;
        watcher.watch(directory, RecursiveMode::Recursive)?;
        Ok(watcher)
    }

    /// The next path that was written to.
    ///
    /// May be cancelled without loss.
    async fn first(&mut self) -> PathBuf {
        match self.paths.recv().await {
            Some(path) => path,
            // A sender is kept here, so that the channel never ends.
            None => std::future::pending().await,
        }
    }

    /// All that was written to until nothing has been for [`QUIET`], or [`QUIET_MAX`] has passed.
    async fn until_quiet(&mut self, first: PathBuf) -> Dirty {
        let mut dirty = Dirty { paths: [first].into(), all: false };
        let deadline = time::Instant::now() + QUIET_MAX;
        while time::Instant::now() < deadline {
            let quiet = (time::Instant::now() + QUIET).min(deadline);
            match time::timeout_at(quiet, self.paths.recv()).await {
                Ok(Some(_)) if dirty.paths.len() >= PATHS_MAX => dirty.all = true,
                Ok(Some(path)) => {
                    dirty.paths.insert(path);
                }
                Ok(None) | Err(_) => break,
            }
        }
        dirty.all |= self.overflow.swap(false, Ordering::AcqRel);
        dirty
    }
}

/// Whether something may have been written. Opening and reading are told too, and are our own doing.
fn is_edit(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}
