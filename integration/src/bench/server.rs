//! A server under measurement: its process, pinned to one core, and what the kernel counts for it.

use std::{
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
/// Clock ticks a second, in which Linux counts CPU time for every process.
const TICKS_PER_SECOND: f64 = 100.0;

/// A server process, ended when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
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
        Ok(Self { child, address: address.to_owned() })
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
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the server is gone")?;
        // Fields are counted after the name, which stands in parentheses and may hold blanks.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let rss_kb = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.trim().trim_end_matches(" kB").trim().parse::<u64>().ok())
            .unwrap_or_default();
        Ok(Usage { cpu: (ticks(11) + ticks(12)) / TICKS_PER_SECOND, rss: rss_kb * 1024 })
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
