//! A store (etcd) that is slow, or full.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use integration::{cluster::ApiServer, wait};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};

use super::{
    away::shop,
    witness::{Witness, first_configuration},
};
use crate::{
    webhook,
    world::{NAMESPACE, World, service},
};

/// Longest time until a new proxy has its configuration, whatever the store does. Far more than it takes, and far less
/// than the store is stopped for.
const SERVED_WITHIN: Duration = Duration::from_secs(2);
/// Bytes of a store that is soon full.
const QUOTA: u64 = 16 << 20;
/// Bytes of an object that fills it.
const FILLING_LEN: usize = 1 << 20;

/// Row 8: while the store stops again and again, proxies are served at once from what is known; what was written
/// meanwhile follows.
#[tokio::test]
async fn a_slow_store_slows_only_what_is_new() -> Result<()> {
    let Some(mut world) = World::prepare("a_slow_store_slows_only_what_is_new", &[]).await? else { return Ok(()) };
    shop(&world).await?;
    world.control_plane.restart().await?;
    let mut witness = Witness::new(&world).await?;
    let mut slowest = Duration::ZERO;
    for pulse in 0..5 {
        let name = format!("pulse-{pulse}");
        world.server.store().pause()?;
        let write = tokio::spawn({
            let (client, object) = (world.client.clone(), service(&name, 80));
            async move {
                let services = Api::<k8s_openapi::api::core::v1::Service>::namespaced(client, NAMESPACE);
                services.create(&kube::api::PostParams::default(), &serde_json::from_value(object)?).await?;
                Ok::<_, anyhow::Error>(())
            }
        });
        let served = tokio::time::timeout(SERVED_WITHIN, first_configuration(&world)).await;
        slowest = slowest.max(served.context("a new proxy had to wait for the store")??);
        ensure!(world.is_ready().await && !write.is_finished());
        world.server.store().resume()?;
        write.await??;
        world.until("the write", |held| held.has("Service", &name)).await?;
    }
    println!("a new proxy had its configuration after {} ms at the latest", slowest.as_millis());
    // Each of the changes was sent once.
    let sent = witness.sent(&world).await?;
    for pulse in 0..5 {
        let cluster = format!("outbound|80||pulse-{pulse}.{NAMESPACE}.svc.cluster.local");
        let times = sent.iter().flat_map(|arrival| &arrival.names).filter(|name| ***name == *cluster).count();
        // The cluster and its endpoints.
        ensure!(times <= 2 && times > 0, "{cluster} was sent {times} times: {sent:#?}");
    }
    ensure!(sent.iter().all(|arrival| arrival.removed == 0), "{sent:#?}");
    Ok(())
}

/// Row 9: a store that takes no writes is still read and served from; what the control plane has to write is tried again
/// with pauses, and done when there is room.
#[tokio::test]
async fn a_full_store_is_read_and_written_to_when_there_is_room() -> Result<()> {
    let name = "a_full_store_is_read_and_written_to_when_there_is_room";
    let Some(world) = World::prepare_on(name, &[], ApiServer::start_with_quota(QUOTA)).await? else { return Ok(()) };
    let world = webhook::installed(world).await?;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), webhook::SYSTEM);
    wait::until("the Secret of the authority", async || Ok(secrets.get(webhook::SECRET).await?)).await?;
    for name in ["staying", "going"] {
        world.apply(service(name, 80)).await?;
        world.until("a service", |held| held.has("Service", name)).await?;
    }

    let fillings = fill(&world).await?;
    // Deletions are still taken, and seen.
    world.delete(service("going", 80)).await?;
    world.until("the deletion", |held| !held.has("Service", "going")).await?;
    secrets.delete(webhook::SECRET, &DeleteParams::default()).await?;
    world.until_logged("database space exceeded", Duration::from_secs(20)).await?;
    let (refused, since) = (refused_secrets(&world).await?, Instant::now());
    wait::until("more tries", async || {
        ensure!(refused_secrets(&world).await? >= refused + 2.0);
        Ok(())
    })
    .await?;
    let pace = since.elapsed() / 2;
    ensure!(pace > Duration::from_secs(1), "tried every {pace:?}");
    ensure!(world.is_ready().await);
    first_configuration(&world).await?;

    for filling in fillings {
        world.delete(filling).await?;
    }
    world.server.make_room().await?;
    wait::until("the Secret to be written", async || Ok(secrets.get(webhook::SECRET).await?)).await?;
    webhook::until_it_judges(&world).await
}

/// Fills the store; what it is full of.
async fn fill(world: &World) -> Result<Vec<Value>> {
    let mut fillings = Vec::new();
    for number in 0..QUOTA / FILLING_LEN as u64 + 1 {
        let filling = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": format!("filling-{number}"), "namespace": NAMESPACE},
            "data": {"filling": "x".repeat(FILLING_LEN)},
        });
        match world.create(&filling).await {
            Ok(()) => fillings.push(filling),
            Err(error) if format!("{error:#}").contains("space exceeded") => return Ok(fillings),
            Err(error) => return Err(error),
        }
    }
    bail!("the store is not full after {} fillings", fillings.len())
}

/// How many times a Secret could not be made, by the API server's own count.
async fn refused_secrets(world: &World) -> Result<f64> {
    let text = world.client.request_text(http::Request::get("/metrics").body(Vec::new())?).await?;
    let of = |line: &&str| {
        line.starts_with("apiserver_request_total{")
            && ["code=\"500\"", "resource=\"secrets\"", "verb=\"POST\""].iter().all(|label| line.contains(label))
    };
    Ok(text.lines().filter(of).filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum())
}
