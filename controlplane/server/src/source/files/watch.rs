//! Sees that files have changed, waits until they are whole, and sends one update for all of it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use mesh::model::Problem;
use tokio::{sync::mpsc, task, time, time::Instant};
use tracing::debug;

use super::{
    batch::{Batch, Dirty, QUIET_MAX},
    events::Events,
    state::{Refreshed, State},
};
use crate::source::{Settings, Update};

/// A file that looks half written is looked at again after this.
const SETTLE: Duration = Duration::from_millis(100);
/// How often that is done before what was seen is taken as it is.
const SETTLES_MAX: u32 = 5;
/// How often files are looked at without being told, for changes that no event comes for.
const POLL: Duration = Duration::from_secs(2);
/// How often files are looked at again because some changed meanwhile. When they never rest, what was seen last is
/// taken.
const LOOKS_MAX: u32 = 20;

/// Watches until nobody takes updates any more.
pub(super) async fn run(directory: PathBuf, settings: Settings, updates: mpsc::Sender<Update>) {
    let (events, watched) = Events::new();
    let state = State::new(vec![directory], settings, watched);
    let mut watcher = Watcher { events, state: Some(state), batch: Batch::default() };
    let mut published: Option<Arc<Vec<Problem>>> = None;
    watcher.batch.look_around();
    let mut poll = Instant::now() + POLL;
    loop {
        let Some(update) = watcher.look().await else { return };
        if published.as_ref() != Some(&update.problems) || !update.changes.is_empty() {
            published = Some(Arc::clone(&update.problems));
            if updates.send(update).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = updates.closed() => return,
            () = watcher.until_due(Instant::now()) => {}
            () = time::sleep_until(poll) => {
                watcher.batch.look_around();
                poll = Instant::now() + POLL;
            }
        }
    }
}

struct Watcher {
    events: Events,
    /// `None` while a thread reads files, and when reading has ended with the runtime.
    state: Option<State>,
    /// What has happened and was not looked at.
    batch: Batch,
}

impl Watcher {
    /// Looks at what has happened, once it is whole, until nothing happens meanwhile: what is seen then was true at one
    /// moment. `None` when the runtime ends.
    async fn look(&mut self) -> Option<Update> {
        let mut suspicious = self.look_until_still().await?.suspicious;
        // Another file may look half written by then, and one that is empty may stay so on a busy machine.
        for _ in 0..SETTLES_MAX {
            if suspicious.is_empty() {
                break;
            }
            debug!(files = suspicious.len(), "files look half written, looking again");
            time::sleep(SETTLE).await;
            self.drain();
            for path in &suspicious {
                self.batch.look_again(path.clone(), Instant::now());
            }
            let refreshed = self.look_until_still().await?;
            let state = self.state.as_ref()?;
            suspicious.retain(|path| state.is_empty(path));
            suspicious.extend(refreshed.suspicious);
        }
        Some(self.state.as_mut()?.reconcile())
    }

    async fn look_until_still(&mut self) -> Option<Refreshed> {
        let deadline = Instant::now() + QUIET_MAX;
        let mut all = Refreshed::default();
        for _ in 0..LOOKS_MAX {
            self.until_due(deadline).await;
            let dirty = Arc::new(self.batch.take(Instant::now()));
            let refreshed = self.refresh(Arc::clone(&dirty)).await?;
            all.suspicious.extend(refreshed.suspicious);
            self.drain();
            if self.batch.is_still(&dirty) {
                break;
            }
        }
        let state = self.state.as_ref()?;
        all.suspicious.retain(|path| state.is_broken(path));
        Some(all)
    }

    /// Reads files on a thread that may block.
    async fn refresh(&mut self, dirty: Arc<Dirty>) -> Option<Refreshed> {
        let mut state = self.state.take()?;
        let work = task::spawn_blocking(move || {
            let refreshed = state.refresh(&dirty);
            (state, refreshed)
        });
        match work.await {
            Ok((state, refreshed)) => {
                self.state = Some(state);
                Some(refreshed)
            }
            // Reading has a bug: there is nothing to go on with.
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => None,
        }
    }

    /// Waits until there is something to look at: until what has happened is whole, and but for files that are open not
    /// beyond `deadline`.
    ///
    /// May be cancelled without loss.
    async fn until_due(&mut self, deadline: Instant) {
        loop {
            self.drain();
            let now = Instant::now();
            match self.batch.due(now, deadline) {
                Some(due) if due <= now => return,
                // When it has passed, and when something more has happened.
                Some(due) => drop(time::timeout_at(due, self.events.wait()).await),
                None => self.events.wait().await,
            }
        }
    }

    /// Takes in all that has happened until now.
    fn drain(&mut self) {
        if let Some(state) = &mut self.state {
            state.hear(&mut self.events, &mut self.batch, Instant::now());
        }
    }
}
