//! Kinds that cannot be asked for or change, and objects that are none of their kind.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use http_body_util::BodyExt as _;
use integration::wait;
use kube::client::Body;
use serde_json::json;

use super::{answers::with_between, away::shop, between::Fault, witness::Witness};
use crate::world::{NAMESPACE, World, definition, istio, networking, pod, route, slice};

const SIDECARS: &str = "/customresourcedefinitions/sidecars.networking.istio.io";

/// Row 11: a definition that cannot be read holds no other up, and a new version of one is followed without a byte sent.
/// That definitions may be missing, come late, and go is shown by `objects::definitions_come_late_in_any_version_and_go`.
#[tokio::test]
async fn definitions_that_fail_or_change_their_version_disturb_nothing() -> Result<()> {
    let name = "definitions_that_fail_or_change_their_version_disturb_nothing";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    let between = with_between(&mut world, |path| {
        path.ends_with(SIDECARS).then_some(Fault::Refused { status: 500, retry_after: None })
    })
    .await?;
    world.control_plane.restart().await?;
    world.apply(networking("Sidecar", "sidecars")).await?;
    wait::until("the definition to be asked for in vain", async || {
        ensure!(between.requests(SIDECARS).len() >= 2);
        Ok(())
    })
    .await?;
    world.apply(networking("DestinationRule", "destinationrules")).await?;
    world.apply(istio("DestinationRule", "web", json!({"host": "web"}))).await?;
    world.until("an object of another kind", |held| held.has("DestinationRule", "web")).await?;
    let sidecar = istio("Sidecar", "all", json!({"egress": [{"hosts": ["*/*"]}]}));
    world.apply(sidecar.clone()).await?;
    between.rule(|_| None);
    world.until("an object of the kind itself", |held| held.has("Sidecar", "all")).await?;
    world.delete(sidecar).await?;
    world.until("it to go", |held| !held.has("Sidecar", "all")).await?;

    let mut witness = Witness::new(&world).await?;
    let mut rules = networking("VirtualService", "virtualservices");
    let mut older = definition("networking.istio.io", "VirtualService", "virtualservices", "v1beta1");
    let mut older = older["spec"]["versions"][0].take();
    older["storage"] = false.into();
    rules["spec"]["versions"].as_array_mut().context("versions")?.push(older);
    // The version that is watched is not served any more, and comes back.
    for (served, watched) in [(false, "v1beta1"), (true, "v1")] {
        rules["spec"]["versions"][0]["served"] = served.into();
        let path = format!("/apis/networking.istio.io/{watched}/virtualservices?");
        let before = between.requests(&path).len();
        world.apply(rules.clone()).await?;
        wait::until(&format!("{watched} to be watched"), async || {
            ensure!(between.requests(&path).len() > before);
            Ok(())
        })
        .await?;
    }
    witness.nothing_was_sent(&world).await?;
    ensure!(world.held().await?.has("VirtualService", "web"));
    world.apply(route("web", "old")).await?;
    world.until("a change", |held| held.generation("VirtualService", "web") == Some(Some(2))).await?;
    Ok(())
}

/// A VirtualService whose specification is this text, as the client sends it.
fn corrupt(name: &str, spec: &str) -> Vec<u8> {
    let text = format!(
        r#"{{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {{"name": "{name}"}}, "spec": {spec}}}"#
    );
    // Text that is no UTF-8 cannot be written here.
    let mut bytes = text.into_bytes();
    bytes.iter_mut().filter(|byte| **byte == 0x7f).for_each(|byte| *byte = 0xff);
    bytes
}

/// Sends a body as it is; what the API server says.
async fn send(world: &World, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Result<()> {
    let request =
        http::Request::builder().method(method).uri(path).header("content-type", kind).body(Body::from(body))?;
    let response = world.client.send(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    ensure!(status.is_success(), "{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
    Ok(())
}

/// Row 13: objects that the API server takes though they are none of their kind are set aside, each with a problem that
/// says so; whatever else changes is followed, and a control plane that starts among them gets ready.
#[tokio::test]
async fn objects_that_are_none_of_their_kind_harm_no_other() -> Result<()> {
    let name = "objects_that_are_none_of_their_kind_harm_no_other";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    shop(&world).await?;
    world.control_plane.restart().await?;
    let mut witness = Witness::new(&world).await?;
    let deep = format!("{}{}", r#"{"a":"#.repeat(500), "1".to_owned() + &"}".repeat(500));
    let weight = |weight: &str| {
        format!(
            r#"{{"hosts": ["a"], "http": [{{"route": [{{"destination": {{"host": "web"}}, "weight": {weight}}}]}}]}}"#
        )
    };
    let specs = [
        ("text", r#""text""#.to_owned()),
        ("list", "[1, 2]".to_owned()),
        ("null-hosts", r#"{"hosts": [null], "http": 7}"#.to_owned()),
        ("not-a-number", weight(r#""NaN""#)),
        ("huge", weight("123456789012345678901234567890")),
        ("huger", weight("1e300")),
        ("negative", weight("-9223372036854775808")),
        ("no-utf8", format!(r#"{{"hosts": ["a{}"]}}"#, '\x7f')),
        ("deep", format!(r#"{{"hosts": ["a"], "http": {deep}}}"#)),
    ];
    let rules = format!("/apis/networking.istio.io/v1/namespaces/{NAMESPACE}/virtualservices");
    for (name, spec) in &specs {
        send(&world, "POST", &rules, "application/json", corrupt(name, spec)).await?;
    }
    // The API server knows years of five digits, which no standard does; here in what it keeps of who wrote an object.
    let late = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59-23:59"},
    ]}});
    world.apply(pod("late", "v1")).await?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/late/status");
    send(&world, "PATCH", &path, "application/merge-patch+json", late.to_string().into_bytes()).await?;

    let names = specs.iter().map(|(name, _)| format!("VirtualService {NAMESPACE}/{name}"));
    let set_aside: Vec<String> = names.chain([format!("Pod {NAMESPACE}/late")]).collect();
    for round in ["as they came", "in the list at the start"] {
        let what = format!("a problem for each, {round}");
        let held = world.until(&what, |held| {
            let problems = held.problems();
            set_aside.iter().all(|object| problems.iter().any(|problem| problem.contains(&format!(" {object} "))))
        });
        let held = held.await?;
        ensure!(specs.iter().all(|(name, _)| !held.has("VirtualService", name)), "{held:#?}");
        ensure!(held.problems().contains(&format!("MS0109 VirtualService {NAMESPACE}/deep ")), "{held:#?}");
        ensure!(held.endpoints("web").len() == 1 && held.has("VirtualService", "web"), "{held:#?}");
        if round == "as they came" {
            witness.nothing_was_sent(&world).await?;
            world.control_plane.restart().await?;
        }
    }
    world.apply(pod("web-2", "v2")).await?;
    world.apply(slice("web", &[("10.1.0.2", "web-2")])).await?;
    world.until("a change among them", |held| held.endpoints("web") == ["10.1.0.2:8080 v2"]).await?;
    world.until_logged("MS0109", Duration::from_secs(5)).await
}
