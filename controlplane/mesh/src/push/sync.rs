//! How far a stream is, type by type, for status and debug pages.

use std::sync::Arc;

use proto::type_url::ResourceType;

use super::lane::Lane;
use crate::snapshot::Version;

/// How far one type of a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// The type.
    pub kind: ResourceType,
    /// In one word.
    pub state: SyncState,
    /// The digest of what the proxy holds once it has taken all that was sent.
    pub sent: Version,
    /// The digest of what it held after the last response that it accepted; none before the first.
    pub acked: Option<Version>,
    /// Resources that it holds once it has taken all that was sent.
    pub resources: usize,
    /// Names that wait to be sent or removed.
    pub waiting: usize,
    /// Responses that it did not answer yet.
    pub in_flight: usize,
    /// What it will not take.
    pub refused: Vec<RefusedResource>,
    /// Its last words of refusal, and which response of the stream they were about.
    pub last_error: Option<(Arc<str>, u64)>,
}

/// How far one type of a stream is, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// The proxy holds what it should.
    Synced,
    /// Something is to be sent or was not answered yet.
    Pending,
    /// The proxy refuses something, and holds what it should otherwise.
    Nacked,
}

/// A resource that the proxy will not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedResource {
    /// Its name.
    pub name: Arc<str>,
    /// The version that was refused.
    pub version: Version,
    /// The beginning of the proxy's words.
    pub error: Arc<str>,
}

impl Sync {
    pub(super) fn of(lane: &Lane) -> Self {
        let refused: Vec<RefusedResource> = lane
            .refused
            .iter()
            .map(|(name, refused)| RefusedResource {
                name: Arc::clone(name),
                version: refused.version,
                error: Arc::clone(&refused.error),
            })
            .collect();
        let state = if !refused.is_empty() || !lane.search.is_over() {
            SyncState::Nacked
        } else if lane.flights.is_empty() && lane.due.is_empty() && !lane.owed {
            SyncState::Synced
        } else {
            SyncState::Pending
        };
        Self {
            kind: lane.kind,
            state,
            sent: lane.sent.digest(),
            acked: lane.acked,
            resources: lane.sent.len(),
            waiting: lane.due.len(),
            in_flight: lane.flights.len(),
            refused,
            last_error: lane.last_error.as_ref().map(|error| (Arc::clone(&error.text), error.nonce)),
        }
    }
}
