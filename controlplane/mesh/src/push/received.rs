//! What became of a request: a closed set of outcomes, for logs and counters.

use std::sync::Arc;

use proto::type_url::ResourceType;

use super::nonce::Nonce;
use crate::{model::Origin, snapshot::Version};

/// What a request did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The type that it was about.
    pub kind: ResourceType,
    /// What it said of a response of ours.
    pub reply: Reply,
    /// What it changed in the subscription.
    pub subscription: Subscription,
    /// Resources that were thereby found to be what the proxy will not take. They stay unsent until they change.
    pub quarantined: Vec<Nack>,
}

/// What a request said of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing: it was about the subscription only.
    None,
    /// The response was accepted.
    Acked {
        /// Which response.
        nonce: Nonce,
        /// The version that the proxy holds now.
        version: Version,
    },
    /// The response was refused.
    Nacked {
        /// Which response.
        nonce: Nonce,
        /// The version that was refused.
        version: Version,
        /// The proxy's words, in one line and capped.
        error: Arc<str>,
        /// The changed resources of that response, one of which at least is at fault.
        suspects: Vec<Arc<str>>,
    },
    /// It answered a response that was answered before, or to which a later answer said enough.
    Stale,
    /// It answered something that was never sent on this stream.
    Unsolicited,
}

/// What a request changed in the subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subscription {
    /// Nothing.
    Unchanged,
    /// The names that are wanted.
    Changed {
        /// Names asked for, again or for the first time.
        subscribed: usize,
        /// Names no longer wanted.
        unsubscribed: usize,
        /// Whether all resources of the type are wanted now.
        wildcard: bool,
    },
}

/// A resource that a proxy will not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub resource: Arc<str>,
    /// The version that was refused.
    pub version: Version,
    /// The response whose refusal led to it.
    pub nonce: Nonce,
    /// The objects that made it; empty when it was superseded meanwhile.
    pub provenance: Vec<Origin>,
    /// The proxy's words, in one line and capped.
    pub error: Arc<str>,
}
