//! What a failed soak leaves behind: what was done when, and what the Envoys held when the first requests were lost.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context, Result};
use tokio::time::Instant;

use crate::mesh::Mesh;

const LINES_MAX: usize = 200_000;
/// The Envoys are asked at the first so many losses that are seen between two edits.
const DUMPS_MAX: usize = 3;

/// Kept in memory while all goes well.
#[derive(Clone, Debug)]
pub struct Evidence {
    started: Instant,
    lines: Vec<String>,
    lost: Arc<AtomicBool>,
    dumps: Vec<(String, String)>,
    losses: usize,
}

impl Evidence {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), lines: Vec::new(), lost: Arc::default(), dumps: Vec::new(), losses: 0 }
    }

    /// Adds a line to the journal.
    pub(super) fn note(&mut self, what: &str) {
        if self.lines.len() < LINES_MAX {
            self.lines.push(format!("at {:.3} s: {what}", self.started.elapsed().as_secs_f64()));
        }
    }

    /// Set by whoever sees a request lost.
    pub(super) fn alarm(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.lost)
    }

    /// Asks the Envoys what they hold, if a request has been lost since the last look.
    pub(super) async fn look(&mut self, mesh: &Mesh) -> Result<()> {
        if !self.lost.swap(false, Ordering::Relaxed) || self.losses == DUMPS_MAX {
            return Ok(());
        }
        self.losses += 1;
        self.note(&format!("requests were lost; the Envoys are asked, number {}", self.losses));
        for caller in mesh.callers() {
            let envoy = caller.envoy();
            let name = |what: &str| format!("{what}-{}-{}.json", self.losses, envoy.name());
            let dumps = [
                (name("config"), envoy.config_dump("?include_eds").await?.to_string()),
                (name("clusters"), envoy.clusters().await?.to_string()),
            ];
            self.dumps.extend(dumps);
        }
        Ok(())
    }

    /// Adds what the control plane logged.
    pub(super) fn keep_log(&mut self, mesh: &Mesh) {
        let log = std::fs::read(mesh.directory().join("mainsheet.log")).unwrap_or_default();
        self.dumps.push(("mainsheet.log".to_owned(), String::from_utf8_lossy(&log).into_owned()));
    }

    /// Writes it all to a directory that stays.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn save(&self) -> Result<PathBuf> {
        let directory = std::env::temp_dir().join(format!("mainsheet-soak-{}", std::process::id()));
        std::fs::create_dir_all(&directory).with_context(|| format!("make {}", directory.display()))?;
        let journal = ("journal.log".to_owned(), self.lines.join("\n"));
        for (name, text) in self.dumps.iter().chain([&journal]) {
            std::fs::write(directory.join(name), text).with_context(|| format!("write {name}"))?;
        }
        Ok(directory)
    }
}
