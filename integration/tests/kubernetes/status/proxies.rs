//! `Programmed`, as real Envoys acknowledge or refuse what was made of an object.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use integration::{
    envoy::{Envoy, Protocol, Sidecar},
    outside::Program,
    ports::Loopback,
};
use serde_json::{Value, json};

use super::{condition, events, good, prepare, until};
use crate::world::{World, istio};

/// The port of a service that is not HTTP: each Envoy listens on it.
const OPEN: u16 = 9_009;
/// One that something else listens on already, where one of the Envoys would.
const TAKEN: u16 = 9_010;

async fn envoy(world: &World, pod: &str, address: &Loopback) -> Result<Envoy> {
    let sidecar = Sidecar {
        pod,
        app: pod,
        version: "v1",
        ip: address.ip(),
        service_account: "default",
        xds: &[world.control_plane.xds()],
        admin: address.at(15_000),
        protocol: Protocol::Delta,
    };
    let mut envoy = Envoy::start(pod, &sidecar.bootstrap()?, sidecar.admin, world.directory.path())?;
    envoy.ready().await?;
    Ok(envoy)
}

fn entry(port: u16) -> Value {
    let ports = json!([{"number": port, "name": "tcp", "protocol": "TCP"}]);
    let spec = json!({"hosts": ["out.example.com"], "location": "MESH_EXTERNAL", "resolution": "DNS", "ports": ports});
    istio("ServiceEntry", "out", spec)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programmed_counts_the_envoys_and_repeats_what_one_refuses() -> Result<()> {
    let name = "programmed_counts_the_envoys_and_repeats_what_one_refuses";
    let Some(mut world) = prepare(name, &[Program::Envoy, Program::Agent]).await? else { return Ok(()) };
    world.apply(entry(OPEN)).await?;
    world.apply(good("route")).await?;
    world.control_plane.restart().await?;
    let homes = [Loopback::claim()?, Loopback::claim()?];
    let occupied = TcpListener::bind(homes[0].at(TAKEN)).context("take a port")?;
    let _one = envoy(&world, "one", &homes[0]).await?;
    let two = envoy(&world, "two", &homes[1]).await?;
    until(&world, "ServiceEntry", "out", "Programmed", "True Programmed 1 2/2 proxies").await?;
    let object = until(&world, "VirtualService", "route", "Programmed", "True Programmed 1 2/2 proxies").await?;
    ensure!(condition(&object, "Accepted").is_some_and(|of| of.starts_with("True")), "{}", object.data["status"]);

    world.apply(entry(TAKEN)).await?;
    let object =
        until(&world, "ServiceEntry", "out", "Programmed", "False Refused 2 1/2 proxies; 1 refuse it:").await?;
    let said = condition(&object, "Programmed").unwrap_or_default();
    ensure!(said.contains("9010") && said.contains("Address already in use"), "{said}");
    // Nobody else is blamed.
    until(&world, "VirtualService", "route", "Programmed", "True Programmed 1 2/2 proxies").await?;

    // Mended, both have it; and who is gone does not count.
    drop(occupied);
    world.apply(entry(OPEN)).await?;
    until(&world, "ServiceEntry", "out", "Programmed", "True Programmed 3 2/2 proxies").await?;
    ensure!(events(&world, "out").await? == ["Normal Programmed 1", "Warning Refused 1"]);
    drop(two);
    world.apply(entry(OPEN + 2)).await?;
    until(&world, "ServiceEntry", "out", "Programmed", "True Programmed 4 1/1 proxies").await?;
    Ok(())
}
