//! A server under measurement: its process, pinned to one core, and what the kernel counts for it.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

/// The core of the server; the fleet runs on the other one.
pub const SERVER_CPU: &str = "0";
/// The core of the fleet.
pub const FLEET_CPU: &str = "1";

/// A server process, ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Nanoseconds on a core by thread, as last seen: those of a thread that ended since stay counted.
    threads: RefCell<BTreeMap<String, u64>>,
    /// Where it serves xDS.
    pub address: String,
}

/// What the kernel counted so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu: f64,
    /// Resident memory, in bytes.
    pub rss: u64,
}

impl Server {
    /// Starts a program on the server's core.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(program: &Path, args: &[&str], address: &str, log: &Path) -> Result<Self> {
        let child = Command::new("taskset")
            .args(["-c", SERVER_CPU])
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log)?)
            .spawn()
            .with_context(|| format!("cannot start {} under taskset (package util-linux)", program.display()))?;
        Ok(Self { child, threads: RefCell::default(), address: address.to_owned() })
    }

    /// Waits until something listens at `address`.
    ///
    /// # Errors
    /// When nothing does in time.
    pub async fn wait_listening(&self, address: &str, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        while tokio::net::TcpStream::connect(address).await.is_err() {
            if Instant::now() > deadline {
                bail!("nothing listens at {address} after {limit:?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The process.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What it used so far.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn usage(&self) -> Result<Usage> {
        let pid = self.child.id();
        // The process's own clock ticks a hundred times a second; that of the scheduler counts nanoseconds, by thread.
        let mut threads = self.threads.borrow_mut();
        for thread in fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")? {
            let thread = thread?;
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let on_core = text.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or_default();
            threads.insert(thread.file_name().to_string_lossy().into_owned(), on_core);
        }
        let cpu = Duration::from_nanos(threads.values().sum()).as_secs_f64();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss_kb = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
            .unwrap_or_default();
        Ok(Usage { cpu, rss: rss_kb * 1024 })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Moves this process to the fleet's core.
///
/// # Errors
/// When `taskset` is missing.
pub fn pin_fleet() -> Result<()> {
    let pid = std::process::id().to_string();
    let moved = Command::new("taskset").args(["-acp", FLEET_CPU, &pid]).stdout(Stdio::null()).status();
    if !moved.context("taskset is missing: install the package util-linux")?.success() {
        bail!("taskset cannot move this process to core {FLEET_CPU}");
    }
    Ok(())
}
