//! The control plane as a process, and the directory of YAML or the cluster that it serves.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    client,
    cluster::keeper::{self, Keeper},
    outside::Program,
    process::Process,
    wait,
};

/// A directory of YAML files, changed as people and tools change files.
#[derive(Clone, Debug)]
pub struct ConfigDir {
    path: PathBuf,
}

/// How a file comes to have new content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// A new file takes the old one's name: nobody ever sees half of it.
    Rename,
    /// The old file is emptied and filled again: a reader may come in between.
    Truncate,
}

impl ConfigDir {
    /// Makes the directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn create(path: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the file `name` this content, by renaming.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        self.write_by(Write::Rename, name, content)
    }

    /// Gives the file `name` this content in the given way.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_by(&self, way: Write, name: &str, content: &str) -> Result<()> {
        let target = self.path.join(name);
        let written = match way {
            Write::Truncate => std::fs::write(&target, content),
            Write::Rename => {
                // Not *.yaml, so that it is no configuration until it has its name.
                let draft = self.path.join(format!(".{name}.draft"));
                std::fs::write(&draft, content).and_then(|()| std::fs::rename(&draft, &target))
            }
        };
        written.with_context(|| format!("write {}", target.display()))
    }

    /// Deletes a file.
    ///
    /// # Errors
    /// It is not there or cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<()> {
        let target = self.path.join(name);
        std::fs::remove_file(&target).with_context(|| format!("delete {}", target.display()))
    }

    /// Renames a file.
    ///
    /// # Errors
    /// It is not there or cannot be renamed.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to)).with_context(|| format!("rename {from} to {to}"))
    }
}

/// A running `mainsheet serve`. Dropping it ends it.
#[derive(Debug)]
pub struct ControlPlane {
    process: Option<Process>,
    source: [OsString; 2],
    more: Vec<OsString>,
    kept_in: Option<PathBuf>,
    xds: SocketAddr,
    http: SocketAddr,
    log: PathBuf,
}

impl ControlPlane {
    /// A control plane on `config` with its log in `directory`, not running until [`ControlPlane::restart`].
    #[must_use]
    pub fn new(config: &ConfigDir, xds: SocketAddr, http: SocketAddr, directory: &Path) -> Self {
        Self::of("--config-dir", config.path(), xds, http, directory)
    }

    /// The same, on the cluster that a kubeconfig file leads to.
    #[must_use]
    pub fn of_cluster(kubeconfig: &Path, xds: SocketAddr, http: SocketAddr, directory: &Path) -> Self {
        Self::of("--kubeconfig", kubeconfig, xds, http, directory)
    }

    fn of(flag: &str, source: &Path, xds: SocketAddr, http: SocketAddr, directory: &Path) -> Self {
        Self {
            process: None,
            source: [flag.into(), source.into()],
            more: Vec::new(),
            kept_in: None,
            xds,
            http,
            log: directory.join("mainsheet.log"),
        }
    }

    /// Belongs to a keeper from its next start on, which clears it away should this program be killed.
    pub fn keep(&mut self, keeper: &Keeper) {
        self.kept_in = Some(keeper.directory().to_owned());
    }

    /// Has one more argument from its next start on.
    pub fn add_argument(&mut self, flag: &str, value: &str) {
        self.more.extend([flag.into(), value.into()]);
    }

    /// Where Envoys connect to.
    #[must_use]
    pub fn xds(&self) -> SocketAddr {
        self.xds
    }

    /// Where its metrics and debugging pages are.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Ends it as a crash would (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Asks it to end, as Kubernetes does (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// It does not run, does not end in time, or ends as a failure.
    pub async fn end(&mut self) -> Result<()> {
        let process = self.process()?;
        process.terminate()?;
        let status = wait::until("the control plane to end", async || process.ended()?.context("it runs")).await?;
        ensure!(status.success(), "the control plane ended with {status}\n{}", process.log_tail());
        self.process = None;
        Ok(())
    }

    /// The process, if it runs.
    ///
    /// # Errors
    /// It does not.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the control plane does not run")
    }

    /// Starts it, after ending it if it runs, with the same addresses and source. It is not ready yet.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self) -> Result<()> {
        self.kill();
        let program = Program::ControlPlane.find()?;
        let mut command = match &self.kept_in {
            Some(directory) => keeper::command_in(directory, program),
            None => Command::new(program),
        };
        command.arg("serve").args(&self.source).args(&self.more);
        command.args(["--xds-address", &self.xds.to_string(), "--http-address", &self.http.to_string()]);
        self.process = Some(Process::start("mainsheet", &mut command, &self.log)?);
        Ok(())
    }

    /// The same, and waits until it serves.
    ///
    /// # Errors
    /// It ended, or it is not ready in time.
    pub async fn restart(&mut self) -> Result<()> {
        self.start()?;
        self.ready().await
    }

    /// Waits until it serves.
    ///
    /// # Errors
    /// It ended, or it is not ready in time.
    pub async fn ready(&mut self) -> Result<()> {
        let http = self.http;
        let process = self.process()?;
        let probe = wait::until("the control plane to be ready", async || {
            if process.ended()?.is_some() {
                return Ok(Err(process.log_tail()));
            }
            client::fetch(http, "/readyz").await.map(|_| Ok(()))
        });
        match probe.await? {
            Ok(()) => Ok(()),
            Err(tail) => bail!("the control plane ended before it was ready\n{tail}"),
        }
    }

    /// The last lines that it wrote, if it runs.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.as_ref().map_or_else(|| "--- mainsheet is not running".to_owned(), Process::log_tail)
    }

    /// Its metrics.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn metrics(&self) -> Result<Metrics> {
        let body = client::fetch(self.http, "/metrics").await?;
        Ok(Metrics::parse(&String::from_utf8_lossy(&body)))
    }

    /// The JSON of a debugging page.
    ///
    /// # Errors
    /// It does not answer, or not in JSON.
    pub async fn json(&self, path: &str) -> Result<Value> {
        let body = client::fetch(self.http, path).await?;
        serde_json::from_slice(&body).with_context(|| format!("{}{path} is not JSON", self.http))
    }
}

/// Metrics in Prometheus' text form.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
}

impl Metrics {
    fn parse(text: &str) -> Self {
        let sample = |line: &str| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Self { samples: text.lines().filter(|line| !line.starts_with('#')).filter_map(sample).collect() }
    }

    /// The sum of a metric over all its labels; 0 if it is not there. The `_total` that some writers append is allowed for.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        self.named(name).map(|(_, value)| value).sum()
    }

    /// The samples of a metric, by their labels as written.
    pub fn named(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.samples.iter().filter_map(move |(sample, &value)| {
            let bare = sample.split('{').next().unwrap_or_default();
            (bare.strip_suffix("_total").unwrap_or(bare) == name.strip_suffix("_total").unwrap_or(name))
                .then_some((sample.as_str(), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_add_up_over_their_labels() {
        let text = "# HELP pilot_xds Streams.\n# TYPE pilot_xds gauge\npilot_xds{version=\"1\"} 2\npilot_xds{version=\"a b\"} 1\npilot_xds_pushes_total 7\n# EOF\n";
        let metrics = Metrics::parse(text);
        assert!((metrics.sum("pilot_xds") - 3.0).abs() < f64::EPSILON);
        assert!((metrics.sum("pilot_xds_pushes") - 7.0).abs() < f64::EPSILON);
        assert!(metrics.sum("pilot_total_xds_rejects").abs() < f64::EPSILON);
    }

    #[test]
    fn a_written_file_has_its_content_and_leaves_no_draft() {
        let directory = tempfile::tempdir().unwrap();
        let config = ConfigDir::create(directory.path().join("config")).unwrap();
        config.write("a.yaml", "kind: A").unwrap();
        config.write_by(Write::Truncate, "a.yaml", "kind: B").unwrap();
        config.rename("a.yaml", "b.yaml").unwrap();
        assert_eq!(std::fs::read_to_string(config.path().join("b.yaml")).unwrap(), "kind: B");
        assert_eq!(std::fs::read_dir(config.path()).unwrap().count(), 1);
        config.remove("b.yaml").unwrap();
        assert!(config.remove("b.yaml").is_err());
    }
}
