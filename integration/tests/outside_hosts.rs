//! Hosts outside the mesh: those that are registered, and those that are not.

use anyhow::{Result, ensure};
use integration::{
    app::App,
    client::{self, Call},
    mesh::Mesh,
    scenario::Scenario,
};

const REGISTRY_ONLY: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: istio, namespace: istio-system}
data:
  mesh: |
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
";

fn call() -> Call {
    Call::get("api.example.com:8081", "/v1")
}

/// A ServiceEntry for `api.example.com` on port 8081 that leads to `app`, named as `address`.
fn entry(app: &App, address: &str, resolution: &str) -> String {
    let port = app.address().port();
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: outside, namespace: default}}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  resolution: {resolution}
  ports: [{{number: 8081, name: http, protocol: HTTP}}]
  endpoints: [{{address: {address}, ports: {{http: {port}}}}}]
"
    )
}

async fn outside(address: std::net::SocketAddr) -> Result<App> {
    App::start("outside", "v1", address).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_outside_host_with_an_address_is_reached() -> Result<()> {
    Scenario::reviews("a_registered_outside_host_with_an_address_is_reached", &["v2"])
        .run(async |mesh| {
            let app = outside(mesh.home().at(0)).await?;
            mesh.apply("outside.yaml", &entry(&app, &app.address().ip().to_string(), "STATIC"))?;
            mesh.eventually_only("v1", &call()).await?;
            let seen = app.recorded().pop().and_then(|request| request.headers.get("host").cloned());
            ensure!(seen.as_deref() == Some("api.example.com:8081"), "{seen:?}");
            mesh.eventually_only("v2", &Call::get("reviews:9080", "/")).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registered_outside_host_is_resolved_by_name() -> Result<()> {
    Scenario::reviews("a_registered_outside_host_is_resolved_by_name", &["v2"])
        .run(async |mesh| {
            let app = outside(std::net::SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            mesh.apply("outside.yaml", &entry(&app, "localhost", "DNS"))?;
            mesh.eventually_only("v1", &call()).await?;
            mesh.eventually_only("v2", &Call::get("reviews:9080", "/")).await
        })
        .await
}

/// Unknown hosts are answered 502 by Envoy itself, known ones as ever.
async fn ensure_closed(mesh: &Mesh) -> Result<()> {
    let unknown = Call::get("unknown.example:9080", "/");
    mesh.eventually("unknown hosts to be blocked", &unknown, |tally| tally.status(502) == tally.total()).await?;
    let listener = mesh.caller()?.outbound(9080);
    let answer = client::send(listener, &unknown).await?;
    ensure!(answer.body.is_empty() && answer.header("x-app").is_empty(), "{answer:?}");
    mesh.run(&Call::get("reviews:9080", "/"), 20).await?.ensure_only("v2")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registry_only_for_the_mesh_blocks_unknown_hosts() -> Result<()> {
    Scenario::reviews("registry_only_for_the_mesh_blocks_unknown_hosts", &["v2"])
        .file("mesh.yaml", REGISTRY_ONLY)
        .run(async |mesh| {
            ensure_closed(mesh).await?;
            let app = outside(mesh.home().at(0)).await?;
            mesh.apply("outside.yaml", &entry(&app, &app.address().ip().to_string(), "STATIC"))?;
            mesh.eventually_only("v1", &call()).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn registry_only_for_one_workload_blocks_its_unknown_hosts() -> Result<()> {
    let sidecar = "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: productpage, namespace: default}
spec:
  workloadSelector: {labels: {app: productpage}}
  outboundTrafficPolicy: {mode: REGISTRY_ONLY}
  egress: [{hosts: [./*]}]
";
    Scenario::reviews("registry_only_for_one_workload_blocks_its_unknown_hosts", &["v2"])
        .run(async |mesh| {
            mesh.apply("sidecar.yaml", sidecar)?;
            ensure_closed(mesh).await
        })
        .await
}
