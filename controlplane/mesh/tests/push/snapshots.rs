//! Snapshots in a few words: `snapshot([cluster("a", 1), endpoints("a", 1), listener("in", 1).route("web")])`.

use std::sync::Arc;

use mesh::{
    model::{Kind, Namespace, ObjectId, Origin},
    snapshot::{References, Resource, Snapshot},
};
use proto::type_url::ResourceType;

/// A resource to be.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    kind: ResourceType,
    name: &'static str,
    content: u32,
    references: References,
}

impl Part {
    /// Names a cluster.
    pub(crate) fn to(mut self, cluster: &str) -> Self {
        self.references.clusters.push(cluster.into());
        self
    }

    /// Asks for a route configuration.
    pub(crate) fn route(mut self, route: &str) -> Self {
        self.references.routes.push(route.into());
        self
    }

    pub(crate) fn build(&self) -> Arc<Resource> {
        let text = format!("{} {:?}", self.content, self.references);
        let namespace = Namespace::parse("default").expect("a namespace");
        let object = ObjectId::new(Kind::Service, namespace, self.name);
        let origin = Origin::whole(&object);
        Arc::new(Resource::encode(
            self.kind,
            self.name.into(),
            &[text.into_bytes().into()],
            self.references.clone(),
            vec![origin],
        ))
    }
}

/// Any resource that refers to nothing.
pub(crate) fn plain(kind: ResourceType, name: &'static str, content: u32) -> Part {
    Part { kind, name, content, references: References::default() }
}

/// A cluster whose endpoints come over ADS.
pub(crate) fn cluster(name: &'static str, content: u32) -> Part {
    let mut part = plain(ResourceType::Cluster, name, content);
    part.references.endpoints = Some(name.into());
    part
}

/// A cluster that needs no endpoints.
pub(crate) fn fixed(name: &'static str, content: u32) -> Part {
    plain(ResourceType::Cluster, name, content)
}

pub(crate) fn endpoints(name: &'static str, content: u32) -> Part {
    plain(ResourceType::Endpoint, name, content)
}

pub(crate) fn listener(name: &'static str, content: u32) -> Part {
    plain(ResourceType::Listener, name, content)
}

pub(crate) fn route(name: &'static str, content: u32) -> Part {
    plain(ResourceType::Route, name, content)
}

pub(crate) fn snapshot(parts: impl IntoIterator<Item = Part>) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for part in parts {
        snapshot.of_mut(part.kind).expect("a set for each type").insert(part.build());
    }
    Arc::new(snapshot)
}
