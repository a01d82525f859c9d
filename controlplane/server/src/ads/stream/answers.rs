//! What a proxy answered: written down, counted and said.

use std::{sync::Arc, time::Instant};

use mesh::{
    model::Origin,
    push::{Nonce, Received, Reply, SyncState},
};
use proto::ResourceType;

use super::{Flight, Stream};
use crate::ads::proxies::{self, RefusedResource, StandingRefusal};

impl Stream<'_> {
    /// Writes down, counts and says what a request meant.
    pub(super) fn note(&mut self, received: Received) {
        let Received { kind, reply, subscription: _, quarantined } = received;
        let mut refused: Option<(String, Arc<str>, Vec<RefusedResource>)> = None;
        match reply {
            Reply::None => {}
            Reply::Stale | Reply::Unsolicited => {
                self.service.metrics.pilot_xds_expired_nonce.inc();
            }
            Reply::Acked { nonce, version } => self.acknowledged(kind, nonce, version.to_string()),
            Reply::Nacked { nonce, version: _, error, suspects } => {
                self.service.metrics.rejected(kind.short_name(), kind.index());
                self.land(kind, nonce);
                let resources = suspects.iter().map(|name| self.suspect(kind, name)).collect();
                refused = Some((nonce.to_string(), error, resources));
            }
        }
        if let Some(first) = quarantined.first() {
            let (nonce, error) = (first.nonce.to_string(), Arc::clone(&first.error));
            let resources = quarantined.iter().map(|nack| self.refusal(&nack.resource, &nack.provenance)).collect();
            refused = Some((nonce, error, resources));
        }
        if let Some((nonce, error, resources)) = refused {
            self.refused(kind, &nonce, error, resources);
        }
    }

    /// A resource in question, with what made it as the target has it.
    fn suspect(&self, kind: ResourceType, name: &Arc<str>) -> RefusedResource {
        let resource = self.automaton.target().of(kind).get(name);
        self.refusal(name, resource.map_or(&[], |resource| &resource.provenance))
    }

    fn refusal(&self, name: &Arc<str>, provenance: &[Origin]) -> RefusedResource {
        let view = self.service.dispatch.view();
        let locate = |origin: &Origin| (origin.clone(), view.mesh.object_location(&origin.object).cloned());
        RefusedResource { name: Arc::clone(name), provenance: provenance.iter().map(locate).collect() }
    }

    fn acknowledged(&mut self, kind: ResourceType, nonce: Nonce, version: String) {
        if let Some(flight) = self.land(kind, nonce) {
            self.service.metrics.acknowledged(kind.short_name(), flight.since.elapsed());
        }
        if self.refusing.contains(&kind) {
            let refuses = |sync: &mesh::push::Sync| sync.kind == kind && sync.state == SyncState::Nacked;
            if !self.automaton.sync().iter().any(refuses) {
                self.refusing.remove(&kind);
            }
        }
        let refuses = self.refusing.contains(&kind);
        self.entry.note(|state| {
            if let Some(of) = state.of_mut(kind) {
                of.nonce_acked = Some(nonce.to_string().into());
                of.version_acked = Some(version.into());
                of.nack.take_if(|_| !refuses);
            }
        });
    }

    /// All that the proxy refuses, now that it is known which resources those are.
    pub(super) fn standing_refusals(&self) -> Vec<StandingRefusal> {
        let of = |sync: mesh::push::Sync| {
            let kind = sync.kind;
            sync.refused.into_iter().map(move |refused| StandingRefusal {
                kind,
                name: refused.name,
                error: refused.error,
            })
        };
        self.automaton.sync().into_iter().flat_map(of).collect()
    }

    /// Takes a response out of those under way, with those of its type that were sent before it: of them nothing more
    /// will be heard.
    fn land(&mut self, kind: ResourceType, nonce: Nonce) -> Option<Flight> {
        let landed = self.flights.iter().position(|flight| flight.nonce == nonce.count());
        let landed = landed.and_then(|at| self.flights.remove(at));
        self.flights.retain(|flight| flight.kind != kind || flight.nonce > nonce.count());
        landed
    }

    fn refused(&mut self, kind: ResourceType, nonce: &str, error: Arc<str>, resources: Vec<RefusedResource>) {
        let now = Instant::now();
        if let Some(left_out) = self.service.warnings.speak(now) {
            let names: Vec<&str> = resources.iter().map(|refused| &*refused.name).take(8).collect();
            let made_by: Vec<String> = resources.iter().flat_map(RefusedResource::made_by).take(8).collect();
            tracing::warn!(
                proxy = self.entry.name(),
                r#type = kind.short_name(),
                nonce,
                resources = ?names,
                made_by = ?made_by,
                error = &*error,
                left_out,
                "the proxy refuses a response; what it holds stays in force"
            );
        }
        self.refusing.insert(kind);
        let at = (self.service.clock)();
        self.entry.note(|state| {
            if let Some(of) = state.of_mut(kind) {
                of.nack = Some(proxies::Nack { at, nonce: nonce.into(), message: error, resources });
            }
        });
    }
}
