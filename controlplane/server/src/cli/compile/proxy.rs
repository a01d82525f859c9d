//! The proxy to compile for: its Pod, found by name, and the node that its agent would send.

use anyhow::{anyhow, bail};
use mesh::{
    compile::viewpoint::ProxyDescription,
    model::{Kind, Namespace, ObjectId},
    store::Mesh,
};
use proto::{
    envoy::config::core::v3::Node,
    google::protobuf::{ListValue, Struct, Value, ValueKind},
};

/// The namespace of a proxy that names none.
const DEFAULT_NAMESPACE: &str = "default";
/// Names that are suggested for one that is not there.
const SUGGESTIONS_MAX: usize = 3;
/// How unlike a suggestion may be, in edits.
const SUGGESTION_DISTANCE_MAX: usize = 6;

/// What to do where a proxy is to have no Pod.
const WITHOUT_POD: &str = "a proxy without a Pod is served from its metadata: give its labels, as in \
     --metadata 'LABELS={\"app\":\"web\"}' (LABELS={} for none), and what else it says of itself";

/// One `KEY=VALUE` of node metadata.
#[derive(Debug, Clone)]
pub(super) struct Metadata {
    key: String,
    value: serde_json::Value,
}

impl Metadata {
    /// Parses `KEY=VALUE`. Objects and lists are read as JSON; numbers and booleans stay strings, as agents send them.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| "write KEY=VALUE, as in INTERCEPTION_MODE=NONE".to_owned())?;
        if key == "INTERCEPTION_MODE" && !["REDIRECT", "TPROXY", "NONE"].contains(&value) {
            return Err(format!("`{value}` is not an {key}; use one of: REDIRECT, TPROXY, NONE"));
        }
        let value = if value.starts_with(['{', '[']) && key != "POD_PORTS" {
            serde_json::from_str(value).map_err(|error| {
                format!(
                    "the value of {key} is not JSON ({error}); quote keys and strings, as in LABELS={{\"app\":\"web\"}}"
                )
            })?
        } else {
            value.into()
        };
        Ok(Self { key: key.to_owned(), value })
    }
}

/// The proxy of a Pod. A name without a Pod is taken only with `LABELS` in its metadata, as the server would.
pub(super) fn describe(mesh: &Mesh, name: &str, metadata: &[Metadata]) -> anyhow::Result<ProxyDescription> {
    let candidates = candidates(name);
    let pod = candidates.iter().find_map(|id| mesh.pods().get(id));
    let id = match (pod, candidates.first()) {
        (Some(pod), _) => pod.id.clone(),
        (None, Some(id)) if metadata.iter().any(|entry| entry.key == "LABELS") => id.clone(),
        (None, _) => bail!("--proxy {name}: {}", unknown(mesh, name)),
    };
    let ip = pod.and_then(|pod| pod.spec.addresses.first()).map(ToString::to_string).unwrap_or_default();
    let domain = &mesh.config().spec.domain;
    let node = Node {
        id: format!("sidecar~{ip}~{}.{}~{}.svc.{domain}", id.name, id.namespace, id.namespace),
        metadata: Some(Struct {
            fields: metadata.iter().map(|entry| (entry.key.clone(), to_value(&entry.value))).collect(),
        }),
        ..Node::default()
    };
    ProxyDescription::of_node(&node).map_err(|error| anyhow!("--proxy {name}: {error}"))
}

/// The Pods that a name may mean. Names of Pods may hold dots, those of namespaces may not.
fn candidates(name: &str) -> Vec<ObjectId> {
    let of = |pod: &str, namespace: &str| {
        Namespace::parse(namespace).ok().map(|namespace| ObjectId::new(Kind::Pod, namespace, pod))
    };
    let split = name.rsplit_once('.').and_then(|(pod, namespace)| of(pod, namespace));
    split.into_iter().chain(of(name, DEFAULT_NAMESPACE)).collect()
}

fn unknown(mesh: &Mesh, name: &str) -> String {
    let mut names: Vec<(usize, String)> = mesh
        .pods()
        .iter()
        .map(|pod| format!("{}.{}", pod.id.name, pod.id.namespace))
        .map(|known| (distance(name, &known), known))
        .collect();
    names.sort();
    let near = names.iter().take_while(|(distance, _)| *distance <= SUGGESTION_DISTANCE_MAX);
    let near: Vec<&str> = near.take(SUGGESTIONS_MAX).map(|(_, known)| known.as_str()).collect();
    let hint = match (near.as_slice(), names.first()) {
        ([], Some((_, some))) => format!("there are {} Pods, {some} for one", names.len()),
        ([], None) => "there is none at all".to_owned(),
        (near, _) => format!("did you mean {}?", near.join(" or ")),
    };
    format!("no such Pod in the files; {hint}\n{WITHOUT_POD}")
}

/// How unlike two names are; a name without its namespace, or without its hash, is as good as the whole.
fn distance(asked: &str, known: &str) -> usize {
    let pod = known.rsplit_once('.').map_or(known, |(pod, _)| pod);
    if pod.starts_with(asked) { 0 } else { strsim::levenshtein(asked, known).min(strsim::levenshtein(asked, pod)) }
}

fn to_value(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => ValueKind::NullValue(0),
        serde_json::Value::Bool(value) => ValueKind::BoolValue(*value),
        serde_json::Value::Number(number) => ValueKind::NumberValue(number.as_f64().unwrap_or_default()),
        serde_json::Value::String(text) => ValueKind::StringValue(text.clone()),
        serde_json::Value::Array(items) => {
            ValueKind::ListValue(ListValue { values: items.iter().map(to_value).collect() })
        }
        serde_json::Value::Object(fields) => ValueKind::StructValue(Struct {
            fields: fields.iter().map(|(key, value)| (key.clone(), to_value(value))).collect(),
        }),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use mesh::store::Store;

    use super::*;
    use crate::source::{self, Settings};

    fn described(metadata: &[&str]) -> anyhow::Result<ProxyDescription> {
        let directory = tempfile::tempdir().unwrap();
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, namespace: shop, labels: {app: web}}\n";
        std::fs::write(directory.path().join("pod.yaml"), pod).unwrap();
        let mut store = Store::new();
        store.apply(source::load(&[directory.path().to_owned()], &Settings::default()).changes);
        let metadata: Vec<_> = metadata.iter().map(|text| Metadata::parse(text).unwrap()).collect();
        describe(store.mesh(), "web-2.shop", &metadata)
    }

    #[test]
    fn a_proxy_without_a_pod_is_described_by_its_metadata() {
        let proxy =
            described(&[r#"LABELS={"app":"api"}"#, "INSTANCE_IPS=127.0.0.9", "INTERCEPTION_MODE=NONE"]).unwrap();
        assert_eq!((proxy.pod.as_str(), proxy.namespace.as_str()), ("web-2", "shop"));
        assert_eq!(proxy.labels.get("app").map(String::as_str), Some("api"));
        assert_eq!(proxy.addresses.len(), 1);
        assert!(described(&["LABELS={}"]).unwrap().labels.is_empty());
    }

    #[test]
    fn a_proxy_without_pod_and_labels_is_told_what_to_give() {
        for metadata in [&[][..], &["INTERCEPTION_MODE=NONE"]] {
            let error = described(metadata).unwrap_err().to_string();
            assert!(
                error.starts_with("--proxy web-2.shop: no such Pod in the files; did you mean web-1.shop?"),
                "{error}"
            );
            assert!(error.contains("--metadata 'LABELS={\"app\":\"web\"}' (LABELS={} for none)"), "{error}");
        }
    }
}
