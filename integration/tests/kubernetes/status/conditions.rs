//! What is said of objects that are good, broken, or name what is not there.

use anyhow::{Result, ensure};
use integration::wait;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{WITHIN, api, broken, condition, events, good, prepare, read, route, until, until_it_leads, writes};
use crate::world::{NAMESPACE, World};

/// A condition of another controller.
fn ready() -> Value {
    json!({"type": "Ready", "status": "True", "reason": "Other", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

async fn pushes(world: &World) -> Result<Value> {
    Ok(world.control_plane.json("/debug/push_status").await?["pushes"].clone())
}

#[tokio::test]
async fn conditions_say_what_is_so_of_each_object() -> Result<()> {
    let Some(mut world) = prepare("conditions_say_what_is_so_of_each_object", &[]).await? else { return Ok(()) };
    world.apply(good("good")).await?;
    world.apply(broken("broken")).await?;
    world.apply(route("dangling", json!({"route": [{"destination": {"host": "nowhere"}}]}))).await?;
    let policy = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "policy", "namespace": NAMESPACE}, "spec": {},
    });
    world.apply(policy).await?;
    // What others say of it was there first.
    let others = Patch::Merge(json!({"status": {"conditions": [ready()]}}));
    for (kind, name) in [("VirtualService", "good"), ("AuthorizationPolicy", "policy")] {
        api(&world, kind).patch_status(name, &PatchParams::default(), &others).await?;
    }
    world.control_plane.restart().await?;
    let before = pushes(&world).await?;

    let object = until(&world, "VirtualService", "good", "Accepted", "True Accepted 1").await?;
    ensure!(condition(&object, "ResolvedRefs").is_some_and(|of| of.starts_with("True ResolvedRefs 1")));
    ensure!(condition(&object, "Programmed").is_some_and(|of| of.starts_with("Unknown NoProxies 1 0/0 proxies")));
    ensure!(object.data["status"]["conditions"][0] == ready(), "{}", object.data["status"]);
    let object = until(&world, "VirtualService", "broken", "Accepted", "False Invalid 1 nothing of it").await?;
    let said = condition(&object, "Accepted").unwrap_or_default();
    ensure!(said.contains("MS0404 spec.http[0].match[0].uri.regex"), "{said}");
    ensure!(condition(&object, "Programmed").is_some_and(|of| of.starts_with("False NotAccepted 1")));
    let object = until(&world, "VirtualService", "dangling", "ResolvedRefs", "False RefNotFound 1 MS0501").await?;
    ensure!(condition(&object, "Accepted").is_some_and(|of| of.starts_with("True")), "{}", object.data["status"]);
    let object = until(&world, "AuthorizationPolicy", "policy", "Accepted", "False NotInForce 1 MS0303").await?;
    ensure!(object.data["status"]["conditions"][0] == ready(), "{}", object.data["status"]);

    // The next form of an object is judged anew, and the form in force is named.
    world.apply(broken("good")).await?;
    until(&world, "VirtualService", "good", "Accepted", "False Invalid 2 generation 1 stays in force").await?;
    // Written without a difference in meaning, it is another generation all the same.
    world.apply(route("dangling", json!({"route": [{"destination": {"host": "nowhere"}, "weight": 0}]}))).await?;
    until(&world, "VirtualService", "dangling", "ResolvedRefs", "False RefNotFound 2").await?;
    world.apply(route("dangling", json!({"route": [{"destination": {"host": "nowhere"}}]}))).await?;
    until(&world, "VirtualService", "dangling", "ResolvedRefs", "False RefNotFound 3").await?;

    // Our own writes come back by the watches, and nobody is sent anything for them. The two edits were one push each
    // at most.
    let after = pushes(&world).await?;
    let (first, last) = (before.as_u64().unwrap_or_default(), after.as_u64().unwrap_or_default());
    ensure!(first > 0 && last <= first + 2, "{first} pushes, then {last}");
    let written = writes(&world.control_plane).await?;
    ensure!((4.0..=9.0).contains(&written), "{written} writes for four objects and three edits");
    Ok(())
}

#[tokio::test]
async fn repeated_events_are_one_series() -> Result<()> {
    let Some(mut world) = prepare("repeated_events_are_one_series", &[]).await? else { return Ok(()) };
    world.apply(broken("web")).await?;
    world.apply(good("steady")).await?;
    world.control_plane.restart().await?;
    let kind = "VirtualService";
    let first = until(&world, kind, "web", "Accepted", "False Invalid 1").await?;
    world.apply(good("web")).await?;
    let second = until(&world, kind, "web", "Accepted", "True Accepted 2").await?;
    world.apply(broken("web")).await?;
    until(&world, kind, "web", "Accepted", "False Invalid 3 generation 2 stays").await?;
    let since = |object: &kube::api::DynamicObject, at: usize| {
        object.data["status"]["conditions"][at]["lastTransitionTime"].as_str().map(str::to_owned)
    };
    ensure!(since(&first, 0) != since(&second, 0), "the status has changed, and its time has not");
    let expected = ["Normal Accepted 1", "Warning Invalid 2"];
    wait::until_within(WITHIN, "the events", async || {
        let found = events(&world, "web").await?;
        ensure!(found == expected, "{found:?}");
        Ok(())
    })
    .await?;
    // What is as it was said is not written again, whoever leads.
    let version = until(&world, kind, "steady", "Accepted", "True").await?.metadata.resource_version;
    world.control_plane.restart().await?;
    until_it_leads(&world.control_plane, WITHIN).await?;
    world.apply(good("marker")).await?;
    until(&world, kind, "marker", "Accepted", "True").await?;
    ensure!(read(&world, kind, "steady").await?.metadata.resource_version == version, "written again");
    ensure!(events(&world, "web").await? == expected);
    Ok(())
}
