//! Sees that files have changed, waits until they are whole, and sends one update for all of it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use mesh::model::Problem;
use tokio::{sync::mpsc, task, time, time::Instant};
use tracing::debug;

use super::{
    batch::{Batch, Dirty, Extent, QUIET, QUIET_MAX, Stage},
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
    let mut watcher = Watcher { events, state: Some(state), batch: Batch::default(), last: None };
    let mut published: Option<Arc<Vec<Problem>>> = None;
    watcher.batch.all(Extent::Tree);
    let (mut deadline, mut poll) = (Instant::now(), Instant::now() + POLL);
    loop {
        let Some(update) = watcher.look(deadline).await else { return };
        if published.as_ref() != Some(&update.problems) || !update.changes.is_empty() {
            published = Some(Arc::clone(&update.problems));
            if updates.send(update).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = updates.closed() => return,
            () = watcher.first() => deadline = Instant::now() + QUIET_MAX,
            () = time::sleep_until(poll) => {
                watcher.batch.all(Extent::Tree);
                deadline = Instant::now();
                poll = deadline + POLL;
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
    /// When something happened last.
    last: Option<Instant>,
}

impl Watcher {
    /// Looks at what has happened, once it is whole, until nothing happens meanwhile: what is seen then was true at one
    /// moment. `None` when the runtime ends.
    async fn look(&mut self, deadline: Instant) -> Option<Update> {
        let mut suspicious = self.look_until_still(deadline).await?.suspicious;
        // Another file may look half written by then, and one that is empty may stay so on a busy machine.
        for _ in 0..SETTLES_MAX {
            if suspicious.is_empty() {
                break;
            }
            debug!(files = suspicious.len(), "files look half written, looking again");
            time::sleep(SETTLE).await;
            self.drain();
            for path in &suspicious {
                self.batch.file(path.clone(), Stage::Touched);
            }
            let refreshed = self.look_until_still(Instant::now() + QUIET_MAX).await?;
            let state = self.state.as_ref()?;
            suspicious.retain(|path| state.is_empty(path));
            suspicious.extend(refreshed.suspicious);
        }
        Some(self.state.as_mut()?.reconcile())
    }

    async fn look_until_still(&mut self, deadline: Instant) -> Option<Refreshed> {
        let mut all = Refreshed::default();
        for _ in 0..LOOKS_MAX {
            self.until_whole(deadline).await;
            let dirty = self.batch.take();
            let refreshed = self.refresh(dirty).await?;
            all.suspicious.extend(refreshed.suspicious);
            self.drain();
            if self.batch.is_empty() {
                break;
            }
        }
        let state = self.state.as_ref()?;
        all.suspicious.retain(|path| state.is_broken(path));
        Some(all)
    }

    /// Reads files on a thread that may block.
    async fn refresh(&mut self, dirty: Dirty) -> Option<Refreshed> {
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

    /// Waits until something happens.
    ///
    /// May be cancelled without loss.
    async fn first(&mut self) {
        while self.batch.is_empty() {
            self.events.wait().await;
            self.drain();
        }
    }

    /// Waits until nothing more happens for as long as what has happened needs, but not beyond `deadline`.
    async fn until_whole(&mut self, deadline: Instant) {
        while let Some(last) = self.last {
            let rested = (last + self.batch.rest()).min(deadline);
            if rested <= Instant::now() || time::timeout_at(rested, self.events.wait()).await.is_err() {
                break;
            }
            self.drain();
        }
    }

    /// Takes in all that has happened until now.
    fn drain(&mut self) {
        let Some(state) = &mut self.state else { return };
        let begins = self.batch.is_empty();
        if !state.hear(&mut self.events, &mut self.batch) {
            return;
        }
        let now = Instant::now();
        let before = self.last.replace(now);
        if begins {
            self.batch.follows = before.is_some_and(|before| now.duration_since(before) < QUIET);
        }
    }
}
