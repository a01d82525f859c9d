//! The real Envoy as a judge: what a proxy would be sent, made static, and validated without starting it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
};

use mainsheet::cli::compile::Compiled;
use proto::ResourceType;
use serde_json::{Value, json};

/// Where the real Envoy is, if there is one; a test that must not skip fails without.
pub(crate) fn find() -> Option<PathBuf> {
    let envoy = std::env::var_os("MAINSHEET_ENVOY").map(PathBuf::from).filter(|path| path.exists());
    let required = std::env::var_os("MAINSHEET_REQUIRE_ENVOY").is_some_and(|value| value == "1");
    assert!(envoy.is_some() || !required, "no Envoy: set MAINSHEET_ENVOY to its path (make envoy fetches it)");
    if envoy.is_none() {
        eprintln!("skipped: no Envoy; set MAINSHEET_ENVOY to its path (make envoy fetches it)");
    }
    envoy
}

/// A bootstrap that holds everything a proxy would be sent.
pub(crate) fn bootstrap(compiled: &Compiled) -> Result<Value, String> {
    let mut endpoints = resources(compiled, ResourceType::Endpoint);
    let routes = resources(compiled, ResourceType::Route);
    let mut clusters = resources(compiled, ResourceType::Cluster);
    for (name, cluster) in &mut clusters {
        fix_cluster(name, cluster, &mut endpoints)?;
    }
    if let Some(name) = endpoints.keys().next() {
        return Err(format!("endpoints {name} belong to no cluster"));
    }
    // The agent that serves certificates.
    clusters.insert("sds-grpc".to_owned(), json!({"name": "sds-grpc", "type": "STATIC"}));
    let mut listeners = resources(compiled, ResourceType::Listener);
    // Listeners of proxyless clients are not Envoy's to open; it takes one such listener at most.
    listeners.retain(|_, listener| listener.get("api_listener").is_none());
    for listener in listeners.values_mut() {
        fix_routes(listener, &routes)?;
    }
    let list = |of: BTreeMap<String, Value>| of.into_values().collect::<Vec<_>>();
    Ok(json!({
        "node": {"id": "golden", "cluster": "golden"},
        "static_resources": {"clusters": list(clusters), "listeners": list(listeners)},
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
            },
        }],
    }))
}

fn resources(compiled: &Compiled, kind: ResourceType) -> BTreeMap<String, Value> {
    let set = compiled.snapshot.of(kind);
    set.iter().map(|resource| (resource.name.to_string(), compiled.resource(kind, resource).unwrap())).collect()
}

/// Gives a cluster that asks for endpoints those that it would be sent.
fn fix_cluster(name: &str, cluster: &mut Value, endpoints: &mut BTreeMap<String, Value>) -> Result<(), String> {
    let fields = cluster.as_object_mut().ok_or_else(|| format!("cluster {name} is no object"))?;
    let Some(eds) = fields.remove("eds_cluster_config") else { return Ok(()) };
    let service = eds.get("service_name").and_then(Value::as_str).unwrap_or(name).to_owned();
    let assignment = endpoints.remove(&service).ok_or_else(|| format!("cluster {name} has no endpoints {service}"))?;
    fields.insert("type".into(), "STATIC".into());
    fields.insert("load_assignment".into(), assignment);
    Ok(())
}

/// Gives every HTTP connection manager that asks for routes those that it would be sent.
fn fix_routes(value: &mut Value, routes: &BTreeMap<String, Value>) -> Result<(), String> {
    match value {
        Value::Object(fields) => {
            if let Some(rds) = fields.remove("rds") {
                let name = rds.get("route_config_name").and_then(Value::as_str).unwrap_or_default();
                let config = routes.get(name).ok_or_else(|| format!("a listener asks for routes {name:?}"))?;
                fields.insert("route_config".into(), config.clone());
            }
            fields.values_mut().try_for_each(|field| fix_routes(field, routes))
        }
        Value::Array(items) => items.iter_mut().try_for_each(|item| fix_routes(item, routes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// What the real Envoy says of a bootstrap, and of deprecated fields in it.
pub(crate) fn validate(envoy: &Path, bootstrap: &Path) -> Result<(), String> {
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--disable-hot-restart", "-l", "warning", "-c"])
        .arg(bootstrap)
        .output()
        .map_err(|error| error.to_string())?;
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    let deprecated = notes.lines().find(|line| line.contains("Deprecated field"));
    match (output.status.success(), deprecated) {
        (true, None) => Ok(()),
        (true, Some(line)) => Err(line.to_owned()),
        (false, _) => Err(notes),
    }
}
