//! How the objects of Istio's kinds stand in the API server: what whoever writes their status has to know of them.

use std::sync::Arc;

use imbl::OrdMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use mesh::model::{Kind, Namespace, ObjectId, Problem};
use serde_json::Value as Json;

use super::{
    istio::IstioKind,
    kind::{self, Treatment},
};

/// Longest list of conditions that is kept, in bytes of JSON. A status that others have made longer is left to them.
const CONDITIONS_LEN_MAX: usize = 16 << 10;

/// All of them, by what problems call them: `VirtualService default/reviews`. A clone costs nothing.
pub type Standings = OrdMap<Arc<str>, Arc<Standing>>;

/// An object of Istio's as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Its kind.
    pub kind: &'static IstioKind,
    /// The version in which it is read: `v1`.
    pub version: Arc<str>,
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// `metadata.uid`.
    pub uid: Arc<str>,
    /// `metadata.generation`.
    pub generation: i64,
    /// `metadata.resourceVersion`.
    pub resource_version: Arc<str>,
    /// `status.conditions` as JSON; `None` where there are none.
    pub conditions: Option<Box<str>>,
    /// What is wrong with this very form of it, taken by itself.
    pub problems: Arc<[Problem]>,
}

impl Standing {
    /// An object with this metadata and content; `None` when its status is not to be written: it is going away, has no
    /// generation, or a status that is too long.
    pub(super) fn of(kind: &'static IstioKind, version: &str, metadata: &ObjectMeta, data: &Json) -> Option<Self> {
        if metadata.deletion_timestamp.is_some() {
            return None;
        }
        let conditions = data.pointer("/status/conditions").and_then(Json::as_array).filter(|list| !list.is_empty());
        let conditions = conditions.and_then(|list| serde_json::to_string(list).ok()).map(String::into_boxed_str);
        if conditions.as_ref().is_some_and(|text| text.len() > CONDITIONS_LEN_MAX) {
            return None;
        }
        Some(Self {
            kind,
            version: version.into(),
            namespace: metadata.namespace.as_deref().unwrap_or_default().into(),
            name: metadata.name.as_deref()?.into(),
            uid: metadata.uid.as_deref()?.into(),
            generation: metadata.generation?,
            resource_version: metadata.resource_version.as_deref()?.into(),
            conditions,
            problems: Arc::default(),
        })
    }

    /// What problems call it.
    #[must_use]
    pub fn title(&self) -> Arc<str> {
        format!("{} {}/{}", self.kind.name, self.namespace, self.name).into()
    }

    /// `networking.istio.io/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        format!("{}/{}", self.kind.group, self.version)
    }

    /// The identity in the mesh; `None` for kinds that are not compiled.
    #[must_use]
    pub fn object(&self) -> Option<ObjectId> {
        let kind: Kind = match kind::treatment(&self.api_version(), self.kind.name) {
            Treatment::Compiled(kind) => kind,
            Treatment::ConfigMap
            | Treatment::List
            | Treatment::Accepted(..)
            | Treatment::Checked(..)
            | Treatment::Unknown => return None,
        };
        Some(ObjectId::new(kind, Namespace::parse(&self.namespace).ok()?, &self.name))
    }
}
