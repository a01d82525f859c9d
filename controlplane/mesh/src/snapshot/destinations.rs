//! Where the callers of a scope can send: the outbound clusters and their load assignments.
//!
//! Shared by all viewpoints of a scope that are in the same place, as far as place makes a difference. An endpoint
//! change replaces single load assignments here, and the snapshots of those viewpoints take the set over as it is.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

use super::{ResourceSet, Unit, compiler::Compiler, placed::place_for};
use crate::{
    compile::{
        cluster::OutboundInput,
        endpoint::{AssignmentInput, Place},
        scope::{Endpoints, Scope, ScopedService},
        viewpoint::ProxyKind,
    },
    model::{Hostname, Shared, mesh_service::Identities, service::Resolution},
    store::{Mesh, ServiceKey},
};

/// What destinations depend on, beside their scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct DestinationsKey {
    /// The number of the scope.
    pub(super) scope: usize,
    pub(super) kind: ProxyKind,
    /// Whether the connections of callers carry the address that they dialled.
    pub(super) captured: bool,
    /// Whether callers have certificates of the mesh.
    pub(super) has_certificates: bool,
    /// Where the callers are, if that makes a difference.
    pub(super) place: Option<Place>,
}

/// The clusters and load assignments of a scope.
#[derive(Debug)]
pub(super) struct Destinations {
    scope: Arc<Scope>,
    services: BTreeMap<Hostname, Sent>,
    pub(super) clusters: ResourceSet,
    pub(super) endpoints: ResourceSet,
    /// When it was last brought up to date, and when it last changed.
    pub(super) seen: u64,
    pub(super) clusters_changed: u64,
    pub(super) endpoints_changed: u64,
}

/// What is sent for one service.
#[derive(Debug)]
struct Sent {
    service: ScopedService,
    clusters: Unit,
    assignments: Unit,
}

impl Destinations {
    pub(super) fn new(
        compiler: &mut Compiler,
        mesh: &Mesh,
        key: &DestinationsKey,
        scope: &Arc<Scope>,
        now: u64,
    ) -> Self {
        let mut made = Self {
            scope: Arc::clone(scope),
            services: BTreeMap::new(),
            clusters: ResourceSet::default(),
            endpoints: ResourceSet::default(),
            seen: now,
            clusters_changed: now,
            endpoints_changed: now,
        };
        for (host, service) in &scope.services {
            made.send(compiler, mesh, key, host, Some(service));
        }
        made
    }

    /// Brings the sets up to date with the scope, and with the endpoints of the services named.
    pub(super) fn update(
        &mut self,
        compiler: &mut Compiler,
        mesh: &Mesh,
        key: &DestinationsKey,
        scope: &Arc<Scope>,
        endpoints: &BTreeSet<ServiceKey>,
        now: u64,
    ) {
        self.seen = now;
        let before = (self.clusters.clone(), self.endpoints.clone());
        if !Arc::ptr_eq(&self.scope, scope) {
            let all = self.scope.config != scope.config;
            self.scope = Arc::clone(scope);
            let gone: Vec<_> =
                self.services.keys().filter(|host| !scope.services.contains_key(*host)).cloned().collect();
            for host in gone {
                self.send(compiler, mesh, key, &host, None);
            }
            for (host, service) in &scope.services {
                if all || self.services.get(host).is_none_or(|sent| sent.service != *service) {
                    self.send(compiler, mesh, key, host, Some(service));
                }
            }
        }
        for changed in endpoints {
            let sent = self.services.get(&changed.host).map(|sent| sent.service.clone());
            if let Some(service) = sent.filter(|s| s.service.service.namespace == changed.namespace) {
                self.send(compiler, mesh, key, &changed.host, Some(&service));
            }
        }
        if !self.clusters.same(&before.0) {
            self.clusters_changed = now;
        }
        if !self.endpoints.same(&before.1) {
            self.endpoints_changed = now;
        }
    }

    /// Replaces what is sent for one host.
    fn send(
        &mut self,
        compiler: &mut Compiler,
        mesh: &Mesh,
        key: &DestinationsKey,
        host: &Hostname,
        service: Option<&ScopedService>,
    ) {
        let made = service.map(|service| self.make(compiler, mesh, key, service));
        let held = self.services.remove(host);
        let nothing = || Unit::from([]);
        let units = |sent: &Option<Sent>| {
            sent.as_ref()
                .map_or_else(|| (nothing(), nothing()), |s| (Arc::clone(&s.clusters), Arc::clone(&s.assignments)))
        };
        let (old, new) = (units(&held), units(&made));
        replace(&mut self.clusters, &old.0, &new.0);
        replace(&mut self.endpoints, &old.1, &new.1);
        if let Some(made) = made {
            self.services.insert(host.clone(), made);
        }
    }

    fn make(&self, compiler: &mut Compiler, mesh: &Mesh, key: &DestinationsKey, service: &ScopedService) -> Sent {
        let of = &service.service.service;
        let config = &self.scope.config;
        let service_key = ServiceKey::of(&service.service);
        let (endpoints, identities) = (mesh.endpoints(&service_key), mesh.identities(&service_key));
        let endpoints = || endpoints.cloned().unwrap_or_else(|| Shared::new(Endpoints::default()));
        let (inside, eds) = match of.resolution {
            Resolution::Dns | Resolution::DnsRoundRobin => (true, false),
            Resolution::Static | Resolution::Headless => (false, true),
            Resolution::None | Resolution::Alias(_) => (false, false),
        };
        let for_grpc = match key.kind {
            ProxyKind::Grpc => true,
            ProxyKind::Sidecar | ProxyKind::Router => false,
        };
        let clusters = compiler.clusters(OutboundInput {
            service: service.service.clone(),
            rule: service.rule.clone(),
            endpoints: inside.then(endpoints),
            config: config.clone(),
            for_grpc,
            captured: key.captured,
            identities: key
                .has_certificates
                .then(|| identities.cloned().unwrap_or_else(|| Shared::new(Identities::default()))),
        });
        // A headless service may have clusters without EDS: only assignments that a cluster asks for are sent.
        let asked: BTreeSet<_> = clusters.iter().filter_map(|cluster| cluster.references.endpoints.as_ref()).collect();
        let assignments = if eds && !asked.is_empty() {
            let made = compiler.assignments(AssignmentInput {
                service: service.service.clone(),
                rule: service.rule.clone(),
                endpoints: endpoints(),
                place: place_for(service, &config.spec, key.place.as_ref()),
                config: config.clone(),
            });
            let every = made.iter().all(|assignment| asked.contains(&assignment.name));
            if every { made } else { made.iter().filter(|a| asked.contains(&a.name)).cloned().collect() }
        } else {
            Unit::from([])
        };
        Sent { service: service.clone(), clusters, assignments }
    }
}

/// Puts the resources of `new` in the place of those of `old`.
pub(super) fn replace(set: &mut ResourceSet, old: &Unit, new: &Unit) {
    if Arc::ptr_eq(old, new) {
        return;
    }
    let names: HashSet<&str> = new.iter().map(|resource| &*resource.name).collect();
    for resource in old.iter().filter(|old| !names.contains(&*old.name)) {
        set.remove(&resource.name);
    }
    for resource in new.iter() {
        set.insert(Arc::clone(resource));
    }
}
