//! Changes that never end: of endpoints, and of what is no part of the mesh.

use std::{collections::BTreeMap, time::Instant};

use anyhow::{Context, Result, ensure};
use integration::{
    bench::fleet::Fleet, control_plane::ControlPlane, envoy::Protocol, mesh::Caller, outside::Program, wait,
};
use proto::ResourceType;
use serde_json::{Value, json};

use crate::world::{NAMESPACE, NODE, World, bare_slice, host, pod, service, slice};

/// What was compiled and sent so far, by type, and how often something was published.
#[derive(Debug, Clone, PartialEq)]
struct Work {
    messages: BTreeMap<String, f64>,
    compiled: Value,
    pushes: u64,
}

impl Work {
    async fn of(control_plane: &ControlPlane) -> Result<Self> {
        let metrics = control_plane.metrics().await?;
        let status = control_plane.json("/debug/push_status").await?;
        let label = |(sample, count): (&str, f64)| (sample.split('"').nth(1).unwrap_or_default().to_owned(), count);
        Ok(Self {
            messages: metrics.named("mainsheet_sent_messages").map(label).collect(),
            compiled: status["compiled"].clone(),
            pushes: status["pushes"].as_u64().context("pushes")?,
        })
    }

    fn messages(&self, kind: &str) -> f64 {
        self.messages.get(kind).copied().unwrap_or_default()
    }
}

/// Slices and endpoints of one service that flaps.
const FLAPPING_SLICES: usize = 10;
const FLAPPING_ENDPOINTS: usize = 1_000;
const FLAPS: usize = 40;
/// Delta responses of endpoints that may be under way to one proxy.
const IN_FLIGHT_MAX: f64 = 8.0;

/// One of the slices, with as many endpoints fewer as it has flapped.
fn flapping(round: usize) -> Value {
    let number = round % FLAPPING_SLICES;
    let gone = round / FLAPPING_SLICES + 1;
    bare_slice("flap", &number.to_string(), number * FLAPPING_ENDPOINTS, FLAPPING_ENDPOINTS - gone)
}

fn flapping_endpoints(rounds: usize) -> usize {
    FLAPPING_SLICES * FLAPPING_ENDPOINTS - rounds
}

/// Row 16: 10,000 endpoints that change all the time are endpoints and nothing else, and no proxy is sent more than it
/// acknowledges.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flapping_endpoints_are_sent_alone_and_no_faster_than_they_are_acknowledged() -> Result<()> {
    let name = "flapping_endpoints_are_sent_alone_and_no_faster_than_they_are_acknowledged";
    let Some(mut world) = World::prepare(name, &[Program::Envoy, Program::Agent]).await? else { return Ok(()) };
    world.apply(service("flap", 80)).await?;
    for number in 0..FLAPPING_SLICES {
        let first = number * FLAPPING_ENDPOINTS;
        world.apply(bare_slice("flap", &number.to_string(), first, FLAPPING_ENDPOINTS)).await?;
    }
    world.control_plane.restart().await?;
    let mut caller =
        Caller::start("caller-v1", &[world.control_plane.xds()], Protocol::Delta, world.directory.path()).await?;
    let members = async |caller: &Caller, count: usize| {
        wait::until("Envoy to have the endpoints", async || {
            let stats = caller.envoy().stats(r"^cluster\.outbound\|80\|\|flap\..*membership_total$").await?;
            ensure!(stats.values().sum::<u64>() == count as u64, "{stats:?}, not {count}");
            Ok(())
        })
        .await
    };
    members(&caller, flapping_endpoints(0)).await?;
    let before = Work::of(&world.control_plane).await?;
    for round in 0..FLAPS / 2 {
        world.apply(flapping(round)).await?;
    }
    members(&caller, flapping_endpoints(FLAPS / 2)).await?;
    let awake = Work::of(&world.control_plane).await?;
    // One that does not answer is sent what may be under way, and the rest is one change when it answers again.
    caller.process().pause()?;
    for round in FLAPS / 2..FLAPS {
        world.apply(flapping(round)).await?;
    }
    let host = host("flap");
    wait::until("the control plane to have the last", async || {
        let page = world.control_plane.json("/debug/endpointz").await?;
        let of = page.as_array().into_iter().flatten().find(|of| of["service"] == host.as_str());
        let count = of.and_then(|of| of["endpoints"].as_array()).map_or(0, Vec::len);
        ensure!(count == flapping_endpoints(FLAPS), "{count}");
        Ok(())
    })
    .await?;
    let asleep = Work::of(&world.control_plane).await?;
    caller.process().resume()?;
    members(&caller, flapping_endpoints(FLAPS)).await?;
    let after = Work::of(&world.control_plane).await?;

    let sent = |from: &Work, to: &Work| to.messages("eds") - from.messages("eds");
    println!(
        "responses of endpoints: {} for {} flaps, {} while asleep, {} after",
        sent(&before, &awake),
        FLAPS / 2,
        sent(&awake, &asleep),
        sent(&asleep, &after)
    );
    ensure!(sent(&before, &awake) <= (FLAPS / 2) as f64, "more responses than flaps");
    ensure!(sent(&awake, &asleep) <= IN_FLIGHT_MAX, "more than may be under way");
    ensure!(sent(&asleep, &after) <= IN_FLIGHT_MAX, "not joined: {asleep:?}, {after:?}");
    for kind in ["cds", "lds", "rds"] {
        ensure!(after.messages(kind) == before.messages(kind), "{kind} was sent: {before:?}, {after:?}");
        ensure!(after.compiled[kind] == before.compiled[kind], "{kind} was compiled: {before:?}, {after:?}");
    }
    caller.ensure_nothing_refused().await
}

/// Row 17: what is no part of the mesh may come, change and go as it likes: nothing is compiled, published or sent.
#[tokio::test]
async fn what_is_no_part_of_the_mesh_is_never_pushed() -> Result<()> {
    let Some(mut world) = World::prepare("what_is_no_part_of_the_mesh_is_never_pushed", &[]).await? else {
        return Ok(());
    };
    for object in [service("web", 80), pod("web-1", "v1"), slice("web", &[("10.1.0.1", "web-1")])] {
        world.apply(object).await?;
    }
    world.control_plane.restart().await?;
    let mut fleet = Fleet::connect(&world.control_plane.xds().to_string(), vec![NODE.to_owned()], BTreeMap::new());
    let deadline = Instant::now() + wait::DEADLINE;
    while fleet.arrival(deadline).await?.kind != ResourceType::Route {}
    let node = |round: usize, name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {
                "topology.kubernetes.io/zone": format!("z{}", round % 3), "round": round.to_string(),
            }},
        })
    };
    let lease = |round: usize| {
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "heartbeat", "namespace": NAMESPACE},
            "spec": {"holderIdentity": format!("node-{round}"), "leaseDurationSeconds": 15},
        })
    };
    let map = |kind: &str, round: usize| {
        let metadata = json!({"name": "irrelevant", "namespace": NAMESPACE});
        let value = if kind == "Secret" { "dmFsdWU=".to_owned() } else { round.to_string() };
        json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "data": {format!("k{round}"): value}})
    };
    let noted = |round: usize| {
        let mut noted = pod("web-1", "v1");
        noted["metadata"]["annotations"] = json!({"example.com/round": round.to_string()});
        noted
    };
    let namespace = |round: usize| {
        json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "other", "labels": {"round": round.to_string()}},
        })
    };
    let before = Work::of(&world.control_plane).await?;
    for round in 0..10 {
        for object in [
            node(round, "same"),
            node(round, &format!("new-{round}")),
            lease(round),
            map("ConfigMap", round),
            map("Secret", round),
            noted(round),
            namespace(round),
        ] {
            world.apply(object).await?;
        }
        if round > 0 {
            world.delete(node(0, &format!("new-{}", round - 1))).await?;
        }
    }
    // Each kind has a watch of its own: what came last has come.
    world.apply(node(10, "last")).await?;
    let mut without_ports = pod("last", "v1");
    without_ports["spec"]["containers"][0]["ports"] = json!([]);
    world.apply(without_ports).await?;
    world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "last"}})).await?;
    let kinds = ["Node", "Pod", "Namespace"];
    world.until("the last of them", |held| kinds.iter().all(|kind| held.has(kind, "last"))).await?;
    let after = Work::of(&world.control_plane).await?;
    ensure!(after == before, "{before:?}, then {after:?}");
    // And what is a part of it is pushed.
    world.apply(slice("web", &[("10.1.0.2", "web-1")])).await?;
    let arrival = fleet.arrival(Instant::now() + wait::DEADLINE).await?;
    ensure!(arrival.kind == ResourceType::Endpoint, "{arrival:?}");
    Ok(())
}
