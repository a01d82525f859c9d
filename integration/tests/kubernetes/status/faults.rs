//! Two who would lead, others who write, ten thousand at once, and an end in the middle.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use integration::{control_plane::ControlPlane, ports::Loopback, wait};
use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    WITHIN, api, broken, condition, good, leads, lease_holder, prepare, read, route, until, until_it_leads, writes,
};
use crate::{
    permissions::USER,
    world::{World, control_plane, service},
};

/// The lease lasts 15 s, and is looked at every two.
const TAKE_OVER: Duration = Duration::from_secs(40);
/// Writes in a second, and at once after a rest, as the documentation has them.
const RATE: f64 = 50.0;

/// A second replica on the same cluster.
async fn another(world: &World) -> Result<(ControlPlane, Loopback, TempDir)> {
    let (home, directory) = (Loopback::claim()?, tempfile::tempdir()?);
    let mut replica = control_plane(&world.server.kubeconfig_for(USER, None)?, &home, directory.path());
    replica.restart().await?;
    Ok((replica, home, directory))
}

fn nowhere(name: &str) -> Value {
    route(name, json!({"route": [{"destination": {"host": "nowhere"}}]}))
}

/// Row 64 of the faults: of two replicas one writes; stopped for longer than its lease lasts, and woken when the other
/// leads, it writes nothing that it wanted to write before.
#[tokio::test]
async fn a_leader_that_slept_writes_nothing_stale() -> Result<()> {
    let Some(mut world) = prepare("a_leader_that_slept_writes_nothing_stale", &[]).await? else { return Ok(()) };
    world.apply(good("web")).await?;
    world.control_plane.restart().await?;
    until_it_leads(&world.control_plane, WITHIN).await?;
    let (other, _home, _directory) = another(&world).await?;
    until(&world, "VirtualService", "web", "Accepted", "True Accepted 1").await?;
    ensure!(!leads(&other).await? && writes(&other).await? == 0.0, "both write");

    // It knows of the next form, and is stopped before it has written what it thinks of it.
    world.apply(nowhere("web")).await?;
    world.until("the next form", |held| held.generation("VirtualService", "web") == Some(Some(2))).await?;
    world.control_plane.process()?.pause()?;
    let stopped = Instant::now();
    until_it_leads(&other, TAKE_OVER).await?;
    println!("taken over after {:.1} s", stopped.elapsed().as_secs_f32());
    world.apply(broken("web")).await?;
    let object = until(&world, "VirtualService", "web", "Accepted", "False Invalid 3").await?;
    let said = object.data["status"].clone();
    world.control_plane.process()?.resume()?;
    wait::until_within(TAKE_OVER, "the first to step down", async || {
        ensure!(!leads(&world.control_plane).await?, "it leads");
        Ok(())
    })
    .await?;
    // It has caught up with the mesh, and whatever it would write it has had the time for.
    world.apply(good("marker")).await?;
    world.until("the marker", |held| held.has("VirtualService", "marker")).await?;
    until(&world, "VirtualService", "marker", "Accepted", "True").await?;
    let now = read(&world, "VirtualService", "web").await?;
    ensure!(now.data["status"] == said, "{}", now.data["status"]);
    ensure!(writes(&other).await? > 0.0 && leads(&other).await?);
    let written = world.control_plane.metrics().await?;
    let late = written.named("mainsheet_status_writes").filter(|(sample, _)| sample.contains("conflict"));
    println!("of the first: {:?}", late.collect::<Vec<_>>());
    Ok(())
}

/// Row 86 of the faults: another controller that takes our conditions away whenever it sees them is not fought; its own
/// stay.
#[tokio::test]
async fn a_controller_that_undoes_us_makes_no_storm() -> Result<()> {
    let Some(mut world) = prepare("a_controller_that_undoes_us_makes_no_storm", &[]).await? else { return Ok(()) };
    world.apply(good("web")).await?;
    world.apply(good("calm")).await?;
    world.control_plane.restart().await?;
    let kind = "VirtualService";
    until(&world, kind, "web", "Accepted", "True").await?;
    let before = writes(&world.control_plane).await?;
    let routes = api(&world, kind);
    let alone = json!([{"type": "Ready", "status": "True", "reason": "Mine", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let (began, mut undone) = (Instant::now(), 0u32);
    while began.elapsed() < Duration::from_secs(25) {
        let object = routes.get("web").await?;
        if object.data["status"]["conditions"] != alone {
            ensure!(undone == 0 || condition(&object, "Ready").is_some(), "{}", object.data["status"]);
            let patch = Patch::Merge(json!({"status": {"conditions": alone}}));
            routes.patch_status("web", &PatchParams::default(), &patch).await?;
            undone += 1;
        }
        tokio::task::yield_now().await;
    }
    let ours = writes(&world.control_plane).await? - before;
    println!("{undone} times undone, {ours} writes");
    // After 10 and 20 s, and those of the other object; without pauses it would be one a second at least.
    ensure!(undone >= 2 && (1.0..=6.0).contains(&ours), "{undone} times undone, {ours} writes");
    let calm = read(&world, kind, "calm").await?;
    ensure!(condition(&calm, "Accepted").is_some(), "{}", calm.data["status"]);
    Ok(())
}

async fn create(routes: &Api<DynamicObject>, objects: Vec<Value>) -> Result<()> {
    let create = |object: Value| async move {
        let object: DynamicObject = serde_json::from_value(object)?;
        routes.create(&PostParams::default(), &object).await.map(drop).context("create an object")
    };
    stream::iter(objects).map(create).buffer_unordered(16).try_collect().await
}

/// Row 87 of the faults: ten thousand bad objects at once are told about at the rate that is allowed, and the control
/// plane goes on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_bad_objects_are_told_about_in_good_time() -> Result<()> {
    const COUNT: usize = 10_000;
    let name = "ten_thousand_bad_objects_are_told_about_in_good_time";
    let Some(mut world) = prepare(name, &[]).await? else { return Ok(()) };
    world.control_plane.restart().await?;
    until_it_leads(&world.control_plane, WITHIN).await?;
    let began = Instant::now();
    create(&api(&world, "VirtualService"), (0..COUNT).map(|at| broken(&format!("bad-{at}"))).collect()).await?;
    println!("{COUNT} objects after {:.0} s", began.elapsed().as_secs_f32());
    wait::until_within(WITHIN, "all to be read", async || {
        let count = world.control_plane.metrics().await?.sum("mainsheet_problems");
        ensure!(count >= COUNT as f64, "{count} problems");
        Ok(())
    })
    .await?;
    let (from, first) = (Instant::now(), writes(&world.control_plane).await?);
    let cpu = world.control_plane.metrics().await?.sum("process_cpu_seconds");
    let waits = world.control_plane.metrics().await?.sum("mainsheet_status_waiting");
    ensure!(waits > 0.0, "nothing waits");
    // Changes come through, one after the other, and nobody is told that it is not ready.
    let mut slowest = Duration::ZERO;
    for at in 0..20u16 {
        let changed = Instant::now();
        let name = format!("late-{at}");
        world.apply(service(&name, 80 + at)).await?;
        world.until("a change", |held| held.has("Service", &name)).await?;
        slowest = slowest.max(changed.elapsed());
        ensure!(world.is_ready().await, "not ready");
    }
    let (took, metrics) = (from.elapsed().as_secs_f64(), world.control_plane.metrics().await?);
    let written = writes(&world.control_plane).await? - first;
    ensure!(written > 0.0 && written <= took * RATE + RATE + 1.0, "{written} writes in {took:.1} s");
    // Far less than the flood lasts, also on a busy machine.
    ensure!(slowest < Duration::from_secs(30), "a change took {slowest:?}");
    let looks = metrics.sum("mainsheet_status_look_seconds_sum") / metrics.sum("mainsheet_status_look_seconds_count");
    println!(
        "{:.0} writes a second, {:.0} ms of CPU a second, {:.1} ms a look, slowest change {:.1} s, {:.0} MB, events {:?}",
        written / took,
        (metrics.sum("process_cpu_seconds") - cpu) / took * 1e3,
        looks * 1e3,
        slowest.as_secs_f32(),
        metrics.sum("process_resident_memory_bytes") / 1e6,
        metrics.named("mainsheet_events").collect::<Vec<_>>(),
    );
    let sent = metrics.named("mainsheet_events").filter(|(sample, _)| sample.contains("sent")).map(|(_, count)| count);
    let sent: f64 = sent.sum();
    ensure!(sent <= began.elapsed().as_secs_f64() * 5.0 + 26.0, "{sent} events");
    Ok(())
}

/// Row 85 of the faults, the part of status: told to end while it writes, a leader ends in time and gives the lease back,
/// so that the next one goes on at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_told_to_end_hands_over() -> Result<()> {
    const COUNT: usize = 600;
    let Some(mut world) = prepare("a_leader_that_is_told_to_end_hands_over", &[]).await? else { return Ok(()) };
    world.control_plane.restart().await?;
    until_it_leads(&world.control_plane, WITHIN).await?;
    let (other, _home, _directory) = another(&world).await?;
    create(&api(&world, "VirtualService"), (0..COUNT).map(|at| broken(&format!("bad-{at}"))).collect()).await?;
    wait::until("writes", async || {
        let waits = world.control_plane.metrics().await?.sum("mainsheet_status_waiting");
        ensure!(waits > 0.0 && writes(&world.control_plane).await? > 0.0, "{waits} wait");
        Ok(())
    })
    .await?;
    let holder = lease_holder(&world).await?;
    let told = Instant::now();
    let process = world.control_plane.process()?;
    process.terminate()?;
    wait::until("the process to end", async || {
        ensure!(process.ended()?.context("it runs")?.success(), "{}", process.log_tail());
        Ok(())
    })
    .await?;
    let ended = told.elapsed();
    until_it_leads(&other, WITHIN).await?;
    println!("ended after {:.1} s, handed over after {:.1} s", ended.as_secs_f32(), told.elapsed().as_secs_f32());
    ensure!(ended < Duration::from_secs(10), "it took {ended:?} to end");
    ensure!(told.elapsed() < Duration::from_secs(12), "the lease was not given back");
    ensure!(holder.is_some() && lease_holder(&world).await? != holder);
    wait::until_within(WITHIN, "every object to be told about", async || {
        let list = api(&world, "VirtualService").list(&kube::api::ListParams::default()).await?;
        let told = list.items.iter().filter(|object| condition(object, "Accepted").is_some()).count();
        ensure!(told == COUNT, "{told} of {COUNT}");
        Ok(())
    })
    .await
}
