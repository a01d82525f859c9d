//! Exact counters of the push path on shape S: what is sent, to whom, and how often it is encoded.

use std::{collections::BTreeMap, time::Duration};

use anyhow::Result;
use integration::{
    bench::{
        run::{self, Change},
        server::Server,
        shape::{S, Shape},
    },
    outside::{self, Program},
};

/// Proxies are fewer than in the benchmark: the counters do not depend on their number.
const SHAPE: Shape = Shape { proxies: 40, ..S };
/// One for each service, and the one that catches what belongs to none.
const VIRTUAL_HOSTS: u64 = 101;
/// Messages encoded for each version of a resource, over all changes.
const ENCODES_PER_VERSION_MAX: f64 = 1.05;

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

    let connected = run::counters(&http).await?;
    let mut versions_changed = 0;
    assert_eq!(count(&connected, "recompiles", "unit=\"virtual_host\""), VIRTUAL_HOSTS, "each is encoded once");
    // What one change sends to each proxy: responses, resources in them, names removed; and what is encoded for all.
    for (change, expected, encoded) in [
        // The load assignments of the service and of both subsets, of which that of the endpoint's differs.
        (Change::Endpoint, (1, 2, 0), Encoded { endpoints: 3, ..Encoded::default() }),
        // The cluster of the subset, and its load assignment, which the proxy then asks for. The clusters and load
        // assignments of a service are one unit, and its virtual host may take a hash policy from the rule: what turns out
        // equal is not sent.
        (Change::Subset, (2, 2, 0), Encoded { clusters: 4, endpoints: 4, virtual_hosts: 1, ..Encoded::default() }),
        // The route configuration, of which one virtual host is new.
        (Change::Header, (1, 1, 0), Encoded { routes: 1, virtual_hosts: 1, ..Encoded::default() }),
    ] {
        let before = run::counters(&http).await?;
        let push = run::measure(&server, &mut fleet, change, (&SHAPE, &config), 7, 1).await?;
        versions_changed += push.resources / SHAPE.proxies;
        let per_proxy = |count: usize| count as f64 / SHAPE.proxies as f64;
        let sent = (per_proxy(push.messages), per_proxy(push.resources), per_proxy(push.removed));
        let expected = (f64::from(expected.0), f64::from(expected.1), f64::from(expected.2));
        assert_eq!(sent, expected, "{}: responses, resources and removals per proxy", change.name());
        let made = Encoded::between(&before, &run::counters(&http).await?);
        assert_eq!(made, encoded, "{}: what is encoded, for {} proxies", change.name(), SHAPE.proxies);
    }
    assert_eq!(run::useless(&mut fleet, &SHAPE, &config).await?, 0, "messages for changes that nobody depends on");

    // All that is encoded for a first configuration goes to every proxy: one encode for each version that there is.
    let versions = connect.resources / SHAPE.proxies;
    assert_eq!(all_encodes(&connected) as usize, versions, "encodes for as many resource versions");
    let ratio = all_encodes(&run::counters(&http).await?) as f64 / (versions + versions_changed) as f64;
    assert!(ratio <= ENCODES_PER_VERSION_MAX, "{ratio} encodes for each resource version");
    let held = fleet.stop().await?;

    let before = server.usage()?;
    let (fleet, resume) = run::resume(&server, nodes, held, before).await?;
    assert_eq!((resume.resources, resume.bytes), (0, 0), "a proxy that has everything is sent nothing");
    fleet.stop().await?;
    Ok(())
}

/// What is encoded because of one change.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Encoded {
    clusters: u64,
    endpoints: u64,
    listeners: u64,
    routes: u64,
    virtual_hosts: u64,
}

impl Encoded {
    fn between(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Self {
        let grown = |count: &dyn Fn(&BTreeMap<String, u64>) -> u64| count(after) - count(before);
        Self {
            clusters: grown(&|all| encodes(all, "cds")),
            endpoints: grown(&|all| encodes(all, "eds")),
            listeners: grown(&|all| encodes(all, "lds")),
            routes: grown(&|all| encodes(all, "rds")),
            virtual_hosts: grown(&|all| count(all, "recompiles", "unit=\"virtual_host\"")),
        }
    }
}

fn encodes(counters: &BTreeMap<String, u64>, kind: &str) -> u64 {
    count(counters, "encodes", &format!("type=\"{kind}\""))
}

fn all_encodes(counters: &BTreeMap<String, u64>) -> u64 {
    ["cds", "eds", "lds", "rds"].map(|kind| encodes(counters, kind)).iter().sum()
}

/// A counter of ours; one that is missing is a fault of the control plane.
fn count(counters: &BTreeMap<String, u64>, name: &str, label: &str) -> u64 {
    let name = format!("mainsheet_{name}_total{{{label}}}");
    assert!(counters.contains_key(&name), "no {name} in {counters:?}");
    counters.get(&name).copied().unwrap_or_default()
}
