//! How the callers of a scope reach destinations: the outbound listeners and the route configurations.
//!
//! Shared by all viewpoints of a scope that differ in nothing that listeners and routes depend on.

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use super::{
    ResourceSet, Unit,
    compiler::{Compiler, RouteUnit},
    destinations::replace,
};
use crate::{
    compile::{
        listener, route,
        scope::Scope,
        viewpoint::{ProxyKind, Viewpoint},
    },
    model::Hostname,
    store::{Mesh, ServiceKey},
};

/// What entrances depend on, beside their scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct EntrancesKey {
    /// The number of the scope.
    pub(super) scope: usize,
    /// The viewpoint, reduced to what listeners and routes depend on.
    pub(super) viewpoint: Viewpoint,
}

/// The outbound listeners and route configurations of a scope.
#[derive(Debug)]
pub(super) struct Entrances {
    scope: Arc<Scope>,
    /// The services whose single endpoints have listeners.
    headless: BTreeSet<ServiceKey>,
    listener_units: Vec<Unit>,
    route_units: Vec<Arc<RouteUnit>>,
    pub(super) listeners: ResourceSet,
    pub(super) routes: ResourceSet,
    /// When they were last brought up to date, and when they last changed.
    pub(super) seen: u64,
    pub(super) changed: u64,
}

impl Entrances {
    pub(super) fn new(
        compiler: &mut Compiler,
        mesh: &Mesh,
        viewpoint: &Viewpoint,
        scope: &Arc<Scope>,
        now: u64,
    ) -> Self {
        let mut made = Self {
            scope: Arc::clone(scope),
            headless: BTreeSet::new(),
            listener_units: Vec::new(),
            route_units: Vec::new(),
            listeners: ResourceSet::default(),
            routes: ResourceSet::default(),
            seen: now,
            changed: now,
        };
        made.compile_listeners(compiler, mesh, viewpoint);
        made.compile_routes(compiler, viewpoint);
        made
    }

    /// Brings them up to date with the scope, and with the endpoints of the services named.
    pub(super) fn update(
        &mut self,
        compiler: &mut Compiler,
        mesh: &Mesh,
        viewpoint: &Viewpoint,
        scope: &Arc<Scope>,
        endpoints: &BTreeSet<ServiceKey>,
        now: u64,
    ) {
        self.seen = now;
        let before = (self.listeners.clone(), self.routes.clone());
        if !Arc::ptr_eq(&self.scope, scope) {
            self.scope = Arc::clone(scope);
            self.compile_listeners(compiler, mesh, viewpoint);
            self.compile_routes(compiler, viewpoint);
        } else if !endpoints.is_disjoint(&self.headless) {
            self.compile_listeners(compiler, mesh, viewpoint);
        }
        if !(self.listeners.same(&before.0) && self.routes.same(&before.1)) {
            self.changed = now;
        }
    }

    fn compile_listeners(&mut self, compiler: &mut Compiler, mesh: &Mesh, viewpoint: &Viewpoint) {
        let asked = RefCell::new(BTreeSet::new());
        let headless = |host: &Hostname| {
            let key = ServiceKey::of(&self.scope.service(host)?.service);
            let endpoints = mesh.endpoints(&key).cloned();
            asked.borrow_mut().insert(key);
            endpoints
        };
        let plan = match viewpoint.kind {
            ProxyKind::Sidecar | ProxyKind::Grpc => listener::plan_outbound(&self.scope, viewpoint, &headless),
            // Listeners of gateways follow from Gateway objects.
            ProxyKind::Router => Vec::new(),
        };
        let units: Vec<Unit> = plan.into_iter().map(|input| compiler.outbound_listener(input)).collect();
        self.headless = asked.into_inner();
        replace(&mut self.listeners, &joined(&self.listener_units), &joined(&units));
        self.listener_units = units;
    }

    fn compile_routes(&mut self, compiler: &mut Compiler, viewpoint: &Viewpoint) {
        let plan = match viewpoint.kind {
            ProxyKind::Sidecar | ProxyKind::Grpc => route::plan(&self.scope, viewpoint),
            ProxyKind::Router => Vec::new(),
        };
        let units: Vec<_> = plan.into_iter().map(|plan| compiler.routes(plan)).collect();
        let resources =
            |units: &[Arc<RouteUnit>]| units.iter().map(|unit| Arc::clone(&unit.resource)).collect::<Unit>();
        replace(&mut self.routes, &resources(&self.route_units), &resources(&units));
        self.route_units = units;
    }
}

fn joined(units: &[Unit]) -> Unit {
    units.iter().flat_map(|unit| unit.iter().cloned()).collect()
}
