//! A network, mounts and processes of one's own: what is in there reaches nothing outside, clashes with nothing, and ends with its first process.

use std::{
    ffi::OsStr,
    fmt,
    path::Path,
    process::{Command, ExitStatus},
};

use anyhow::{Context, Result, anyhow, bail};

use crate::{
    cluster::keeper::Keeper,
    outside::{self, Missing, Program},
    process::Process,
    wait,
};

const SCRIPT: &str = include_str!("isolate.sh");
/// Set inside.
const INSIDE: &str = "MAINSHEET_ISOLATED";
const PROGRAMS: [Program; 9] = [
    Program::Etcd,
    Program::KubeApiServer,
    Program::KubeControllerManager,
    Program::KubeScheduler,
    Program::Kubelet,
    Program::KubeProxy,
    Program::Kubectl,
    Program::CoreDns,
    Program::App,
];
/// Commands of the system, and the Debian packages that bring them.
const COMMANDS: [(&str, &str); 9] = [
    ("/usr/bin/unshare", "util-linux"),
    ("/usr/bin/nsenter", "util-linux"),
    ("/usr/sbin/ip", "iproute2"),
    ("/usr/bin/containerd", "containerd"),
    ("/usr/sbin/runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("/usr/sbin/iptables", "iptables"),
    ("/usr/sbin/nft", "nftables"),
    ("/usr/sbin/conntrack", "conntrack"),
];
/// Hierarchies of the first version of cgroups, which the nodes are set up for, each have a folder.
const CGROUPS: &str = "/sys/fs/cgroup/memory";

/// Why this machine cannot have a cluster, and what would mend it.
#[derive(Debug)]
pub enum Unable {
    /// Namespaces, mounts and cgroups are made by root only.
    NotRoot,
    /// The kernel offers only the second version of cgroups.
    NoCgroups,
    /// A package of the system is missing.
    Package(&'static str),
    /// A program of ours is missing.
    Program(Missing),
}

impl fmt::Display for Unable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRoot => write!(f, "a cluster needs root (run it with sudo)"),
            Self::NoCgroups => write!(
                f,
                "a cluster needs cgroups of version 1 at {CGROUPS} (boot with systemd.unified_cgroup_hierarchy=0)"
            ),
            Self::Package(package) => write!(f, "a cluster needs {package} (sudo apt-get install {package})"),
            Self::Program(missing) => missing.fmt(f),
        }
    }
}

impl std::error::Error for Unable {}

/// Whether this machine can have a cluster.
///
/// # Errors
/// Why it cannot.
pub fn able() -> Result<(), Unable> {
    if !rustix::process::geteuid().is_root() {
        return Err(Unable::NotRoot);
    }
    if !Path::new(CGROUPS).is_dir() {
        return Err(Unable::NoCgroups);
    }
    if let Some((_, package)) = COMMANDS.iter().find(|(path, _)| !Path::new(path).exists()) {
        return Err(Unable::Package(package));
    }
    PROGRAMS.iter().try_for_each(|program| program.find().map(drop)).map_err(Unable::Program)
}

/// Whether this process is inside.
#[must_use]
pub fn is_inside() -> bool {
    outside::variable(INSIDE).is_some()
}

/// Starts a program of ours inside, which belongs to `keeper`.
///
/// # Errors
/// It cannot be started.
pub fn start<I: AsRef<OsStr>>(keeper: &Keeper, arguments: impl IntoIterator<Item = I>) -> Result<Process> {
    let mut command: Command = keeper.command("unshare");
    command.args(["--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    command.args(["sh", "-c", SCRIPT, "isolate"]).arg(std::env::current_exe().context("find this program")?);
    // Of what is written inside, the end is shown: the reason, and not where it came from.
    command.args(arguments).env(INSIDE, "1").env("RUST_LIB_BACKTRACE", "0");
    keeper.run("inside", &mut command)
}

/// Runs the test `name` inside: called outside, it runs this test program again for that test alone; called inside, it runs `body`.
///
/// On a machine that cannot have a cluster the test is skipped by name, unless `MAINSHEET_REQUIRE_CLUSTER` is `1`.
///
/// # Errors
/// The body's, with what it wrote; or the machine cannot have a cluster and must.
pub fn test<F: Future<Output = Result<()>>>(name: &str, body: impl FnOnce() -> F) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start a runtime")?;
    if is_inside() {
        return runtime.block_on(body());
    }
    if let Err(unable) = able() {
        return skip(name, unable);
    }
    let keeper = Keeper::start("mainsheet-cluster")?;
    let mut inside = start(&keeper, ["--exact", name, "--nocapture"])?;
    let status = runtime.block_on(end(name, &mut inside))?;
    let log = std::fs::read_to_string(keeper.directory().join("inside.log")).unwrap_or_default();
    // The tests' own printing, which is what shows with `--nocapture`.
    print!("{}", log.lines().filter(|line| line.starts_with(NOTE)).fold(String::new(), |all, line| all + line + "\n"));
    if !log.contains("1 passed") && status.success() {
        bail!("no test of the name {name} ran inside: is it the name of the function?\n{log}");
    }
    if !status.success() {
        bail!("{name} failed inside ({status})\n{}", inside.log_tail());
    }
    Ok(())
}

/// Skips the test `name`, by saying so, on a machine that cannot have a cluster.
///
/// # Errors
/// `MAINSHEET_REQUIRE_CLUSTER` is `1`: nothing may be skipped.
pub fn skip(name: &str, unable: Unable) -> Result<()> {
    if outside::is_required(outside::CLUSTER_REQUIRED) {
        return Err(unable.into());
    }
    outside::say_skipped(name, &unable);
    Ok(())
}

/// Begins a line that a test inside wants to be seen outside.
pub const NOTE: &str = "note: ";

/// Longer than any test inside takes; each of its steps has a limit of its own.
const TEST_WITHIN: std::time::Duration = std::time::Duration::from_secs(600);

async fn end(name: &str, inside: &mut Process) -> Result<ExitStatus> {
    let probe = wait::until_within(TEST_WITHIN, name, async || inside.ended()?.ok_or_else(|| anyhow!("it still runs")));
    probe.await.map_err(|error| error.context(inside.log_tail()))
}
