//! What is kept of a rotation: its phase with the roots, a generation that fences writers, and a checksum.

use serde::{Deserialize, Serialize};

use super::Refused;
use crate::bundle::Fingerprint;

/// Longest encoded record that is read, in bytes.
pub const RECORD_LEN_MAX: usize = 4096;

/// A root with what has to be remembered of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Which.
    pub fingerprint: Fingerprint,
    /// The longest life that leaves of it were ever allowed, in seconds. Who signs must not grant more.
    pub lifetime_max_s: u64,
}

/// Where a rotation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Phase {
    /// One root.
    Steady {
        /// It signs, and it alone is trusted.
        signing: Root,
        /// A root whose key has still to be deleted.
        retired: Option<Fingerprint>,
    },
    /// The next root is published, and does not sign yet.
    Publishing {
        /// It signs.
        signing: Root,
        /// It is to sign next.
        next: Root,
    },
    /// A root signs no more, but leaves of it may be alive.
    Draining {
        /// It signs.
        signing: Root,
        /// It is still trusted.
        leaving: Root,
        /// Until when, in seconds since 1970; known as soon as the record is in force.
        until_s: Option<u64>,
    },
}

/// What is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    generation: u64,
    phase: Phase,
}

/// Why a stored record cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than any record.
    #[error("the record is {0} bytes long, at most {RECORD_LEN_MAX} are read")]
    TooLong(usize),
    /// Cut off, or not a record.
    #[error("the record cannot be read: {0}")]
    Malformed(String),
    /// Changed since it was written.
    #[error("the record does not fit its checksum: it was damaged, restore the one before")]
    Checksum,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    record: Record,
    sha256: Fingerprint,
}

impl Record {
    /// The first record: one root.
    #[must_use]
    pub fn new(signing: Root) -> Self {
        Self { generation: 0, phase: Phase::Steady { signing, retired: None } }
    }

    /// Its number; each record has that of the one before plus one.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Where the rotation stands.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The root that signs.
    #[must_use]
    pub fn signing(&self) -> Root {
        match self.phase {
            Phase::Steady { signing, .. } | Phase::Publishing { signing, .. } | Phase::Draining { signing, .. } => {
                signing
            }
        }
    }

    /// The roots that belong in every bundle.
    pub fn trusted(&self) -> impl Iterator<Item = Fingerprint> {
        let other = match self.phase {
            Phase::Steady { .. } => None,
            Phase::Publishing { next: other, .. } | Phase::Draining { leaving: other, .. } => Some(other.fingerprint),
        };
        std::iter::once(self.signing().fingerprint).chain(other)
    }

    /// The record as text with its checksum.
    #[must_use]
    pub fn encode(&self) -> String {
        let sealed = Sealed { record: self.clone(), sha256: self.checksum() };
        serde_json::to_string(&sealed).unwrap_or_default()
    }

    /// Reads a record and checks that it is as it was written.
    ///
    /// # Errors
    /// [`RecordError`]; the record before can then be restored with [`Record::restored`].
    pub fn decode(text: &str) -> Result<Self, RecordError> {
        if text.len() > RECORD_LEN_MAX {
            return Err(RecordError::TooLong(text.len()));
        }
        let sealed: Sealed = serde_json::from_str(text).map_err(|error| RecordError::Malformed(error.to_string()))?;
        if sealed.sha256 == sealed.record.checksum() { Ok(sealed.record) } else { Err(RecordError::Checksum) }
    }

    /// This record in place of a damaged successor. It takes the successor's generation, so that leaders who know that one go on.
    #[must_use]
    pub fn restored(&self) -> Self {
        self.successor(self.phase)
    }

    fn checksum(&self) -> Fingerprint {
        Fingerprint::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    fn successor(&self, phase: Phase) -> Self {
        Self { generation: self.generation.saturating_add(1), phase }
    }

    pub(super) fn begin(&self, next: Root) -> Result<Option<Self>, Refused> {
        match self.phase {
            Phase::Steady { signing, .. } if signing.fingerprint == next.fingerprint => Err(Refused::InUse),
            Phase::Steady { signing, retired: None } => Ok(Some(self.successor(Phase::Publishing { signing, next }))),
            Phase::Steady { retired: Some(_), .. } | Phase::Publishing { .. } | Phase::Draining { .. } => {
                Err(Refused::UnderWay)
            }
        }
    }

    pub(super) fn abort(&self) -> Result<Option<Self>, Refused> {
        match self.phase {
            Phase::Steady { .. } => Err(Refused::NothingToAbort),
            Phase::Publishing { signing, next } => {
                Ok(Some(self.successor(Phase::Draining { signing, leaving: next, until_s: None })))
            }
            Phase::Draining { signing, leaving, .. } => {
                Ok(Some(self.successor(Phase::Publishing { signing, next: leaving })))
            }
        }
    }

    pub(super) fn allow_lifetime(&self, lifetime_max_s: u64) -> Result<Option<Self>, Refused> {
        match self.phase {
            Phase::Steady { signing, .. } if signing.lifetime_max_s >= lifetime_max_s => Ok(None),
            Phase::Steady { signing, retired } => {
                let signing = Root { lifetime_max_s, ..signing };
                Ok(Some(self.successor(Phase::Steady { signing, retired })))
            }
            Phase::Publishing { .. } | Phase::Draining { .. } => Err(Refused::UnderWay),
        }
    }

    pub(super) fn switch(&self) -> Option<Self> {
        let Phase::Publishing { signing, next } = self.phase else { return None };
        Some(self.successor(Phase::Draining { signing: next, leaving: signing, until_s: None }))
    }

    pub(super) fn drain_until(&self, until_s: u64) -> Option<Self> {
        let Phase::Draining { signing, leaving, until_s: None } = self.phase else { return None };
        Some(self.successor(Phase::Draining { signing, leaving, until_s: Some(until_s) }))
    }

    pub(super) fn retire(&self) -> Option<Self> {
        let Phase::Draining { signing, leaving, .. } = self.phase else { return None };
        Some(self.successor(Phase::Steady { signing, retired: Some(leaving.fingerprint) }))
    }

    pub(super) fn forgotten(&self, root: Fingerprint) -> Option<Self> {
        match self.phase {
            Phase::Steady { signing, retired: Some(retired) } if retired == root => {
                Some(self.successor(Phase::Steady { signing, retired: None }))
            }
            Phase::Steady { .. } | Phase::Publishing { .. } | Phase::Draining { .. } => None,
        }
    }
}
