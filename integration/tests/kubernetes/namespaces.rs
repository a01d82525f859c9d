//! Namespaces that are deleted while others refer to what is in them, or never come to their end.

use anyhow::{Context, Result, ensure};
use integration::{app::App, envoy::Protocol, mesh::Caller, outside::Program, wait};
use k8s_openapi::api::core::v1::{Namespace, Service};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams},
};
use serde_json::{Value, json};

use crate::{
    stage::{call, entry, load, send, subsets, until_answered},
    world::{World, istio, route, service},
};

const HOST: &str = "web.example.com";
const DOOMED_HOST: &str = "back.example.com";
const DOOMED: &str = "doomed";

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn within(namespace: &str, mut object: Value) -> Value {
    object["metadata"]["namespace"] = namespace.into();
    object
}

/// Deletes a namespace and, as its controller does, what is in it, then lets it go.
async fn delete_namespace(world: &World, name: &str, objects: &[Value]) -> Result<()> {
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete(name, &DeleteParams::default()).await?;
    for object in objects {
        world.delete(object.clone()).await?;
    }
    finalize(&world.client, name).await?;
    wait::until("the namespace to be gone", async || {
        ensure!(namespaces.get_opt(name).await?.is_none(), "it is there");
        Ok(())
    })
    .await
}

async fn finalize(client: &Client, name: &str) -> Result<()> {
    let mut body = namespace(name);
    body["spec"] = json!({"finalizers": []});
    let request = http::Request::put(format!("/api/v1/namespaces/{name}/finalize"))
        .header("content-type", "application/json")
        .body(serde_json::to_vec(&body)?)?;
    client.request::<Value>(request).await.context("finalize")?;
    Ok(())
}

/// Row 18: what led into a namespace that is deleted goes in an order that Envoys can follow, and nothing else is disturbed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_deleted_takes_only_its_own_routes_with_it() -> Result<()> {
    let name = "a_namespace_that_is_deleted_takes_only_its_own_routes_with_it";
    let Some(mut world) = World::prepare(name, &[Program::Envoy, Program::Agent]).await? else { return Ok(()) };
    world.define(&["ServiceEntry", "VirtualService", "DestinationRule"]).await?;
    let (web, back) =
        (App::start("web-1", "v1", world.home.at(0)).await?, App::start("back-1", "v9", world.home.at(0)).await?);
    let destination = json!({"host": DOOMED_HOST, "subset": "v9"});
    let rules = json!([
        {"match": [{"uri": {"prefix": "/back"}}], "route": [{"destination": destination}]},
        {"route": [{"destination": {"host": HOST}}]},
    ]);
    world.apply(entry("web", HOST, &[&web])).await?;
    world.apply(istio("VirtualService", "web", json!({"hosts": [HOST], "http": rules}))).await?;
    world.control_plane.restart().await?;
    let xds = [world.control_plane.xds()];
    let callers = [
        Caller::start("delta-1", &xds, Protocol::Delta, world.directory.path()).await?,
        Caller::start("sotw-1", &xds, Protocol::Sotw, world.directory.path()).await?,
    ];
    let loads: Vec<_> = callers.iter().map(|caller| load(caller, &call(HOST, "/")).connections(2).start(100)).collect();
    let parts =
        [within(DOOMED, entry("back", DOOMED_HOST, &[&back])), within(DOOMED, subsets("back", DOOMED_HOST, &["v9"]))];
    // The controller minds no order among kinds, so both are tried.
    for order in [[0, 1], [1, 0]] {
        world.apply(namespace(DOOMED)).await?;
        for part in &parts {
            world.apply(part.clone()).await?;
        }
        for caller in &callers {
            until_answered(caller, &call(HOST, "/back"), |answer| answer.header("x-app") == "back-1").await?;
        }
        delete_namespace(&world, DOOMED, &order.map(|place: usize| parts[place].clone())).await?;
        for caller in &callers {
            wait::until("the clusters to be gone", async || {
                let clusters = caller.envoy().clusters().await?.to_string();
                ensure!(!clusters.contains(DOOMED_HOST), "{clusters}");
                Ok(())
            })
            .await?;
            let answer = send(caller, &call(HOST, "/back")).await?;
            ensure!(answer.status == 503, "{}: {}", answer.status, answer.text());
        }
    }
    for load in loads {
        load.stop().await.ensure_only("v1")?;
    }
    for caller in &callers {
        caller.ensure_nothing_refused().await?;
    }
    Ok(())
}

/// Row 19: a namespace that never comes to its end holds nobody up: what is left in it stays in force, all else is followed,
/// and a control plane that starts meanwhile gets ready.
#[tokio::test]
async fn a_namespace_that_is_stuck_holds_nobody_up() -> Result<()> {
    let Some(mut world) = World::prepare("a_namespace_that_is_stuck_holds_nobody_up", &[]).await? else {
        return Ok(());
    };
    world.define(&["VirtualService"]).await?;
    world.apply(namespace("stuck")).await?;
    let mut kept = within("stuck", service("kept", 80));
    kept["metadata"]["finalizers"] = json!(["example.com/never"]);
    for object in [
        kept.clone(),
        within("stuck", service("gone", 80)),
        service("web", 80),
        route("web", "kept.stuck.svc.cluster.local"),
    ] {
        world.apply(object).await?;
    }
    world.control_plane.restart().await?;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    namespaces.delete("stuck", &DeleteParams::default()).await?;
    world.delete(kept.clone()).await?;
    world.delete(within("stuck", service("gone", 80))).await?;
    let host = "kept.stuck.svc.cluster.local";
    let is_so = |held: &crate::world::Held| !held.has("Service", "gone") && held.port(host) == Some(80);
    world.until("what can go to be gone", is_so).await?;
    ensure!(namespaces.get("stuck").await?.status.and_then(|status| status.phase).as_deref() == Some("Terminating"));

    world.apply(service("elsewhere", 80)).await?;
    world.until("a change elsewhere", |held| held.has("Service", "elsewhere")).await?;
    let services: Api<Service> = Api::namespaced(world.client.clone(), "stuck");
    let refused = world.try_to_apply(&within("stuck", service("late", 80))).await;
    ensure!(refused.is_err(), "something new in a namespace that is being deleted");
    kept["spec"]["ports"] = json!([{"name": "http", "port": 81}]);
    world.apply(kept.clone()).await?;
    world.until("a change of what is left there", |held| held.port(host) == Some(81)).await?;
    world.control_plane.restart().await?;
    ensure!(world.held().await?.port(host) == Some(81));

    // It comes unstuck.
    kept["metadata"]["finalizers"] = json!([]);
    world.apply(kept).await?;
    world.until("the last of it to go", |held| held.port(host).is_none()).await?;
    ensure!(services.list(&ListParams::default()).await?.items.is_empty());
    finalize(&world.client, "stuck").await?;
    world.until("the namespace to go", |held| !held.has("Namespace", "stuck")).await?;
    Ok(())
}
