//! Objects that come, change, go, or are wrong.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::world::{NAMESPACE, World, definition, host, istio, networking, pod, route, service, slice};

/// What each kind of Istio is first, and what it becomes.
fn of_istio() -> [(&'static str, &'static str, Value, Value); 5] {
    let entry = |port: u16| json!({"hosts": ["out.example.com"], "ports": [{"number": port, "name": "http", "protocol": "HTTP"}], "resolution": "DNS"});
    [
        ("ServiceEntry", "serviceentries", entry(80), entry(81)),
        ("WorkloadEntry", "workloadentries", json!({"address": "10.9.0.1"}), json!({"address": "10.9.0.2"})),
        (
            "VirtualService",
            "virtualservices",
            route("one", "web")["spec"].clone(),
            route("one", "cart")["spec"].clone(),
        ),
        (
            "DestinationRule",
            "destinationrules",
            json!({"host": "web"}),
            json!({"host": "web", "subsets": [{"name": "v1", "labels": {"version": "v1"}}]}),
        ),
        ("Sidecar", "sidecars", json!({"egress": [{"hosts": ["./*"]}]}), json!({"egress": [{"hosts": ["*/*"]}]})),
    ]
}

#[tokio::test]
async fn objects_of_every_kind_come_change_and_go() -> Result<()> {
    let Some(mut world) = World::prepare("objects_of_every_kind_come_change_and_go", &[]).await? else { return Ok(()) };
    for (kind, plural, ..) in of_istio() {
        world.apply(networking(kind, plural)).await?;
    }
    // One of each is there before the control plane, and one comes after.
    world.apply(service("early", 80)).await?;
    for (kind, _, first, _) in of_istio() {
        world.apply(istio(kind, "early", first)).await?;
    }
    world.control_plane.restart().await?;
    let held = world.held().await?;
    ensure!(held.port(&host("early")) == Some(80), "{held:#?}");
    for (kind, ..) in of_istio() {
        ensure!(held.generation(kind, "early") == Some(Some(1)), "{kind}: {held:#?}");
    }
    for (kind, _, first, second) in of_istio() {
        world.apply(istio(kind, "late", first.clone())).await?;
        world.until(&format!("{kind} to come"), |held| held.generation(kind, "late") == Some(Some(1))).await?;
        world.apply(istio(kind, "late", second)).await?;
        world.until(&format!("{kind} to change"), |held| held.generation(kind, "late") == Some(Some(2))).await?;
        world.delete(istio(kind, "late", json!({}))).await?;
        world.until(&format!("{kind} to go"), |held| !held.has(kind, "late")).await?;
    }
    of_kubernetes(&world).await
}

async fn of_kubernetes(world: &World) -> Result<()> {
    world.apply(service("late", 80)).await?;
    world.until("the Service to come", |held| held.port(&host("late")) == Some(80)).await?;
    world.apply(service("late", 81)).await?;
    world.until("the Service to change", |held| held.port(&host("late")) == Some(81)).await?;
    world.apply(pod("late-1", "v1")).await?;
    world.apply(slice("late", &[("10.1.0.1", "late-1")])).await?;
    world.until("the endpoint to come", |held| held.endpoints("late") == ["10.1.0.1:8080 v1"]).await?;
    world.apply(pod("late-1", "v2")).await?;
    world.until("the Pod to change", |held| held.endpoints("late") == ["10.1.0.1:8080 v2"]).await?;
    world.apply(slice("late", &[("10.1.0.2", "late-1")])).await?;
    world.until("the endpoint to change", |held| held.endpoints("late") == ["10.1.0.2:8080 v2"]).await?;
    world.delete(slice("late", &[])).await?;
    world.until("the endpoint to go", |held| held.endpoints("late").is_empty()).await?;
    world.delete(pod("late-1", "v2")).await?;
    world.until("the Pod to go", |held| !held.has("Pod", "late-1")).await?;
    world.delete(service("late", 81)).await?;
    world.until("the Service to go", |held| !held.has("Service", "late")).await?;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}});
    world.apply(node.clone()).await?;
    world.until("the Node to come", |held| held.has("Node", "n1")).await?;
    world.delete(node).await?;
    world.until("the Node to go", |held| !held.has("Node", "n1")).await?;
    // Without controllers a Namespace does not go.
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    world.apply(namespace("istio-system")).await?;
    world.until("the Namespace to come", |held| held.has("Namespace", "istio-system")).await?;
    mesh_config(world).await
}

/// Only one ConfigMap counts; that it was read shows in what is wrong with it.
async fn mesh_config(world: &World) -> Result<()> {
    let map = |name: &str, option: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": "istio-system"},
            "data": {"mesh": format!("{option}: true\n")},
        })
    };
    let problem = "MS0209 ConfigMap istio-system/istio data.mesh.noSuchOption".to_owned();
    world.apply(map("other", "noSuchOption")).await?;
    world.apply(map("istio", "noSuchOption")).await?;
    let held = world.until("the ConfigMap to come", |held| held.problems().contains(&problem)).await?;
    ensure!(!held.problems().iter().any(|problem| problem.contains("istio-system/other")), "{held:#?}");
    world.delete(map("istio", "")).await?;
    world.until("the ConfigMap to go", |held| !held.problems().contains(&problem)).await?;
    Ok(())
}

#[tokio::test]
async fn a_broken_object_keeps_its_last_good_form() -> Result<()> {
    let Some(mut world) = World::prepare("a_broken_object_keeps_its_last_good_form", &[]).await? else { return Ok(()) };
    world.apply(networking("VirtualService", "virtualservices")).await?;
    world.apply(service("web", 80)).await?;
    world.apply(route("web", "web")).await?;
    world.control_plane.restart().await?;
    ensure!(world.held().await?.generation("VirtualService", "web") == Some(Some(1)));
    let misprint = json!({"hosts": ["web"], "http": [{"route": [{"destinaton": {"host": "web"}}]}]});
    world.apply(istio("VirtualService", "web", misprint)).await?;
    let problem = "MS0201 VirtualService default/web spec.http[0].route[0].destinaton".to_owned();
    let held = world.until("the misprint to be said", |held| held.problems().contains(&problem)).await?;
    ensure!(held.generation("VirtualService", "web") == Some(Some(1)), "{held:#?}");
    world.apply(route("web", "web")).await?;
    world.until("the mended form", |held| held.generation("VirtualService", "web") == Some(Some(3))).await?;
    world.until("nothing to be wrong", |held| !held.problems().contains(&problem)).await?;
    Ok(())
}

#[tokio::test]
async fn definitions_come_late_in_any_version_and_go() -> Result<()> {
    let Some(mut world) = World::prepare("definitions_come_late_in_any_version_and_go", &[]).await? else {
        return Ok(());
    };
    // None of Istio's kinds is there, and that is no reason to wait.
    world.control_plane.restart().await?;
    let old = |kind: &str, plural: &str| definition("networking.istio.io", kind, plural, "v1alpha3");
    let in_old = |mut object: Value| {
        object["apiVersion"] = "networking.istio.io/v1alpha3".into();
        object
    };
    world.apply(old("VirtualService", "virtualservices")).await?;
    world.apply(in_old(route("web", "web"))).await?;
    world.until("the VirtualService to come", |held| held.has("VirtualService", "web")).await?;
    // What is not in force yet is said to be not in force.
    let policies = definition("security.istio.io", "AuthorizationPolicy", "authorizationpolicies", "v1");
    world.apply(policies).await?;
    world
        .apply(json!({
            "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
            "metadata": {"name": "deny", "namespace": NAMESPACE}, "spec": {},
        }))
        .await?;
    let policy = "AuthorizationPolicy default/deny";
    world.until("the policy to be mentioned", |held| held.problems().iter().any(|of| of.contains(policy))).await?;
    world.delete(old("VirtualService", "virtualservices")).await?;
    world.until("the VirtualService to go", |held| !held.has("VirtualService", "web")).await?;
    world.apply(networking("VirtualService", "virtualservices")).await?;
    world.apply(route("again", "web")).await?;
    world.until("the next VirtualService", |held| held.has("VirtualService", "again")).await?;
    Ok(())
}

/// Row 21: a slice that is before its Pods waits for them, and not for ever; what never comes is counted and said.
#[tokio::test]
async fn a_slice_waits_for_its_pod() -> Result<()> {
    let Some(mut world) = World::prepare("a_slice_waits_for_its_pod", &[]).await? else { return Ok(()) };
    world.apply(service("web", 80)).await?;
    world.apply(pod("web-1", "v1")).await?;
    world.apply(slice("web", &[("10.1.0.1", "web-1")])).await?;
    world.control_plane.restart().await?;
    ensure!(world.held().await?.endpoints("web") == ["10.1.0.1:8080 v1"]);
    world.apply(slice("web", &[("10.1.0.1", "web-1"), ("10.1.0.2", "web-2")])).await?;
    // A later change of another object is in force, so the slice has come.
    world.apply(service("marker", 80)).await?;
    let held = world.until("a later change", |held| held.has("Service", "marker")).await?;
    ensure!(held.endpoints("web") == ["10.1.0.1:8080 v1"], "{held:#?}");
    world.apply(pod("web-2", "v2")).await?;
    let both = ["10.1.0.1:8080 v1", "10.1.0.2:8080 v2"];
    world.until("both endpoints, with their labels", |held| held.endpoints("web") == both).await?;
    // What the slice does not name any more does not wait for what it names in addition.
    world.apply(slice("web", &[("10.1.0.2", "web-2"), ("10.1.0.4", "late")])).await?;
    world.until("the endpoint to go at once", |held| held.endpoints("web") == ["10.1.0.2:8080 v2"]).await?;
    // A Pod that never comes is not waited for longer than it takes.
    world.apply(slice("web", &[("10.1.0.3", "ghost")])).await?;
    world.until("the endpoint without a Pod", |held| held.endpoints("web") == ["10.1.0.3:8080 -"]).await?;
    let problem = "MS0519 EndpointSlice default/web-1 endpoints".to_owned();
    world.until("the Pod to be missed", |held| held.problems().contains(&problem)).await?;
    let metrics = world.control_plane.metrics().await?;
    ensure!(
        metrics.named("mainsheet_problems").any(|(of, count)| of.contains("warning") && count >= 1.0),
        "{metrics:?}"
    );
    Ok(())
}
