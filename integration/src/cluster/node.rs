//! A node: a network namespace with a containerd, a kubelet and a kube-proxy of its own.

mod settings;

use std::{
    fmt::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    cluster::{
        ApiServer, command,
        keeper::Keeper,
        kubeconfig::{self, Credential},
        pki::Usage,
    },
    outside::Program,
    process::Process,
    wait,
};

/// The bridge that all nodes are on, in the namespace that the API server and the test are in.
const BRIDGE: &str = "bridge0";
/// The API server's address, on the bridge.
pub(super) const BRIDGE_IP: Ipv4Addr = Ipv4Addr::new(172, 31, 0, 1);
/// containerd opens its database and asks the kernel for what it can do.
const CONTAINERD_WITHIN: Duration = Duration::from_secs(60);
const CGROUPS: &str = "/sys/fs/cgroup";

/// A node of a cluster. Its name is `node` and its number, from 1.
#[derive(Debug)]
pub struct Node {
    number: u8,
    directory: PathBuf,
    /// Absent while they are killed.
    kubelet: Option<Process>,
    proxy: Option<Process>,
    containerd: Process,
}

impl Node {
    /// Makes a node with these images, which no API server knows yet.
    pub(super) async fn prepare(keeper: &Keeper, number: u8, images: &Path) -> Result<Self> {
        let name = name(number);
        let directory = keeper.directory().join(&name);
        for folder in ["cni", "kubelet", "podlogs"] {
            let folder = directory.join(folder);
            std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
        }
        let run = run_directory(number);
        std::fs::create_dir_all(&run).with_context(|| format!("create {}", run.display()))?;
        make_cgroups(keeper, number)?;
        connect(number).await?;
        settings::write_containerd(number, &directory)?;
        let mut command = inside(keeper, number, "containerd");
        command.arg("--config").arg(directory.join("containerd.toml"));
        let containerd = keeper.run(&format!("{name}-containerd"), &mut command)?;
        let mut node = Self { number, directory, kubelet: None, proxy: None, containerd };
        node.wait_for_containerd().await?;
        node.import(images).await?;
        Ok(node)
    }

    /// Makes it a node of a cluster.
    pub(super) fn join(&mut self, server: &ApiServer) -> Result<()> {
        let (name, ip) = (self.name(), self.ip());
        let names = [name.clone(), ip.to_string()];
        let user = format!("system:node:{name}");
        let certified = server.authority().issue(&user, Some("system:nodes"), Usage::Both, &names)?;
        settings::write(&self.directory.join("kubelet.crt"), &certified.certificate)?;
        settings::write(&self.directory.join("kubelet.key"), &certified.key)?;
        let text = kubeconfig::text(&server.url(), &server.authority_pem(), &Credential::Certificate(certified));
        settings::write(&self.directory.join("kubeconfig"), &text)?;
        settings::write_kubelet(self.number, server, &self.directory)?;
        settings::write_proxy(self.number, server, &self.directory)?;
        self.start_kubelet(server)?;
        self.start_proxy(server)
    }

    /// Its name in the cluster.
    #[must_use]
    pub fn name(&self) -> String {
        name(self.number)
    }

    /// Its address.
    #[must_use]
    pub fn ip(&self) -> Ipv4Addr {
        ip(self.number)
    }

    /// Ends its kubelet at once; pods go on, and the cluster sees a node that is silent.
    pub fn kill_kubelet(&mut self) {
        self.kubelet = None;
    }

    /// Starts its kubelet, again.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start_kubelet(&mut self, server: &ApiServer) -> Result<()> {
        let keeper = server.keeper();
        let mut command = inside(keeper, self.number, Program::Kubelet.find()?);
        command.arg("--config").arg(self.directory.join("kubelet.json"));
        command.arg("--kubeconfig").arg(self.directory.join("kubeconfig"));
        command.arg("--root-dir").arg(self.directory.join("kubelet"));
        command.arg("--cert-dir").arg(self.directory.join("kubelet/pki"));
        command.args(["--hostname-override", &self.name(), "--node-ip", &self.ip().to_string()]);
        command.args(["--node-labels", &format!("topology.kubernetes.io/zone=zone{}", self.number)]);
        self.kubelet = Some(keeper.run(&format!("{}-kubelet", self.name()), &mut command)?);
        Ok(())
    }

    /// Cuts its cable: nothing reaches it, and it reaches nothing.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn unplug(&self) -> Result<()> {
        command::words(&format!("ip link set {} down", cable(self.number))).await.map(drop)
    }

    /// Mends its cable.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn plug_in(&self) -> Result<()> {
        command::words(&format!("ip link set {} up", cable(self.number))).await.map(drop)
    }

    /// Takes the images of an archive ([`super::image::write`]).
    ///
    /// # Errors
    /// containerd refuses.
    pub async fn import(&self, images: &Path) -> Result<()> {
        let mut command = self.ctr();
        command.args(["--namespace", "k8s.io", "images", "import"]).arg(images);
        command::output(command).await.map(drop)
    }

    /// A command in its network, where Services are reachable.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", network(self.number))).arg(program);
        command
    }

    /// The last lines that its programs wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let mut all = self.containerd.log_tail();
        for process in [&self.kubelet, &self.proxy].into_iter().flatten() {
            // Writing to a string does not fail.
            let _ = write!(all, "\n{}", process.log_tail());
        }
        all
    }

    fn start_proxy(&mut self, server: &ApiServer) -> Result<()> {
        let keeper = server.keeper();
        let mut command = inside(keeper, self.number, Program::KubeProxy.find()?);
        command.arg("--config").arg(self.directory.join("proxy.json"));
        self.proxy = Some(keeper.run(&format!("{}-proxy", self.name()), &mut command)?);
        Ok(())
    }

    fn ctr(&self) -> Command {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(run_directory(self.number).join("containerd.sock"));
        command
    }

    async fn wait_for_containerd(&mut self) -> Result<()> {
        wait::until_within(CONTAINERD_WITHIN, "containerd to be ready", async || {
            let mut command = self.ctr();
            command.arg("version");
            command::output(command).await
        })
        .await
        .map_err(|error| error.context(self.containerd.log_tail()))?;
        Ok(())
    }
}

/// Makes the bridge, in the namespace that this process is in.
pub(super) async fn make_bridge() -> Result<()> {
    command::words(&format!("ip link add {BRIDGE} type bridge")).await?;
    command::words(&format!("ip addr add {BRIDGE_IP}/24 dev {BRIDGE}")).await?;
    command::words(&format!("ip link set {BRIDGE} up")).await?;
    forward("/proc/sys/net/ipv4/ip_forward")
}

/// Lets the namespace that the API server and the test are in reach Services, by way of the first node.
pub(super) async fn reach_services() -> Result<()> {
    command::words(&format!("ip route add {} via {}", super::api_server::SERVICE_RANGE, ip(1))).await.map(drop)
}

fn forward(file: &str) -> Result<()> {
    std::fs::write(file, "1").with_context(|| format!("write {file}"))
}

/// Gives a node its network namespace, and both it and its pods an address.
async fn connect(number: u8) -> Result<()> {
    let (name, cable, ip) = (name(number), cable(number), ip(number));
    for line in [
        format!("ip netns add {name}"),
        format!("ip link add {cable} type veth peer name eth0 netns {name}"),
        format!("ip link set {cable} master {BRIDGE} up"),
        format!("ip -n {name} link set lo up"),
        format!("ip -n {name} addr add {ip}/24 dev eth0"),
        format!("ip -n {name} link set eth0 up"),
        format!("ip -n {name} route add default via {BRIDGE_IP}"),
        format!("ip route add {} via {ip}", pods(number)),
        // `ip netns exec` has a /sys of its own, which does not matter here.
        format!("ip netns exec {name} sysctl -qw net.ipv4.ip_forward=1"),
    ] {
        command::words(&line).await?;
    }
    Ok(())
}

/// Tells a node the way to the pods of the others, so that their source addresses are kept.
pub(super) async fn introduce(number: u8, others: impl Iterator<Item = u8>) -> Result<()> {
    for other in others.filter(|&other| other != number) {
        command::words(&format!("ip -n {} route add {} via {}", name(number), pods(other), ip(other))).await?;
    }
    Ok(())
}

/// The kubelet wants its folder in every hierarchy; in that of cpusets a folder is good for nothing until it is filled.
fn make_cgroups(keeper: &Keeper, number: u8) -> Result<()> {
    for hierarchy in std::fs::read_dir(CGROUPS).context("list the hierarchies of cgroups")?.flatten() {
        // The second version, which is there too, has no controllers then.
        if !hierarchy.path().is_dir() || hierarchy.file_name() == "unified" {
            continue;
        }
        let mut folder = hierarchy.path();
        for part in [keeper.name(), name(number)] {
            let inner = folder.join(part);
            std::fs::create_dir_all(&inner).with_context(|| format!("create {}", inner.display()))?;
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(outer) = std::fs::read(folder.join(file)) {
                    std::fs::write(inner.join(file), outer).with_context(|| format!("fill {}", inner.display()))?;
                }
            }
            folder = inner;
        }
    }
    Ok(())
}

/// A command in a node's network that belongs to `keeper`. Not `ip netns exec`, whose /sys lacks the cgroups.
fn inside(keeper: &Keeper, number: u8, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = keeper.command("nsenter");
    command.arg(format!("--net={}", network(number))).arg(program);
    command
}

fn name(number: u8) -> String {
    format!("node{number}")
}

fn cable(number: u8) -> String {
    format!("cable{number}")
}

fn network(number: u8) -> String {
    format!("/run/netns/{}", name(number))
}

/// Where its sockets are: short, because a socket's path may not be long.
fn run_directory(number: u8) -> PathBuf {
    Path::new("/run").join(name(number))
}

fn ip(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 31, 0, number.saturating_add(10))
}

/// The addresses of its pods.
fn pods(number: u8) -> String {
    format!("10.244.{number}.0/24")
}
