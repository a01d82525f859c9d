//! The HTTP port: health, metrics, and what there is to see, by the paths that Istio's tools ask for.
//!
//! It knows no authentication and shows the whole mesh, so it is bound to loopback only. Health alone has a port for everybody.

mod dump;
mod listen;
mod registry;

pub use listen::serve;

use std::{fmt::Write as _, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use mesh::model::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::{
    ads::Proxies,
    dispatch::Handle,
    metrics::{MEDIA_TYPE, Metrics},
    status,
};

/// What the pages read.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The mesh.
    pub dispatch: Handle,
    /// The proxies.
    pub proxies: Arc<Proxies>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// Every problem of the configuration as it stands.
    pub problems: watch::Receiver<Arc<Vec<Problem>>>,
    /// The version of this program.
    pub version: &'static str,
}

/// The pages under `/debug/`, with what they show.
const PAGES: [(&str, &str); 8] = [
    ("syncz", "how far each proxy has followed"),
    ("registryz", "the services of the mesh"),
    ("endpointz", "the endpoints of each service"),
    ("configz", "the objects that are in force, and where they are written"),
    ("config_dump", "what a proxy is to hold: ?proxyID=POD or POD.NAMESPACE, &types=cds,eds,lds,rds"),
    ("push_status", "pushes, viewpoints, and what was compiled and encoded so far"),
    ("problems", "what is wrong with the configuration"),
    ("list", "this list"),
];

/// All pages.
pub fn router(sources: Sources) -> Router {
    let health = health(sources.dispatch.clone());
    Router::new()
        .route("/ready", get(ready).with_state(sources.dispatch.clone()))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .route("/debug/syncz", get(syncz))
        .route("/debug/registryz", get(registryz))
        .route("/debug/endpointz", get(endpointz))
        .route("/debug/configz", get(configz))
        .route("/debug/config_dump", get(dump::config_dump))
        .route("/debug/push_status", get(push_status))
        .route("/debug/problems", get(problems))
        .route("/debug/list", get(list))
        .route("/debug", get(list))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page; /debug/list shows those there are\n") })
        .with_state(sources)
        .merge(health)
}

/// The pages that probes ask for. They show nothing of the mesh, and so may be served to everybody.
///
/// The process is alive while it answers: a restart would bring nothing back that is absent. It is ready when every object was read once.
pub fn health(dispatch: Handle) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(dispatch)
}

#[derive(Debug, Deserialize)]
struct Verbosity {
    verbose: Option<String>,
}

async fn ready(State(dispatch): State<Handle>, Query(query): Query<Verbosity>) -> Response {
    let view = dispatch.view();
    let checks = [("configuration", view.ready, "the configuration was not read whole yet")];
    let status = if checks.iter().all(|(_, ok, _)| *ok) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut text = String::new();
    for (name, ok, reason) in checks {
        let _ = match (ok, &query.verbose) {
            (true, None) => Ok(()),
            (true, Some(_)) => writeln!(text, "[+] {name} ok"),
            (false, _) => writeln!(text, "[-] {name} failed: {reason}"),
        };
    }
    text.push_str(if status == StatusCode::OK { "ready\n" } else { "not ready\n" });
    (status, text).into_response()
}

async fn metrics(State(sources): State<Sources>) -> Response {
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], sources.metrics.text()).into_response()
}

/// Version, revision and status of the build, as Istio writes them; tools cut it at the dashes.
async fn version(State(sources): State<Sources>) -> String {
    format!("{}-mainsheet-Clean", sources.version)
}

async fn syncz(State(sources): State<Sources>) -> Response {
    Json(status::syncz(&sources.proxies)).into_response()
}

async fn registryz(State(sources): State<Sources>) -> Json<Value> {
    Json(registry::services(&sources.dispatch.view().mesh))
}

async fn endpointz(State(sources): State<Sources>) -> Json<Value> {
    Json(registry::endpoints(&sources.dispatch.view().mesh))
}

async fn configz(State(sources): State<Sources>) -> Json<Value> {
    Json(registry::objects(&sources.dispatch.view().mesh))
}

async fn push_status(State(sources): State<Sources>) -> Json<Value> {
    let view = sources.dispatch.view();
    let by_type = |of: &dyn Fn(proto::ResourceType) -> u64| {
        proto::ResourceType::ALL
            .into_iter()
            .map(|kind| (kind.short_name().to_owned(), Value::from(of(kind))))
            .collect::<serde_json::Map<_, _>>()
    };
    Json(json!({
        "ready": view.ready,
        "pushes": view.pushes,
        "viewpoints": view.viewpoints,
        "proxies": sources.proxies.list().len(),
        "compiled": by_type(&|kind| view.counters.compiled(kind)),
        "virtual_hosts": view.counters.virtual_hosts,
        "encoded": by_type(&|kind| view.counters.encodes(kind)),
        "encoded_bytes": by_type(&|kind| view.counters.encoded_bytes(kind)),
        "snapshots_built": view.counters.snapshots_built,
        "snapshots_equal": view.counters.snapshots_equal,
    }))
}

async fn problems(State(sources): State<Sources>) -> Response {
    let problems = Arc::clone(&sources.problems.borrow());
    Json(problems.iter().map(status::ProblemStatus::from).collect::<Vec<_>>()).into_response()
}

async fn list() -> String {
    PAGES.iter().fold(String::new(), |mut text, (page, what)| {
        let _ = writeln!(text, "/debug/{page}: {what}");
        text
    })
}
