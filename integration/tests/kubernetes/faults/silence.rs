//! A way to the API server on which nothing comes any more, though nobody has closed it.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use integration::{cluster::isolate, wait};

use super::{away::shop, witness::Witness};
use crate::world::{World, service};

/// Longest time until a silent watch is followed again.
const NOTICED_WITHIN: Duration = Duration::from_secs(60);

/// Row 5, where the API server itself has stopped (SIGSTOP).
#[tokio::test]
async fn a_watch_with_nobody_at_its_other_side_is_noticed() -> Result<()> {
    let name = "a_watch_with_nobody_at_its_other_side_is_noticed";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    world.apply(service("web", 80)).await?;
    world.control_plane.restart().await?;
    let stopped = Instant::now();
    world.server.pause()?;
    wait::until_within(NOTICED_WITHIN, "the silence to be noticed", async || {
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

/// Row 5, where a firewall drops what comes on the connections of the watches: new ones are opened in time, the missed
/// change is seen, and nothing else is sent.
#[test]
fn watches_whose_packets_are_dropped_are_followed_on_new_connections() -> Result<()> {
    let name = "watches_whose_packets_are_dropped_are_followed_on_new_connections";
    isolate::test(&format!("faults::silence::{name}"), async || {
        let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
        shop(&world).await?;
        world.control_plane.restart().await?;
        let mut witness = Witness::new(&world).await?;
        let silenced = silence(world.control_plane.process()?.id(), world.server.address().port())?;
        let since = Instant::now();
        // What the test itself says to the API server goes by other connections.
        world.apply(service("missed", 80)).await?;
        let seen = wait::until_within(NOTICED_WITHIN, "the missed change", async || {
            ensure!(world.held().await?.has("Service", "missed"));
            Ok(since.elapsed())
        });
        println!(
            "{}{silenced} silent connections were replaced after {:.0} s",
            isolate::NOTE,
            seen.await?.as_secs_f32()
        );
        ensure!(world.is_ready().await);
        let sent = witness.sent(&world).await?;
        let is_expected = |name: &str| name.contains("missed") || name == "80";
        ensure!(sent.iter().all(|of| of.removed == 0 && of.names.iter().all(|name| is_expected(name))), "{sent:#?}");
        Ok(())
    })
}

/// Drops all that comes and goes on the connections that a process has to a port; how many those are.
fn silence(process: u32, port: u16) -> Result<usize> {
    let output = Command::new("ss").args(["-Htnp", "state", "established", &format!("dport = :{port}")]).output();
    let output = String::from_utf8(output.context("ss")?.stdout)?;
    let of_process = output.lines().filter(|line| line.contains(&format!("pid={process},")));
    let local = of_process.filter_map(|line| line.split_whitespace().nth(2)?.rsplit_once(':')?.1.parse::<u16>().ok());
    let (local, port) = (local.map(|local| local.to_string()).collect::<Vec<_>>(), port.to_string());
    for local in &local {
        for [from, to] in [[local, &port], [&port, local]] {
            let mut command = Command::new("iptables");
            command.args(["-I", "INPUT", "-p", "tcp", "--sport", from, "--dport", to, "-j", "DROP"]);
            let output = command.output().context("iptables")?;
            ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    ensure!(!local.is_empty(), "the process has no connections there:\n{output}");
    Ok(local.len())
}
