//! A child process that cannot outlive its guard, with its output in a file.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// How much of a log an error report shows.
const TAIL_LINES: usize = 40;
/// A log is read from its end only this far back.
const TAIL_BYTES_MAX: usize = 64 * 1024;

/// A running program. Dropping it kills the program and waits for its end.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with nothing on its input and its output appended to the file `log`.
    ///
    /// The child is in a process group of its own, so that Ctrl-C on a terminal reaches only us and things end in our order.
    ///
    /// # Errors
    /// The log cannot be opened or the program cannot be started.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        use std::os::unix::process::CommandExt;

        let output = File::options().create(true).append(true).open(log);
        let output = output.with_context(|| format!("open the log {}", log.display()))?;
        let errors = output.try_clone().context("share the log")?;
        command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = command.spawn().with_context(|| format!("start {name}: {}", command.get_program().display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// The name it was started with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// The system refuses to say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("ask after {}", self.name))
    }

    /// Fails, with the end of the log, if the program has ended.
    ///
    /// # Errors
    /// It has.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.ended()? {
            anyhow::bail!("{} ended with {status}\n{}", self.name, self.log_tail());
        }
        Ok(())
    }

    /// Ends it at once (SIGKILL) and waits until it is gone.
    pub fn kill(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Stops it where it is (SIGSTOP) until [`Self::resume`].
    ///
    /// # Errors
    /// It is gone.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It is gone.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Errors
    /// It is gone.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let id = i32::try_from(self.id()).ok().and_then(Pid::from_raw).context("a process without a number")?;
        kill_process(id, signal).with_context(|| format!("signal {}", self.name))
    }

    /// The last lines that it wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let from = bytes.len().saturating_sub(TAIL_BYTES_MAX);
        let text = String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned();
        let lines: Vec<_> = text.lines().collect();
        let shown = lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default();
        format!("--- {} (process {})\n{}", self.name, self.id(), shown.join("\n"))
    }
}

/// Waits until this program is told to end: Ctrl-C, `kill`, or its terminal closing. Whoever awaits it then returns, and guards end the children.
///
/// # Errors
/// The system does not let signals be received.
pub async fn told_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt()).context("receive SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("receive SIGTERM")?;
    let mut hang_up = signal(SignalKind::hangup()).context("receive SIGHUP")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hang_up.recv() => {}
    }
    Ok(())
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, log: &Path) -> Process {
        Process::start("shell", Command::new("sh").args(["-c", script]), log).unwrap()
    }

    #[test]
    fn dropping_the_guard_ends_the_program() {
        let directory = tempfile::tempdir().unwrap();
        let process = shell("sleep 1000", &directory.path().join("log"));
        let entry = PathBuf::from(format!("/proc/{}", process.id()));
        assert!(entry.exists() || !Path::new("/proc/self").exists());
        drop(process);
        assert!(!entry.exists());
    }

    #[test]
    fn a_program_that_ended_is_reported_with_its_last_words() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell("echo the mast is broken >&2; exit 3", &directory.path().join("log"));
        let error = loop {
            if let Err(error) = process.check_alive() {
                break error.to_string();
            }
            std::thread::yield_now();
        };
        assert!(error.contains("exit status: 3") && error.contains("the mast is broken"), "{error}");
    }
}
