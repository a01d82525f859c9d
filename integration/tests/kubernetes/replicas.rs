//! Two control planes on one API server: they hold the same, and either may go.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use anyhow::{Result, ensure};
use integration::{
    app::App,
    bench::fleet::{Fleet, Held},
    client::Answer,
    control_plane::ControlPlane,
    envoy::Protocol,
    mesh::Caller,
    outside::Program,
    random::Random,
    wait,
};
use proto::ResourceType;
use serde_json::{Value, json};

use crate::{
    stage::{call, entry, load, subsets, until_answered},
    world::{World, istio, pod, service, slice},
};

/// Edits of a history; the second replica comes after a third of them, and sleeps through another third.
const EDITS: usize = 60;
const SEED: u64 = 20_263;
const SERVICES: [&str; 4] = ["s0", "s1", "s2", "s3"];
const PODS: [&str; 4] = ["p0", "p1", "p2", "p3"];
const MARKER: &str = "marker";
/// Proxies that look from different places.
const NODES: [&str; 4] = [
    "sidecar~10.1.0.1~p0.default~default.svc.cluster.local",
    "sidecar~10.1.0.2~p1.default~default.svc.cluster.local",
    "sidecar~10.1.0.9~stranger.default~default.svc.cluster.local",
    "sidecar~10.2.0.1~far.shop~shop.svc.cluster.local",
];

/// Objects that come, change and go; some claim the same host, subset or Pods.
struct History<'a> {
    world: &'a World,
    random: Random,
    there: BTreeSet<(usize, usize)>,
}

impl History<'_> {
    async fn edits(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            self.edit().await?;
        }
        Ok(())
    }

    async fn edit(&mut self) -> Result<()> {
        let (kind, number) = (self.random.below(6), self.random.below(SERVICES.len()));
        let object = self.object(kind, number);
        // Pods stay: a slice waits for one that it misses.
        let goes = kind != 1 && self.there.contains(&(kind, number)) && self.random.one_in(3);
        if goes {
            self.there.remove(&(kind, number));
            return self.world.delete(object).await;
        }
        self.there.insert((kind, number));
        self.world.apply(object).await
    }

    fn object(&mut self, kind: usize, number: usize) -> Value {
        let name = SERVICES.get(number).copied().unwrap_or_default();
        let other = self.random.pick(&SERVICES).copied().unwrap_or_default();
        let version = ["v1", "v2"].get(self.random.below(2)).copied().unwrap_or_default();
        match kind {
            0 => service(name, [80, 81, 9_000].get(self.random.below(3)).copied().unwrap_or_default()),
            1 => pod(PODS.get(number).copied().unwrap_or_default(), version),
            2 => {
                let pods: Vec<_> = self.pods().into_iter().filter(|_| !self.random.one_in(3)).collect();
                let addresses: Vec<_> = pods.iter().map(|pod| pod.replace('p', "10.1.0.1")).collect();
                slice(name, &addresses.iter().map(String::as_str).zip(pods.iter().copied()).collect::<Vec<_>>())
            }
            // Two for each host: the older one counts.
            3 => {
                let host = SERVICES.get(number / 2).copied().unwrap_or_default();
                let destination = json!({"host": other, "subset": version});
                let rules = json!([{"match": [{"headers": {"x": {"exact": version}}}], "route": [{"destination": destination}]}, {"route": [{"destination": {"host": name}}]}]);
                istio("VirtualService", name, json!({"hosts": [host], "http": rules}))
            }
            4 => {
                let host = SERVICES.get(number / 2).copied().unwrap_or_default();
                let mut rule = subsets(name, host, &["v1", version]);
                if version == "v1" {
                    rule = subsets(name, host, &["v1"]);
                }
                rule
            }
            _ => {
                let selector = json!({"labels": {"version": version}});
                let hosts = json!([{"hosts": [format!("./{other}.default.svc.cluster.local"), format!("./{MARKER}.default.svc.cluster.local")]}]);
                istio("Sidecar", name, json!({"workloadSelector": selector, "egress": hosts}))
            }
        }
    }

    fn pods(&self) -> Vec<&'static str> {
        let is_there = |number: &usize| self.there.contains(&(1, *number));
        PODS.iter().enumerate().filter(|(number, _)| is_there(number)).map(|(_, pod)| *pod).collect()
    }

    /// One more object of each kind. Each kind has a watch of its own, which keeps the order.
    async fn mark(&self) -> Result<()> {
        for object in [
            pod(MARKER, "v1"),
            service(MARKER, 7_777),
            slice(MARKER, &[("10.1.7.7", MARKER)]),
            marked_route("0"),
            subsets(MARKER, MARKER, &["v1"]),
            istio(
                "Sidecar",
                MARKER,
                json!({"workloadSelector": {"labels": {"nobody": "has-it"}}, "egress": [{"hosts": ["./*"]}]}),
            ),
        ] {
            self.world.apply(object).await?;
        }
        Ok(())
    }
}

/// A route that only tells how far a proxy is.
fn marked_route(mark: &str) -> Value {
    let headers = json!({"response": {"set": {"x-mark": mark}}});
    let rule = json!({"headers": headers, "route": [{"destination": {"host": MARKER}}]});
    istio("VirtualService", MARKER, json!({"hosts": [MARKER], "http": [rule]}))
}

/// Waits until a replica has followed to [`History::mark`].
async fn until_marked(replica: &ControlPlane) -> Result<()> {
    wait::until("the marks", async || {
        let objects = replica.json("/debug/configz").await?;
        let marks = objects.as_array().into_iter().flatten().filter(|object| object["name"] == MARKER).count();
        let endpoints = replica.json("/debug/endpointz").await?.to_string();
        // The slice's mark is its endpoint; its own name has a suffix.
        ensure!(marks == 5 && endpoints.contains("10.1.7.7"), "{objects:#}");
        Ok(())
    })
    .await
}

fn fleet(replica: &ControlPlane, held: BTreeMap<usize, Held>) -> Fleet {
    Fleet::connect(&replica.xds().to_string(), NODES.map(str::to_owned).into(), held)
}

/// Waits until a replica says that these proxies, and no others, have asked for everything and hold it.
async fn until_synced(replica: &ControlPlane, proxies: usize) -> Result<()> {
    wait::until("the proxies to hold everything", async || {
        let page = replica.json("/debug/syncz").await?;
        let list = page.as_array().map(Vec::as_slice).unwrap_or_default();
        let is_whole = |of: &&Value| {
            let types = of["mainsheet"]["types"].as_array().map_or(0, Vec::len);
            of["mainsheet"]["state"] == "SYNCED" && types == 4
        };
        ensure!(list.len() == proxies && list.iter().filter(is_whole).count() == proxies, "{page:#}");
        Ok(())
    })
    .await
}

/// Responses and resources, by type.
type Sent = BTreeMap<String, i64>;

/// What was sent since the start of a replica.
async fn sent(replica: &ControlPlane) -> Result<Sent> {
    let metrics = replica.metrics().await?;
    let samples = ["mainsheet_sent_messages", "mainsheet_sent_resources"].map(|name| metrics.named(name).collect());
    let samples: Vec<Vec<(&str, f64)>> = samples.into();
    Ok(samples.into_iter().flatten().map(|(sample, count)| (sample.to_owned(), count as i64)).collect())
}

/// What was sent since `before`.
async fn sent_since(replica: &ControlPlane, before: &Sent) -> Result<Sent> {
    let more = |(sample, count): (String, i64)| {
        let more = count - before.get(&sample).copied().unwrap_or_default();
        (more != 0).then_some((sample, more))
    };
    Ok(sent(replica).await?.into_iter().filter_map(more).collect())
}

/// Row 37: replicas that came at different times and saw the same in different batches hold the same bytes and versions,
/// and a proxy that comes from the other is sent nothing that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_hold_the_same_bytes_and_a_proxy_that_moves_is_sent_nothing_it_has() -> Result<()> {
    let name = "two_replicas_hold_the_same_bytes_and_a_proxy_that_moves_is_sent_nothing_it_has";
    let Some(mut world) = World::prepare(name, &[]).await? else { return Ok(()) };
    world.define(&["VirtualService", "DestinationRule", "Sidecar"]).await?;
    let (mut second, _home) = world.replica()?;
    world.control_plane.restart().await?;
    let mut history = History { world: &world, random: Random::seeded(SEED), there: BTreeSet::new() };
    history.edits(EDITS / 3).await?;
    second.restart().await?;
    history.edits(EDITS / 3).await?;
    second.process()?.pause()?;
    history.edits(EDITS - EDITS / 3 * 2).await?;
    history.mark().await?;
    second.process()?.resume()?;

    let mut all = Vec::new();
    for replica in [&world.control_plane, &second] {
        until_marked(replica).await?;
        let fleet = fleet(replica, BTreeMap::new());
        until_synced(replica, NODES.len()).await?;
        // Of every resource the fleet holds the version against the bytes, of which it is the hash.
        all.push(fleet.stop().await?);
        until_synced(replica, 0).await?;
    }
    let [of_first, of_second] = <[_; 2]>::try_from(all).map_err(|all| anyhow::anyhow!("{all:?}"))?;
    ensure!(of_first == of_second, "the first replica: {of_first:#?}, the second: {of_second:#?}");
    let kinds = |held: &Held| held.values().filter(|resources| !resources.is_empty()).count();
    ensure!(of_first.len() == NODES.len() && of_first.values().all(|held| kinds(held) == 4), "{of_first:#?}");
    let views: BTreeSet<_> = of_first.values().collect();
    ensure!(views.len() > 1, "all proxies see the same: {of_first:#?}");

    for (mark, replica, held) in [("1", &second, of_first), ("2", &world.control_plane, of_second)] {
        // What was changed after the first move is sent to those that come later, and nothing else.
        let stale = usize::from(mark != "1") * NODES.len();
        let before = sent(replica).await?;
        let mut fleet = fleet(replica, held);
        until_synced(replica, NODES.len()).await?;
        let resent = sent_since(replica, &before).await?;
        let only_routes = resent.keys().all(|sample| sample.contains("\"rds\""));
        ensure!(only_routes && resent.is_empty() == (stale == 0), "sent to those that moved: {resent:?}");
        world.apply(marked_route(mark)).await?;
        let deadline = Instant::now() + wait::DEADLINE;
        for number in 0..NODES.len() + stale {
            let arrival = fleet.arrival(deadline).await?;
            let is_mark = arrival.kind == ResourceType::Route && arrival.removed == 0;
            ensure!(is_mark, "arrival {number} after {mark}: {arrival:?}");
        }
        fleet.stop().await?;
    }
    Ok(())
}

const HOST: &str = "web.example.com";
const MARK: &str = "x-mark";

/// The replicas, by turns, and the callers under load.
struct Fair {
    replicas: [ControlPlane; 2],
    callers: [Caller; 2],
    marks: u32,
}

fn web(mark: u32) -> Value {
    let version = if mark.is_multiple_of(2) { "v1" } else { "v2" };
    let headers = json!({"response": {"set": {MARK: mark.to_string()}}});
    let route = json!([{"destination": {"host": HOST, "subset": version}}]);
    istio("VirtualService", "web", json!({"hosts": [HOST], "http": [{"headers": headers, "route": route}]}))
}

impl Fair {
    /// Makes an edit that shows in answers.
    async fn edit(&mut self, world: &World) -> Result<()> {
        self.marks += 1;
        world.apply(web(self.marks)).await
    }

    /// Waits until the last edit is in force everywhere.
    async fn until_in_force(&self) -> Result<()> {
        let mark = self.marks.to_string();
        for caller in &self.callers {
            until_answered(caller, &call(HOST, "/"), |answer: &Answer| answer.header(MARK) == mark).await?;
        }
        Ok(())
    }

    /// Makes an edit and waits until it is in force; says what a replica sent for it.
    async fn cost_at(&mut self, world: &World, replica: usize) -> Result<Sent> {
        let before = sent(&self.replicas[replica]).await?;
        self.edit(world).await?;
        self.until_in_force().await?;
        sent_since(&self.replicas[replica], &before).await
    }

    async fn until_connected(&self, replica: usize) -> Result<()> {
        until_synced(&self.replicas[replica], self.callers.len()).await
    }
}

/// Rows 38 and 85: whichever replica is killed or told to end, in the middle of a push or not, Envoys go on with the other at
/// once; no request is lost, and a proxy that speaks delta is sent nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_either_replica_is_killed_or_told_to_end() -> Result<()> {
    let name = "no_request_is_lost_when_either_replica_is_killed_or_told_to_end";
    let Some(world) = World::prepare(name, &[Program::Envoy, Program::Agent]).await? else { return Ok(()) };
    world.define(&["ServiceEntry", "VirtualService", "DestinationRule"]).await?;
    let (one, two) =
        (App::start("web-1", "v1", world.home.at(0)).await?, App::start("web-2", "v2", world.home.at(0)).await?);
    for object in [entry("web", HOST, &[&one, &two]), subsets("web", HOST, &["v1", "v2"]), web(0)] {
        world.apply(object).await?;
    }
    let ((mut left, _left_home), (mut right, _right_home)) = (world.replica()?, world.replica()?);
    left.restart().await?;
    let xds = [left.xds(), right.xds()];
    let callers = [
        Caller::start("delta-1", &xds, Protocol::Delta, world.directory.path()).await?,
        Caller::start("sotw-1", &xds, Protocol::Sotw, world.directory.path()).await?,
    ];
    right.restart().await?;
    let mut fair = Fair { replicas: [left, right], callers, marks: 0 };
    let loads: Vec<_> =
        fair.callers.iter().map(|caller| load(caller, &call(HOST, "/")).connections(2).start(100)).collect();
    fair.until_connected(0).await?;
    let cost = fair.cost_at(&world, 0).await?;
    // The one that was not there yet may have been tried first.
    let tries = [failed_tries(&fair.callers[0]).await?, failed_tries(&fair.callers[1]).await?];

    // Killed, without a word.
    for round in 0..2 {
        let kill = async |replica: &mut ControlPlane| {
            replica.kill();
            Ok(())
        };
        moved(&mut fair, &world, round % 2, &cost, kill).await?;
    }
    // Told to end, as by a Deployment that rolls.
    for round in 0..2 {
        moved(&mut fair, &world, round % 2, &cost, async |replica| replica.end().await).await?;
    }
    // Told to end in the middle of a push: one proxy was sent something that it has not acknowledged.
    fair.callers[0].process().pause()?;
    fair.edit(&world).await?;
    wait::until("a push under way", async || {
        let page = fair.replicas[0].json("/debug/syncz").await?;
        let list = page.as_array().map(Vec::as_slice).unwrap_or_default();
        ensure!(list.iter().any(|of| of["mainsheet"]["state"] == "STALE"), "{page:#}");
        Ok(())
    })
    .await?;
    fair.replicas[0].end().await?;
    fair.callers[0].process().resume()?;
    fair.until_in_force().await?;
    fair.until_connected(1).await?;

    for load in loads {
        let tally = load.stop().await;
        println!("{tally}");
        tally.ensure_all_ok()?;
    }
    for (caller, tries) in fair.callers.iter().zip(tries) {
        caller.ensure_nothing_refused().await?;
        ensure!(failed_tries(caller).await? == tries, "{} tried a replica that was gone", caller.envoy().name());
    }
    Ok(())
}

/// How often its Envoy found nobody at the address of a replica.
async fn failed_tries(caller: &Caller) -> Result<u64> {
    caller.envoy().stat_sum(r"^cluster\.xds-grpc;?\.upstream_cx_connect_fail$").await
}

/// Ends a replica that both callers are connected to, and starts it again when they are with the other. They are sent
/// nothing there but the next edit, which costs what it always does.
async fn moved(
    fair: &mut Fair,
    world: &World,
    from: usize,
    cost: &Sent,
    end: impl AsyncFnOnce(&mut ControlPlane) -> Result<()>,
) -> Result<()> {
    let to = 1 - from;
    let before = sent(&fair.replicas[to]).await?;
    let since = Instant::now();
    end(&mut fair.replicas[from]).await?;
    fair.until_connected(to).await?;
    println!("moved after {:.0} ms", since.elapsed().as_secs_f32() * 1e3);
    let resent = sent_since(&fair.replicas[to], &before).await?;
    // The one that speaks the state of the world cannot say for certain which routes it has, and is sent them once more.
    let routes = resent.iter().all(|(sample, _)| sample.contains("\"rds\""));
    let responses: i64 = resent.iter().filter(|(sample, _)| sample.contains("messages")).map(|(_, count)| count).sum();
    ensure!(routes && responses <= 1, "sent again: {resent:?}");
    let again = fair.cost_at(world, to).await?;
    ensure!(again == *cost, "an edit was {cost:?}, and is {again:?} after the move");
    fair.replicas[from].restart().await
}
