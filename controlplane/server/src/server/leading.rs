//! What only the replica that leads does, and how it comes to lead.

use std::{sync::Arc, time::SystemTime};

use kube::Client;
use tokio::sync::watch;

use crate::{
    ads::Proxies,
    conditions::{self, Checked},
    leader::{self, Election},
    metrics::Metrics,
    shutdown::Shutdown,
    source::{Settings, standing::Standings},
};

/// What it works with.
pub(super) struct Sources {
    pub(super) client: Client,
    pub(super) standings: watch::Receiver<Standings>,
    pub(super) checked: watch::Receiver<Checked>,
    pub(super) proxies: Arc<Proxies>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) settings: Settings,
    pub(super) now: fn() -> SystemTime,
}

/// Stands for election until shutdown, and keeps the conditions of objects right while it is won.
pub(super) async fn run(sources: Option<Sources>, shutdown: Shutdown) {
    let Some(Sources { client, standings, checked, proxies, metrics, settings, now }) = sources else { return };
    let identity = identity(now());
    let (terms, seat) = leader::seat();
    let election = Election {
        client: client.clone(),
        namespace: settings.system_namespace.to_string(),
        identity: identity.clone(),
        metrics: Arc::clone(&metrics),
        now,
    };
    let sources = conditions::Sources { client, identity, standings, checked, proxies, metrics, now };
    tokio::join!(election.run(terms, shutdown.clone()), conditions::run(sources, seat, shutdown));
}

/// The name of the machine, which in a pod is that of the pod, and the moment: another process has another identity.
fn identity(now: SystemTime) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let moment = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{}_{moment:x}_{:x}", host.trim(), std::process::id())
}
