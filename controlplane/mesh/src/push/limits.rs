//! How much one stream may ask of us, and the answer when it asks more.

use proto::type_url::ResourceType;

/// The bounds of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Names that a stream may subscribe to, over all types, and that one request may list. The largest mesh that we
    /// measure has some 10,000 clusters, so the default is 65,536.
    pub names_max: usize,
    /// Bytes of one name. Istio's longest cluster names have about 300; the default is 2,048.
    pub name_len_max: usize,
    /// Delta responses of one type that may be unacknowledged at once. Clusters and listeners, and every type of the
    /// state of the world, have one: what changes meanwhile goes out together with the next. The default is 8.
    pub in_flight_max: usize,
    /// Bytes of a proxy's error text that are reported. Envoy may put the whole resource into it; the default is 4,096.
    pub error_len_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { names_max: 65_536, name_len_max: 2_048, in_flight_max: 8, error_len_max: 4_096 }
    }
}

/// Bytes of an error text that are kept for as long as a resource stays refused.
pub(super) const KEPT_ERROR_LEN_MAX: usize = 256;

/// Why a stream has to be closed. Nothing but that stream is affected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A request of the other protocol.
    #[error("{kind} request is not of the protocol that this stream speaks: open one stream for each protocol")]
    Protocol {
        /// The type that was asked for.
        kind: ResourceType,
    },
    /// Too many names.
    #[error("{kind} request takes the stream past {max} names: subscribe to fewer, or scope the proxy with a Sidecar")]
    TooManyNames {
        /// The type that was asked for.
        kind: ResourceType,
        /// The bound.
        max: usize,
    },
    /// A name that is too long.
    #[error("{kind} request has a name of {len} bytes, the limit is {max}")]
    NameTooLong {
        /// The type that was asked for.
        kind: ResourceType,
        /// The length of the name.
        len: usize,
        /// The bound.
        max: usize,
    },
}
