//! What is to be written, and when. Plain: differences and the outcomes of writes come in, with the time.
//!
//! Of each object only the newest that is wanted is kept. A difference rests before it is written, since it often goes
//! away by itself (proxies answer in milliseconds), and an object that others write too is written more and more rarely.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{pace::Pace, verdict::Verdicts, written::Urgency};

/// Writes in a second, and at once after a rest.
pub(super) const WRITES_PER_SECOND: u32 = 50;
const WRITES_BURST: u32 = 50;
/// A difference rests for so long before it is written.
const REST: Duration = Duration::from_secs(1);
/// The same for one that only says that proxies are not there yet.
const PATIENCE: Duration = Duration::from_secs(5);
/// Least time between two writes of one object.
const OBJECT_PAUSE: Duration = Duration::from_secs(5);
/// The same where only the number of proxies differs.
const COUNT_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause of an object that others undo, or that cannot be written.
const OBJECT_PAUSE_MAX: Duration = Duration::from_secs(600);
/// First pause of an object that cannot be written; twice as long each time.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Pause of all writes when the API server does not answer well; twice as long each time.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
const TROUBLE_PAUSE_MAX: Duration = Duration::from_secs(60);

/// What an object's conditions should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The generation that they are about.
    pub(super) generation: i64,
    pub(super) verdicts: Verdicts,
    /// How the written ones differ.
    pub(super) urgency: Urgency,
    /// Whether proxies that are not there yet are all that is wrong.
    pub(super) is_pending: bool,
    /// The version of the object that was looked at.
    pub(super) seen: Arc<str>,
}

/// What became of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is written.
    Written,
    /// The object has changed meanwhile.
    Conflict,
    /// The API server wants to be left alone, for so long if it says.
    Throttled(Option<Duration>),
    /// It does not answer, or with an error of its own.
    Unavailable(String),
    /// It will not have it.
    Refused(String),
    /// This replica leads no more, and nothing was sent.
    Fenced,
}

#[derive(Debug)]
pub(super) struct Ledger {
    entries: HashMap<Arc<str>, Entry>,
    /// What waits, by urgency and time.
    queue: [BTreeSet<(Instant, Arc<str>)>; 2],
    pace: Pace,
    /// Nothing is written before.
    hold_until: Instant,
    /// Failures in a row that were not an object's.
    troubles: u32,
}

#[derive(Debug, Default)]
struct Entry {
    wanted: Option<Wanted>,
    /// Where it is in the queue.
    due: Option<(Urgency, Instant)>,
    in_flight: bool,
    written: Option<Past>,
    /// How often others have undone what was written.
    undone: u32,
    failures: u32,
}

/// What was written last.
#[derive(Debug)]
struct Past {
    at: Instant,
    what: Wanted,
}

impl Ledger {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            entries: HashMap::new(),
            queue: [BTreeSet::new(), BTreeSet::new()],
            pace: Pace::new(WRITES_PER_SECOND, WRITES_BURST, now),
            hold_until: now,
            troubles: 0,
        }
    }

    /// How many objects wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.queue.iter().map(BTreeSet::len).sum()
    }

    /// Takes in all objects whose conditions are not what they should be; of all others they are.
    pub(super) fn take(&mut self, differing: HashMap<Arc<str>, Wanted>, now: Instant) {
        let satisfied: Vec<Arc<str>> =
            self.entries.keys().filter(|title| !differing.contains_key(*title)).cloned().collect();
        for title in satisfied {
            self.unqueue(&title);
            let Some(entry) = self.entries.get_mut(&title) else { continue };
            entry.wanted = None;
            entry.failures = 0;
            let is_remembered = entry.written.as_ref().is_some_and(|past| now < past.at + OBJECT_PAUSE_MAX);
            if !entry.in_flight && !is_remembered {
                self.entries.remove(&title);
            }
        }
        for (title, wanted) in differing {
            let entry = self.entries.entry(Arc::clone(&title)).or_default();
            let due = entry.consider(&wanted, now);
            let urgency = wanted.urgency;
            entry.wanted = Some(wanted);
            match due {
                Some(due) if !entry.in_flight => self.enqueue(title, urgency, due),
                Some(_) | None => {}
            }
        }
    }

    /// When the next write may begin; `None` when nothing waits.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let first = self.queue.iter().filter_map(|queue| queue.first().map(|(due, _)| *due)).min()?;
        Some(first.max(self.hold_until).max(self.pace.ready_at(now)))
    }

    /// The write that begins now, if one may.
    pub(super) fn begin(&mut self, now: Instant) -> Option<(Arc<str>, Wanted)> {
        if now < self.hold_until {
            return None;
        }
        let due = self.queue.iter().find_map(|queue| queue.first().filter(|(due, _)| *due <= now));
        let title = due.map(|(_, title)| Arc::clone(title))?;
        if !self.pace.take(now) {
            return None;
        }
        self.unqueue(&title);
        let entry = self.entries.get_mut(&title)?;
        entry.in_flight = true;
        entry.wanted.clone().map(|wanted| (title, wanted))
    }

    /// Takes in what became of the write of `what`.
    pub(super) fn done(&mut self, title: &Arc<str>, what: Wanted, outcome: &Outcome, now: Instant) {
        match outcome {
            Outcome::Throttled(after) => {
                self.trouble(after.unwrap_or_default(), now);
            }
            Outcome::Unavailable(_) => self.trouble(Duration::ZERO, now),
            Outcome::Written | Outcome::Conflict | Outcome::Refused(_) => self.troubles = 0,
            Outcome::Fenced => {}
        }
        let Some(entry) = self.entries.get_mut(title) else { return };
        entry.in_flight = false;
        let again = match outcome {
            Outcome::Written => {
                entry.failures = 0;
                entry.written = Some(Past { at: now, what });
                // What is wanted by now is seen at the next look, which this write leads to.
                None
            }
            Outcome::Conflict | Outcome::Refused(_) => {
                entry.failures = entry.failures.saturating_add(1);
                Some(now + doubled(RETRY_PAUSE, entry.failures, OBJECT_PAUSE_MAX))
            }
            Outcome::Throttled(_) | Outcome::Unavailable(_) => Some(now),
            Outcome::Fenced => None,
        };
        if let (Some(due), Some(wanted)) = (again, &entry.wanted) {
            let urgency = wanted.urgency;
            self.enqueue(Arc::clone(title), urgency, due);
        }
    }

    fn trouble(&mut self, at_least: Duration, now: Instant) {
        self.troubles = self.troubles.saturating_add(1);
        let pause = doubled(TROUBLE_PAUSE, self.troubles, TROUBLE_PAUSE_MAX).max(at_least.min(OBJECT_PAUSE_MAX));
        self.hold_until = self.hold_until.max(now + pause);
    }

    fn enqueue(&mut self, title: Arc<str>, urgency: Urgency, due: Instant) {
        self.unqueue(&title);
        if let Some(entry) = self.entries.get_mut(&title) {
            entry.due = Some((urgency, due));
        }
        self.queue_of(urgency).insert((due, title));
    }

    fn unqueue(&mut self, title: &Arc<str>) {
        let due = self.entries.get_mut(title).and_then(|entry| entry.due.take());
        if let Some((urgency, due)) = due {
            self.queue_of(urgency).remove(&(due, Arc::clone(title)));
        }
    }

    fn queue_of(&mut self, urgency: Urgency) -> &mut BTreeSet<(Instant, Arc<str>)> {
        let [urgent, count] = &mut self.queue;
        match urgency {
            Urgency::Urgent => urgent,
            Urgency::Count => count,
        }
    }
}

impl Entry {
    /// When this is to be written; `None` to leave it as it is.
    fn consider(&mut self, wanted: &Wanted, now: Instant) -> Option<Instant> {
        let pause = match wanted.urgency {
            Urgency::Urgent => OBJECT_PAUSE,
            Urgency::Count => COUNT_PAUSE,
        };
        let mut earliest = now;
        if let Some(past) = &self.written {
            if past.what.verdicts == wanted.verdicts && past.what.generation == wanted.generation {
                if past.what.seen == wanted.seen {
                    // It is written, and has not come back by the watch yet.
                    return None;
                }
                if self.wanted.is_none() {
                    self.undone = self.undone.saturating_add(1);
                }
            }
            earliest = past.at + doubled(pause, self.undone + 1, OBJECT_PAUSE_MAX);
        }
        let rest = match wanted.urgency {
            Urgency::Urgent if wanted.is_pending => PATIENCE,
            Urgency::Urgent => REST,
            Urgency::Count => 2 * PATIENCE,
        };
        let due = earliest.max(now + rest);
        match self.due {
            // It cannot be written for now, whatever is wanted.
            Some((_, before)) if self.failures > 0 => Some(before),
            // A wish that changes all the time is not put off for that.
            Some((urgency, before)) if urgency == wanted.urgency && self.is_as_patient(wanted) => Some(before.min(due)),
            Some(_) | None => Some(due),
        }
    }

    fn is_as_patient(&self, wanted: &Wanted) -> bool {
        self.wanted.as_ref().is_some_and(|before| before.is_pending == wanted.is_pending)
    }
}

/// The pause of the `times`th time, from 1.
fn doubled(first: Duration, times: u32, most: Duration) -> Duration {
    first.saturating_mul(1 << times.saturating_sub(1).min(16)).min(most)
}

#[cfg(test)]
mod tests;
