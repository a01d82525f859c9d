//! The conditions of Istio's objects: what is wrong with each, and how many proxies have it, in its status and as events.
//!
//! Only the replica that leads writes. It looks at what is wrong, at how objects stand and at what proxies hold, whenever
//! any of these has changed and some time has passed; what differs goes through the ledger, which says when it is
//! written. Nothing waits for any of this, and all of it can be late.

mod coverage;
mod events;
mod ledger;
mod look;
mod pace;
mod verdict;
mod write;
mod written;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use mesh::{model::Problem, store::Mesh};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use self::{
    ledger::{Ledger, Outcome, Wanted},
    look::Looker,
};
use crate::{
    ads::Proxies,
    leader::{Seat, Term},
    metrics::Metrics,
    shutdown::Shutdown,
    source::standing::Standings,
};

/// Least time between two looks.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
/// A look is followed by a pause this many times as long, so that looking never takes more than a twentieth of a core.
const LOOK_PAUSE_RATIO: u32 = 20;
/// Writes under way at once.
const IN_FLIGHT_MAX: usize = 8;

/// What is wrong between the objects of a mesh.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// The mesh that was looked at; `None` before the source was read whole.
    pub mesh: Option<Mesh>,
    /// What is wrong in it.
    pub problems: Arc<Vec<Problem>>,
}

impl Checked {
    /// Takes a mesh in which nothing else is wrong; whether that makes a difference.
    pub fn follow(&mut self, mesh: Mesh) -> bool {
        let is_same = self.mesh.as_ref().is_some_and(|before| before.is_written_like(&mesh));
        self.mesh = Some(mesh);
        !is_same
    }
}

/// What it works with.
#[derive(Clone)]
pub struct Sources {
    /// The way to the API server.
    pub client: Client,
    /// Who we are, for events.
    pub identity: String,
    /// How the objects stand.
    pub standings: watch::Receiver<Standings>,
    /// What is wrong between them.
    pub checked: watch::Receiver<Checked>,
    /// What proxies hold.
    pub proxies: Arc<Proxies>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// The clock for people.
    pub now: fn() -> SystemTime,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

/// Keeps the conditions right in each term of this replica, until shutdown.
pub async fn run(sources: Sources, mut seat: Seat, mut shutdown: Shutdown) {
    let work = async {
        while let Some(term) = seat.won().await {
            let metrics = Arc::clone(&sources.metrics);
            let (desk, news) = events::desk(Arc::clone(&metrics));
            let send = events::send(sources.client.clone(), sources.identity.clone(), news, &metrics, &term);
            tokio::select! {
                () = lead(sources.clone(), &term, desk) => {}
                () = send => {}
                () = term.lost() => {}
            }
            metrics.status_waiting.set(0);
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown.begun() => {}
    }
}

/// A write that has ended.
type Ended = (Arc<str>, Wanted, Outcome);

/// Looks and writes. Writes under way end with it.
async fn lead(sources: Sources, term: &Term, desk: events::Desk) {
    let Sources { client, identity: _, mut standings, mut checked, proxies, metrics, now } = sources;
    let mut moves = proxies.moves();
    let mut looker = Some(Looker::default());
    let mut looking: JoinSet<(Looker, HashMap<Arc<str>, Wanted>, Duration)> = JoinSet::new();
    let mut writing: JoinSet<Ended> = JoinSet::new();
    let mut ledger = Ledger::new(Instant::now());
    let mut complaint = String::new();
    let (mut is_stale, mut next_look) = (true, Instant::now());
    loop {
        let next_write = (writing.len() < IN_FLIGHT_MAX).then(|| ledger.next(Instant::now())).flatten();
        tokio::select! {
            changed = moves.changed(), if !is_stale => is_stale = changed.is_ok(),
            changed = standings.changed(), if !is_stale => if changed.is_ok() { is_stale = true } else { return },
            changed = checked.changed(), if !is_stale => if changed.is_ok() { is_stale = true } else { return },
            () = sleep_until(next_look), if is_stale && looker.is_some() => {
                let Some(mut looker) = looker.take() else { continue };
                is_stale = false;
                moves.mark_unchanged();
                let (standings, checked) = (standings.borrow_and_update().clone(), checked.borrow_and_update().clone());
                let proxies = Arc::clone(&proxies);
                looking.spawn_blocking(move || {
                    let began = std::time::Instant::now();
                    let differing = looker.look(standings, &checked, &look::holders(&proxies));
                    (looker, differing, began.elapsed())
                });
            }
            Some(looked) = looking.join_next() => {
                // A look that has panicked is a fault of ours, and the next term begins afresh.
                let Ok((back, differing, took)) = looked else { return };
                looker = Some(back);
                next_look = Instant::now() + LOOK_PAUSE.max(took * LOOK_PAUSE_RATIO);
                ledger.take(differing, Instant::now());
                metrics.status_look.observe(took.as_secs_f64());
            }
            Some(written) = writing.join_next() => {
                let Ok((title, wanted, outcome)) = written else { return };
                note(&title, &outcome, &metrics, &mut complaint);
                ledger.done(&title, wanted, &outcome, Instant::now());
                is_stale = true;
            }
            () = sleep_until(next_write.unwrap_or_else(Instant::now)), if next_write.is_some() => {
                let Some((title, wanted)) = ledger.begin(Instant::now()) else { continue };
                let standing = standings.borrow().get(&title).cloned();
                let (client, term, desk) = (client.clone(), term.clone(), desk.clone());
                writing.spawn(async move {
                    let outcome = match standing {
                        Some(standing) if standing.generation == wanted.generation => {
                            let now = Timestamp::try_from(now()).unwrap_or_default();
                            let outcome = write::write(&client, &term, &standing, &wanted, &format!("{now:.0}")).await;
                            if outcome == Outcome::Written {
                                desk.report(&standing, &wanted.verdicts);
                            }
                            outcome
                        }
                        // It is gone, or another one by now, which the next look sees.
                        Some(_) | None => Outcome::Conflict,
                    };
                    (title, wanted, outcome)
                });
            }
        }
        metrics.status_waiting.set(i64::try_from(ledger.waiting()).unwrap_or(i64::MAX));
    }
}

/// Counts a write, and says what keeps objects from being written, once each.
fn note(title: &str, outcome: &Outcome, metrics: &Metrics, complaint: &mut String) {
    let (result, reason) = match outcome {
        Outcome::Written => ("written", None),
        Outcome::Conflict => ("conflict", None),
        Outcome::Throttled(_) => ("throttled", None),
        Outcome::Unavailable(reason) => ("unavailable", Some(reason)),
        Outcome::Refused(reason) => ("refused", Some(reason)),
        Outcome::Fenced => ("fenced", None),
    };
    metrics.status_written(result);
    match reason {
        Some(reason) if reason != complaint => {
            tracing::warn!(object = title, reason, "the status of an object cannot be written; it is tried again");
            complaint.clone_from(reason);
        }
        Some(_) | None => {}
    }
}
