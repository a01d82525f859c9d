//! A cluster that stands for people to use, until it is taken down.
//!
//! It runs inside ([`isolate`]), where no connection from outside arrives; a socket in the file system, which namespaces of the network do not
//! part, leads connections of this machine to its API server.

use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncRead, AsyncWrite, copy_bidirectional},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
};

use crate::{
    cluster::{ApiServer, Cluster, api_server, isolate, keeper::Keeper, node::BRIDGE_IP},
    outside::{self, Program},
    process, wait,
};

/// How long it may take until a cluster is ready, on a machine that has much else to do.
const READY_WITHIN: Duration = Duration::from_secs(300);
/// How long taking it down may take.
const GONE_WITHIN: Duration = Duration::from_secs(60);
/// In the keeper's directory: the socket that leads to the API server.
const SOCKET: &str = "api.sock";
/// In the directory of the state: the process whose network is that of the nodes.
const INSIDE: &str = "inside";
/// In the keeper's directory: there once all is ready.
const READY: &str = "ready";

/// The directory where a standing cluster tells what a person needs.
#[derive(Clone, Debug)]
pub struct State {
    directory: PathBuf,
}

impl State {
    /// The state in `directory`, which need not exist.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into() }
    }

    /// What clients read; it is there while a cluster is ready.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    /// What the cluster's process writes.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// Where the files and logs of the cluster's programs are.
    ///
    /// # Errors
    /// No cluster is ready.
    pub fn kept_in(&self) -> Result<PathBuf> {
        let file = self.directory.join("kept-in");
        Ok(fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?.into())
    }

    /// The process of the cluster, if it runs.
    #[must_use]
    pub fn running(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.directory.join("pid")).ok()?.parse().ok()?;
        // The number may be another's by now.
        let same = fs::read_link(format!("/proc/{pid}/exe")).ok()? == std::env::current_exe().ok()?;
        Pid::from_raw(pid).filter(|_| same)
    }

    fn tell(&self, kept_in: &Path, kubeconfig: &str) -> Result<()> {
        self.write("kept-in", &kept_in.display().to_string())?;
        self.write("kubeconfig", kubeconfig)
    }

    /// Whole or not at all, and for nobody else to read.
    fn write(&self, name: &str, text: &str) -> Result<()> {
        let (path, fresh) = (self.directory.join(name), self.directory.join(format!("{name}.fresh")));
        let file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&fresh);
        let written =
            file.and_then(|mut file| file.write_all(text.as_bytes())).and_then(|()| fs::rename(&fresh, &path));
        written.with_context(|| format!("write {}", path.display()))
    }

    fn clear(&self) {
        for name in ["kubeconfig", "kept-in", INSIDE, "pid"] {
            // What is not there need not be removed.
            let _ = fs::remove_file(self.directory.join(name));
        }
    }
}

/// Runs a cluster until this process is told to end; 0 nodes are the API server alone, which needs no root.
///
/// # Errors
/// This machine cannot have a cluster, one runs already, or it does not get ready.
pub async fn run(state: &State, nodes: u8) -> Result<()> {
    fs::create_dir_all(&state.directory).with_context(|| format!("create {}", state.directory.display()))?;
    if let Some(pid) = state.running() {
        bail!("a cluster runs already, as process {} (make cluster-down ends it)", pid.as_raw_nonzero());
    }
    state.clear();
    state.write("pid", &std::process::id().to_string())?;
    let ended = tokio::select! {
        ended = async { if nodes == 0 { serve_alone(state).await } else { serve(state, nodes).await } } => ended,
        ended = process::told_to_end() => ended,
    };
    state.clear();
    ended
}

/// What [`run`] runs inside.
///
/// # Errors
/// The cluster does not get ready.
pub async fn run_inside(nodes: u8) -> Result<()> {
    let keeper = Keeper::around()?;
    let cluster = Cluster::start(nodes).await?;
    cluster.import_built(&[Program::ControlPlane, Program::Bookinfo]).await?;
    let socket = UnixListener::bind(keeper.directory().join(SOCKET)).context("listen on a socket")?;
    fs::write(keeper.directory().join(READY), "").context("say that the cluster is ready")?;
    let server = SocketAddr::from((BRIDGE_IP, api_server::PORT));
    loop {
        let (stream, _) = socket.accept().await.context("accept a connection")?;
        tokio::spawn(async move { relay(stream, TcpStream::connect(server).await).await });
    }
}

/// Starts [`run`] in the background, by running this program with `arguments`, and waits until the cluster is ready.
///
/// # Errors
/// It ended before it was ready: what it wrote.
pub async fn up(state: &State, arguments: &[&str]) -> Result<()> {
    if state.running().is_some() {
        return Ok(());
    }
    fs::create_dir_all(&state.directory).with_context(|| format!("create {}", state.directory.display()))?;
    state.clear();
    let log = File::create(state.log()).with_context(|| format!("create {}", state.log().display()))?;
    // In a session of its own, so that it stays when the terminal is closed.
    let mut command = Command::new("setsid");
    command.arg(std::env::current_exe().context("find this program")?).args(arguments);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn().context("start the cluster in the background")?;
    wait::until_within(READY_WITHIN, "the cluster to be ready", async || {
        if let Some(status) = child.try_wait()? {
            let said = fs::read_to_string(state.log()).unwrap_or_default();
            return Ok(Err(anyhow!("the cluster ended ({status})\n{said}")));
        }
        ensure!(state.kubeconfig().exists(), "it is still starting; see {}", state.log().display());
        Ok(Ok(()))
    })
    .await?
}

/// A shell in the network of the nodes, where the addresses of pods can be reached.
///
/// # Errors
/// No cluster with nodes is ready, or the shell cannot be started.
pub fn shell(state: &State) -> Result<()> {
    let inside = fs::read_to_string(state.directory.join(INSIDE));
    let inside = inside.context("no cluster with nodes is ready (make cluster starts one)")?;
    let mut command = Command::new("nsenter");
    command.args(["--target", &inside, "--net"]).arg(outside::variable("SHELL").unwrap_or_else(|| "sh".into()));
    // Loopback is another one there.
    command.env("KUBECONFIG", state.kept_in()?.join(api_server::KUBECONFIG));
    // How the last command of the shell ended is the person's business.
    command.status().map(drop).context("start a shell")
}

/// Ends the cluster; whether there was one.
///
/// # Errors
/// It does not end.
pub async fn down(state: &State) -> Result<bool> {
    let Some(pid) = state.running() else {
        state.clear();
        return Ok(false);
    };
    kill_process(pid, Signal::TERM).context("tell the cluster to end")?;
    wait::until_within(GONE_WITHIN, "the cluster to end", async || {
        ensure!(state.running().is_none(), "process {} still runs", pid.as_raw_nonzero());
        Ok(())
    })
    .await?;
    state.clear();
    Ok(true)
}

/// What is left of a cluster whose files were in `directory`: files, processes, folders of cgroups.
///
/// # Errors
/// The system does not list its processes.
pub fn remains(directory: &Path) -> Result<Vec<String>> {
    let name = directory.to_str().context("a path that is no text")?;
    let folders = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let folders = folders.map(|hierarchy| hierarchy.path().join(directory.file_name().unwrap_or_default()));
    let files = [directory.to_path_buf(), directory.with_extension("gone")];
    let mut left: Vec<_> = files.into_iter().chain(folders).filter(|path| path.exists()).collect();
    for process in fs::read_dir("/proc").context("list the processes")?.flatten() {
        let words = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&words).contains(name) {
            left.push(process.path());
        }
    }
    Ok(left.into_iter().map(|path| path.display().to_string()).collect())
}

async fn serve_alone(state: &State) -> Result<()> {
    let server = ApiServer::start().await?;
    let kubeconfig = fs::read_to_string(server.kubeconfig()).context("read the kubeconfig")?;
    state.tell(server.directory(), &kubeconfig)?;
    std::future::pending().await
}

async fn serve(state: &State, nodes: u8) -> Result<()> {
    isolate::able()?;
    let keeper = Keeper::start("mainsheet-cluster")?;
    let mut inside = isolate::start(&keeper, ["inside", "--nodes", &nodes.to_string()])?;
    let ready = keeper.directory().join(READY);
    wait::until_within(READY_WITHIN, "the cluster to be ready", async || {
        if inside.ended()?.is_some() {
            return Ok(Err(anyhow!("the cluster ended\n{}", inside.log_tail())));
        }
        ensure!(ready.exists(), "it is still starting");
        Ok(Ok(()))
    })
    .await??;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("listen on loopback")?;
    let here = format!("https://{}", listener.local_addr().context("read the port")?);
    let there = api_server::url(BRIDGE_IP.into());
    let kubeconfig =
        fs::read_to_string(keeper.directory().join(api_server::KUBECONFIG)).context("read the kubeconfig")?;
    state.write(INSIDE, &inside.id().to_string())?;
    state.tell(keeper.directory(), &kubeconfig.replace(&there, &here))?;
    let socket = keeper.directory().join(SOCKET);
    loop {
        let (stream, _) = listener.accept().await.context("accept a connection")?;
        let socket = socket.clone();
        tokio::spawn(async move { relay(stream, UnixStream::connect(socket).await).await });
    }
}

/// A connection that breaks concerns its two ends alone.
async fn relay(
    mut one: impl AsyncRead + AsyncWrite + Unpin,
    other: std::io::Result<impl AsyncRead + AsyncWrite + Unpin>,
) {
    if let Ok(mut other) = other {
        let _ = copy_bidirectional(&mut one, &mut other).await;
    }
}
