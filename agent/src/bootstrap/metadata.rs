//! Node metadata: what the user gives, and what follows from the node id.

use serde_json::{Map, Value};

use super::node::NodeId;

/// Longest key and value, in bytes: the control plane keeps them for each proxy.
const KEY_LEN_MAX: usize = 256;
const VALUE_LEN_MAX: usize = 64 * 1024;

/// The key whose value is JSON inside a string, by Istio's convention.
const JSON_AS_STRING: &str = "POD_PORTS";

/// Values of `INTERCEPTION_MODE`; the control plane would take any other for the first.
const INTERCEPTION_MODES: [&str; 3] = ["REDIRECT", "TPROXY", "NONE"];

/// One `KEY=VALUE`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    key: String,
    value: Value,
}

impl Entry {
    /// Parses `KEY=VALUE`. Objects and lists are read as JSON; numbers and booleans stay strings, as Istio's agent sends them.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| format!("`{text}` has no value; write KEY=VALUE, as in INTERCEPTION_MODE=NONE"))?;
        if key.is_empty() || key.len() > KEY_LEN_MAX {
            return Err(format!("the key must have 1 to {KEY_LEN_MAX} bytes; write KEY=VALUE, as in NETWORK=east"));
        }
        if value.len() > VALUE_LEN_MAX {
            return Err(format!("the value of {key} has {} bytes, at most {VALUE_LEN_MAX} are allowed", value.len()));
        }
        if key == "INTERCEPTION_MODE" && !INTERCEPTION_MODES.contains(&value) {
            return Err(format!("`{value}` is not an {key}; use one of: {}", INTERCEPTION_MODES.join(", ")));
        }
        let structured = value.starts_with(['{', '[']) && key != JSON_AS_STRING;
        let value = if structured {
            serde_json::from_str(value).map_err(|error| {
                format!(
                    "the value of {key} is not JSON ({error}); quote keys and strings, as in LABELS={{\"app\":\"web\"}}"
                )
            })?
        } else {
            Value::String(value.to_owned())
        };
        Ok(Self { key: key.to_owned(), value })
    }
}

/// The metadata of a node: what is given wins over what follows from the id.
pub(super) fn of(id: &NodeId, given: &[Entry]) -> Result<Map<String, Value>, String> {
    let mut metadata = Map::new();
    metadata.insert("NAME".into(), id.pod.as_str().into());
    metadata.insert("NAMESPACE".into(), id.namespace.as_str().into());
    metadata.insert("CLUSTER_ID".into(), "Kubernetes".into());
    metadata.insert("MAINSHEET_VERSION".into(), env!("CARGO_PKG_VERSION").into());
    if let Some(ip) = id.ip {
        metadata.insert("INSTANCE_IPS".into(), ip.to_string().into());
    }
    let mut seen: Vec<&str> = Vec::with_capacity(given.len());
    for entry in given {
        if seen.contains(&entry.key.as_str()) {
            return Err(format!("--metadata {}: given twice; give each key once", entry.key));
        }
        seen.push(&entry.key);
        metadata.insert(entry.key.clone(), entry.value.clone());
    }
    if metadata.get("INSTANCE_IPS").is_none() {
        return Err(format!(
            "--node-id {id}: the proxy has no address; put its IP into the second part, or give --metadata INSTANCE_IPS=IP"
        ));
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entries(texts: &[&str]) -> Vec<Entry> {
        texts.iter().map(|text| Entry::parse(text).unwrap()).collect()
    }

    #[test]
    fn objects_are_json_and_scalars_stay_strings() {
        let given =
            entries(&[r#"LABELS={"app":"web"}"#, "HTTP_PROXY_PORT=15080", "ISTIO_VERSION=1.30", "POD_PORTS=[]"]);
        let id = NodeId::parse("sidecar~10.0.0.1~web.shop~shop.svc.cluster.local").unwrap();
        let metadata = of(&id, &given).unwrap();
        assert_eq!(metadata["LABELS"], json!({"app": "web"}));
        assert_eq!(metadata["HTTP_PROXY_PORT"], json!("15080"));
        assert_eq!(metadata["ISTIO_VERSION"], json!("1.30"));
        assert_eq!(metadata["POD_PORTS"], json!("[]"));
        assert_eq!(metadata["NAMESPACE"], json!("shop"));
        assert_eq!(metadata["INSTANCE_IPS"], json!("10.0.0.1"));
    }

    #[test]
    fn what_is_given_wins() {
        let id = NodeId::parse("sidecar~~web.shop~shop.svc.cluster.local").unwrap();
        assert!(of(&id, &[]).unwrap_err().contains("INSTANCE_IPS=IP"));
        let metadata = of(&id, &entries(&["INSTANCE_IPS=127.0.0.2", "CLUSTER_ID=east"])).unwrap();
        assert_eq!(metadata["INSTANCE_IPS"], json!("127.0.0.2"));
        assert_eq!(metadata["CLUSTER_ID"], json!("east"));
    }

    #[test]
    fn bad_metadata_is_refused_with_a_remedy() {
        assert!(Entry::parse("LABELS").unwrap_err().contains("KEY=VALUE"));
        assert!(Entry::parse("INTERCEPTION_MODE=NONE").is_ok());
        assert!(Entry::parse("INTERCEPTION_MODE=BOGUS").unwrap_err().contains("REDIRECT, TPROXY, NONE"));
        assert!(Entry::parse("=x").unwrap_err().contains("KEY=VALUE"));
        assert!(Entry::parse("LABELS={app:web}").unwrap_err().contains("quote keys"));
        let id = NodeId::parse("sidecar~10.0.0.1~web.shop~shop.svc.cluster.local").unwrap();
        assert!(of(&id, &entries(&["A=1", "A=2"])).unwrap_err().contains("twice"));
    }
}
