//! What the snapshot room has done so far, in exact numbers.

use proto::type_url::ResourceType;

/// How much was computed, encoded and built since the start. Exact, so that tests and gates can ask for equality.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Scopes computed from the whole mesh.
    pub scopes_computed: u64,
    /// Scopes brought up to date, service by service.
    pub scopes_amended: u64,
    /// Units compiled by type: the clusters of a service, its load assignments, one listener, one route configuration.
    pub compiled: [u64; ResourceType::COUNT],
    /// Virtual hosts compiled and encoded, each to be shared by all route configurations that hold it.
    pub virtual_hosts: u64,
    /// Messages encoded by type; route configurations are put together from encoded virtual hosts.
    pub encodes: [u64; ResourceType::COUNT],
    /// Bytes of those messages.
    pub encoded_bytes: [u64; ResourceType::COUNT],
    /// Snapshots that were built and differ from what was.
    pub snapshots_built: u64,
    /// Snapshots that were built and turned out to be what was.
    pub snapshots_equal: u64,
}

impl Counters {
    /// Units of one type compiled.
    #[must_use]
    pub fn compiled(&self, kind: ResourceType) -> u64 {
        self.compiled.get(kind.index()).copied().unwrap_or_default()
    }

    /// Messages of one type encoded.
    #[must_use]
    pub fn encodes(&self, kind: ResourceType) -> u64 {
        self.encodes.get(kind.index()).copied().unwrap_or_default()
    }

    /// Bytes of one type encoded.
    #[must_use]
    pub fn encoded_bytes(&self, kind: ResourceType) -> u64 {
        self.encoded_bytes.get(kind.index()).copied().unwrap_or_default()
    }

    pub(super) fn count_compiled(&mut self, kind: ResourceType) {
        if let Some(count) = self.compiled.get_mut(kind.index()) {
            *count += 1;
        }
    }

    pub(super) fn count_encode(&mut self, kind: ResourceType, bytes: usize) {
        if let Some(count) = self.encodes.get_mut(kind.index()) {
            *count += 1;
        }
        if let Some(count) = self.encoded_bytes.get_mut(kind.index()) {
            *count += bytes as u64;
        }
    }
}
