//! What each proxy is sent, and when: one automaton for each stream, without I/O.
//!
//! The owner of a stream gives the automaton each request ([`Automaton::receive`]) and each new snapshot
//! ([`Automaton::aim`]), and after either sends what it has ([`Automaton::next`]) until it has no more. Snapshots may be
//! skipped: the automaton compares the newest with what the proxy holds.
//!
//! What it promises of requests that are under way (`order`) ends in one place: a proxy of the state of the world that
//! comes back to another snapshot than it left cannot say which clusters it holds, so those that are gone go at once.
//! Nor can anyone say when a removed listener has drained; clusters that it names itself do not wait for it.

mod arrival;
mod departure;
mod error_text;
mod fingerprint;
mod interest;
mod lane;
mod limits;
mod names;
mod nonce;
mod order;
mod received;
mod search;
mod sync;

use std::{collections::BTreeMap, sync::Arc};

use proto::type_url::ResourceType;

use self::lane::Lane;
use crate::snapshot::{Difference, Resource, Snapshot};

pub use self::{
    limits::{Limits, Refusal},
    nonce::Nonce,
    received::{Nack, Received, Reply, Subscription},
    sync::{RefusedResource, Sync, SyncState},
};

/// The two forms of the xDS protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// Responses hold what changed.
    Delta,
    /// Responses hold everything of a type, for clusters and listeners; for the other types any part of it.
    StateOfTheWorld,
}

/// A request of a proxy, in either protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// `DeltaDiscoveryRequest`.
    Delta {
        /// The type that it is about.
        kind: ResourceType,
        /// `resource_names_subscribe`.
        subscribe: Vec<String>,
        /// `resource_names_unsubscribe`.
        unsubscribe: Vec<String>,
        /// `initial_resource_versions`; they count in the first request of a type only.
        initial_versions: BTreeMap<String, String>,
        /// `response_nonce`, or empty.
        nonce: String,
        /// The message of `error_detail`, if there is one.
        error: Option<String>,
    },
    /// `DiscoveryRequest`.
    Sotw {
        /// The type that it is about.
        kind: ResourceType,
        /// `resource_names`.
        names: Vec<String>,
        /// `version_info`, or empty.
        version: String,
        /// `response_nonce`, or empty.
        nonce: String,
        /// The message of `error_detail`, if there is one.
        error: Option<String>,
    },
}

/// A response, ready to be encoded. Its resources and removals depend on no stream, so that streams can share their bytes.
#[derive(Debug, Clone)]
pub struct Response {
    /// The type.
    pub kind: ResourceType,
    /// Its number on this stream.
    pub nonce: Nonce,
    /// The version of all that the proxy holds of the type when it has taken the response: `version_info` or
    /// `system_version_info`.
    pub version: String,
    /// Resources to take.
    pub resources: Vec<Arc<Resource>>,
    /// Names that do not exist or no longer do; always empty in the state of the world.
    pub removed: Vec<Arc<str>>,
}

/// What one stream is to be sent, given what was sent and answered.
///
/// Nothing that a proxy sends makes it panic or grow past its [`Limits`].
#[derive(Debug, Clone)]
pub struct Automaton {
    protocol: Protocol,
    limits: Limits,
    target: Arc<Snapshot>,
    lanes: Lanes,
    /// Responses sent, over all types.
    nonces: u64,
    /// Whether the proxy came with a configuration from an earlier stream.
    is_resumed: bool,
    /// Whether the proxy answered a response of this stream.
    has_answered: bool,
}

/// The state of each type.
#[derive(Debug, Clone)]
struct Lanes {
    cluster: Lane,
    endpoint: Lane,
    listener: Lane,
    route: Lane,
    secret: Lane,
    extension: Lane,
}

impl Automaton {
    /// A stream that just opened, to be brought to `target`.
    #[must_use]
    pub fn new(protocol: Protocol, limits: Limits, target: Arc<Snapshot>) -> Self {
        Self { protocol, limits, target, lanes: Lanes::new(), nonces: 0, is_resumed: false, has_answered: false }
    }

    /// Sets a new target. Costs what differs from the old one, and nothing for types that were not asked for.
    pub fn aim(&mut self, target: Arc<Snapshot>) {
        let after = self.lanes.cluster.flown + 1;
        for kind in ResourceType::ALL {
            let lane = self.lanes.of_mut(kind);
            if !lane.interest.began {
                continue;
            }
            for difference in target.of(kind).differences(self.target.of(kind)) {
                let (name, version) = match difference {
                    Difference::Changed(resource) => (&resource.name, Some(resource.version)),
                    Difference::Removed(name) => (name, None),
                };
                if lane.interest.wants(name) {
                    lane.want(name, false, after);
                }
                if lane.refused.get(name).is_some_and(|refused| Some(refused.version) != version) {
                    lane.refused.remove(name);
                }
            }
            lane.interest.names.follow(target.of(kind));
        }
        self.target = target;
    }

    /// What is aimed at.
    #[must_use]
    pub fn target(&self) -> &Arc<Snapshot> {
        &self.target
    }

    /// How far each type is that the proxy asked for, in the order in which types are sent.
    #[must_use]
    pub fn sync(&self) -> Vec<Sync> {
        ResourceType::ALL
            .into_iter()
            .map(|kind| self.lanes.of(kind))
            .filter(|lane| lane.interest.began)
            .map(Sync::of)
            .collect()
    }

    /// Whether all that the proxy may have and that names clusters is known, so that clusters may go. One that comes
    /// back says it type by type, and all before it answers anything.
    fn is_fenced(&self) -> bool {
        let has_said = self.lanes.listener.interest.began && self.lanes.route.interest.began;
        !self.is_resumed || self.has_answered || has_said
    }
}

impl Lanes {
    fn new() -> Self {
        Self {
            cluster: Lane::new(ResourceType::Cluster),
            endpoint: Lane::new(ResourceType::Endpoint),
            listener: Lane::new(ResourceType::Listener),
            route: Lane::new(ResourceType::Route),
            secret: Lane::new(ResourceType::Secret),
            extension: Lane::new(ResourceType::ExtensionConfig),
        }
    }

    fn of(&self, kind: ResourceType) -> &Lane {
        match kind {
            ResourceType::Cluster => &self.cluster,
            ResourceType::Endpoint => &self.endpoint,
            ResourceType::Listener => &self.listener,
            ResourceType::Route => &self.route,
            ResourceType::Secret => &self.secret,
            ResourceType::ExtensionConfig => &self.extension,
        }
    }

    fn of_mut(&mut self, kind: ResourceType) -> &mut Lane {
        match kind {
            ResourceType::Cluster => &mut self.cluster,
            ResourceType::Endpoint => &mut self.endpoint,
            ResourceType::Listener => &mut self.listener,
            ResourceType::Route => &mut self.route,
            ResourceType::Secret => &mut self.secret,
            ResourceType::ExtensionConfig => &mut self.extension,
        }
    }
}

#[cfg(test)]
mod tests;
