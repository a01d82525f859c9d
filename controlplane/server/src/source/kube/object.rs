//! From objects as the API server sends them to what the mesh keeps of them.
//!
//! Objects of Kubernetes itself are typed: the API server has held them against its own schema, which may be newer than
//! ours, and fields that we do not know do no harm. Objects of Istio are read as those from files are.

use std::{fmt, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{Namespace, Node, Pod, Service},
        discovery::v1::EndpointSlice,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
};
use mesh::model::{self, Config, Kind, Object, ObjectId, Problem, code};
use serde_json::Value as Json;

use super::arrived::{Unreadable, Watched};
use crate::source::{
    Settings,
    convert::{Conversion, Metadata},
    document::{self, Declared, Item, Reading},
    finding::Findings,
    istio, kind,
    path::Path,
    standing::Standing,
    yaml::Node as Tree,
};

/// Which object of a resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    namespace: Arc<str>,
    name: Arc<str>,
}

impl Key {
    /// Of the object with this metadata.
    pub(super) fn of(meta: &ObjectMeta) -> Self {
        let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
        Self { namespace: text(&meta.namespace), name: text(&meta.name) }
    }
}

impl fmt::Display for Key {
    /// As in [`ObjectId`]: `NAMESPACE/NAME`, or the name alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, name } = self;
        if namespace.is_empty() { f.write_str(name) } else { write!(f, "{namespace}/{name}") }
    }
}

/// An object as it was seen last.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) key: Key,
    /// Equal only while nothing of the object has changed.
    pub(super) version: String,
    /// What it says: one item at most.
    pub(super) reading: Reading,
    /// How it stands, for kinds of which the status is written.
    pub(super) standing: Option<Box<Standing>>,
}

/// A kind of Kubernetes itself.
pub(super) trait Read: Watched {
    /// The same kind in the model.
    const KIND: Kind;

    /// What is used of it; `None` when it declares nothing. Its metadata was taken out.
    fn read(self, object: Envelope, conversion: &mut Conversion<'_>) -> Option<Declared>;
}

/// All of an object but its content.
pub(super) struct Envelope {
    id: ObjectId,
    created: Option<i64>,
    generation: Option<i64>,
}

impl Envelope {
    fn around<T>(self, spec: T) -> Object<T> {
        let Self { id, created, generation } = self;
        Object { id, created, generation, location: None, spec }
    }
}

impl Seen {
    /// An object of Kubernetes itself.
    pub(super) fn typed<K: Read>(mut object: K, settings: &Settings) -> Self {
        let meta = std::mem::take(object.meta_mut());
        let (key, version) = (Key::of(&meta), meta.resource_version.clone().unwrap_or_default());
        let mut reading = Reading::default();
        let namespace = if kind::is_namespaced(K::KIND) {
            // The API server lets no other names pass.
            model::Namespace::parse(&key.namespace).unwrap_or_else(|_| model::Namespace::none())
        } else {
            model::Namespace::none()
        };
        let id = ObjectId::new(K::KIND, namespace, &key.name);
        let metadata = Metadata::of(&id, meta);
        let envelope = Envelope { id: id.clone(), created: metadata.created, generation: metadata.generation };
        let mut findings = Findings::default();
        let mut conversion = Conversion { settings, metadata: &metadata, findings: &mut findings };
        let content = object.read(envelope, &mut conversion);
        let failed = findings.has_errors();
        let content = content.filter(|_| !failed);
        // Some objects, such as slices of no Service, declare nothing.
        if failed || content.is_some() {
            reading.items.push(Item { id: id.clone(), location: None, content });
        }
        let title = id.to_string();
        reading.problems.extend(findings.into_list().into_iter().map(|finding| finding.into_problem(&title, None)));
        Self { key, version, reading, standing: None }
    }

    /// An object of this kind that cannot be read: its last good form stays in force.
    pub(super) fn unreadable(kind: &str, Unreadable { meta, reason }: Unreadable) -> Self {
        let key = Key::of(&meta);
        let problem = Problem {
            severity: code::UNREADABLE_OBJECT.severity,
            code: code::UNREADABLE_OBJECT.id,
            object: format!("{kind} {key}"),
            field: String::new(),
            location: None,
            reason,
            remedy: "look at what the API server gives for it, and apply it anew".into(),
        };
        let reading = Reading { items: Vec::new(), problems: vec![problem.in_one_line()], unreadable: true };
        Self { key, version: meta.resource_version.unwrap_or_default(), reading, standing: None }
    }

    /// An object that is read as those from files are.
    pub(super) fn raw(object: DynamicObject, kind: &ApiResource, settings: &Settings) -> Self {
        let DynamicObject { types: _, mut metadata, data } = object;
        let istio = istio::find(&kind.group, &kind.kind);
        let standing = istio.and_then(|istio| Standing::of(istio, &kind.version, &metadata, &data)).map(Box::new);
        let (key, version) = (Key::of(&metadata), metadata.resource_version.take().unwrap_or_default());
        // Who wrote what of it is long and says nothing to us.
        metadata.managed_fields = None;
        let mut whole = if let Json::Object(whole) = data { whole } else { serde_json::Map::new() };
        whole.insert("apiVersion".into(), kind.api_version.as_str().into());
        whole.insert("kind".into(), kind.kind.as_str().into());
        whole.insert("metadata".into(), serde_json::to_value(&metadata).unwrap_or_default());
        // Ours and others' words about the object are no part of what it says.
        whole.remove("status");
        let reading = document::read_object(&Tree::from_json(Json::Object(whole)), settings);
        Self { key, version, reading, standing }
    }
}

impl Read for Service {
    const KIND: Kind = Kind::Service;

    fn read(self, object: Envelope, conversion: &mut Conversion<'_>) -> Option<Declared> {
        let service = conversion.service(self.spec.unwrap_or_default(), Path::root().field("spec"))?;
        Some(Declared::Config(Box::new(Config::Service(object.around(service)))))
    }
}

impl Read for EndpointSlice {
    const KIND: Kind = Kind::EndpointSlice;

    fn read(self, object: Envelope, conversion: &mut Conversion<'_>) -> Option<Declared> {
        let slice = conversion.endpoint_slice(self, Path::root())?;
        Some(Declared::Endpoints(Box::new(object.around(slice))))
    }
}

impl Read for Pod {
    const KIND: Kind = Kind::Pod;

    fn read(self, object: Envelope, conversion: &mut Conversion<'_>) -> Option<Declared> {
        let pod = conversion.pod(self.spec, self.status);
        Some(Declared::Config(Box::new(Config::Pod(object.around(pod)))))
    }
}

impl Read for PartialObjectMeta<Node> {
    const KIND: Kind = Kind::Node;

    fn read(self, object: Envelope, conversion: &mut Conversion<'_>) -> Option<Declared> {
        Some(Declared::Config(Box::new(Config::Node(object.around(conversion.node())))))
    }
}

impl Read for PartialObjectMeta<Namespace> {
    const KIND: Kind = Kind::Namespace;

    fn read(self, object: Envelope, conversion: &mut Conversion<'_>) -> Option<Declared> {
        Some(Declared::Config(Box::new(Config::Namespace(object.around(conversion.namespace_info())))))
    }
}
