//! Much at once: large objects, many of them, and changes that never end.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use integration::{bench::fleet::Fleet, control_plane::ControlPlane, envoy::Protocol, outside::Program, wait};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, api::PostParams};
use proto::ResourceType;
use serde_json::{Value, json};

use crate::{
    stage::Caller,
    world::{NAMESPACE, World, host, istio, pod, route, service, slice},
};

const NODE: &str = "sidecar~10.1.9.9~client.default~default.svc.cluster.local";
/// What an object of the API server may take, by etcd's limit for a request.
const OBJECT_LEN_MAX: usize = 1536 << 10;

/// A route to web with these rules.
fn rules(rules: Vec<Value>) -> Value {
    istio("VirtualService", "web", json!({"hosts": ["web"], "http": rules}))
}

fn rule(matches: impl Iterator<Item = String>, headers: &Value) -> Value {
    let matches: Vec<_> = matches.map(|path| json!({"uri": {"exact": path}})).collect();
    json!({"match": matches, "headers": headers, "route": [{"destination": {"host": "web"}}]})
}

/// 10,000 routes, four to a rule.
fn many_routes() -> Value {
    rules((0..2_500).map(|of| rule((0..4).map(|path| format!("/{of}/{path}")), &Value::Null)).collect())
}

/// Some rules with so many bytes of header values.
fn many_bytes(len: usize) -> Value {
    const VALUE_LEN: usize = 8_000;
    let headers = json!({"request": {"set": {"x-long": "x".repeat(VALUE_LEN)}}});
    rules((0..len / VALUE_LEN).map(|of| rule([format!("/{of}")].into_iter(), &headers)).collect())
}

/// The routes of the virtual host of web that a proxy is to hold.
async fn routes(replica: &ControlPlane) -> Result<usize> {
    let dump = replica.json("/debug/config_dump?proxyID=client.default&types=rds").await?;
    let configurations = dump["configs"][0]["dynamic_route_configs"].as_array().cloned().unwrap_or_default();
    let hosts = configurations.iter().filter_map(|of| of["route_config"]["virtual_hosts"].as_array()).flatten();
    let of_web = hosts.filter(|of| of["name"] == "web.default.svc.cluster.local:80");
    Ok(of_web.filter_map(|of| of["routes"].as_array().map(Vec::len)).sum())
}

/// Row 14: the largest object that an API server takes is compiled in bounded time, or refused with the reason.
#[tokio::test]
async fn a_giant_object_is_compiled_in_time_or_refused_with_the_reason() -> Result<()> {
    let name = "a_giant_object_is_compiled_in_time_or_refused_with_the_reason";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    world.define(&["VirtualService"]).await?;
    world.apply(service("web", 80)).await?;
    world.apply(route("web", "web")).await?;
    world.control_plane.restart().await?;
    let mut fleet = Fleet::connect(&world.control_plane.xds().to_string(), vec![NODE.to_owned()], BTreeMap::new());
    let mut arrived = async || -> Result<()> {
        let deadline = Instant::now() + wait::DEADLINE;
        while fleet.arrival(deadline).await?.kind != ResourceType::Route {}
        Ok(())
    };
    arrived().await?;
    // Within the deadline of every wait here, also where nothing is optimised.
    for (what, object) in [("routes", many_routes()), ("bytes", many_bytes(OBJECT_LEN_MAX - (100 << 10)))] {
        let len = object.to_string().len();
        let matches = |rule: &Value| rule["match"].as_array().map_or(0, Vec::len);
        let count: usize = object["spec"]["http"].as_array().into_iter().flatten().map(matches).sum();
        let since = Instant::now();
        world.apply(object).await?;
        arrived().await?;
        println!(
            "many {what}, {count} routes, {len} bytes: in force after {:.0} ms",
            since.elapsed().as_secs_f32() * 1e3
        );
        let found = routes(&world.control_plane).await?;
        // What no rule matches has a route of its own.
        ensure!(found == count || found == count + 1, "{found} routes");
    }
    // More than a VirtualService may have: refused with the reason, and the last good form stays.
    let too_many = (0..10_000).map(|of| rule([format!("/{of}")].into_iter(), &Value::Null)).collect();
    world.apply(rules(too_many)).await?;
    let problem = "MS0107 VirtualService default/web spec.http".to_owned();
    let held = world.until("the refusal", |held| held.problems().contains(&problem)).await?;
    ensure!(held.generation("VirtualService", "web") == Some(Some(3)), "{held:#?}");
    // More than the API server takes: nothing comes of it, and the next edit is followed.
    let refused = world.try_to_apply(&many_bytes(OBJECT_LEN_MAX + (100 << 10))).await;
    let reason = refused.err().map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(reason.contains("too large"), "{reason:?}");
    world.apply(route("web", "web")).await?;
    arrived().await?;
    world.until("nothing to be wrong", |held| !held.problems().contains(&problem)).await?;
    Ok(())
}

/// Objects of a cold start.
#[derive(Debug, Clone, Copy)]
struct Load {
    services: usize,
    slices: usize,
    endpoints_of_slice: usize,
}

/// Requests to the API server at a time.
const CREATED_AT_ONCE: usize = 32;

impl Load {
    /// Bytes that a control plane may take for it, in a build of any kind. docs/SCALE.md has the measurement.
    fn resident_max(self) -> usize {
        const BASE: usize = 96 << 20;
        const OF_SERVICE: usize = 8 << 10;
        const OF_ENDPOINT: usize = 2 << 10;
        BASE + self.services * OF_SERVICE + self.slices * self.endpoints_of_slice * OF_ENDPOINT
    }

    async fn create(self, world: &World) -> Result<()> {
        let services: Api<Service> = Api::namespaced(world.client.clone(), NAMESPACE);
        let slices: Api<EndpointSlice> = Api::namespaced(world.client.clone(), NAMESPACE);
        let name = |number: usize| format!("s{number}");
        let create_service = async |number: usize| -> Result<()> {
            services.create(&PostParams::default(), &serde_json::from_value(headless(&name(number)))?).await?;
            Ok(())
        };
        let create_slice = async |number: usize| -> Result<()> {
            let made = bare_slice(&name(number), "1", number * self.endpoints_of_slice, self.endpoints_of_slice);
            slices.create(&PostParams::default(), &serde_json::from_value(made)?).await?;
            Ok(())
        };
        stream::iter(0..self.services)
            .map(create_service)
            .buffer_unordered(CREATED_AT_ONCE)
            .try_collect::<()>()
            .await?;
        stream::iter(0..self.slices).map(create_slice).buffer_unordered(CREATED_AT_ONCE).try_collect::<()>().await?;
        Ok(())
    }
}

/// Without an address of its own, of which the API server has only so many.
fn headless(name: &str) -> Value {
    let mut made = service(name, 80);
    made["spec"]["clusterIP"] = "None".into();
    made
}

/// A slice with so many endpoints of no Pod, the first of which is the one of this number.
fn bare_slice(service: &str, suffix: &str, first: usize, count: usize) -> Value {
    let address = |at: usize| format!("10.{}.{}.{}", 64 + at / 62_500, at / 250 % 250, at % 250 + 1);
    let endpoints: Vec<_> =
        (first..first + count).map(|at| json!({"addresses": [address(at)], "conditions": {"ready": true}})).collect();
    let mut made = slice(service, &[]);
    made["metadata"]["name"] = format!("{service}-{suffix}").into();
    made["endpoints"] = endpoints.into();
    made
}

/// Bytes that a process has in memory now, and had at most.
fn resident(control_plane: &mut ControlPlane) -> Result<(usize, usize)> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", control_plane.process()?.id()))?;
    let kilobytes = |field: &str| -> Result<usize> {
        let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such line")?;
        Ok(line.trim().trim_end_matches("kB").trim().parse()?)
    };
    Ok((kilobytes("VmRSS:")? << 10, kilobytes("VmHWM:")? << 10))
}

async fn cold_start(name: &str, load: Load) -> Result<()> {
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    let since = Instant::now();
    load.create(&world).await?;
    println!("{load:?} created in {:.1} s", since.elapsed().as_secs_f32());
    let since = Instant::now();
    world.control_plane.start()?;
    wait::until_within(Duration::from_secs(170), "the control plane to be ready", async || {
        ensure!(world.is_ready().await, "{}", world.control_plane.log_tail());
        Ok(())
    })
    .await?;
    let ready = since.elapsed();
    // Ready means that it has everything.
    let metrics = world.control_plane.metrics().await?;
    ensure!(metrics.sum("pilot_services") == load.services as f64 + 1.0, "{metrics:?}");
    let (loaded, _) = resident(&mut world.control_plane)?;
    let since = Instant::now();
    let mut fleet = Fleet::connect(&world.control_plane.xds().to_string(), vec![NODE.to_owned()], BTreeMap::new());
    let deadline = Instant::now() + Duration::from_secs(120);
    while fleet.arrival(deadline).await?.kind != ResourceType::Route {}
    let first = since.elapsed();
    let (now, most) = resident(&mut world.control_plane)?;
    println!(
        "ready after {:.2} s, with {} MB; the first proxy complete after {:.2} s; then {} MB, at most {} MB; the limit is {} MB",
        ready.as_secs_f32(),
        loaded >> 20,
        first.as_secs_f32(),
        now >> 20,
        most >> 20,
        load.resident_max() >> 20
    );
    let endpoints = world.control_plane.json("/debug/endpointz").await?;
    let found: usize =
        endpoints.as_array().into_iter().flatten().filter_map(|of| of["endpoints"].as_array().map(Vec::len)).sum();
    ensure!(found == load.slices * load.endpoints_of_slice, "{found} endpoints");
    ensure!(most <= load.resident_max(), "{most} bytes at most, more than {}", load.resident_max());
    Ok(())
}

/// Row 15, small: a control plane that starts into a full cluster is ready only with all of it, within bounds of time and memory.
#[tokio::test]
async fn a_cold_start_has_everything_within_bounds() -> Result<()> {
    let load = Load { services: 600, slices: 200, endpoints_of_slice: 20 };
    cold_start("a_cold_start_has_everything_within_bounds", load).await
}

/// Row 15, as it is written; docs/SCALE.md has what came of it.
#[tokio::test]
#[ignore = "takes some minutes and a release build: cargo test --release -p integration --test kubernetes -- --ignored --nocapture cold_start"]
async fn a_cold_start_of_fifty_thousand_services() -> Result<()> {
    let load = Load { services: 50_000, slices: 10_000, endpoints_of_slice: 10 };
    cold_start("a_cold_start_of_fifty_thousand_services", load).await
}

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
    let mut caller = Caller::start(&world, "caller-v1", &[world.control_plane.xds()], Protocol::Delta).await?;
    let members = async |caller: &Caller, count: usize| {
        wait::until("Envoy to have the endpoints", async || {
            let stats = caller.envoy.stats(r"^cluster\.outbound\|80\|\|flap\..*membership_total$").await?;
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
    caller.envoy.process().pause()?;
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
    caller.envoy.process().resume()?;
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
