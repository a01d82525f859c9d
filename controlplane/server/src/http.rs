//! The HTTP port: health, metrics, and what there is to see, by the paths that Istio's tools ask for.
//!
//! In plain text it asks nobody who they are and shows the whole mesh, so it is bound to loopback only. Over TLS it shows
//! each caller what the caller may see. Health alone has a port for everybody.

mod dump;
mod guard;
mod registry;
mod sight;

use std::{
    fmt::Write as _,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Extension, Json, Router,
    extract::{Query, State},
    http::{StatusCode, header},
    middleware::{from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::get,
};
use mesh::model::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

pub use self::guard::Guard;
use self::sight::Sight;
use crate::{
    ads::Proxies,
    dispatch::Handle,
    metrics::{MEDIA_TYPE, Metrics},
    port::Limits,
    status,
};

/// Where it listens in a pod, over TLS.
pub const ADDRESS_IN_POD: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 15014);
/// What a port with these pages bears.
pub const LIMITS: Limits = Limits {
    name: "the HTTP port",
    // Scrapers, a console and a few people.
    connections_max: 256,
    head_timeout: Duration::from_secs(10),
    // A page that nobody reads would otherwise hold one for ever.
    connection_timeout: Duration::from_secs(300),
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

/// All pages, for whoever reaches them.
pub fn router(sources: Sources) -> Router {
    let health = health(sources.dispatch.clone());
    pages(sources).layer(Extension(Sight::Everything)).merge(health)
}

/// All pages, each for those who may see it.
pub fn guarded(sources: Sources, guard: Guard) -> Router {
    let health = health(sources.dispatch.clone());
    pages(sources).route_layer(from_fn_with_state(Arc::new(guard), guard::admit)).merge(health)
}

fn pages(sources: Sources) -> Router {
    let of_everything = Router::new()
        .route("/metrics", get(metrics))
        .route("/debug/push_status", get(push_status))
        .route_layer(from_fn(sight::of_everything));
    let of_something = Router::new()
        .route("/debug/syncz", get(syncz))
        .route("/debug/registryz", get(registryz))
        .route("/debug/endpointz", get(endpointz))
        .route("/debug/configz", get(configz))
        .route("/debug/config_dump", get(dump::config_dump))
        .route("/debug/problems", get(problems))
        .route_layer(from_fn(sight::of_something));
    Router::new()
        .route("/ready", get(ready).with_state(sources.dispatch.clone()))
        .route("/version", get(version))
        .route("/debug/list", get(list))
        .route("/debug", get(list))
        .merge(of_everything)
        .merge(of_something)
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such page; /debug/list shows those there are\n") })
        .with_state(sources)
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

async fn syncz(State(sources): State<Sources>, Extension(sight): Extension<Sight>) -> Response {
    Json(status::syncz(&sources.proxies, |proxy| sight.has_proxy(proxy))).into_response()
}

async fn registryz(State(sources): State<Sources>, Extension(sight): Extension<Sight>) -> Json<Value> {
    Json(registry::services(&sources.dispatch.view().mesh, &sight))
}

async fn endpointz(State(sources): State<Sources>, Extension(sight): Extension<Sight>) -> Json<Value> {
    Json(registry::endpoints(&sources.dispatch.view().mesh, &sight))
}

async fn configz(State(sources): State<Sources>, Extension(sight): Extension<Sight>) -> Json<Value> {
    Json(registry::objects(&sources.dispatch.view().mesh, &sight))
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

async fn problems(State(sources): State<Sources>, Extension(sight): Extension<Sight>) -> Response {
    let problems = Arc::clone(&sources.problems.borrow());
    let seen = problems.iter().filter(|problem| sight.has_object(&problem.object));
    Json(seen.map(status::ProblemStatus::from).collect::<Vec<_>>()).into_response()
}

async fn list() -> String {
    PAGES.iter().fold(String::new(), |mut text, (page, what)| {
        let _ = writeln!(text, "/debug/{page}: {what}");
        text
    })
}
