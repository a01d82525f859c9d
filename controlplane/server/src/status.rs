//! How far each proxy has followed, as people and tools read it: JSON in the shape of Istio's `syncz`, and a table.

mod problems;
mod table;

pub use problems::{ProblemStatus, count, namespace_of, summary};
pub use table::{align, table};

use std::time::{SystemTime, UNIX_EPOCH};

use proto::ResourceType;
use serde::{Deserialize, Serialize};

use crate::ads::{Proxies, Proxy, ProxyState, TypeState};

/// One proxy, in the shape of an item of Istio's `/debug/syncz`, with our own under `mainsheet`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of Istio's JSON: nonces sent and acknowledged by type")]
pub struct SyncStatus {
    pub cluster_id: String,
    /// `POD.NAMESPACE`.
    pub proxy: String,
    pub proxy_type: String,
    pub proxy_version: String,
    pub istio_version: String,
    pub cluster_sent: String,
    pub cluster_acked: String,
    pub listener_sent: String,
    pub listener_acked: String,
    pub route_sent: String,
    pub route_acked: String,
    pub endpoint_sent: String,
    pub endpoint_acked: String,
    pub extensionconfig_sent: String,
    pub extensionconfig_acked: String,
    /// What Istio's JSON has no place for.
    pub mainsheet: Detail,
}

/// What we know beyond Istio's JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Detail {
    /// `SYNCED`, `STALE` or `NACKED`, over all types.
    pub state: Sync,
    /// The whole node id.
    pub node_id: String,
    /// Where it connects from.
    pub peer: String,
    /// `delta` or `sotw`.
    pub protocol: String,
    /// The program.
    pub user_agent: String,
    /// When the stream began, in seconds since 1970.
    pub connected_at: u64,
    /// The digest of what it is being brought to.
    pub target: String,
    /// The number of the push that led there.
    pub push: u64,
    /// Each type that it asked for, in push order.
    pub types: Vec<TypeDetail>,
}

/// How far a proxy has followed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Sync {
    /// It holds what it should.
    #[default]
    Synced,
    /// Something is under way.
    Stale,
    /// It refuses something, and holds the last good form of that.
    Nacked,
}

/// One type of one proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TypeDetail {
    /// `cds`, `eds`, `lds`, `rds`, `sds`, `ecds`.
    pub r#type: String,
    /// How far.
    pub state: Sync,
    /// The version sent last.
    pub version_sent: String,
    /// The version acknowledged last.
    pub version_acked: String,
    /// What it refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
}

/// A refusal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// When, in seconds since 1970.
    pub at: u64,
    /// The nonce that was refused.
    pub nonce: String,
    /// The proxy's words.
    pub message: String,
    /// The resources in question.
    pub resources: Vec<Refused>,
}

/// A resource that a proxy refuses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refused {
    /// Its name.
    pub name: String,
    /// What made it: `VirtualService default/reviews spec.http[0] [reviews.yaml:12:3]`.
    pub made_by: Vec<String>,
}

/// The state of every connected proxy that is `seen`, in the order of [`sort`].
pub fn syncz(proxies: &Proxies, seen: impl Fn(&Proxy) -> bool) -> Vec<SyncStatus> {
    let mut list: Vec<SyncStatus> = proxies.list().iter().filter(|proxy| seen(proxy)).map(|proxy| of(proxy)).collect();
    sort(&mut list);
    list
}

/// By name, and of one name by when the stream began.
pub fn sort(list: &mut [SyncStatus]) {
    list.sort_by(|a, b| (&a.proxy, a.mainsheet.connected_at).cmp(&(&b.proxy, b.mainsheet.connected_at)));
}

fn of(proxy: &Proxy) -> SyncStatus {
    let state = proxy.state();
    let nonces = |kind: ResourceType| {
        let of = state.types.get(kind.index()).and_then(Option::as_ref);
        let text = |nonce: Option<&std::sync::Arc<str>>| nonce.map(ToString::to_string).unwrap_or_default();
        of.map(|of| (text(of.nonce_sent.as_ref()), text(of.nonce_acked.as_ref()))).unwrap_or_default()
    };
    let (cluster_sent, cluster_acked) = nonces(ResourceType::Cluster);
    let (listener_sent, listener_acked) = nonces(ResourceType::Listener);
    let (route_sent, route_acked) = nonces(ResourceType::Route);
    let (endpoint_sent, endpoint_acked) = nonces(ResourceType::Endpoint);
    let (extensionconfig_sent, extensionconfig_acked) = nonces(ResourceType::ExtensionConfig);
    SyncStatus {
        cluster_id: proxy.cluster_id.clone(),
        proxy: proxy.name().to_owned(),
        proxy_type: proxy.kind().to_owned(),
        proxy_version: proxy.version.clone(),
        istio_version: proxy.version.clone(),
        cluster_sent,
        cluster_acked,
        listener_sent,
        listener_acked,
        route_sent,
        route_acked,
        endpoint_sent,
        endpoint_acked,
        extensionconfig_sent,
        extensionconfig_acked,
        mainsheet: detail(proxy, &state),
    }
}

fn detail(proxy: &Proxy, state: &ProxyState) -> Detail {
    let types: Vec<TypeDetail> = state.asked().map(|(kind, of)| type_detail(kind, of)).collect();
    let worst = types.iter().map(|of| of.state).max().unwrap_or_default();
    // A proxy that was brought nothing yet, or that waits for one type before it is sent another, is not done.
    let pending = if state.settled { Sync::Synced } else { Sync::Stale };
    Detail {
        state: worst.max(pending),
        node_id: proxy.node_id.clone(),
        peer: proxy.peer.to_string(),
        protocol: proxy.protocol_name().to_owned(),
        user_agent: proxy.user_agent.clone(),
        connected_at: seconds(proxy.connected),
        target: state.target.as_ref().map(|target| target.digest().to_string()).unwrap_or_default(),
        push: state.push,
        types,
    }
}

fn type_detail(kind: ResourceType, of: &TypeState) -> TypeDetail {
    let state = match &of.nack {
        Some(_) => Sync::Nacked,
        None if of.nonce_sent == of.nonce_acked => Sync::Synced,
        None => Sync::Stale,
    };
    let text = |text: Option<&std::sync::Arc<str>>| text.map(ToString::to_string).unwrap_or_default();
    TypeDetail {
        r#type: kind.short_name().to_owned(),
        state,
        version_sent: text(of.version_sent.as_ref()),
        version_acked: text(of.version_acked.as_ref()),
        refusal: of.nack.as_ref().map(|nack| Refusal {
            at: seconds(nack.at),
            nonce: nack.nonce.to_string(),
            message: nack.message.to_string(),
            resources: nack
                .resources
                .iter()
                .map(|refused| Refused { name: refused.name.to_string(), made_by: refused.made_by() })
                .collect(),
        }),
    }
}

/// Seconds since 1970.
#[must_use]
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}
