//! The objects of a cluster, read once.
//!
//! Whoever asks is a person, with rights of their own: to list is enough, and what only one namespace may be seen of is
//! listed there alone. Nodes are not read, since nothing can be wrong with them.

use std::fmt::Debug;

use futures::{StreamExt as _, TryStreamExt as _, future::LocalBoxFuture, stream};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        core::v1::{ConfigMap, Namespace, Pod, Service},
        discovery::v1::EndpointSlice,
    },
};
use kube::{
    Api, Client, Resource,
    api::{ApiResource, DynamicObject, ListParams, ObjectList},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    object::{Read, Seen},
    resource,
    state::{Event, Message, State},
    waiting::WAIT_MAX,
};
use crate::source::{
    Settings, Update,
    document::MESH_CONFIG,
    istio::{self, IstioKind},
};

/// Objects of one page.
const PAGE_LEN: u32 = 500;
/// Resources that are listed at a time.
const LISTS_MAX: usize = 8;

/// How much of a cluster is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Everywhere,
    /// Of each resource all of it where that may be seen, else what lies in this namespace.
    AtLeast(String),
}

/// What was read.
#[derive(Debug)]
pub struct Listed {
    /// All objects, and what is wrong with them.
    pub update: Update,
    /// What could not be seen, and what that means, each in a line.
    pub unseen: Vec<String>,
}

/// Why the objects could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The API server does not let the caller list a resource.
    #[error("{0}; docs/PERMISSIONS.md says what a user needs, and -n reads one namespace alone")]
    Forbidden(String),
    /// Anything else.
    #[error("{resource} cannot be listed: {error}")]
    Failed {
        /// The resource.
        resource: &'static str,
        /// Why.
        error: Box<kube::Error>,
    },
}

/// Reads the objects of a cluster.
///
/// # Errors
/// When some may not be listed that must be, or the API server does not answer.
pub async fn load(client: &Client, settings: &Settings, extent: &Extent) -> Result<Listed, ListError> {
    let groups = client.list_api_groups().await.map_err(|error| failed("API groups", error))?;
    let serves = |group: &str, version: &str| {
        let versions = groups.groups.iter().filter(|of| of.name == group).flat_map(|of| &of.versions);
        versions.into_iter().any(|of| of.version == version)
    };
    let lister = Lister { client, settings, extent };
    let mut lists: Vec<LocalBoxFuture<'_, Result<List, ListError>>> = vec![
        Box::pin(lister.typed::<Service>(resource::SERVICES)),
        Box::pin(lister.typed::<EndpointSlice>(resource::ENDPOINT_SLICES)),
        Box::pin(lister.typed::<Pod>(resource::PODS)),
        Box::pin(lister.namespaces()),
        Box::pin(lister.mesh_config()),
    ];
    for kind in istio::ALL.iter().copied() {
        let versions = resource::VERSIONS.into_iter().filter(|version| serves(kind.group, version)).collect();
        lists.push(Box::pin(lister.istio(kind, versions)));
    }
    let lists: Vec<List> = stream::iter(lists).buffered(LISTS_MAX).try_collect().await?;
    let unseen = unseen(&lists, settings, extent);
    let mut state = State::new(resource::joined());
    let nodes = List { plural: resource::NODES, objects: Vec::new(), coverage: Coverage::Partial };
    for List { plural, objects, coverage: _ } in lists.into_iter().chain([nodes]) {
        let mut take = |event| state.take(Message { plural, event });
        take(Event::ListBegins);
        objects.into_iter().for_each(|seen| take(Event::Object(Box::new(seen))));
        take(Event::ListEnds);
    }
    // Nothing more comes: a slice need not wait for its Pods.
    let now = Instant::now();
    let update = state.update(now).or_else(|| state.update(now + WAIT_MAX)).unwrap_or_default();
    Ok(Listed { update, unseen })
}

/// What the caller may not see, and what that means.
fn unseen(lists: &[List], settings: &Settings, extent: &Extent) -> Vec<String> {
    let of = |coverage| lists.iter().filter(move |list| list.coverage == coverage).map(|list| list.plural);
    let mut lines = Vec::new();
    if of(Coverage::Partial).any(|plural| plural == resource::CONFIG_MAPS) {
        let namespace = &settings.system_namespace;
        lines.push(format!(
            "the configuration of the mesh, ConfigMap {namespace}/{MESH_CONFIG}, may not be read; defaults are assumed"
        ));
    }
    let narrowed: Vec<&str> = of(Coverage::Partial).filter(|plural| *plural != resource::CONFIG_MAPS).collect();
    if let (Extent::AtLeast(namespace), false) = (extent, narrowed.is_empty()) {
        lines.push(format!(
            "outside namespace {namespace} these may not be listed, and seem to be missing: {}",
            narrowed.join(", ")
        ));
    }
    let unserved: Vec<&str> = of(Coverage::Unserved).collect();
    if !unserved.is_empty() {
        lines.push(format!(
            "the cluster does not have the kinds {}; `mainsheet crds | kubectl apply --server-side -f -` brings them",
            unserved.join(", ")
        ));
    }
    lines
}

/// The objects of one resource.
struct List {
    plural: &'static str,
    objects: Vec<Seen>,
    coverage: Coverage,
}

/// How much of a resource was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coverage {
    Whole,
    /// There may be more, which the caller may not see.
    Partial,
    /// The API server does not have the resource.
    Unserved,
}

#[derive(Clone, Copy)]
struct Lister<'a> {
    client: &'a Client,
    settings: &'a Settings,
    extent: &'a Extent,
}

impl Lister<'_> {
    /// Of a resource that Kubernetes itself has.
    async fn typed<K>(self, plural: &'static str) -> Result<List, ListError>
    where
        K: Read + Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        let everywhere = Api::<K>::all(self.client.clone());
        let (objects, coverage) =
            self.namespaced(plural, &everywhere, |namespace| Api::namespaced(self.client.clone(), namespace)).await?;
        let objects = objects.into_iter().map(|object| Seen::typed(object, self.settings)).collect();
        Ok(List { plural, objects, coverage })
    }

    /// Of a resource of Istio, in the best version that is there: a definition may have others than its group.
    async fn istio(self, kind: &'static IstioKind, versions: Vec<&'static str>) -> Result<List, ListError> {
        for version in versions {
            let at = resource::at(kind, version);
            let everywhere = Api::<DynamicObject>::all_with(self.client.clone(), &at);
            let listed = self.namespaced(kind.plural, &everywhere, |namespace| {
                Api::namespaced_with(self.client.clone(), namespace, &at)
            });
            match listed.await {
                Ok((objects, coverage)) => {
                    let objects = objects.into_iter().map(|object| Seen::raw(object, &at, self.settings)).collect();
                    return Ok(List { plural: kind.plural, objects, coverage });
                }
                Err(ListError::Failed { error, .. }) if is(&error, 404) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(List { plural: kind.plural, objects: Vec::new(), coverage: Coverage::Unserved })
    }

    async fn namespaces(self) -> Result<List, ListError> {
        let plural = resource::NAMESPACES;
        let api = Api::<Namespace>::all(self.client.clone());
        match pages(async |params| api.list_metadata(&params).await).await {
            Ok(objects) => {
                let objects = objects.into_iter().map(|object| Seen::typed(object, self.settings)).collect();
                Ok(List { plural, objects, coverage: Coverage::Whole })
            }
            Err(error) if is(&error, 403) && *self.extent != Extent::Everywhere => {
                Ok(List { plural, objects: Vec::new(), coverage: Coverage::Partial })
            }
            Err(error) => Err(failed(plural, error)),
        }
    }

    /// The ConfigMap with the mesh's own configuration. It stands in another namespace than most users may see.
    async fn mesh_config(self) -> Result<List, ListError> {
        let plural = resource::CONFIG_MAPS;
        let namespace = self.settings.system_namespace.as_str();
        let at = ApiResource::erase::<ConfigMap>(&());
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, &at);
        let seen = |object| Seen::raw(object, &at, self.settings);
        match api.get_opt(MESH_CONFIG).await {
            Ok(object) => {
                Ok(List { plural, objects: object.into_iter().map(seen).collect(), coverage: Coverage::Whole })
            }
            Err(error) if is(&error, 403) => Ok(List { plural, objects: Vec::new(), coverage: Coverage::Partial }),
            Err(error) => Err(failed(plural, error)),
        }
    }

    /// Everywhere, or where the caller may.
    async fn namespaced<K: Clone + DeserializeOwned + Debug>(
        self,
        plural: &'static str,
        everywhere: &Api<K>,
        within: impl FnOnce(&str) -> Api<K>,
    ) -> Result<(Vec<K>, Coverage), ListError> {
        let error = match pages(async |params| everywhere.list(&params).await).await {
            Ok(objects) => return Ok((objects, Coverage::Whole)),
            Err(error) => error,
        };
        match self.extent {
            Extent::AtLeast(namespace) if is(&error, 403) => {
                let api = within(namespace);
                let objects =
                    pages(async |params| api.list(&params).await).await.map_err(|error| failed(plural, error))?;
                Ok((objects, Coverage::Partial))
            }
            Extent::AtLeast(_) | Extent::Everywhere => Err(failed(plural, error)),
        }
    }
}

async fn pages<K: Clone>(list: impl AsyncFn(ListParams) -> kube::Result<ObjectList<K>>) -> kube::Result<Vec<K>> {
    let mut objects = Vec::new();
    let mut params = ListParams::default().limit(PAGE_LEN);
    loop {
        let page = list(params).await?;
        objects.extend(page.items);
        match page.metadata.continue_ {
            Some(token) if !token.is_empty() => params = ListParams::default().limit(PAGE_LEN).continue_token(&token),
            Some(_) | None => return Ok(objects),
        }
    }
}

fn is(error: &kube::Error, code: u16) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == code)
}

fn failed(resource: &'static str, error: kube::Error) -> ListError {
    if let kube::Error::Api(status) = &error
        && status.code == 403
    {
        return ListError::Forbidden(status.message.clone());
    }
    ListError::Failed { resource, error: Box::new(error) }
}
