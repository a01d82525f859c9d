//! An API server that has forgotten what happened, or does not know it yet.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, bail, ensure};
use integration::{
    cluster::{Gateway, Second, kubeconfig},
    ports::Loopback,
    wait,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, api::ListParams};
use proto::ResourceType;

use super::{away::shop, witness::Witness};
use crate::world::{NAMESPACE, World, control_plane, pod, service, slice};

/// Services, EndpointSlices, Pods, Nodes, Namespaces, the ConfigMap, and the definitions.
const CORE_WATCHES: usize = 7;

/// Row 4: 410 Gone leads to a new list, of which only the differences are sent, and no endpoints go meanwhile.
#[tokio::test]
async fn a_forgotten_history_costs_the_difference() -> Result<()> {
    let Some(mut world) = World::prepare("a_forgotten_history_costs_the_difference", &[]).await? else { return Ok(()) };
    shop(&world).await?;
    for number in 0..20 {
        world.apply(service(&format!("other-{number}"), 80)).await?;
    }
    world.control_plane.restart().await?;
    let mut witness = Witness::new(&world).await?;
    world.control_plane.process()?.pause()?;
    world.delete(service("old", 80)).await?;
    world.apply(service("new", 80)).await?;
    world.apply(pod("web-2", "v2")).await?;
    world.apply(slice("web", &[("10.1.0.1", "web-1"), ("10.1.0.2", "web-2")])).await?;
    world.server.forget_history().await?;
    world.control_plane.process()?.resume()?;
    world.until_logged("too far behind", Duration::from_secs(20)).await?;
    world.until("the differences", |held| held.endpoints("web").len() == 2 && !held.has("Service", "old")).await?;
    let sent = witness.sent(&world).await?;
    let of = |kind: ResourceType| sent.iter().filter(move |arrival| arrival.kind == kind);
    let names = |kind: ResourceType| of(kind).flat_map(|arrival| &arrival.names).collect::<Vec<_>>();
    let expected = ["outbound|80||new.default.svc.cluster.local"];
    ensure!(names(ResourceType::Cluster).iter().all(|name| ***name == *expected[0]), "{sent:#?}");
    // The cluster that went, and its endpoints.
    let removed: usize = sent.iter().map(|arrival| arrival.removed).sum();
    ensure!(
        removed == of(ResourceType::Cluster).map(|arrival| arrival.removed).sum::<usize>() && removed == 1,
        "{sent:#?}"
    );
    let endpoints = names(ResourceType::Endpoint);
    let changed = |name: &str| name.contains("|web.") || name.contains("|new.");
    ensure!(endpoints.iter().all(|name| changed(name)), "{sent:#?}");
    // Once: had they been gone for a moment, they would have been sent twice.
    ensure!(endpoints.iter().filter(|name| name.contains("|web.")).count() == 1, "{sent:#?}");
    Ok(())
}

/// Row 7: the API server that takes over after another is behind it. What it holds is older than what is served; it is
/// waited for, and nothing goes back.
#[tokio::test]
async fn an_api_server_that_is_behind_takes_nothing_back() -> Result<()> {
    let Some(mut world) = World::prepare("an_api_server_that_is_behind_takes_nothing_back", &[]).await? else {
        return Ok(());
    };
    shop(&world).await?;
    let (home, address) = (Loopback::claim()?, Loopback::claim()?.at(6443));
    let second = Second::start(&world.server, &home).await?;
    let way = Gateway::start(&world.server, "way-to-the-first", address, world.server.address()).await?;
    let kubeconfig = world.directory.path().join("kubeconfig");
    std::fs::write(&kubeconfig, kubeconfig::led_by(world.server.kubeconfig(), &format!("https://{address}"))?)?;
    world.control_plane = control_plane(&kubeconfig, &world.home, world.directory.path());
    world.control_plane.restart().await?;

    // The second one knows what there is now, and then hears of nothing more.
    second.store().pause()?;
    world.apply(service("late", 80)).await?;
    world.apply(slice("web", &[("10.1.0.7", "web-1")])).await?;
    world.until("the change", |held| held.endpoints("web") == ["10.1.0.7:8080 v1"]).await?;
    let mut witness = Witness::new(&world).await?;

    drop(way);
    world.until_logged("the watch fails", Duration::from_secs(20)).await?;
    let _way = Gateway::start(&world.server, "way-to-the-second", address, second.address()).await?;
    wait::until("the second API server to be asked", async || {
        let connections = connections(second.address())?;
        ensure!(connections >= CORE_WATCHES, "{connections} connections");
        Ok(())
    })
    .await?;
    // It is asked, and what it would say by itself does not count.
    let slices: Api<EndpointSlice> = Api::namespaced(second.client(&world.server).await?, NAMESPACE);
    let known = serde_json::to_string(&slices.list(&ListParams::default().match_any()).await?.items)?;
    ensure!(known.contains("10.1.0.1") && !known.contains("10.1.0.7"), "it is not behind: {known}");
    second.store().resume()?;
    world.until_logged("the watch works again", Duration::from_secs(30)).await?;
    let held = world.held().await?;
    ensure!(held.has("Service", "late") && held.endpoints("web") == ["10.1.0.7:8080 v1"], "{held:#?}");
    witness.nothing_was_sent(&world).await
}

/// How many connections to an address are open on this machine.
fn connections(to: SocketAddr) -> Result<usize> {
    let SocketAddr::V4(to) = to else { bail!("{to} is no address of IPv4") };
    let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes(to.ip().octets()), to.port());
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let is_open = |line: &&str| {
        let columns: Vec<&str> = line.split_whitespace().skip(2).take(2).collect();
        columns == [remote.as_str(), "01"]
    };
    Ok(table.lines().filter(is_open).count())
}
