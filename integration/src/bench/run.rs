//! The rounds of a measurement: one change, awaited at every proxy that needs it, and the same bytes at the floor.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use proto::ResourceType;

use super::{
    churn,
    fleet::{Arrival, Fleet, Held},
    floor::FloorServer,
    report::{Push, Report, Storm},
    server::{self, Server, Usage},
    shape::Shape,
};
use crate::client;

/// A change must have reached everyone after this long.
const PUSH_LIMIT: Duration = Duration::from_secs(60);
/// Everyone must be connected and complete after this long.
const CONNECT_LIMIT: Duration = Duration::from_secs(180);
/// When nothing has arrived for this long, nothing more is on its way.
const QUIET: Duration = Duration::from_millis(1500);

/// What is measured once everyone is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Measure {
    /// One change at a time, and that everyone comes back with nothing to be sent.
    Changes,
    /// Endpoints that change at steady rates.
    Churn,
    /// 500 pods replaced as fast as can be written.
    Roll,
    /// Churn while a tenth as many proxies again do not read.
    Stall,
    /// One more proxy, several times.
    First,
    /// Nothing at all.
    Idle,
    /// A push of a megabyte.
    Large,
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The mesh.
    pub shape: Shape,
    /// What of it.
    pub measures: Vec<Measure>,
    /// Rounds of each kind of change.
    pub rounds: usize,
    /// The control plane's program.
    pub mainsheet: PathBuf,
    /// This program, which is the floor as well.
    pub bench: PathBuf,
    /// Where the mesh and logs are written.
    pub dir: PathBuf,
    /// Ports of xDS, HTTP and the floor.
    pub ports: [u16; 3],
}

/// The kinds of change that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// One endpoint gets another address.
    Endpoint,
    /// One service gets a third subset.
    Subset,
    /// One header of one route changes.
    Header,
}

impl Change {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Endpoint, Self::Subset, Self::Header];

    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Subset => "subset",
            Self::Header => "header",
        }
    }

    /// The type whose arrival ends the round.
    fn last_kind(self) -> ResourceType {
        match self {
            Self::Endpoint => ResourceType::Endpoint,
            Self::Subset => ResourceType::Cluster,
            Self::Header => ResourceType::Route,
        }
    }

    fn apply(self, shape: &Shape, dir: &Path, service: usize, round: usize) -> Result<()> {
        match self {
            Self::Endpoint => shape.write_endpoints(dir, service, round)?,
            // Every round takes another service, and each has two subsets at the start.
            Self::Subset => shape.write_rule(dir, service, 3)?,
            Self::Header => shape.write_routes(dir, service, &format!("round-{round}"))?,
        }
        Ok(())
    }
}

/// Runs everything and gives the report.
///
/// # Errors
/// When a process cannot be started, a proxy got something wrong, or a change did not arrive.
pub async fn run(plan: &Plan) -> Result<Report> {
    server::pin_fleet()?;
    let config = plan.dir.join("config");
    std::fs::create_dir_all(&config)?;
    plan.shape.write(&config)?;
    plan.shape.write_node(&config, "0")?;

    let [xds, http, floor_port] = plan.ports.map(|port| format!("127.0.0.1:{port}"));
    let config_text = config.to_string_lossy();
    let args = ["serve", "--config-dir", &config_text, "--xds-address", &xds, "--http-address", &http];
    let mainsheet = Server::start(&plan.mainsheet, &args, &xds, &plan.dir.join("mainsheet.log"))?;
    mainsheet.wait_listening(&xds, CONNECT_LIMIT).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut floor = FloorServer::start(plan, &floor_port).await?;

    let mut report = Report::new(plan.shape);
    let nodes: Vec<String> = (0..plan.shape.proxies).map(|index| plan.shape.node_id(index)).collect();
    report.rss_loaded = mainsheet.usage()?.rss;
    // What is compiled and encoded for a viewpoint is the model's; what is added when others join is the proxies'.
    let scouts = (0..plan.shape.namespaces()).map(|index| plan.shape.node_id(plan.shape.proxies + index)).collect();
    let (scouts, compile) = storm(&mainsheet, scouts, BTreeMap::new()).await?;
    report.compile = Some(compile);
    report.rss_model = mainsheet.usage()?.rss;
    let (mut fleet, connect) = storm(&mainsheet, nodes.clone(), BTreeMap::new()).await?;
    report.rss_connected = mainsheet.usage()?.rss;
    scouts.stop().await?;

    let floor_idle = floor.server.usage()?;
    let mut floor_fleet = Fleet::connect(&floor_port, nodes.clone(), BTreeMap::new());
    floor_fleet.settle(QUIET).await?;
    report.floor_rss_per_proxy = floor.server.usage()?.rss.saturating_sub(floor_idle.rss) / plan.shape.proxies as u64;
    floor_fleet.stop().await?;
    floor.greet(connect.bytes / connect.proxies.max(1))?;
    let (mut floor_fleet, floor_connect) = floor.storm(nodes.clone()).await?;
    report.connect = Some((connect, floor_connect));

    let mesh = (&plan.shape, config.as_path());
    for measure in &plan.measures {
        match measure {
            Measure::Changes => {
                for change in Change::ALL {
                    for round in 1..=plan.rounds {
                        let service = round * 7 % plan.shape.services;
                        let push = self::measure(&mainsheet, &mut fleet, change, mesh, service, round).await?;
                        let bytes = push.bytes / push.watchers.max(1);
                        let floor_push = floor.push(&mut floor_fleet, bytes, push.watchers).await?;
                        report.pushes.push((change, push, floor_push));
                    }
                }
                report.useless = Some(useless(&mut fleet, &plan.shape, &config).await?);
            }
            Measure::Churn => {
                for rate in churn::RATES {
                    report.churns.push(churn::steady(&mainsheet, &mut fleet, mesh, rate).await?);
                }
            }
            Measure::Roll => report.roll = Some(churn::roll(&mainsheet, &mut fleet, mesh).await?),
            Measure::Stall => report.stall = Some(churn::stalled(&mainsheet, &mut fleet, mesh).await?),
            Measure::First => report.first = Some(first(&mainsheet, &mut floor, plan).await?),
            Measure::Idle => report.idle = Some((idle(&mainsheet).await?, idle(&floor.server).await?)),
            Measure::Large => report.large = Some(large(&mainsheet, &mut fleet, plan, &config).await?),
        }
    }
    report.counters = counters(&http).await?;
    floor_fleet.stop().await?;
    let held = fleet.stop().await?;
    verify(&held, &plan.shape)?;
    if plan.measures.contains(&Measure::Changes) {
        tokio::time::sleep(QUIET).await;
        let before = mainsheet.usage()?;
        let (fleet, resume) = resume(&mainsheet, nodes, held, before).await?;
        report.resume = Some(resume);
        fleet.stop().await?;
    }
    Ok(report)
}

/// One more proxy after the other: how long each took until it was complete, here and at the floor, which sends the same
/// bytes at once.
async fn first(server: &Server, floor: &mut FloorServer, plan: &Plan) -> Result<(Vec<Duration>, Vec<Duration>)> {
    const TIMES: usize = 20;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for time in 0..TIMES {
        let node = plan.shape.node_id(plan.shape.proxies + time);
        for (address, last, took) in [
            (&server.address, ResourceType::Route, &mut ours),
            (&floor.server.address, ResourceType::Cluster, &mut floors),
        ] {
            let start = Instant::now();
            let mut fleet = Fleet::connect(address, vec![node.clone()], BTreeMap::new());
            took.extend(await_all(&mut fleet, 1, last, start).await?.latencies);
            fleet.stop().await?;
        }
    }
    Ok((ours, floors))
}

/// The share of a core that a server takes with nothing to do.
async fn idle(server: &Server) -> Result<f64> {
    const SPAN: Duration = Duration::from_secs(15);
    let before = server.usage()?;
    tokio::time::sleep(SPAN).await;
    Ok((server.usage()?.cpu - before.cpu) / SPAN.as_secs_f64())
}

/// Connects everyone and waits until each is complete.
///
/// # Errors
/// When a proxy failed, or not all are complete in time.
pub async fn storm(server: &Server, nodes: Vec<String>, held: BTreeMap<usize, Held>) -> Result<(Fleet, Storm)> {
    // A first configuration is complete with its routes, which Envoy asks for last.
    storm_until(server, nodes, held, ResourceType::Route).await
}

/// The same, until each has got a type.
///
/// # Errors
/// When a proxy failed, or not all have it in time.
pub async fn storm_until(
    server: &Server,
    nodes: Vec<String>,
    held: BTreeMap<usize, Held>,
    kind: ResourceType,
) -> Result<(Fleet, Storm)> {
    let proxies = nodes.len();
    let before = server.usage()?;
    let start = Instant::now();
    let mut fleet = Fleet::connect(&server.address, nodes, held);
    let mut storm = Storm { proxies, ..Storm::default() };
    let mut complete = BTreeSet::new();
    let mut last = start;
    while complete.len() < proxies {
        let arrival = fleet
            .arrival(start + CONNECT_LIMIT)
            .await
            .with_context(|| format!("{} of {proxies} proxies are complete", complete.len()))?;
        storm.count(&arrival);
        last = last.max(arrival.at);
        if arrival.kind == kind {
            complete.insert(arrival.proxy);
        }
    }
    storm.wall = last - start;
    for arrival in fleet.settle(QUIET).await? {
        storm.count(&arrival);
    }
    storm.cpu = server.usage()?.cpu - before.cpu;
    Ok((fleet, storm))
}

/// Everyone comes back with what it held; nothing is to be sent.
///
/// # Errors
/// When a proxy failed.
pub async fn resume(
    server: &Server,
    nodes: Vec<String>,
    held: BTreeMap<usize, Held>,
    before: Usage,
) -> Result<(Fleet, Storm)> {
    let proxies = nodes.len();
    let start = Instant::now();
    let mut fleet = Fleet::connect(&server.address, nodes, held);
    let mut storm = Storm { proxies, ..Storm::default() };
    let quiet = if proxies > 500 { QUIET * 4 } else { QUIET };
    for arrival in fleet.settle(quiet).await? {
        storm.count(&arrival);
        storm.wall = storm.wall.max(arrival.at - start);
    }
    storm.cpu = server.usage()?.cpu - before.cpu;
    Ok((fleet, storm))
}

/// Makes one change of one service and waits until every proxy that needs it has it.
///
/// # Errors
/// When the change did not arrive everywhere.
pub async fn measure(
    server: &Server,
    fleet: &mut Fleet,
    change: Change,
    mesh: (&Shape, &Path),
    service: usize,
    round: usize,
) -> Result<Push> {
    let (shape, config) = mesh;
    let watchers = shape.watchers(service);
    let before = server.usage()?;
    let start = Instant::now();
    change.apply(shape, config, service, round)?;
    let mut push = await_all(fleet, watchers, change.last_kind(), start).await?;
    for arrival in fleet.settle(Duration::from_millis(400)).await? {
        push.count(&arrival);
    }
    push.cpu = server.usage()?.cpu - before.cpu;
    push.watchers = watchers;
    Ok(push)
}

/// Waits until `expected` proxies got something of a type.
pub(super) async fn await_all(fleet: &mut Fleet, expected: usize, kind: ResourceType, start: Instant) -> Result<Push> {
    let mut push = Push::default();
    let mut done = BTreeSet::new();
    while done.len() < expected {
        let arrival = fleet
            .arrival(start + PUSH_LIMIT)
            .await
            .with_context(|| format!("{} of {expected} proxies got the change", done.len()))?;
        push.count(&arrival);
        if arrival.kind == kind && done.insert(arrival.proxy) {
            push.latencies.push(arrival.at - start);
        }
    }
    Ok(push)
}

/// Changes that no proxy depends on: gives the messages that were sent all the same.
///
/// # Errors
/// When a proxy failed.
pub async fn useless(fleet: &mut Fleet, shape: &Shape, config: &Path) -> Result<usize> {
    let write = |label: &str| {
        shape.write_node(config, label)?;
        shape.write_endpoints(config, 1, 0)?;
        shape.write_routes(config, 0, "v1")
    };
    // The first time may undo what earlier rounds did; the same objects once more, in files written anew, must be silent.
    write("1")?;
    fleet.settle(QUIET).await?;
    write("2")?;
    Ok(fleet.settle(QUIET).await?.len())
}

/// One megabyte to everyone that sees the service: how much memory it takes while it is under way.
async fn large(server: &Server, fleet: &mut Fleet, plan: &Plan, config: &Path) -> Result<(Push, u64)> {
    const SLICES: usize = 8;
    let before = server.usage()?;
    let start = Instant::now();
    plan.shape.write_many_endpoints(config, 0, SLICES)?;
    let watchers = plan.shape.watchers(0);
    let mut peak = before.rss;
    let mut push = Push { watchers, ..Push::default() };
    let mut done = BTreeSet::new();
    while done.len() < watchers {
        let arrival = fleet.arrival(start + PUSH_LIMIT * 2).await?;
        push.count(&arrival);
        if arrival.kind == ResourceType::Endpoint && done.insert(arrival.proxy) {
            push.latencies.push(arrival.at - start);
            peak = peak.max(server.usage()?.rss);
        }
    }
    push.cpu = server.usage()?.cpu - before.cpu;
    Ok((push, peak.saturating_sub(before.rss)))
}

/// Proxies of one namespace must hold the same, complete set.
fn verify(held: &BTreeMap<usize, Held>, shape: &Shape) -> Result<()> {
    let mut by_namespace: BTreeMap<String, (usize, &Held)> = BTreeMap::new();
    for (index, held) in held {
        let clusters = held.get(&ResourceType::Cluster).map_or(0, BTreeMap::len);
        if clusters < shape.visible * 3 {
            bail!("proxy {index} holds {clusters} clusters, at least {} exist", shape.visible * 3);
        }
        let (first, expected) = by_namespace.entry(shape.namespace(*index)).or_insert((*index, held));
        if *expected != held {
            bail!("proxies {first} and {index} have the same viewpoint but hold different configurations");
        }
    }
    Ok(())
}

/// Our own counters, as `/metrics` shows them.
///
/// # Errors
/// When the endpoint does not answer.
pub async fn counters(http: &str) -> Result<BTreeMap<String, u64>> {
    let address = http.parse().with_context(|| format!("{http} is not an address"))?;
    let body = client::fetch(address, "/metrics").await?;
    let body = String::from_utf8_lossy(&body);
    let number = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse::<f64>().ok()? as u64))
    };
    let ours = |line: &&str| line.starts_with("mainsheet_");
    Ok(body.lines().filter(ours).filter_map(number).collect())
}

impl Storm {
    fn count(&mut self, arrival: &Arrival) {
        self.messages += 1;
        self.resources += arrival.resources;
        self.bytes += arrival.bytes;
    }
}

impl Push {
    pub(super) fn count(&mut self, arrival: &Arrival) {
        self.messages += 1;
        self.resources += arrival.resources;
        self.removed += arrival.removed;
        self.bytes += arrival.bytes;
    }
}
