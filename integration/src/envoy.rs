//! A real Envoy: started from a bootstrap, asked through its admin port.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::{
    client::{self, Call},
    cluster::keeper::Keeper,
    outside::Program,
    process::Process,
    wait,
};

/// The port that an Envoy's explicit HTTP proxy listens on.
pub const HTTP_PROXY_PORT: u16 = 15_007;
/// Seconds that connections of a replaced listener get to end by themselves; Istio's default.
const DRAIN_SECONDS: &str = "45";

/// The variant of the xDS protocol that an Envoy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Only what changed.
    Delta,
    /// State of the world: all of a type each time.
    Sotw,
}

/// What the agent is told of a sidecar in namespace `default` whose traffic is not captured.
#[derive(Clone, Copy, Debug)]
pub struct Sidecar<'a> {
    /// The name of its pod.
    pub pod: &'a str,
    /// Its labels `app` and `version`.
    pub app: &'a str,
    /// See `app`.
    pub version: &'a str,
    /// The address that it binds to.
    pub ip: IpAddr,
    /// The service account of its pod.
    pub service_account: &'a str,
    /// Where the replicas of the control plane serve xDS.
    pub xds: &'a [SocketAddr],
    /// Where its admin interface listens.
    pub admin: SocketAddr,
    /// How it asks for its configuration.
    pub protocol: Protocol,
}

impl Sidecar<'_> {
    /// Its bootstrap, as the agent writes it.
    ///
    /// # Errors
    /// There is no agent, or it refuses.
    pub fn bootstrap(&self) -> Result<String> {
        let Self { pod, app, version, ip, service_account, xds, admin, protocol } = *self;
        let labels = serde_json::json!({"app": app, "version": version});
        let mut command = Command::new(Program::Agent.find()?);
        command.args(["bootstrap", "--node-id", &format!("sidecar~{ip}~{pod}.default~default.svc.cluster.local")]);
        for address in xds {
            command.args(["--xds-address", &address.to_string()]);
        }
        command.args(["--admin-address", &admin.to_string()]);
        for entry in [
            "INTERCEPTION_MODE=NONE".to_owned(),
            format!("INSTANCE_IPS={ip}"),
            format!("HTTP_PROXY_PORT={HTTP_PROXY_PORT}"),
            format!("LABELS={labels}"),
            format!("SERVICE_ACCOUNT={service_account}"),
            "NAMESPACE=default".to_owned(),
        ] {
            command.args(["--metadata", &entry]);
        }
        match protocol {
            Protocol::Delta => {}
            Protocol::Sotw => {
                command.arg("--sotw");
            }
        }
        let output = command.output().context("run the agent")?;
        ensure!(output.status.success(), "the agent: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).context("the bootstrap is not UTF-8")
    }
}

/// A running Envoy. Dropping it ends it.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: SocketAddr,
}

/// Counters and gauges by name.
pub type Stats = BTreeMap<String, u64>;

impl Envoy {
    /// Starts Envoy with this bootstrap, whose admin address is `admin`; files go to `directory`. It is not ready yet: see [`Envoy::ready`].
    ///
    /// # Errors
    /// There is no Envoy or it cannot be started.
    pub fn start(name: &str, bootstrap: &str, admin: SocketAddr, directory: &Path) -> Result<Self> {
        Self::run(Command::new(Program::Envoy.find()?), name, bootstrap, admin, directory)
    }

    /// The same, with its files in the directory of a keeper, which clears it away should this program be killed.
    ///
    /// # Errors
    /// As for [`Envoy::start`].
    pub fn start_kept(name: &str, bootstrap: &str, admin: SocketAddr, keeper: &Keeper) -> Result<Self> {
        Self::run(keeper.command(Program::Envoy.find()?), name, bootstrap, admin, keeper.directory())
    }

    fn run(mut command: Command, name: &str, bootstrap: &str, admin: SocketAddr, directory: &Path) -> Result<Self> {
        let file = directory.join(format!("{name}.json"));
        std::fs::write(&file, bootstrap).with_context(|| format!("write {}", file.display()))?;
        // Without --disable-hot-restart Envoy dies with the thread that started it, and clashes with others over a shared memory id.
        command.arg("-c").arg(&file).args(["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning"]);
        command.args(["--drain-time-s", DRAIN_SECONDS, "--drain-strategy", "immediate"]);
        let process = Process::start(name, &mut command, &directory.join(format!("{name}.log")))?;
        Ok(Self { process, admin })
    }

    /// The name it was started with.
    #[must_use]
    pub fn name(&self) -> &str {
        self.process.name()
    }

    /// Where its admin port is.
    #[must_use]
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The guard of the process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The last lines that it wrote.
    #[must_use]
    pub fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    /// Waits until it has its first configuration and listens.
    ///
    /// # Errors
    /// It ended, or it is not ready in time.
    pub async fn ready(&mut self) -> Result<()> {
        let (admin, process) = (self.admin, &mut self.process);
        let what = format!("Envoy {} to be ready", process.name());
        let probe = wait::until(&what, async || {
            if process.ended()?.is_some() {
                return Ok(Err(process.log_tail()));
            }
            client::fetch(admin, "/ready").await.map(|_| Ok(()))
        });
        match probe.await? {
            Ok(()) => Ok(()),
            Err(tail) => bail!("Envoy ended before it was ready\n{tail}"),
        }
    }

    /// The counters and gauges whose name matches the regular expression `filter`.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn stats(&self, filter: &str) -> Result<Stats> {
        let body = client::fetch(self.admin, &format!("/stats?filter={}", escaped(filter))).await?;
        let text = String::from_utf8_lossy(&body);
        // Histograms and text readouts are in the list too, and are no numbers.
        let number =
            |line: &str| line.rsplit_once(": ").and_then(|(name, value)| Some((name.to_owned(), value.parse().ok()?)));
        Ok(text.lines().filter_map(number).collect())
    }

    /// The sum of the counters and gauges whose name matches.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn stat_sum(&self, filter: &str) -> Result<u64> {
        Ok(self.stats(filter).await?.values().sum())
    }

    /// The configuration in force, as Envoy's JSON; `query` (such as `?resource=dynamic_listeners`) narrows it.
    ///
    /// # Errors
    /// Envoy does not answer, or not in JSON.
    pub async fn config_dump(&self, query: &str) -> Result<Value> {
        self.json(&format!("/config_dump{query}")).await
    }

    /// The clusters with their hosts, as Envoy's JSON.
    ///
    /// # Errors
    /// Envoy does not answer, or not in JSON.
    pub async fn clusters(&self) -> Result<Value> {
        self.json("/clusters?format=json").await
    }

    /// The JSON at an address of the admin port.
    ///
    /// # Errors
    /// Envoy does not answer, or not in JSON.
    pub async fn json(&self, path: &str) -> Result<Value> {
        let body = client::fetch(self.admin, path).await?;
        serde_json::from_slice(&body).with_context(|| format!("{}{path} is not JSON", self.admin))
    }

    /// How many updates it took from the control plane, by kind, and the number it refused.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn updates(&self) -> Result<Updates> {
        let stats = self.stats(r"\.update_(success|rejected)$").await?;
        let sum = |suffix: &str| stats.iter().filter(|(name, _)| name.ends_with(suffix)).map(|(_, count)| count).sum();
        let connected = self.stat_sum(r"^control_plane\.connected_state$").await? > 0;
        Ok(Updates { taken: sum(".update_success"), refused: sum(".update_rejected"), connected })
    }

    /// Sets the counters of hosts and clusters back to zero.
    ///
    /// # Errors
    /// Envoy does not answer.
    pub async fn reset_counters(&self) -> Result<()> {
        let call = Call::get(&self.admin.to_string(), "/reset_counters").method(hyper::Method::POST);
        let answer = client::send(self.admin, &call).await?;
        ensure!(answer.status.is_success(), "reset_counters: {}", answer.status);
        Ok(())
    }
}

/// What an Envoy took from its control plane since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Updates {
    /// Updates that it took, of every type together.
    pub taken: u64,
    /// Updates that it refused (NACK).
    pub refused: u64,
    /// Whether it holds a stream to a control plane now.
    pub connected: bool,
}

/// Percent-encodes all that may not stand in a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_expression_survives_the_query() {
        assert_eq!(escaped(r"^a\.b|c$"), "%5Ea%5C.b%7Cc%24");
    }
}
