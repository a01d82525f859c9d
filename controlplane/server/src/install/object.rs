//! An object of the manifest: JSON, and how the API server is asked for it.

use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::Value;

/// The label that says by what an object is managed, and our word there.
pub(super) const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "mainsheet");
/// The label of everything that belongs to us, also of definitions, which several may manage.
pub(super) const PART_OF: (&str, &str) = ("app.kubernetes.io/part-of", "mainsheet");

/// An object with apiVersion, kind and name.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(Value);

impl Object {
    pub(super) fn new(value: Value) -> Self {
        Self(value)
    }

    /// The object as JSON.
    #[must_use]
    pub fn json(&self) -> &Value {
        &self.0
    }

    pub(super) fn json_mut(&mut self) -> &mut Value {
        &mut self.0
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.text("/kind")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(super) fn is_definition(&self) -> bool {
        self.kind() == "CustomResourceDefinition"
    }

    pub(super) fn is_namespace(&self) -> bool {
        self.kind() == "Namespace"
    }

    /// Kind, namespace and name, as people name it.
    pub(super) fn title(&self) -> String {
        match self.text("/metadata/namespace") {
            "" => format!("{} {}", self.kind(), self.name()),
            namespace => format!("{} {namespace}/{}", self.kind(), self.name()),
        }
    }

    pub(super) fn api(&self, client: &Client) -> Api<DynamicObject> {
        let (group, version) = self.text("/apiVersion").split_once('/').unwrap_or(("", self.text("/apiVersion")));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, self.kind()));
        // Objects of the manifest name their namespace, or have none.
        match self.text("/metadata/namespace") {
            "" => Api::all_with(client.clone(), &resource),
            namespace => Api::namespaced_with(client.clone(), namespace, &resource),
        }
    }

    fn text(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }
}

/// Whether an object of a cluster has the label.
pub(super) fn has(object: &DynamicObject, (key, value): (&str, &str)) -> bool {
    object.metadata.labels.as_ref().and_then(|labels| labels.get(key)).is_some_and(|found| found == value)
}
