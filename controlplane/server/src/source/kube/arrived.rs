//! Objects as they arrive: one that cannot be read stands for itself alone, and does not end the list or watch that
//! brings it.

use std::{borrow::Cow, fmt::Debug};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::value::RawValue;

/// What can be listed and watched.
pub(super) trait Watched: Resource + Clone + DeserializeOwned + Debug + Send + 'static {}

impl<K: Resource + Clone + DeserializeOwned + Debug + Send + 'static> Watched for K {}

/// An object, or what is known of one that cannot be read.
///
/// `kube::core::DeserializeGuard` does the same for objects that are values, whose metadata can be read; what nests too
/// deep or has a time in the year 10000 among its metadata is neither, and the API server takes both.
#[derive(Debug, Clone)]
pub(super) struct Arrived<K>(pub(super) Result<K, Unreadable>);

/// An object that cannot be read.
#[derive(Debug, Clone)]
pub(super) struct Unreadable {
    /// Which object, and its version; nothing else.
    pub(super) meta: ObjectMeta,
    /// What is wrong.
    pub(super) reason: String,
}

/// As much of an object as says which it is. The rest is skipped, whatever it may be.
#[derive(Deserialize)]
struct Stub {
    metadata: StubMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StubMeta {
    name: String,
    namespace: Option<String>,
    resource_version: String,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Arrived<K> {
    /// From JSON, in a list, or in an event whose `type` comes first, as all API servers write it.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Text is found to be JSON without recursion and without making values of it.
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let error = match serde_json::from_str(text.get()) {
            Ok(object) => return Ok(Self(Ok(object))),
            Err(error) => error,
        };
        let Stub { metadata: StubMeta { name, namespace, resource_version } } =
            serde_json::from_str(text.get()).map_err(D::Error::custom)?;
        let meta = ObjectMeta {
            name: Some(name),
            namespace,
            resource_version: Some(resource_version),
            ..ObjectMeta::default()
        };
        Ok(Self(Err(Unreadable { meta, reason: error.to_string() })))
    }
}

impl<K: Resource> Resource for Arrived<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn kind(of: &K::DynamicType) -> Cow<'_, str> {
        K::kind(of)
    }

    fn group(of: &K::DynamicType) -> Cow<'_, str> {
        K::group(of)
    }

    fn version(of: &K::DynamicType) -> Cow<'_, str> {
        K::version(of)
    }

    fn plural(of: &K::DynamicType) -> Cow<'_, str> {
        K::plural(of)
    }

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|unreadable| &unreadable.meta, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|unreadable| &mut unreadable.meta, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;
    use kube::{
        api::{DynamicObject, ObjectList},
        core::WatchEvent,
    };

    use super::*;

    fn arrived<K: DeserializeOwned>(text: &str) -> Arrived<K> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_cannot_be_read_is_known_by_its_name_and_version() {
        let late = r#""managedFields": [{"time": "10000-01-01T00:00:00Z"}]"#;
        let deep = format!("{}1{}", "[".repeat(9000), "]".repeat(9000));
        let name = r#""name": "a", "namespace": "b", "resourceVersion": "7""#;
        for text in [
            format!(r#"{{"metadata": {{{name}, {late}}}}}"#),
            format!(r#"{{"metadata": {{{name}}}, "spec": {deep}}}"#),
            format!(r#"{{"metadata": {{{name}}}, "spec": 1e999}}"#),
        ] {
            let Err(unreadable) = arrived::<DynamicObject>(&text).0 else { panic!("{text}") };
            assert_eq!(unreadable.meta.name.as_deref(), Some("a"));
            assert_eq!(unreadable.meta.namespace.as_deref(), Some("b"));
            assert_eq!(unreadable.meta.resource_version.as_deref(), Some("7"));
            assert!(!unreadable.reason.is_empty());
        }
        assert!(serde_json::from_str::<Arrived<Pod>>(r#"{"spec": 7}"#).is_err(), "nobody knows what that is");
    }

    #[test]
    fn the_others_of_a_list_and_of_a_watch_are_read() {
        let good = r#"{"metadata": {"name": "good", "resourceVersion": "1"}}"#;
        let bad = r#"{"metadata": {"name": "bad", "resourceVersion": "2"}, "spec": 7}"#;
        let list: ObjectList<Arrived<Pod>> = serde_json::from_str(&format!(
            r#"{{"kind": "PodList", "apiVersion": "v1", "metadata": {{"resourceVersion": "9"}}, "items": [{bad}, {good}]}}"#
        ))
        .unwrap();
        assert_eq!(list.items.iter().map(|pod| pod.0.is_ok()).collect::<Vec<_>>(), [false, true]);
        let event: WatchEvent<Arrived<Pod>> =
            serde_json::from_str(&format!(r#"{{"type": "ADDED", "object": {bad}}}"#)).unwrap();
        assert!(matches!(event, WatchEvent::Added(Arrived(Err(_)))));
    }
}
