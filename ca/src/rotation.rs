//! The rotation of a root, as an automaton without I/O: events and time come in, the next record and what to do come out.
//!
//! ```text
//!           begin                      all hold both                    the last leaf of the leaving root has expired
//!  Steady ────────▶ Publishing ─────────────────────────▶ Draining ─────────────────────────────────────────▶ Steady
//!                        │  ▲                               ▲   │
//!                        │  └────── abort: bring it back ───┼───┘
//!                        └───────── abort: the next leaves ─┘
//! ```
//!
//! Two rules carry it. The signing root changes in one place only, from Publishing, when everyone is seen to hold both roots. A root
//! leaves in one way only, through Draining, which waits as if leaves of it had been signed up to the last moment. So no crash, lost
//! answer or abort has a path of its own that could be wrong.
//!
//! The [`Record`] is the whole of what is kept. A leader that starts reads it and goes on; what it saw of proxies it gathers again.
//! Whoever signs or hands out bundles follows the record too, and stops when it has not confirmed it for [`Timing::propagation_s`]
//! ([`Timing::may_serve`]): that bounds how long anybody acts on an older one. Two leaders cannot both write, since each record names
//! its generation and the store takes only the successor of the one it holds.

mod record;

use std::collections::{BTreeMap, BTreeSet};

pub use record::{Phase, RECORD_LEN_MAX, Record, RecordError, Root};

use crate::bundle::Fingerprint;

/// The name of a proxy, unique in the mesh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProxyName(pub String);

/// How long things may take, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timing {
    /// How long after a record was replaced somebody may still act on it.
    pub propagation_s: u64,
    /// How far clocks may be apart, added up over those who sign, verify and lead.
    pub clock_skew_s: u64,
}

impl Timing {
    /// Whether one who has last confirmed its record at `confirmed_s` may still sign and hand out bundles by it.
    #[must_use]
    pub fn may_serve(&self, confirmed_s: u64, now_s: u64) -> bool {
        now_s < confirmed_s.saturating_add(self.propagation_s)
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// The store holds this record: the answer to a read, and to a write whether it was taken or not.
    Loaded(Record),
    /// The store did not answer a read or a write.
    Unanswered,
    /// All proxies as of `taken_s`: those that exist, connected or not, and whoever else is connected.
    Census {
        /// When this was true, in seconds since 1970.
        taken_s: u64,
        /// Their names.
        proxies: BTreeSet<ProxyName>,
    },
    /// The roots that the proxies of one replica have last acknowledged, as of `taken_s`.
    Report {
        /// When this was true, in seconds since 1970.
        taken_s: u64,
        /// For each connected proxy the roots that it holds.
        held: BTreeMap<ProxyName, BTreeSet<Fingerprint>>,
    },
    /// The key of the retired root is deleted.
    Forgotten(Fingerprint),
}

/// What a person, or the approaching end of a root, asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Rotate to `next`, whose key and certificate are stored already.
    Begin {
        /// The new root, and the longest life of its leaves.
        next: Root,
    },
    /// Go back to the root that signed before, or stay with it.
    Abort,
    /// Allow leaves to live up to that many seconds. A root remembers the longest that was ever allowed.
    AllowLifetime(u64),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Action {
    /// Replace the stored record, if it is that of the generation before; answer with [`Event::Loaded`] of what
    /// it then holds, or [`Event::Unanswered`].
    Write(Record),
    /// Read the stored record; answer likewise.
    Load,
    /// Delete the key of a root that nothing refers to; answer with [`Event::Forgotten`].
    Forget(Fingerprint),
}

/// Why a command is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A rotation is under way.
    #[error("a rotation is under way: wait for its end, or abort it")]
    UnderWay,
    /// The last record is not yet written.
    #[error("the last step is still being written: try again")]
    Writing,
    /// The root to rotate to is in use already.
    #[error("that root is in use already: make a new one")]
    InUse,
    /// Nothing to abort.
    #[error("no rotation is under way")]
    NothingToAbort,
}

/// Why a proxy holds a rotation up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lag {
    /// It exists, and no replica has reported it.
    NotSeen,
    /// It has not acknowledged this root.
    Lacks(Fingerprint),
}

/// What is known of the proxies since everybody acts on the present record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
struct Evidence {
    census: Option<BTreeSet<ProxyName>>,
    held: BTreeMap<ProxyName, BTreeSet<Fingerprint>>,
}

/// The rotation as its leader conducts it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Rotation {
    timing: Timing,
    record: Record,
    /// Since when the record is known to be in force: never before it was.
    since_s: u64,
    writing: Option<Record>,
    evidence: Evidence,
}

impl Rotation {
    /// Takes up the rotation where the stored record says it stands.
    #[must_use]
    pub fn new(record: Record, timing: Timing, now_s: u64) -> Self {
        Self { timing, record, since_s: now_s, writing: None, evidence: Evidence::default() }
    }

    /// The record in force, as far as is known.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Takes an event in, and says what is to be done.
    #[must_use]
    pub fn step(&mut self, event: Event, now_s: u64) -> Vec<Action> {
        match event {
            Event::Tick => {}
            Event::Loaded(record) => self.load(record, now_s),
            Event::Unanswered => {
                self.writing = None;
                return vec![Action::Load];
            }
            Event::Census { taken_s, proxies } if taken_s >= self.settled_s() => {
                // Who is gone holds nothing up.
                self.evidence.held.retain(|proxy, _| proxies.contains(proxy));
                self.evidence.census = Some(proxies);
            }
            Event::Report { taken_s, held } if taken_s >= self.settled_s() => self.evidence.held.extend(held),
            // From before everybody acted on this record: a proxy can since have been given less.
            Event::Census { .. } | Event::Report { .. } => {}
            Event::Forgotten(root) if self.writing.is_none() => {
                if let Some(next) = self.record.forgotten(root) {
                    return self.write(next);
                }
            }
            Event::Forgotten(_) => {}
        }
        self.proceed(now_s)
    }

    /// Takes a command.
    ///
    /// # Errors
    /// Why it cannot be followed now.
    pub fn command(&mut self, command: Command) -> Result<Vec<Action>, Refused> {
        if self.writing.is_some() {
            return Err(Refused::Writing);
        }
        let next = match command {
            Command::Begin { next } => self.record.begin(next)?,
            Command::Abort => self.record.abort()?,
            Command::AllowLifetime(lifetime_max_s) => self.record.allow_lifetime(lifetime_max_s)?,
        };
        Ok(next.map(|next| self.write(next)).unwrap_or_default())
    }

    /// The proxies for which the rotation waits, with the reason. Empty also while it waits for time, or for a census.
    pub fn stragglers(&self) -> impl Iterator<Item = (&ProxyName, Lag)> {
        let publishing = matches!(self.record.phase(), Phase::Publishing { .. });
        let known = self.evidence.census.iter().flatten().filter(move |_| publishing);
        let unseen = known.filter(|proxy| !self.evidence.held.contains_key(*proxy)).map(|proxy| (proxy, Lag::NotSeen));
        let lacking = self.evidence.held.iter().filter(move |_| publishing).filter_map(|(proxy, held)| {
            let lacks = self.record.trusted().find(|root| !held.contains(root))?;
            Some((proxy, Lag::Lacks(lacks)))
        });
        unseen.chain(lacking)
    }

    /// When the present wait for time ends, in seconds since 1970: nothing happens by itself before.
    #[must_use]
    pub fn due_s(&self) -> Option<u64> {
        match self.record.phase() {
            Phase::Steady { .. } => None,
            Phase::Publishing { .. } => Some(self.settled_s()),
            Phase::Draining { until_s, .. } => *until_s,
        }
    }

    /// From when on everybody acts on the present record.
    fn settled_s(&self) -> u64 {
        self.since_s.saturating_add(self.timing.propagation_s).saturating_add(self.timing.clock_skew_s)
    }

    fn load(&mut self, record: Record, now_s: u64) {
        if self.writing.as_ref().is_some_and(|writing| record.generation() >= writing.generation()) {
            self.writing = None;
        }
        // A store may answer with an older state than it has shown before.
        if record.generation() > self.record.generation() {
            self.record = record;
            self.since_s = now_s;
            self.evidence = Evidence::default();
        }
    }

    fn write(&mut self, record: Record) -> Vec<Action> {
        self.writing = Some(record.clone());
        vec![Action::Write(record)]
    }

    /// The step that is due, if one is.
    fn proceed(&mut self, now_s: u64) -> Vec<Action> {
        if self.writing.is_some() {
            return Vec::new();
        }
        let next = match self.record.phase() {
            Phase::Steady { retired, .. } => return retired.iter().map(|root| Action::Forget(*root)).collect(),
            Phase::Publishing { .. } => self.all_hold_both().then(|| self.record.switch()).flatten(),
            // Counted from when the record is known to be in force, not from when it was written: a write can take its time, and
            // until it arrives the leaving root goes on signing.
            Phase::Draining { leaving, until_s: None, .. } => {
                self.record.drain_until(self.settled_s().saturating_add(leaving.lifetime_max_s))
            }
            Phase::Draining { until_s: Some(until_s), .. } => {
                (now_s >= *until_s).then(|| self.record.retire()).flatten()
            }
        };
        next.map(|next| self.write(next)).unwrap_or_default()
    }

    /// Without a census it is not known who is missing, so a leader that has just started never takes silence for consent.
    fn all_hold_both(&self) -> bool {
        self.evidence.census.is_some() && self.stragglers().next().is_none()
    }
}

#[cfg(test)]
mod tests;
