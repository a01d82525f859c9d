//! The table of connected proxies: who they are, and how far each has followed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use mesh::{
    model::{Location, Origin},
    push::Protocol,
    snapshot::Snapshot,
};
use prometheus_client::metrics::gauge::Gauge;
use proto::{
    ResourceType,
    google::protobuf::{Struct, ValueKind},
};
use tokio::sync::watch;

use super::request::Node;
use crate::dispatch::Newest;

/// Longest text of a proxy's that is kept, in bytes.
const TEXT_LEN_MAX: usize = 256;

/// All connected proxies. Locks, because streams write while status and console read; none is held while waiting.
#[derive(Debug, Default)]
pub struct Proxies {
    next: AtomicU64,
    table: Mutex<BTreeMap<u64, Arc<Proxy>>>,
    moved: watch::Sender<()>,
}

/// One connected proxy.
#[derive(Debug)]
pub struct Proxy {
    /// Its place in the table; streams are counted from 0.
    pub stream: u64,
    /// The node id as it gave it.
    pub node_id: String,
    /// Where it connects from.
    pub peer: SocketAddr,
    protocol: Protocol,
    /// The program: `envoy`.
    pub user_agent: String,
    /// `CLUSTER_ID` of its metadata.
    pub cluster_id: String,
    /// `ISTIO_VERSION` of its metadata, or our own agent's `MAINSHEET_VERSION`.
    pub version: String,
    /// When the stream began.
    pub connected: SystemTime,
    state: Mutex<ProxyState>,
}

/// How far a proxy has followed.
#[derive(Debug, Clone, Default)]
pub struct ProxyState {
    /// Each type that it asked for, in push order.
    pub types: [Option<TypeState>; ResourceType::COUNT],
    /// What it is being brought to.
    pub target: Option<Arc<Snapshot>>,
    /// The push that led there.
    pub push: u64,
    /// Whether it holds all of the target that it can take.
    pub settled: bool,
    /// What was published to it last, be it taken as the target or not yet.
    pub newest: Option<Newest>,
    /// What it held when it was settled last; `None` before.
    pub held: Option<Held>,
}

/// What a proxy holds for certain.
#[derive(Debug, Clone)]
pub struct Held {
    /// All of this,
    pub snapshot: Arc<Snapshot>,
    /// except for what it refuses.
    pub refused: Vec<StandingRefusal>,
}

/// A resource that a proxy refuses for as long as it does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRefusal {
    /// Its type.
    pub kind: ResourceType,
    /// Its name.
    pub name: Arc<str>,
    /// The proxy's words, cut and put on one line.
    pub error: Arc<str>,
}

/// How far a proxy has followed for one type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TypeState {
    /// The nonce sent last.
    pub nonce_sent: Option<Arc<str>>,
    /// The nonce acknowledged last.
    pub nonce_acked: Option<Arc<str>>,
    /// The version sent last.
    pub version_sent: Option<Arc<str>>,
    /// The version acknowledged last.
    pub version_acked: Option<Arc<str>>,
    /// What it last refused and has not taken since.
    pub nack: Option<Nack>,
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nack {
    /// When it came.
    pub at: SystemTime,
    /// The nonce that was refused.
    pub nonce: Arc<str>,
    /// The proxy's words, cut and put on one line.
    pub message: Arc<str>,
    /// The resources in question, with what made them.
    pub resources: Vec<RefusedResource>,
}

/// A resource that a proxy will not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedResource {
    /// Its name.
    pub name: Arc<str>,
    /// The objects and fields that made it, and where they are written.
    pub provenance: Vec<(Origin, Option<Location>)>,
}

impl RefusedResource {
    /// What made it, one line for each part: `VirtualService default/reviews spec.http[0] [reviews.yaml:12:3]`.
    #[must_use]
    pub fn made_by(&self) -> Vec<String> {
        let line = |(origin, location): &(Origin, Option<Location>)| {
            let field = if origin.field.is_empty() { String::new() } else { format!(" {}", origin.field) };
            let place = location.as_ref().map(|location| format!(" [{location}]")).unwrap_or_default();
            format!("{}{field}{place}", origin.object)
        };
        self.provenance.iter().map(line).collect()
    }
}

impl Proxies {
    /// Adds a proxy; it is taken out when the guard is dropped. `gauge` counts it meanwhile.
    pub(super) fn enter(
        self: &Arc<Self>,
        node: &Node,
        peer: SocketAddr,
        protocol: Protocol,
        now: SystemTime,
        gauge: impl FnOnce(&str) -> Gauge,
    ) -> Entry {
        let stream = self.next.fetch_add(1, Ordering::Relaxed);
        let metadata = node.metadata.as_ref();
        let version = text(metadata, "ISTIO_VERSION").or_else(|| text(metadata, "MAINSHEET_VERSION"));
        let version = version.unwrap_or_default();
        let gauge = gauge(&version);
        gauge.inc();
        let proxy = Arc::new(Proxy {
            stream,
            node_id: cut(&node.id),
            peer,
            protocol,
            user_agent: cut(&node.user_agent_name),
            cluster_id: text(metadata, "CLUSTER_ID").unwrap_or_default(),
            version,
            connected: now,
            state: Mutex::default(),
        });
        self.lock().insert(stream, Arc::clone(&proxy));
        Entry { proxies: Arc::clone(self), proxy, gauge }
    }

    /// All of them, in the order in which they came.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Proxy>> {
        self.lock().values().cloned().collect()
    }

    /// The newest stream of a proxy, by its whole node id or by `POD.NAMESPACE`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Proxy>> {
        self.lock().values().rev().find(|proxy| proxy.node_id == name || proxy.name() == name).cloned()
    }

    /// Wakes whenever a proxy has come, gone, or settled.
    #[must_use]
    pub fn moves(&self) -> watch::Receiver<()> {
        self.moved.subscribe()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Arc<Proxy>>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Proxy {
    /// `POD.NAMESPACE`, the third part of the node id; the whole id if it has no such part.
    #[must_use]
    pub fn name(&self) -> &str {
        self.node_id.split('~').nth(2).unwrap_or(&self.node_id)
    }

    /// What kind of proxy: the first part of the node id.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.node_id.split('~').next().unwrap_or_default()
    }

    /// Which protocol it speaks, in one word.
    #[must_use]
    pub fn protocol_name(&self) -> &'static str {
        match self.protocol {
            Protocol::Delta => "delta",
            Protocol::StateOfTheWorld => "sotw",
        }
    }

    /// How far it has followed, at this moment.
    #[must_use]
    pub fn state(&self) -> ProxyState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down how far it has followed.
    pub(super) fn note(&self, note: impl FnOnce(&mut ProxyState)) {
        note(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl ProxyState {
    /// The state of a type, which the proxy has asked for.
    pub(super) fn of_mut(&mut self, kind: ResourceType) -> Option<&mut TypeState> {
        self.types.get_mut(kind.index()).map(|state| state.get_or_insert_default())
    }

    /// Notes that the proxy has asked for a type.
    pub(super) fn ask(&mut self, kind: ResourceType) {
        let _ = self.of_mut(kind);
    }

    /// The types that the proxy has asked for.
    pub fn asked(&self) -> impl Iterator<Item = (ResourceType, &TypeState)> {
        ResourceType::ALL.into_iter().zip(&self.types).filter_map(|(kind, state)| Some((kind, state.as_ref()?)))
    }
}

/// A proxy's place in the table; dropping it takes the proxy out.
#[derive(Debug)]
pub(super) struct Entry {
    proxies: Arc<Proxies>,
    proxy: Arc<Proxy>,
    gauge: Gauge,
}

impl Entry {
    /// Writes down that the proxy has settled.
    pub(super) fn settle(&self, held: Held) {
        self.proxy.note(|state| {
            state.settled = true;
            // One that starts settles after its clusters, before it asks for the rest.
            let asked_for_listeners = state.types.get(ResourceType::Listener.index()).is_some_and(Option::is_some);
            if asked_for_listeners {
                state.held = Some(held);
            }
        });
        self.proxies.moved.send_replace(());
    }
}

impl std::ops::Deref for Entry {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.gauge.dec();
        self.proxies.lock().remove(&self.proxy.stream);
        self.proxies.moved.send_replace(());
    }
}

/// A text of the metadata, fit for tables and logs.
fn text(metadata: Option<&Struct>, key: &str) -> Option<String> {
    match metadata?.fields.get(key)?.kind.as_ref()? {
        ValueKind::StringValue(text) => Some(cut(text)),
        ValueKind::NullValue(_)
        | ValueKind::NumberValue(_)
        | ValueKind::BoolValue(_)
        | ValueKind::StructValue(_)
        | ValueKind::ListValue(_) => None,
    }
}

/// The beginning of a text of a proxy's, without control characters.
fn cut(text: &str) -> String {
    let mut cut: String = text.chars().filter(|c| !c.is_control()).collect();
    cut.truncate(cut.floor_char_boundary(TEXT_LEN_MAX));
    cut
}

#[cfg(test)]
mod tests {
    use proto::google::protobuf::Value;

    use super::*;

    fn node(id: &str) -> Node {
        let version = Value { kind: Some(ValueKind::StringValue("1.30\n\u{1b}[31m".into())) };
        let metadata = Struct { fields: [("ISTIO_VERSION".to_owned(), version)].into() };
        Node { id: id.into(), metadata: Some(metadata), ..Node::default() }
    }

    fn enter(proxies: &Arc<Proxies>, id: &str, gauge: &Gauge) -> Entry {
        let peer = "127.0.0.1:1".parse().unwrap();
        proxies.enter(&node(id), peer, Protocol::Delta, SystemTime::UNIX_EPOCH, |_| gauge.clone())
    }

    #[test]
    fn a_proxy_is_in_the_table_as_long_as_its_stream_lives() {
        let (proxies, gauge) = (Arc::new(Proxies::default()), Gauge::default());
        let old = enter(&proxies, "sidecar~10.0.0.1~web.shop~shop.svc.cluster.local", &gauge);
        let new = enter(&proxies, "sidecar~10.0.0.1~web.shop~shop.svc.cluster.local", &gauge);
        assert_eq!(gauge.get(), 2);
        assert_eq!(proxies.find("web.shop").unwrap().stream, new.stream);
        assert_eq!(new.version, "1.30[31m");
        drop(new);
        assert_eq!(proxies.find("web.shop").unwrap().stream, old.stream);
        drop(old);
        assert!(proxies.list().is_empty());
        assert_eq!(gauge.get(), 0);
    }

    #[test]
    fn a_long_node_id_is_cut() {
        let (proxies, gauge) = (Arc::new(Proxies::default()), Gauge::default());
        assert!(enter(&proxies, &"é".repeat(1000), &gauge).node_id.len() <= TEXT_LEN_MAX);
    }
}
