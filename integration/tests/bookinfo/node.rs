//! A node that is lost without a word, and comes back: callers lose what is bounded, or nothing where they try again elsewhere.

use std::{collections::BTreeSet, time::Instant};

use anyhow::{Context, Result, ensure};
use integration::{
    client::Call,
    manifest::{destination_rule, documents, virtual_service},
    outside, wait,
};
use k8s_openapi::api::core::v1::Pod;

use crate::world::{CONNECTIONS, NAMESPACE, STEP_WITHIN, World, note, reviews, stopped};

/// The second; the first leads the API server's calls to Services.
const NODE: usize = 1;
/// Of each application, spread over both nodes.
const PODS: usize = 4;
const PER_SECOND: u32 = 50;
/// An Envoy leaves out a pod after so many failures in a row, by both policies below.
const FAILURES: usize = 3;
/// Reviews are tried again, on another pod.
const REVIEWS: &str = "manifests/samples/tasks/reviews-lost-pods.yaml";

/// An application under load, and the pods that stay when the node goes.
struct Target {
    call: Call,
    cluster: &'static str,
    all: BTreeSet<String>,
    staying: BTreeSet<String>,
}

pub(crate) async fn is_lost_and_comes_back(world: &World) -> Result<()> {
    world.cluster.apply(&outside::repository().join(REVIEWS)).await?;
    let file = world.cluster.server().directory().join("details.yaml");
    std::fs::write(&file, details_once())?;
    world.cluster.apply(&file).await?;
    let targets = [
        spread(world, "reviews", reviews(), "outbound|9080|v1|reviews.default.svc.cluster.local").await?,
        spread(world, "details", details(), "outbound|9080||details.default.svc.cluster.local").await?,
    ];
    let node = world.cluster.nodes().get(NODE).context("no such node")?;

    let begun = Instant::now();
    let [tried_again, tried_once] = targets.each_ref().map(|target| world.load(&target.call, PER_SECOND));
    node.unplug().await?;
    for target in &targets {
        hosts_are(world, target, &target.staying).await?;
    }
    let [tried_again, tried_once] = [stopped(tried_again).await, stopped(tried_once).await];
    note("a node lost, reviews tried on other pods", begun, &tried_again);
    note("a node lost, details tried once", begun, &tried_once);
    tried_again.ensure_all_ok()?;
    // Each Envoy leaves a pod out after so many failures. All other connections may be waiting for that pod then, and each of all may turn to it
    // once more until the Envoy has done so, which takes it less time than a connection is waited for.
    let [_, details] = &targets;
    let lost_pods = details.all.len() - details.staying.len();
    let connections = usize::try_from(CONNECTIONS)?;
    let bound = world.callers.len() * lost_pods * (FAILURES + (connections - 1) + connections);
    let lost = tried_once.total() - tried_once.status(200);
    ensure!(lost <= u64::try_from(bound)?, "more than {bound} were lost: {tried_once}");

    let begun = Instant::now();
    let loads = targets.each_ref().map(|target| world.load(&target.call, PER_SECOND));
    node.plug_in().await?;
    for target in &targets {
        hosts_are(world, target, &target.all).await?;
    }
    for load in loads {
        let tally = stopped(load).await;
        note("the node came back", begun, &tally);
        tally.ensure_all_ok()?;
    }
    Ok(())
}

fn details() -> Call {
    Call::get("details:9080", "/details/0")
}

/// A request for details has one second on one pod.
fn details_once() -> String {
    let policy = format!(
        "{{connectionPool: {{tcp: {{connectTimeout: 0.25s}}}}, \
         outlierDetection: {{consecutive5xxErrors: {FAILURES}, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 50}}}}"
    );
    let route = "route: [{destination: {host: details}}]\ntimeout: 1s\nretries: {attempts: 0}";
    documents([destination_rule("details", &["v1"], &policy), virtual_service("details", &[route])])
}

/// Scales version 1 of an application over both nodes, and waits until every Envoy knows it.
async fn spread(world: &World, app: &str, call: Call, cluster: &'static str) -> Result<Target> {
    let (deployment, replicas) = (format!("deployment/{app}-v1"), format!("--replicas={PODS}"));
    world.cluster.kubectl(&["--namespace", NAMESPACE, "scale", &deployment, &replicas]).await?;
    world.settled(app, "v1", PODS).await?;
    let pods = world.pods(app, "v1").await?;
    let node = world.cluster.nodes().get(NODE).context("no such node")?.name();
    let addresses = |pods: &mut dyn Iterator<Item = &Pod>| -> BTreeSet<String> {
        pods.filter_map(|pod| pod.status.as_ref()?.pod_ip.clone()).collect()
    };
    let on_it = |pod: &&Pod| pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref()) == Some(&node);
    let all = addresses(&mut pods.iter());
    let staying = addresses(&mut pods.iter().filter(|pod| !on_it(pod)));
    ensure!(all.len() == PODS && !staying.is_empty() && staying.len() < PODS, "{staying:?} of {all:?} stay");
    let target = Target { call, cluster, all, staying };
    hosts_are(world, &target, &target.all).await?;
    Ok(target)
}

/// Waits until every Envoy sends new requests to exactly these addresses.
async fn hosts_are(world: &World, target: &Target, addresses: &BTreeSet<String>) -> Result<()> {
    for caller in &world.callers {
        let what = format!("{} of {} to be {addresses:?}", target.cluster, caller.envoy().name());
        wait::until_within(STEP_WITHIN, &what, async || {
            let hosts = World::hosts(caller, target.cluster).await?;
            ensure!(hosts == *addresses, "they are {hosts:?}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}
