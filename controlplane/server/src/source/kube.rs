//! Objects from the API server of a Kubernetes cluster, followed by watches.
//!
//! Each resource has a task that lists and watches it and converts its objects at once, so that nothing is kept but
//! what is used; one more task joins them into updates. Watches are renewed for ever: while the API server is away,
//! what was seen last stays in force.

mod access;
mod arrived;
mod definitions;
mod events;
mod join;
mod list;
mod manners;
mod object;
mod pulse;
mod resource;
mod state;
mod waiting;

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::{
    core::v1::{Namespace, Node, Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, Client, Resource as _,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

pub use self::access::{Access, AccessError, Cluster, connect};
pub use self::list::{Extent, ListError, Listed, load};
use self::{
    arrived::{Arrived, Watched},
    definitions::Served,
    events::Events,
    object::{Key, Read, Seen},
    pulse::Pulse,
    state::{Event, Message, State},
};
use super::{
    Settings, UPDATES_MAX, Update, Watch,
    istio::{self, IstioKind},
    standing::Standings,
};

/// Most events that wait to be joined. A watch that finds the queue full waits, and with it the API server.
const INBOX_MAX: usize = 1024;

/// Follows the objects of a cluster on the current tokio runtime. The first update comes when every resource was listed.
/// Beside it comes how the objects of Istio stand, for those who write their status.
#[must_use]
pub fn watch(cluster: Cluster, settings: Settings) -> (Watch, watch::Receiver<Standings>) {
    let (sender, updates) = mpsc::channel(UPDATES_MAX);
    let (stand, standings) = watch::channel(Standings::new());
    let mut tasks = JoinSet::new();
    tasks.spawn(run(cluster, Arc::new(settings), sender, stand));
    (Watch { updates, _tasks: tasks }, standings)
}

/// Everything that a task of one resource needs.
#[derive(Clone)]
struct Context {
    client: Client,
    pulse: Arc<Pulse>,
    settings: Arc<Settings>,
    inbox: mpsc::Sender<Message>,
}

/// Ends when nobody takes updates any more, or when a task has died: then the watch is at its end.
async fn run(
    cluster: Cluster,
    settings: Arc<Settings>,
    updates: mpsc::Sender<Update>,
    standings: watch::Sender<Standings>,
) {
    let Cluster { client, pulse } = cluster;
    let (inbox, events) = mpsc::channel(INBOX_MAX);
    let mut tasks = JoinSet::new();
    let context = Context { client, pulse, settings, inbox };
    let everywhere = |context: &Context| context.client.clone();
    tasks.spawn(context.clone().follow(resource::SERVICES, Api::<Arrived<Service>>::all(everywhere(&context)), None));
    tasks.spawn(context.clone().follow(
        resource::ENDPOINT_SLICES,
        Api::<Arrived<EndpointSlice>>::all(everywhere(&context)),
        None,
    ));
    tasks.spawn(context.clone().follow(resource::PODS, Api::<Arrived<Pod>>::all(everywhere(&context)), None));
    // Of these the metadata is all that counts, and all that the API server is asked for.
    let nodes = Api::<Arrived<PartialObjectMeta<Node>>>::all(everywhere(&context));
    tasks.spawn(context.clone().follow(resource::NODES, nodes, None));
    let namespaces = Api::<Arrived<PartialObjectMeta<Namespace>>>::all(everywhere(&context));
    tasks.spawn(context.clone().follow(resource::NAMESPACES, namespaces, None));
    tasks.spawn(context.clone().mesh_config());
    let mut served = BTreeMap::new();
    for kind in istio::ALL.iter().copied() {
        let (sender, receiver) = watch::channel(Served::Unknown);
        served.insert(resource::definition(kind), sender);
        tasks.spawn(context.clone().istio(kind, receiver));
    }
    tasks.spawn(definitions::follow(context.client.clone(), Arc::clone(&context.pulse), served));
    drop(context);
    tokio::select! {
        () = join::run(events, State::new(resource::joined()), updates, standings) => {}
        ended = tasks.join_next() => tracing::error!(?ended, "the task of a resource has ended"),
    }
}

impl Context {
    /// Follows a resource that Kubernetes itself has.
    async fn follow<K: Read>(self, plural: &'static str, api: Api<Arrived<K>>, fields: Option<String>) {
        let settings = Arc::clone(&self.settings);
        self.forward(plural, K::KIND.as_str(), api, fields, |object| Seen::typed(object, &settings)).await;
    }

    /// Follows the ConfigMap with the mesh's own configuration.
    async fn mesh_config(self) {
        let kind = ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&());
        let namespace = self.settings.system_namespace.to_string();
        let api = Api::<Arrived<DynamicObject>>::namespaced_with(self.client.clone(), &namespace, &kind);
        let fields = Some(format!("metadata.name={}", crate::source::document::MESH_CONFIG));
        let settings = Arc::clone(&self.settings);
        self.forward(resource::CONFIG_MAPS, &kind.kind, api, fields, |object| Seen::raw(object, &kind, &settings))
            .await;
    }

    /// Follows a resource of Istio while, and at the version that, the API server serves it.
    async fn istio(self, of: &'static IstioKind, mut served: watch::Receiver<Served>) {
        loop {
            let at = *served.borrow_and_update();
            let work = async {
                match at {
                    Served::Unknown => {}
                    Served::Absent => {
                        self.pulse.stopped(of.plural);
                        self.send(of.plural, Event::Unserved).await;
                    }
                    Served::At(version) => {
                        let kind = resource::at(of, version);
                        let api = Api::<Arrived<DynamicObject>>::all_with(self.client.clone(), &kind);
                        let read = |object| Seen::raw(object, &kind, &self.settings);
                        self.forward(of.plural, of.name, api, None, read).await;
                    }
                }
                // Until it is served, or served otherwise, there is nothing to do.
                std::future::pending::<()>().await;
            };
            tokio::select! {
                changed = served.changed() => if changed.is_err() { return },
                () = work => {}
            }
        }
    }

    /// Passes every event of a resource on, converted. Ends when nobody takes events any more.
    async fn forward<K: Watched>(
        &self,
        plural: &'static str,
        kind: &str,
        api: Api<Arrived<K>>,
        fields: Option<String>,
        read: impl Fn(K) -> Seen,
    ) {
        use kube::runtime::watcher::Event as Watched;
        let mut events = Events::new(api, plural, fields, Arc::clone(&self.pulse));
        loop {
            let event = match events.next().await {
                Watched::Init => Event::ListBegins,
                Watched::InitApply(Arrived(object)) | Watched::Apply(Arrived(object)) => {
                    let seen = object.map_or_else(|unreadable| Seen::unreadable(kind, unreadable), &read);
                    Event::Object(Box::new(seen))
                }
                Watched::InitDone => Event::ListEnds,
                Watched::Delete(object) => {
                    let meta = object.meta();
                    Event::Gone(Key::of(meta), meta.resource_version.clone().unwrap_or_default())
                }
            };
            if !self.send(plural, event).await {
                return;
            }
        }
    }

    /// Whether anybody takes events.
    async fn send(&self, plural: &'static str, event: Event) -> bool {
        self.inbox.send(Message { plural, event }).await.is_ok()
    }
}
