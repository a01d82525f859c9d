//! An API server that goes away, comes back, forgets, or falls silent.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use integration::wait;

use crate::world::{World, host, networking, pod, route, service, slice};

#[tokio::test]
async fn an_api_server_that_comes_back_is_followed_without_a_gap() -> Result<()> {
    let name = "an_api_server_that_comes_back_is_followed_without_a_gap";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    world.apply(networking("VirtualService", "virtualservices")).await?;
    for object in [service("web", 80), service("old", 80), pod("web-1", "v1"), slice("web", &[("10.1.0.1", "web-1")])] {
        world.apply(object).await?;
    }
    world.apply(route("web", "web")).await?;
    world.control_plane.restart().await?;
    let pushes = async |world: &World| world.control_plane.json("/debug/push_status").await;
    let before = pushes(&world).await?["pushes"].clone();

    // Killed, it is missed and nothing changes; back, the next change is seen and nothing was pushed for its return.
    world.server.kill();
    world.until_logged("the watch fails", Duration::from_secs(20)).await?;
    ensure!(world.is_ready().await);
    world.server.restart().await?;
    world.until_logged("the watch works again", Duration::from_secs(30)).await?;
    ensure!(world.held().await?.endpoints("web") == ["10.1.0.1:8080 v1"]);
    ensure!(pushes(&world).await?["pushes"] == before, "its return alone was pushed");
    world.apply(route("web", "old")).await?;
    world.until("a change after the restart", |held| held.generation("VirtualService", "web") == Some(Some(2))).await?;

    // While the control plane sleeps all kinds of things happen, and the API server forgets how.
    world.control_plane.process()?.pause()?;
    world.delete(service("old", 80)).await?;
    world.apply(service("web", 81)).await?;
    world.apply(service("new", 82)).await?;
    world.apply(pod("web-1", "v2")).await?;
    world.apply(route("next", "web")).await?;
    world.server.forget_history().await?;
    world.control_plane.process()?.resume()?;
    world
        .until("what happened meanwhile", |held| {
            held.port(&host("web")) == Some(81)
                && held.port(&host("new")) == Some(82)
                && !held.has("Service", "old")
                && held.endpoints("web") == ["10.1.0.1:8080 v2"]
                && held.has("VirtualService", "next")
        })
        .await?;
    world.until_logged("too far behind", Duration::from_secs(5)).await
}

#[tokio::test]
async fn a_watch_with_nobody_at_its_other_side_is_noticed() -> Result<()> {
    let name = "a_watch_with_nobody_at_its_other_side_is_noticed";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    world.apply(service("web", 80)).await?;
    world.control_plane.restart().await?;
    let stopped = Instant::now();
    world.server.pause()?;
    wait::until_within(Duration::from_secs(60), "the silence to be noticed", async || {
        let metrics = world.control_plane.metrics().await?;
        let failing = metrics.named("mainsheet_watch_failures").filter(|(_, count)| *count > 0.0).count();
        ensure!(failing >= 7, "{failing} watches were missed");
        Ok(())
    })
    .await?;
    println!("every watch was missed after {:.0} s", stopped.elapsed().as_secs_f32());
    ensure!(world.is_ready().await && world.held().await?.has("Service", "web"));
    world.server.resume()?;
    world.apply(service("late", 80)).await?;
    world.until("a change after the silence", |held| held.has("Service", "late")).await?;
    Ok(())
}
