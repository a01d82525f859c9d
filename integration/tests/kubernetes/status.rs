//! The status that the control plane writes into the objects of a real API server.

mod conditions;
mod faults;
mod proxies;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use integration::{control_plane::ControlPlane, outside, outside::Program, wait};
use k8s_openapi::api::{coordination::v1::Lease, events::v1::Event};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};

use crate::{
    permissions::{USER, binding, documented},
    world::{NAMESPACE, World, definition, istio, service},
};

const SYSTEM: &str = "istio-system";
/// What rests, is paced and is retried takes longer than what is done at once.
const WITHIN: Duration = Duration::from_secs(60);

/// A cluster with the shipped definitions and a Service `web`, and a control plane with the documented permissions that
/// is not started yet.
async fn prepare(name: &str, more: &[Program]) -> Result<Option<World>> {
    let Some(mut world) = World::prepare(name, more).await? else { return Ok(None) };
    world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})).await?;
    for file in ["virtualservices", "destinationrules", "serviceentries"] {
        let file = outside::repository().join(format!("manifests/crds/networking.istio.io_{file}.yaml"));
        world.apply(serde_saphyr::from_str(&std::fs::read_to_string(&file)?)?).await?;
    }
    // Of a kind that is not in force yet, with a list of conditions that is one value, as Istio has it.
    let mut policies = definition("security.istio.io", "AuthorizationPolicy", "authorizationpolicies", "v1");
    policies["spec"]["versions"][0]["subresources"] = json!({"status": {}});
    world.apply(policies).await?;
    world.apply(service("web", 80)).await?;
    let [everywhere, in_system] = documented()?;
    for object in [&everywhere, &in_system, &binding("ClusterRole", &everywhere), &binding("Role", &in_system)] {
        world.apply(object.clone()).await?;
    }
    world.become_user(USER)?;
    Ok(Some(world))
}

/// A route for host `web` that is right.
fn good(name: &str) -> Value {
    route(name, json!({"route": [{"destination": {"host": "web"}}]}))
}

/// One with a pattern that API servers let pass.
fn broken(name: &str) -> Value {
    let pattern = json!([{"uri": {"regex": "("}}]);
    route(name, json!({"match": pattern, "route": [{"destination": {"host": "web"}}]}))
}

fn route(name: &str, rule: Value) -> Value {
    istio("VirtualService", name, json!({"hosts": [format!("{name}.example.com")], "http": [rule]}))
}

fn api(world: &World, kind: &str) -> Api<DynamicObject> {
    let group = if kind == "AuthorizationPolicy" { "security.istio.io" } else { "networking.istio.io" };
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, "v1", kind));
    Api::namespaced_with(world.client.clone(), NAMESPACE, &resource)
}

/// An object as it stands.
async fn read(world: &World, kind: &str, name: &str) -> Result<DynamicObject> {
    Ok(api(world, kind).get(name).await?)
}

/// One condition of an object, as `STATUS REASON GENERATION MESSAGE`.
fn condition(object: &DynamicObject, name: &str) -> Option<String> {
    let conditions = object.data["status"]["conditions"].as_array()?;
    let of = conditions.iter().find(|condition| condition["type"] == name)?;
    let text = |field: &str| of[field].as_str().unwrap_or_default().to_owned();
    Some(format!("{} {} {} {}", text("status"), text("reason"), of["observedGeneration"], text("message")))
}

/// An object, as soon as its condition begins as it should.
async fn until(world: &World, kind: &str, name: &str, aspect: &str, beginning: &str) -> Result<DynamicObject> {
    wait::until_within(WITHIN, &format!("{kind} {name} {aspect} {beginning:?}"), async || {
        let object = read(world, kind, name).await?;
        let found = condition(&object, aspect).unwrap_or_default();
        ensure!(found.starts_with(beginning), "{found:?}; {}", object.data["status"]);
        Ok(object)
    })
    .await
}

/// The writes of status that a control plane has made.
async fn writes(control_plane: &ControlPlane) -> Result<f64> {
    let metrics = control_plane.metrics().await?;
    let written = metrics.named("mainsheet_status_writes").filter(|(sample, _)| sample.contains("\"written\""));
    Ok(written.map(|(_, count)| count).sum())
}

async fn leads(control_plane: &ControlPlane) -> Result<bool> {
    Ok(control_plane.metrics().await?.sum("mainsheet_leader") > 0.0)
}

async fn until_it_leads(control_plane: &ControlPlane, within: Duration) -> Result<()> {
    wait::until_within(within, "the control plane to lead", async || {
        ensure!(leads(control_plane).await?, "it does not");
        Ok(())
    })
    .await
}

async fn lease_holder(world: &World) -> Result<Option<String>> {
    let leases: Api<Lease> = Api::namespaced(world.client.clone(), SYSTEM);
    let spec = leases.get("mainsheet-leader").await?.spec.context("a Lease without content")?;
    Ok(spec.holder_identity.filter(|holder| !holder.is_empty()))
}

/// The events about an object, as `TYPE REASON COUNT`.
async fn events(world: &World, name: &str) -> Result<Vec<String>> {
    let api: Api<Event> = Api::namespaced(world.client.clone(), NAMESPACE);
    let list = api.list(&ListParams::default()).await?.items.into_iter();
    let about = |event: &Event| event.regarding.as_ref().is_some_and(|of| of.name.as_deref() == Some(name));
    let text = |event: Event| {
        let count = event.series.map_or(1, |series| series.count);
        format!("{} {} {count}", event.type_.unwrap_or_default(), event.reason.unwrap_or_default())
    };
    let mut found: Vec<String> = list.filter(about).map(text).collect();
    found.sort();
    Ok(found)
}
