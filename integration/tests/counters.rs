//! Exact counters of the push path on shape S: what is sent, to whom, and how often it is encoded.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Result;
use integration::{
    bench::{
        fleet::Held,
        run::{self, Change},
        server::Server,
        shape::{S, Shape},
    },
    outside::{self, Program},
};

/// Proxies are fewer than in the benchmark: the counters do not depend on their number.
const SHAPE: Shape = Shape { proxies: 40, ..S };

#[tokio::test(flavor = "current_thread")]
async fn a_change_sends_exactly_what_changed_to_those_who_need_it() -> Result<()> {
    if !outside::all_present("exact counters", &[Program::ControlPlane])? {
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("config");
    std::fs::create_dir(&config)?;
    SHAPE.write(&config)?;
    SHAPE.write_node(&config, "0")?;
    let free = || -> Result<String> { Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string()) };
    let (xds, http) = (free()?, free()?);
    let config_text = config.to_string_lossy();
    let args = ["serve", "--config-dir", &config_text, "--xds-address", &xds, "--http-address", &http];
    let server = Server::start(&Program::ControlPlane.find()?, &args, &xds, &dir.path().join("log"))?;
    server.wait_listening(&xds, Duration::from_secs(60)).await?;

    let nodes: Vec<String> = (0..SHAPE.proxies).map(|index| SHAPE.node_id(index)).collect();
    let (mut fleet, connect) = run::storm(&server, nodes.clone(), BTreeMap::new()).await?;
    assert_eq!(connect.resources % SHAPE.proxies, 0, "proxies of one viewpoint got different numbers of resources");

    let mut distinct = BTreeSet::new();
    // What one change sends to each proxy: responses, resources in them, names removed.
    for (change, round, expected) in [
        // The load assignments of the service and of the subset that the endpoint belongs to.
        (Change::Endpoint, 1, (1, 2, 0)),
        // The cluster of the subset, and its load assignment, which the proxy then asks for.
        (Change::Subset, 1, (2, 2, 0)),
        // The route configuration.
        (Change::Header, 1, (1, 1, 0)),
    ] {
        let push = run::measure(&server, &mut fleet, change, (&SHAPE, &config), 7, round).await?;
        let per_proxy = |count: usize| count as f64 / SHAPE.proxies as f64;
        let sent = (per_proxy(push.messages), per_proxy(push.resources), per_proxy(push.removed));
        let expected = (f64::from(expected.0), f64::from(expected.1), f64::from(expected.2));
        assert_eq!(sent, expected, "{}: responses, resources and removals per proxy", change.name());
    }
    assert_eq!(run::useless(&mut fleet, &SHAPE, &config).await?, 0, "messages for changes that nobody depends on");

    let counters = run::counters(&http).await?;
    let held = fleet.stop().await?;
    for held in held.values() {
        distinct.extend(versions(held));
    }
    let encodes: u64 =
        counters.iter().filter(|(name, _)| name.starts_with("mainsheet_encodes_total")).map(|(_, n)| n).sum();
    assert!(encodes > 0, "the counter of encodes is missing: {counters:?}");
    // Each version of the changed resources was encoded once more; every other resource once.
    let changed = 16;
    assert!(
        encodes as usize <= distinct.len() * 2 + changed,
        "{encodes} encodes for {} distinct resources",
        distinct.len()
    );

    let before = server.usage()?;
    let (fleet, resume) = run::resume(&server, nodes, held, before).await?;
    assert_eq!((resume.resources, resume.bytes), (0, 0), "a proxy that has everything is sent nothing");
    fleet.stop().await?;
    Ok(())
}

fn versions(held: &Held) -> impl Iterator<Item = (String, String)> {
    held.values().flatten().map(|(name, version)| (name.clone(), version.clone()))
}
