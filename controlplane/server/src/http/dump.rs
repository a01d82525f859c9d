//! What a proxy is to hold, in the shape of Envoy's own `/config_dump`.

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use mesh::snapshot::{Resource, Snapshot};
use proto::ResourceType;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Sources, sight::Sight};
use crate::ads::{Proxies, Proxy};

/// Most proxies of one name that are named.
const MEANT_MAX: usize = 5;

#[derive(Debug, Deserialize)]
pub(super) struct Selection {
    #[serde(rename = "proxyID")]
    proxy_id: Option<String>,
    types: Option<String>,
}

pub(super) async fn config_dump(
    State(sources): State<Sources>,
    Extension(sight): Extension<Sight>,
    Query(selection): Query<Selection>,
) -> Response {
    let Some(name) = &selection.proxy_id else {
        return (StatusCode::BAD_REQUEST, "name a proxy: ?proxyID=POD.NAMESPACE\n").into_response();
    };
    let proxy = match find(&sources.proxies, name, &sight) {
        Ok(proxy) => proxy,
        Err(refusal) => return refusal.into_response(),
    };
    let mut kinds = Vec::new();
    for name in selection.types.iter().flat_map(|types| types.split(',')) {
        match ResourceType::from_short_name(name) {
            Some(kind) => kinds.push(kind),
            None => return (StatusCode::BAD_REQUEST, "types are cds, eds, lds, rds, sds and ecds\n").into_response(),
        }
    }
    if kinds.is_empty() {
        kinds.extend(ResourceType::ALL);
    }
    let Some(target) = proxy.state().target else {
        return (StatusCode::SERVICE_UNAVAILABLE, "nothing was compiled for this proxy yet\n").into_response();
    };
    // A large mesh takes a while to write; the threads that serve proxies must not wait for it.
    match tokio::task::spawn_blocking(move || dump(&target, &kinds)).await {
        Ok(dump) => Json(dump).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The proxy of this node id or name; the namespace may be left out where one proxy alone has the name. Of proxies out of
/// sight nothing is said, not even that they are there.
fn find(proxies: &Proxies, name: &str, sight: &Sight) -> Result<Arc<Proxy>, (StatusCode, String)> {
    if let Some(proxy) = proxies.find(name).filter(|proxy| sight.has_proxy(proxy)) {
        return Ok(proxy);
    }
    let is_meant = |proxy: &Arc<Proxy>| {
        sight.has_proxy(proxy) && proxy.name().rsplit_once('.').is_some_and(|(pod, _)| pod == name)
    };
    let mut meant: Vec<Arc<Proxy>> = proxies.list().into_iter().filter(is_meant).collect();
    meant.sort_by(|a, b| a.name().cmp(b.name()));
    meant.dedup_by(|a, b| a.name() == b.name());
    match meant.as_slice() {
        [] => Err((
            StatusCode::NOT_FOUND,
            "no such proxy is connected; /debug/syncz and `mainsheet status` list those that are and that you may see\n".to_owned(),
        )),
        [only] => Ok(Arc::clone(only)),
        several => {
            let names: Vec<&str> = several.iter().take(MEANT_MAX).map(|proxy| proxy.name()).collect();
            Err((StatusCode::CONFLICT, format!("several proxies have this name; write {}\n", names.join(" or "))))
        }
    }
}

fn dump(snapshot: &Snapshot, kinds: &[ResourceType]) -> Value {
    let configs: Vec<Value> = kinds
        .iter()
        .filter(|kind| !snapshot.of(**kind).is_empty())
        .map(|kind| {
            let (dump, list, field) = shape(*kind);
            let items: Vec<Value> = snapshot.of(*kind).iter().map(|resource| item(*kind, field, resource)).collect();
            json!({"@type": format!("type.googleapis.com/envoy.admin.v3.{dump}"), list: items})
        })
        .collect();
    json!({"configs": configs})
}

/// The message of Envoy's dump for a type, its list, and the field of an item that holds the resource.
fn shape(kind: ResourceType) -> (&'static str, &'static str, &'static str) {
    match kind {
        ResourceType::Cluster => ("ClustersConfigDump", "dynamic_active_clusters", "cluster"),
        ResourceType::Endpoint => ("EndpointsConfigDump", "dynamic_endpoint_configs", "endpoint_config"),
        ResourceType::Listener => ("ListenersConfigDump", "dynamic_listeners", "listener"),
        ResourceType::Route => ("RoutesConfigDump", "dynamic_route_configs", "route_config"),
        ResourceType::Secret => ("SecretsConfigDump", "dynamic_active_secrets", "secret"),
        ResourceType::ExtensionConfig => ("EcdsConfigDump", "ecds_filters", "ecds_filter"),
    }
}

fn item(kind: ResourceType, field: &str, resource: &Resource) -> Value {
    // Private keys are nobody's to read.
    let content = if kind == ResourceType::Secret {
        json!({"name": &*resource.name})
    } else {
        proto::text::to_json(kind.type_url(), &resource.message()).unwrap_or_else(|error| json!(error.to_string()))
    };
    match kind {
        ResourceType::Listener => json!({
            "name": &*resource.name,
            "active_state": {"version_info": resource.version.to_string(), field: content},
        }),
        ResourceType::Cluster
        | ResourceType::Endpoint
        | ResourceType::Route
        | ResourceType::Secret
        | ResourceType::ExtensionConfig => json!({"version_info": resource.version.to_string(), field: content}),
    }
}
