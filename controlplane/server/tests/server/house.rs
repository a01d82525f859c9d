//! A control plane in this process, on sockets of its own.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use mainsheet::{
    ads::{self, Proxies},
    dispatch::{self, Handle},
    metrics::Metrics,
    shutdown::{self, Trigger},
    source::{self, Settings},
    status::{self, SyncStatus},
};
use mesh::{
    compile::viewpoint::ProxyDescription,
    model::{Change, ObjectId},
};

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A control plane.
pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<Metrics>,
    dispatch: Handle,
    proxies: Arc<Proxies>,
    held: BTreeSet<ObjectId>,
    directory: tempfile::TempDir,
    trigger: Trigger,
}

impl House {
    /// A control plane with these objects.
    pub(crate) async fn start(objects: &[String]) -> Self {
        let mut house = Self::empty().await;
        house.set(objects).await;
        house
    }

    /// A control plane whose source has not said anything yet.
    pub(crate) async fn empty() -> Self {
        Self::with_write_timeout(PATIENCE).await
    }

    /// One that waits no longer than this for a proxy which does not read.
    pub(crate) async fn with_write_timeout(write_timeout: Duration) -> Self {
        let metrics = Arc::new(Metrics::new("test"));
        let dispatch = dispatch::start(Arc::clone(&metrics)).unwrap();
        let proxies = Arc::new(Proxies::default());
        let (trigger, shutdown) = shutdown::channel();
        let listener = ads::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let clock = || SystemTime::UNIX_EPOCH;
        let service =
            ads::Service::new(dispatch.clone(), Arc::clone(&metrics), Arc::clone(&proxies), shutdown.clone(), clock);
        let service = service.with_write_timeout(write_timeout);
        tokio::spawn(ads::serve(listener, Arc::new(service), shutdown));
        let directory = tempfile::tempdir().unwrap();
        Self { address, metrics, dispatch, proxies, held: BTreeSet::new(), directory, trigger }
    }

    /// Replaces all objects, as one change, and returns when it was published.
    pub(crate) async fn set(&mut self, objects: &[String]) {
        let path = self.directory.path().join("objects.yaml");
        fs::write(&path, objects.concat()).unwrap();
        let update = source::load(&[path], &Settings::default());
        assert!(update.problems.is_empty(), "{:?}", update.problems);
        let mut changes = update.changes;
        let now: BTreeSet<ObjectId> = changes.iter().map(id).collect();
        changes.extend(self.held.difference(&now).cloned().map(Change::Remove));
        self.held = now;
        self.dispatch.apply(changes, Instant::now()).await.unwrap();
        // Messages are taken in their order, so what comes back was asked for after the change.
        let node = proto::envoy::config::core::v3::Node { id: super::proxy::node_id("probe"), ..Default::default() };
        let probe = self.dispatch.subscribe(ProxyDescription::of_node(&node).unwrap()).await;
        probe.unwrap().next().await.unwrap();
    }

    /// How far the proxy of this pod is.
    pub(crate) fn status(&self, pod: &str) -> Option<SyncStatus> {
        let name = format!("{pod}.shop");
        status::syncz(&self.proxies, |_| true).into_iter().find(|status| status.proxy == name)
    }

    /// Waits until the proxy of this pod is as asked.
    pub(crate) async fn wait_status(&self, pod: &str, is: impl Fn(Option<&SyncStatus>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is(self.status(pod).as_ref()) {
            assert!(Instant::now() < deadline, "still {:?}", self.status(pod));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The value of a metric, by its whole name with labels.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_default()
    }

    /// Ends it.
    pub(crate) fn shut_down(&self) {
        self.trigger.pull();
    }
}

fn id(change: &Change) -> ObjectId {
    match change {
        Change::Set(config) => config.id().clone(),
        Change::SetEndpoints(slice) => slice.id.clone(),
        Change::Remove(id) => id.clone(),
    }
}
