//! An API server that goes away and comes back, or is not there to begin with.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::wait;

use super::witness::{Witness, first_configuration};
use crate::world::{World, host, networking, pod, route, service, slice};

/// Everything that a proxy is served for one service.
pub(super) async fn shop(world: &World) -> Result<()> {
    world.apply(networking("VirtualService", "virtualservices")).await?;
    for object in [service("web", 80), service("old", 80), pod("web-1", "v1"), slice("web", &[("10.1.0.1", "web-1")])] {
        world.apply(object).await?;
    }
    world.apply(route("web", "web")).await
}

/// Rows 1 and 4: what happens while nobody looks is seen afterwards, killed, restarted or forgotten.
#[tokio::test]
async fn an_api_server_that_comes_back_is_followed_without_a_gap() -> Result<()> {
    let name = "an_api_server_that_comes_back_is_followed_without_a_gap";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    shop(&world).await?;
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

/// How many watches fail now, by the metric.
async fn failing(world: &World) -> Result<usize> {
    let metrics = world.control_plane.metrics().await?;
    Ok(metrics.named("mainsheet_watch_failing").filter(|(_, failing)| *failing > 0.0).count())
}

/// Rows 1 and 2: killed (SIGKILL), away for as long as it likes, its history compacted meanwhile, and back: proxies are
/// not sent a byte, new ones are served all along, readiness stays, and a metric says that something is amiss.
#[tokio::test]
async fn the_return_of_an_api_server_costs_no_byte() -> Result<()> {
    let Some(mut world) = World::prepare("the_return_of_an_api_server_costs_no_byte", &[]).await? else {
        return Ok(());
    };
    shop(&world).await?;
    world.control_plane.restart().await?;
    let mut witness = Witness::new(&world).await?;
    let watches = world.control_plane.metrics().await?.named("mainsheet_watch_failing").count();
    ensure!(failing(&world).await? == 0 && watches >= 8, "{watches} watches");

    world.server.kill();
    // Tried again and again: nothing gives up, however long it lasts.
    wait::until_within(Duration::from_secs(40), "every watch to fail, more than once", async || {
        let metrics = world.control_plane.metrics().await?;
        let fewest = metrics.named("mainsheet_watch_failures").map(|(_, count)| count).fold(f64::MAX, f64::min);
        ensure!(
            failing(&world).await? == watches && fewest >= 2.0,
            "{} of {watches}, {fewest}",
            failing(&world).await?
        );
        Ok(())
    })
    .await?;
    ensure!(world.is_ready().await, "not ready without its API server");
    first_configuration(&world).await?;

    world.server.compact_store().await?;
    world.server.restart().await?;
    wait::until("every watch to work again", async || {
        ensure!(failing(&world).await? == 0, "{} still fail", failing(&world).await?);
        Ok(())
    })
    .await?;
    ensure!(world.is_ready().await);
    witness.nothing_was_sent(&world).await
}

/// Row 3: without an API server at the start there is nothing to serve; that is said, and ends when it comes.
#[tokio::test]
async fn a_control_plane_that_starts_without_its_api_server_waits_for_it() -> Result<()> {
    let name = "a_control_plane_that_starts_without_its_api_server_waits_for_it";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    shop(&world).await?;
    world.server.kill();
    world.control_plane.start()?;
    world.until_logged("the watch fails; none of these objects is in force yet", Duration::from_secs(20)).await?;
    ensure!(!world.is_ready().await);
    // A proxy that comes meanwhile is kept, and sent nothing.
    let early = tokio::spawn({
        let mut witness = Witness::early(&world);
        async move { witness.first().await }
    });
    wait::until("the proxy to be connected", async || {
        let metrics = world.control_plane.metrics().await?;
        ensure!(metrics.sum("pilot_xds") >= 1.0);
        ensure!(metrics.sum("pilot_xds_pushes") < 1.0, "something was pushed");
        Ok(())
    })
    .await?;
    ensure!(!early.is_finished() && !world.is_ready().await);
    world.server.restart().await?;
    world.control_plane.ready().await?;
    world.until_logged("every resource was listed", Duration::from_secs(5)).await?;
    let first = early.await??;
    ensure!(first.names.iter().any(|name| name.contains(&host("web"))), "{first:?}");
    Ok(())
}
