//! A real Kubernetes for tests, from the programs that `make kube` builds: the API server alone, which is enough for most, or whole clusters.

pub mod api_server;
mod command;
mod etcd;
pub mod gateway;
pub mod image;
pub mod isolate;
pub mod keeper;
pub mod kubeconfig;
pub mod node;
pub mod pki;
pub mod second;
pub mod standing;

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use futures::future::try_join_all;
use k8s_openapi::api::{apps::v1::Deployment, core::v1};
use kube::{Api, Client};

pub use api_server::ApiServer;
pub use gateway::Gateway;
use image::Image;
use keeper::Keeper;
pub use node::Node;
pub use second::Second;

use crate::{
    outside::{self, Program},
    ports::Loopback,
    process::Process,
    wait,
};

/// The application that says who it is ([`crate::app`]), in every node; arguments as in `app --help`.
pub const APP_IMAGE: &str = "test.local/app:1";
/// Holds the namespaces of a pod, in every node.
const PAUSE_IMAGE: &str = "test.local/pause:1";
const DNS_IMAGE: &str = "test.local/coredns:1";
/// A node takes 200 MB and a second of a processor.
const NODES_MAX: u8 = 8;
/// How long a step of the start may take on a machine that has much else to do.
const STEP_WITHIN: Duration = Duration::from_secs(120);

/// A running cluster. Inside ([`isolate`]) only, where nothing of it can be left behind.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Node>,
    controllers: Process,
    scheduler: Process,
    server: ApiServer,
}

impl Cluster {
    /// Starts a cluster of so many nodes and waits until they are ready, DNS answers, and pods can be made in namespace `default`.
    ///
    /// # Errors
    /// This process is not inside ([`isolate::test`]), or something does not get ready: what, and what it wrote.
    pub async fn start(nodes: u8) -> Result<Self> {
        ensure!(isolate::is_inside(), "a cluster is started inside: see isolate::test and isolate::start");
        ensure!((1..=NODES_MAX).contains(&nodes), "a cluster has 1 to {NODES_MAX} nodes, not {nodes}");
        node::make_bridge().await?;
        let keeper = Keeper::around()?;
        let images = keeper.directory().join("images.tar");
        image::write(&images, &images_of_every_node().await?)?;
        let server = ApiServer::start_at(node::BRIDGE_IP.into(), Loopback::claim()?, Keeper::around()?, None);
        let prepared = try_join_all((1..=nodes).map(|number| Node::prepare(&keeper, number, &images)));
        let (server, nodes) = tokio::try_join!(server, prepared)?;
        let controllers = start_controllers(&server)?;
        let scheduler = start_scheduler(&server)?;
        let mut cluster = Self { nodes, controllers, scheduler, server };
        cluster.join_nodes().await?;
        cluster.apply(&outside::repository().join("integration/cluster/addons.yaml")).await?;
        cluster.ready().await?;
        Ok(cluster)
    }

    /// Its API server.
    #[must_use]
    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    /// Its API server, to be killed or restarted.
    pub fn server_mut(&mut self) -> &mut ApiServer {
        &mut self.server
    }

    /// Its nodes.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Ends the kubelet of a node at once: the node falls silent, and its pods go on.
    ///
    /// # Errors
    /// There is no such node.
    pub fn kill_kubelet(&mut self, index: usize) -> Result<()> {
        self.nodes.get_mut(index).context("no such node")?.kill_kubelet();
        Ok(())
    }

    /// Starts the kubelet of a node again.
    ///
    /// # Errors
    /// There is no such node, or it cannot be started.
    pub fn start_kubelet(&mut self, index: usize) -> Result<()> {
        self.nodes.get_mut(index).context("no such node")?.start_kubelet(&self.server)
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// The client cannot be made.
    pub async fn client(&self) -> Result<Client> {
        self.server.client().await
    }

    /// Runs kubectl as somebody who may do everything, and hands on its output.
    ///
    /// # Errors
    /// It fails: what it wrote.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.run(Program::Kubectl, arguments).await
    }

    /// Runs a program as somebody who may do everything, in the root of the repository, and hands on its output.
    ///
    /// # Errors
    /// It fails: what it wrote.
    pub async fn run(&self, program: Program, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new(program.find()?);
        command.args(arguments).current_dir(outside::repository()).env("KUBECONFIG", self.server.kubeconfig());
        // kubectl's, which is not to be in the home of whoever runs the test.
        command.env("KUBECACHEDIR", self.server.directory().join("kubectl"));
        command::output(command).await
    }

    /// Applies a file of YAML.
    ///
    /// # Errors
    /// The API server refuses.
    pub async fn apply(&self, file: &Path) -> Result<()> {
        let file = file.to_str().context("a path that is no text")?;
        self.kubectl(&["apply", "--server-side", "--filename", file]).await.map(drop)
    }

    /// Gives every node more images.
    ///
    /// # Errors
    /// A file of an image cannot be read, or a node refuses it.
    pub async fn import(&self, images: &[Image]) -> Result<()> {
        let archive = self.server.directory().join("more-images.tar");
        image::write(&archive, images)?;
        try_join_all(self.nodes.iter().map(|node| node.import(&archive))).await.map(drop)
    }

    /// Gives every node images of these programs as they were built beside this one: `registry.example/NAME`, tags `1` and `2`.
    ///
    /// # Errors
    /// There is no such program, or a node refuses it.
    pub async fn import_built(&self, programs: &[Program]) -> Result<()> {
        let mut images = Vec::new();
        for program in programs {
            let program = image::stripped(&program.find()?, self.server.directory()).await?;
            let name = program.file_name().unwrap_or_default().to_string_lossy();
            for tag in ["1", "2"] {
                images.push(Image::of_program(&format!("registry.example/{name}:{tag}"), &program, &[]).await?);
            }
        }
        self.import(&images).await
    }

    /// Waits until all replicas of a Deployment of namespace `namespace` are of its newest form and available.
    ///
    /// # Errors
    /// They are not in time.
    pub async fn rolled_out(&self, namespace: &str, deployment: &str) -> Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client().await?, namespace);
        let what = format!("deployment {namespace}/{deployment} to be rolled out");
        let probe = wait::until_within(STEP_WITHIN, &what, async || {
            let seen = deployments.get(deployment).await?;
            let (wanted, status) = (seen.spec.replicas, seen.status.unwrap_or_default());
            ensure!(status.observed_generation == seen.metadata.generation, "not seen yet");
            let counts = [status.replicas, status.updated_replicas, status.available_replicas];
            ensure!(counts.iter().all(|&count| count == wanted), "wanted {wanted:?}, has {counts:?}");
            Ok(())
        });
        probe.await.map_err(|error| error.context(self.log_tail()))
    }

    /// The last lines that its programs wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let nodes = self.nodes.iter().map(Node::log_tail);
        [self.controllers.log_tail(), self.scheduler.log_tail()].into_iter().chain(nodes).collect::<Vec<_>>().join("\n")
    }

    async fn join_nodes(&mut self) -> Result<()> {
        let count = u8::try_from(self.nodes.len()).unwrap_or(NODES_MAX);
        for number in 1..=count {
            node::introduce(number, 1..=count).await?;
        }
        node::reach_services().await?;
        self.nodes.iter_mut().try_for_each(|node| node.join(&self.server))
    }

    async fn ready(&self) -> Result<()> {
        let client = self.client().await?;
        let nodes: Api<v1::Node> = Api::all(client.clone());
        for node in &self.nodes {
            let what = format!("{} to be ready", node.name());
            let probe = wait::until_within(STEP_WITHIN, &what, async || {
                let seen = nodes.get(&node.name()).await?;
                let conditions = seen.status.and_then(|status| status.conditions).unwrap_or_default();
                let ready = conditions.into_iter().find(|condition| condition.type_ == "Ready");
                ready.filter(|condition| condition.status == "True").map(drop).ok_or_else(|| anyhow!("it is not"))
            });
            probe.await.map_err(|error| error.context(self.log_tail()))?;
        }
        // A pod needs it; the controller manager makes it.
        let accounts: Api<v1::ServiceAccount> = Api::namespaced(client, "default");
        let account = async || accounts.get("default").await.context("not there");
        wait::until_within(STEP_WITHIN, "service account default", account).await?;
        self.rolled_out("kube-system", "coredns").await
    }
}

async fn images_of_every_node() -> Result<Vec<Image>> {
    let app = Program::App.find()?;
    Ok(vec![
        Image::of_program(PAUSE_IMAGE, &app, &["pause"]).await?,
        Image::of_program(APP_IMAGE, &app, &[]).await?,
        Image::of_program(DNS_IMAGE, &Program::CoreDns.find()?, &[]).await?,
    ])
}

fn start_controllers(server: &ApiServer) -> Result<Process> {
    let keeper = server.keeper();
    let mut command = keeper.command(Program::KubeControllerManager.find()?);
    authenticate(&mut command, &server.kubeconfig_for("system:kube-controller-manager", None)?);
    let file = |name: &str| server.directory().join(name);
    command.arg("--service-account-private-key-file").arg(file("sa.key")).arg("--root-ca-file").arg(file("ca.crt"));
    command.arg("--cluster-signing-cert-file").arg(file("ca.crt"));
    command.arg("--cluster-signing-key-file").arg(file("ca.key"));
    // The default is a fixed place of the machine.
    command.arg("--flex-volume-plugin-dir").arg(file("volume-plugins"));
    command.args(["--use-service-account-credentials=true", "--allocate-node-cidrs=false"]);
    // A silent node is found out soon.
    command.args(["--node-monitor-period", "2s", "--node-monitor-grace-period", "16s"]);
    keeper.run("kube-controller-manager", &mut command)
}

fn start_scheduler(server: &ApiServer) -> Result<Process> {
    let keeper = server.keeper();
    let mut command = keeper.command(Program::KubeScheduler.find()?);
    authenticate(&mut command, &server.kubeconfig_for("system:kube-scheduler", None)?);
    keeper.run("kube-scheduler", &mut command)
}

/// What the controllers and the scheduler have in common.
fn authenticate(command: &mut Command, kubeconfig: &Path) {
    for flag in ["--kubeconfig", "--authentication-kubeconfig", "--authorization-kubeconfig"] {
        command.arg(flag).arg(kubeconfig);
    }
    command.args(["--bind-address", "127.0.0.1", "--leader-elect=false"]);
}
