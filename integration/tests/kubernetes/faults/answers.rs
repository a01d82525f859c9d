//! Answers of an API server that has no time, or that do not come through as they were sent.

use std::time::Duration;

use anyhow::{Result, ensure};
use integration::{ports::Loopback, wait};

use super::{
    away::shop,
    between::{Between, Fault},
    witness::Witness,
};
use crate::world::{World, control_plane, service};

/// How often, and with which word, the API server asks for time.
const REFUSALS: usize = 2;
const SECONDS: u32 = 2;

/// The world, with somebody between its control plane, which is not started, and its API server.
pub(super) async fn with_between(
    world: &mut World,
    rule: impl FnMut(&str) -> Option<Fault> + Send + 'static,
) -> Result<Between> {
    shop(world).await?;
    let between = Between::start(world.client.clone(), Loopback::claim()?.at(0), rule).await?;
    let kubeconfig = between.kubeconfig(world.server.kubeconfig(), world.directory.path())?;
    world.control_plane = control_plane(&kubeconfig, &world.home, world.directory.path());
    Ok(between)
}

/// Row 10: an API server that says when to come again (429, `Retry-After`) is not asked before.
#[tokio::test]
async fn an_api_server_that_asks_for_time_gets_it() -> Result<()> {
    let Some(mut world) = World::prepare("an_api_server_that_asks_for_time_gets_it", &[]).await? else {
        return Ok(());
    };
    let mut left = REFUSALS;
    let between = with_between(&mut world, move |path| {
        let refuses = path.contains("/services?") && left > 0;
        left -= usize::from(refuses);
        refuses.then_some(Fault::Refused { status: 429, retry_after: Some(SECONDS) })
    })
    .await?;
    world.control_plane.restart().await?;
    let asked = between.requests("/services?");
    let asked = asked.get(..=REFUSALS).ok_or_else(|| anyhow::anyhow!("asked only {} times", asked.len()))?;
    for pair in asked.windows(2) {
        let pause = pair[1] - pair[0];
        ensure!(pause >= Duration::from_secs(SECONDS.into()), "asked again after {pause:?}");
    }
    ensure!(world.control_plane.metrics().await?.sum("mainsheet_watch_failures") >= 2.0);
    ensure!(world.held().await?.has("Service", "web"));
    Ok(())
}

/// Row 12: an event that comes half, or as something that is no JSON, is not lost.
#[tokio::test]
async fn an_event_that_is_cut_or_garbled_is_not_lost() -> Result<()> {
    let Some(mut world) = World::prepare("an_event_that_is_cut_or_garbled_is_not_lost", &[]).await? else {
        return Ok(());
    };
    let between =
        with_between(&mut world, |path| path.contains("/services?").then_some(Fault::Cut("cut-here"))).await?;
    world.control_plane.restart().await?;
    let mut witness = Witness::new(&world).await?;
    let watches = between.requests("/services?").len();

    between.rule(|path| path.contains("/services?").then_some(Fault::Garbled("garbled-here")));
    world.apply(service("cut-here", 80)).await?;
    world.until("the event that was cut", |held| held.has("Service", "cut-here")).await?;
    ensure!(between.requests("/services?").len() > watches, "it came by the same connection");

    let failures = world.control_plane.metrics().await?.sum("mainsheet_watch_failures");
    between.rule(|_| None);
    world.apply(service("garbled-here", 80)).await?;
    world.until("the event that was garbled", |held| held.has("Service", "garbled-here")).await?;
    ensure!(between.requests("/services?").len() > watches + 1, "it came by the same connection");
    wait::until("the failure to be counted", async || {
        ensure!(world.control_plane.metrics().await?.sum("mainsheet_watch_failures") > failures);
        Ok(())
    })
    .await?;
    let sent = witness.sent(&world).await?;
    let is_new = |name: &str| name.contains("-here") || name == "80";
    ensure!(sent.iter().all(|of| of.removed == 0 && of.names.iter().all(|name| is_new(name))), "{sent:#?}");
    Ok(())
}
