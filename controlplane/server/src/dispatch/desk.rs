//! The owner itself: store, snapshots, and which proxy looks from which viewpoint. Plain and synchronous.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use mesh::{
    compile::viewpoint::{ProxyDescription, Viewpoint},
    model::Change,
    snapshot::{Snapshot, Snapshots},
    store::{Store, Touched},
};
use proto::ResourceType;
use tokio::sync::watch;

use super::{Cause, Feed, Published, View, cause::inbound_label};
use crate::metrics::Metrics;

#[derive(Debug)]
pub(super) struct Desk {
    store: Store,
    snapshots: Snapshots,
    subscribers: BTreeMap<u64, Subscriber>,
    /// Who looks from where. Empty before the mesh is complete, since nobody can be placed.
    places: BTreeMap<Arc<Viewpoint>, BTreeSet<u64>>,
    next_subscriber: u64,
    /// The newest push; `None` before the mesh is complete.
    cause: Option<Arc<Cause>>,
    /// How often the mesh changed, be it that nobody was concerned.
    revision: u64,
    metrics: Arc<Metrics>,
    viewer: watch::Sender<View>,
}

#[derive(Debug)]
struct Subscriber {
    proxy: ProxyDescription,
    viewpoint: Option<Arc<Viewpoint>>,
    feed: Arc<Feed>,
}

impl Desk {
    pub(super) fn new(metrics: Arc<Metrics>, viewer: watch::Sender<View>) -> Self {
        Self {
            store: Store::new(),
            snapshots: Snapshots::new(),
            subscribers: BTreeMap::new(),
            places: BTreeMap::new(),
            next_subscriber: 0,
            cause: None,
            revision: 0,
            metrics,
            viewer,
        }
    }

    /// Takes changes in as one and publishes what differs. The first call makes the mesh complete.
    pub(super) fn apply(&mut self, changes: Vec<Change>, received: Instant) {
        for change in &changes {
            self.metrics.inbound(inbound_label(change), 1);
        }
        let number = self.cause.as_ref().map_or(0, |cause| cause.number) + 1;
        let cause = Arc::new(Cause::of(number, received, &changes));
        let touched = self.store.apply(changes);
        let was_complete = self.cause.is_some();
        if was_complete && touched.is_nothing() {
            // Lines may have moved, which those who show the mesh want to know, and nobody else.
            return;
        }
        self.revision += 1;
        if was_complete && !self.concerns_proxies(&touched) {
            return;
        }
        self.cause = Some(Arc::clone(&cause));
        self.metrics.triggered(if touched.only_endpoints() { "endpoint" } else { "config" });
        let published = if was_complete { self.publish(&touched, &cause) } else { self.place_all() };
        let took = received.elapsed();
        self.metrics.pilot_xds_push_time.observe(took.as_secs_f64());
        tracing::info!(
            number,
            cause = cause.text,
            proxies = published,
            services = self.store.mesh().service_count(),
            took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "mesh changed"
        );
        self.show();
    }

    /// Publishes to a proxy from now on.
    pub(super) fn subscribe(&mut self, proxy: ProxyDescription, feed: Arc<Feed>) {
        let id = self.next_subscriber;
        self.next_subscriber += 1;
        self.subscribers.insert(id, Subscriber { proxy, viewpoint: None, feed });
        if self.cause.is_some() {
            self.metrics.triggered("proxy");
            self.place(id);
        }
    }

    /// Ends a batch: forgets who is gone, and the viewpoints that nobody looks from any more, and shows what is left.
    pub(super) fn tidy(&mut self) {
        let gone: Vec<u64> =
            self.subscribers.iter().filter(|(_, subscriber)| subscriber.feed.is_closed()).map(|(id, _)| *id).collect();
        for id in gone {
            if let Some(viewpoint) = self.subscribers.remove(&id).and_then(|subscriber| subscriber.viewpoint) {
                self.leave(id, &viewpoint);
            }
        }
        self.show();
    }

    /// Whether any proxy may have to hold something else. A Node that nothing of the mesh runs on is nobody's concern.
    fn concerns_proxies(&self, touched: &Touched) -> bool {
        let mesh = self.store.mesh();
        touched.changes_resources()
            || self.subscribers.values().any(|subscriber| touched.may_move(&subscriber.proxy, mesh))
    }

    fn publish(&mut self, touched: &Touched, cause: &Arc<Cause>) -> usize {
        let mut published = 0;
        for (viewpoint, snapshot) in self.snapshots.update(self.store.mesh(), touched) {
            let Some(place) = self.places.get(&viewpoint) else { continue };
            for subscriber in place.iter().filter_map(|id| self.subscribers.get(id)) {
                subscriber.publish(&snapshot, cause);
                published += 1;
            }
        }
        let mesh = self.store.mesh();
        let movers: Vec<u64> = self
            .subscribers
            .iter()
            .filter(|(_, subscriber)| touched.may_move(&subscriber.proxy, mesh))
            .map(|(id, _)| *id)
            .collect();
        published + movers.into_iter().filter(|id| self.place(*id)).count()
    }

    fn place_all(&mut self) -> usize {
        let everyone: Vec<u64> = self.subscribers.keys().copied().collect();
        everyone.into_iter().filter(|id| self.place(*id)).count()
    }

    /// Finds from where a proxy looks, and publishes what is seen from there, if that is another place than before.
    fn place(&mut self, id: u64) -> bool {
        let (Some(cause), Some(subscriber)) = (&self.cause, self.subscribers.get_mut(&id)) else { return false };
        let viewpoint = Arc::new(Viewpoint::of(&subscriber.proxy, self.store.mesh()));
        if subscriber.viewpoint.as_ref() == Some(&viewpoint) {
            return false;
        }
        let snapshot = self.snapshots.get(self.store.mesh(), &viewpoint);
        subscriber.publish(&snapshot, cause);
        let before = subscriber.viewpoint.replace(Arc::clone(&viewpoint));
        self.places.entry(viewpoint).or_default().insert(id);
        if let Some(before) = before {
            self.leave(id, &before);
        }
        true
    }

    fn leave(&mut self, id: u64, viewpoint: &Arc<Viewpoint>) {
        let Some(place) = self.places.get_mut(viewpoint) else { return };
        place.remove(&id);
        if place.is_empty() {
            self.places.remove(viewpoint);
            self.snapshots.forget(viewpoint);
        }
    }

    fn show(&self) {
        let mesh = self.store.mesh().clone();
        let counters = self.snapshots.counters();
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.pilot_services.set(count(mesh.service_count()));
        self.metrics.pilot_virt_services.set(count(mesh.virtual_services().len()));
        for kind in ResourceType::ALL {
            self.metrics.recompiled(kind.short_name(), counters.compiled(kind));
            self.metrics.encoded(kind.short_name(), counters.encodes(kind));
        }
        self.metrics.recompiled("virtual_host", counters.virtual_hosts);
        self.metrics.recompiled("scope", counters.scopes_computed + counters.scopes_amended);
        self.metrics.recompiled("snapshot", counters.snapshots_built);
        let pushes = self.cause.as_ref().map_or(0, |cause| cause.number);
        let viewpoints = self.snapshots.len();
        self.metrics.viewpoints.set(count(viewpoints));
        self.viewer.send_replace(View {
            mesh,
            revision: self.revision,
            ready: self.cause.is_some(),
            viewpoints,
            pushes,
            counters,
        });
    }
}

impl Subscriber {
    fn publish(&self, snapshot: &Arc<Snapshot>, cause: &Arc<Cause>) {
        self.feed.send_replace(Some(Published { snapshot: Arc::clone(snapshot), cause: Arc::clone(cause) }));
    }
}
