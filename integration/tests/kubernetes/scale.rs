//! Much at once: the largest objects, and a great many of them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use integration::{bench::fleet::Fleet, control_plane::ControlPlane, wait};
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, api::PostParams};
use proto::ResourceType;
use serde_json::{Value, json};

use crate::world::{NAMESPACE, NODE, World, bare_slice, istio, route, service};

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
        const BASE: usize = 72 << 20;
        const OF_SERVICE: usize = 8 << 10;
        const OF_ENDPOINT: usize = 1 << 10;
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
