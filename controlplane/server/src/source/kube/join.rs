//! The one task that joins the events of all resources into updates.

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use super::state::{Message, State};
use crate::source::{Update, standing::Standings};

/// Most events of one update; they are those that came while the update before was being made and taken.
const BATCH_MAX: usize = 4096;

/// Joins until nobody takes updates any more.
pub(super) async fn run(
    mut events: mpsc::Receiver<Message>,
    mut state: State,
    updates: mpsc::Sender<Update>,
    standings: watch::Sender<Standings>,
) {
    let mut batch = Vec::new();
    let mut is_first = true;
    loop {
        tokio::select! {
            () = updates.closed() => return,
            received = events.recv_many(&mut batch, BATCH_MAX) => if received == 0 { return },
            () = wait(state.deadline()) => {}
        }
        for message in batch.drain(..) {
            state.take(message);
        }
        if let Some(changed) = state.standings() {
            standings.send_replace(changed);
        }
        if let Some(update) = state.update(Instant::now()) {
            if std::mem::take(&mut is_first) {
                tracing::info!(objects = update.changes.len(), "every resource was listed");
            }
            if updates.send(update).await.is_err() {
                return;
            }
        }
    }
}

async fn wait(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
