//! The store of a cluster.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    client::{self, Call},
    cluster::keeper::Keeper,
    outside::Program,
    ports::Loopback,
    process::Process,
};

const CLIENT_PORT: u16 = 2379;
const PEER_PORT: u16 = 2380;

/// A running etcd. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Etcd {
    process: Process,
    address: SocketAddr,
}

impl Etcd {
    /// Starts it at `home`, with room for so many bytes; its own default where none are given. It is not ready yet;
    /// whoever uses it waits.
    ///
    /// # Errors
    /// There is none or it cannot be started.
    pub(super) fn start(keeper: &Keeper, home: &Loopback, quota: Option<u64>) -> Result<Self> {
        let address = home.at(CLIENT_PORT);
        let (clients, peers) = (format!("http://{address}"), format!("http://{}", home.at(PEER_PORT)));
        let mut command = keeper.command(Program::Etcd.find()?);
        command.arg("--data-dir").arg(keeper.directory().join("etcd"));
        command.args(["--name", "test", "--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        command.args(["--initial-cluster", &format!("test={peers}"), "--log-level", "warn"]);
        command.args(quota.map(|bytes| format!("--quota-backend-bytes={bytes}")));
        // A test's data need not survive the machine.
        command.arg("--unsafe-no-fsync");
        Ok(Self { process: keeper.run("etcd", &mut command)?, address })
    }

    /// The guard of the process.
    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Where it serves clients.
    #[must_use]
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forgets all history before now.
    ///
    /// # Errors
    /// It does not answer or refuses.
    pub(super) async fn compact(&self) -> Result<()> {
        // Any key will do: what is asked for is the revision in the header of the answer.
        let now = self.call("/v3/kv/range", &json!({"key": BASE64_STANDARD.encode("/"), "count_only": true})).await?;
        let revision = now.pointer("/header/revision").context("etcd says no revision")?.clone();
        self.call("/v3/kv/compaction", &json!({"revision": revision, "physical": true})).await?;
        Ok(())
    }

    /// Gives what was deleted back as room, and takes writes again.
    ///
    /// # Errors
    /// It does not answer or refuses.
    pub(super) async fn make_room(&self) -> Result<()> {
        self.compact().await?;
        self.call("/v3/maintenance/defragment", &json!({})).await?;
        let raised = self.call("/v3/maintenance/alarm", &json!({"action": "GET"})).await?;
        for alarm in raised.get("alarms").and_then(Value::as_array).into_iter().flatten() {
            let of = |field: &str| alarm.get(field).cloned().unwrap_or_default();
            let end = json!({"action": "DEACTIVATE", "memberID": of("memberID"), "alarm": of("alarm")});
            self.call("/v3/maintenance/alarm", &end).await?;
        }
        Ok(())
    }

    async fn call(&self, path: &str, body: &Value) -> Result<Value> {
        let call = Call::get(&self.address.to_string(), path).method(Method::POST).body(body.to_string());
        let answer = client::send(self.address, &call).await.with_context(|| format!("etcd: {path}"))?;
        ensure!(answer.status.is_success(), "etcd: {path}: {} {}", answer.status, answer.text());
        serde_json::from_str(&answer.text()).with_context(|| format!("etcd: {path}: {}", answer.text()))
    }
}
