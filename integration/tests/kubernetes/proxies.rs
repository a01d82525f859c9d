//! From an object in the API server to what a real Envoy does.

use anyhow::Result;
use integration::{app::App, envoy::Protocol, mesh::Caller, outside::Program};
use serde_json::{Value, json};

use crate::{
    stage::{call, entry, subsets, until_answered},
    world::{World, istio},
};

const HOST: &str = "web.example.com";

fn route(version: &str) -> Value {
    let destination = json!({"host": HOST, "subset": version});
    istio("VirtualService", "web", json!({"hosts": [HOST], "http": [{"route": [{"destination": destination}]}]}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_in_the_cluster_moves_the_requests_of_an_envoy() -> Result<()> {
    let name = "an_edit_in_the_cluster_moves_the_requests_of_an_envoy";
    let Some(mut world) = World::prepare(name, &[Program::Envoy, Program::Agent]).await? else { return Ok(()) };
    world.define(&["ServiceEntry", "VirtualService", "DestinationRule"]).await?;
    let (one, two) =
        (App::start("web-1", "v1", world.home.at(0)).await?, App::start("web-2", "v2", world.home.at(0)).await?);
    world.apply(entry("web", HOST, &[&one, &two])).await?;
    world.apply(subsets("web", HOST, &["v1", "v2"])).await?;
    world.apply(route("v1")).await?;
    world.control_plane.restart().await?;
    let caller =
        Caller::start("caller-v1", &[world.control_plane.xds()], Protocol::Delta, world.directory.path()).await?;
    let answers = async |app: &App| {
        let before = app.requests();
        until_answered(&caller, &call(HOST, "/"), |_| app.requests() > before).await
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
