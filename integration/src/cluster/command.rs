//! Commands of the system, run to their end.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Runs a command and hands on what it wrote to its output.
///
/// # Errors
/// It cannot be started or it fails: what it wrote.
pub(super) async fn output(command: Command) -> Result<String> {
    let what = format!("{command:?}");
    let done = tokio::process::Command::from(command).output().await;
    let done = done.with_context(|| format!("start {what}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    ensure!(done.status.success(), "{what}: {}: {} {}", done.status, said(&done.stderr), said(&done.stdout));
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Runs a command given as words with single spaces between them.
pub(super) async fn words(line: &str) -> Result<String> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    output(command).await
}
