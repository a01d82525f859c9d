//! A cluster with Mainsheet and Bookinfo installed as the README says, and a control plane with Envoys beside it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use integration::{
    client::Call,
    cluster::{Cluster, isolate},
    control_plane::ControlPlane,
    demo::visitors::has_gaps,
    envoy::Protocol,
    load::Running,
    mesh::Caller,
    outside::{self, Program},
    ports::Loopback,
    tally::Tally,
    wait,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::ListParams};
use serde_json::Value;

pub(crate) const NAMESPACE: &str = "default";
/// On a machine that has much else to do.
pub(crate) const STEP_WITHIN: Duration = Duration::from_secs(120);
const DEPLOYMENTS: [&str; 6] = ["productpage-v1", "details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3"];
/// Connections of each load.
pub(crate) const CONNECTIONS: u32 = 4;

pub(crate) struct World {
    /// One for each protocol.
    pub(crate) callers: [Caller; 2],
    pub(crate) cluster: Cluster,
    control_plane: ControlPlane,
    _home: Loopback,
}

impl World {
    pub(crate) async fn start() -> Result<Self> {
        let begun = Instant::now();
        let cluster = Cluster::start(2).await?;
        cluster.import_built(&[Program::ControlPlane, Program::Bookinfo]).await?;
        as_the_readme_says(&cluster, "mainsheet install --image registry.example/mainsheet:1").await?;
        let apply = "kubectl apply --server-side -f manifests/samples/bookinfo -f manifests/samples/deployments";
        as_the_readme_says(&cluster, apply).await?;
        for deployment in DEPLOYMENTS {
            cluster.rolled_out(NAMESPACE, deployment).await?;
        }
        let home = Loopback::claim()?;
        let server = cluster.server();
        let directory = server.directory().to_path_buf();
        let mut control_plane =
            ControlPlane::of_cluster(server.kubeconfig(), home.at(15_010), home.at(15_014), &directory);
        control_plane.restart().await?;
        let start = async |name, protocol| Caller::start(name, &[control_plane.xds()], protocol, &directory).await;
        let callers = [start("visitors-v1", Protocol::Delta).await?, start("visitors-v2", Protocol::Sotw).await?];
        let world = Self { callers, cluster, control_plane, _home: home };
        world.page_is_whole().await?;
        println!("{}Bookinfo answered after {:.0} s", isolate::NOTE, begun.elapsed().as_secs_f32());
        Ok(world)
    }

    /// Runs a command of the README.
    pub(crate) async fn run(&self, command: &str) -> Result<()> {
        as_the_readme_says(&self.cluster, command).await
    }

    /// A steady load through every Envoy, until [`stopped`].
    pub(crate) fn load(&self, call: &Call, per_second: u32) -> Vec<Running> {
        self.callers.iter().map(|caller| caller.load(call).connections(CONNECTIONS).start(per_second)).collect()
    }

    /// The pods of a version of an application, those that are going too.
    pub(crate) async fn pods(&self, app: &str, version: &str) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.cluster.client().await?, NAMESPACE);
        Ok(pods.list(&ListParams::default().labels(&format!("app={app},version={version}"))).await?.items)
    }

    /// Waits until there are exactly so many pods of a version, none of them going, and hands on their names.
    pub(crate) async fn settled(&self, app: &str, version: &str, count: usize) -> Result<BTreeSet<String>> {
        self.cluster.rolled_out(NAMESPACE, &format!("{app}-{version}")).await?;
        wait::until_within(STEP_WITHIN, &format!("{count} pods of {app} {version}"), async || {
            let pods = self.pods(app, version).await?;
            ensure!(pods.len() == count, "there are {}", pods.len());
            Ok(pods.into_iter().filter_map(|pod| pod.metadata.name).collect())
        })
        .await
    }

    /// Waits until, of all pods of a version, exactly these get requests of every Envoy; not one request may be lost meanwhile.
    pub(crate) async fn answered_by(&self, call: &Call, version: &str, pods: &BTreeSet<String>) -> Result<()> {
        let what = format!("{version} to be {pods:?}");
        for caller in &self.callers {
            let load = caller.load(call).connections(CONNECTIONS);
            let probe = wait::until(&what, async || {
                let tally = load.run(200).await;
                if let Err(lost) = tally.ensure_all_ok() {
                    return Ok(Err(lost));
                }
                let of_version = |app: &&String| app.contains(&format!("-{version}-"));
                let seen: BTreeSet<_> = tally.apps().keys().filter(of_version).cloned().collect();
                ensure!(seen == *pods, "it is {seen:?}");
                Ok(Ok(()))
            });
            probe.await??;
        }
        Ok(())
    }

    /// The addresses to which an Envoy sends new requests for a cluster.
    pub(crate) async fn hosts(caller: &Caller, cluster: &str) -> Result<BTreeSet<String>> {
        let clusters = caller.envoy().clusters().await?;
        let clusters = clusters["cluster_statuses"].as_array().context("no clusters")?;
        let found = clusters.iter().find(|status| status["name"] == cluster);
        let found = found.with_context(|| format!("no cluster {cluster}"))?;
        let hosts = found["host_statuses"].as_array().into_iter().flatten();
        let hosts = hosts.filter(|host| host["health_status"]["eds_health_status"] == "HEALTHY");
        let address = |host: &Value| host["address"]["socket_address"]["address"].as_str().map(str::to_owned);
        Ok(hosts.filter_map(address).collect())
    }

    pub(crate) async fn ensure_nothing_was_refused(&self) -> Result<()> {
        for caller in &self.callers {
            let updates = caller.envoy().updates().await?;
            ensure!(updates.refused == 0 && updates.connected, "{}: {updates:?}", caller.envoy().name());
        }
        Ok(())
    }

    /// The last words of the control plane and the Envoys.
    pub(crate) fn report(&self) -> String {
        let envoys = self.callers.iter().map(|caller| caller.envoy().log_tail());
        envoys.chain([self.control_plane.log_tail()]).collect::<Vec<_>>().join("\n")
    }

    /// The pods that the page asks are called by the names of their Services.
    async fn page_is_whole(&self) -> Result<()> {
        for caller in &self.callers {
            wait::until("the page to be whole", async || {
                let page = caller.send(&page()).await?;
                ensure!(page.status.is_success() && !has_gaps(&page), "{}: {}", page.status, page.text());
                Ok(())
            })
            .await?;
        }
        Ok(())
    }
}

pub(crate) fn reviews() -> Call {
    Call::get("reviews:9080", "/reviews/0")
}

pub(crate) fn page() -> Call {
    Call::get("productpage:9080", "/productpage")
}

/// Ends loads, and counts them together.
pub(crate) async fn stopped(loads: Vec<Running>) -> Tally {
    let mut all = Tally::default();
    for load in loads {
        all.join(load.stop().await);
    }
    all
}

pub(crate) fn note(what: &str, begun: Instant, tally: &Tally) {
    let (took, p99) = (begun.elapsed().as_secs_f32(), tally.percentile(0.99));
    let (total, failed) = (tally.total(), tally.total() - tally.status(200));
    println!("{}{what}: {took:.1} s, {total} requests, {failed} failed, 99 % within {p99:?}", isolate::NOTE);
}

/// Runs a command that the README has on a line of its own, as it stands there.
async fn as_the_readme_says(cluster: &Cluster, command: &str) -> Result<()> {
    let readme = std::fs::read_to_string(outside::repository().join("README.md"))?;
    let mut said = readme.lines().map(|line| line.split(" # ").next().unwrap_or_default().trim());
    ensure!(said.any(|said| said == command), "the README does not say: {command}");
    let mut words = command.split(' ');
    let program = match words.next() {
        Some("kubectl") => Program::Kubectl,
        _ => Program::ControlPlane,
    };
    cluster.run(program, &words.collect::<Vec<_>>()).await.map(drop)
}
