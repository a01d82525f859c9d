//! From an object in the API server to what a real Envoy does.

use anyhow::{Result, ensure};
use integration::{
    app::App,
    client::{Call, send},
    envoy::Protocol,
    mesh::Caller,
    outside::Program,
    wait,
};
use serde_json::{Value, json};

use crate::world::{World, istio, networking};

fn route(version: &str) -> Value {
    let destination = json!({"host": "web.example.com", "subset": version});
    istio(
        "VirtualService",
        "web",
        json!({"hosts": ["web.example.com"], "http": [{"route": [{"destination": destination}]}]}),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_in_the_cluster_moves_the_requests_of_an_envoy() -> Result<()> {
    let name = "an_edit_in_the_cluster_moves_the_requests_of_an_envoy";
    let Some(mut world) = World::prepare(name, &[Program::Envoy, Program::Agent]).await? else { return Ok(()) };
    let kinds = [
        ("ServiceEntry", "serviceentries"),
        ("VirtualService", "virtualservices"),
        ("DestinationRule", "destinationrules"),
    ];
    for (kind, plural) in kinds {
        world.apply(networking(kind, plural)).await?;
    }
    // The API server lets no EndpointSlice name an address of this machine alone; a ServiceEntry may.
    let (one, two) =
        (App::start("web-1", "v1", world.home.at(0)).await?, App::start("web-2", "v2", world.home.at(0)).await?);
    let endpoint = |app: &App| {
        let address = app.address();
        json!({"address": address.ip().to_string(), "ports": {"http": address.port()}, "labels": {"version": app.version()}})
    };
    let ports = json!([{"number": 80, "name": "http", "protocol": "HTTP"}]);
    let entry = json!({
        "hosts": ["web.example.com"], "ports": ports, "resolution": "STATIC", "endpoints": [endpoint(&one), endpoint(&two)],
    });
    world.apply(istio("ServiceEntry", "web", entry)).await?;
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    let rule = json!({"host": "web.example.com", "subsets": [subset("v1"), subset("v2")]});
    world.apply(istio("DestinationRule", "web", rule)).await?;
    world.apply(route("v1")).await?;
    world.control_plane.restart().await?;
    let caller = Caller::start("caller-v1", world.control_plane.xds(), Protocol::Delta, world.directory.path()).await?;
    let call = Call::get("web.example.com", "/").as_to_a_proxy();
    let answers = async |app: &App| {
        let before = app.requests();
        wait::until(&format!("an answer of {}", app.name()), async || {
            let answer = send(caller.http_proxy(), &call).await?;
            ensure!(answer.status == 200 && app.requests() > before, "{}: {}", answer.status, answer.text());
            Ok(())
        })
        .await
    };
    answers(&one).await?;
    world.apply(route("v2")).await?;
    answers(&two).await?;
    // Without its API server the mesh goes on.
    world.server.kill();
    answers(&two).await?;
    world.server.restart().await?;
    world.apply(route("v1")).await?;
    answers(&one).await
}
