//! Scopes from the mesh: made as a whole, or brought up to date thing by thing with the same answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
};

use super::{MergedRule, Scope, ScopeKey, ScopedService, rules::RuleList, rules::rules_for, sight::Sight};
use crate::{
    model::{
        Hostname, Kind, Object, ObjectId, Shared,
        virtual_service::{HttpAction, VirtualService},
    },
    store::{Mesh, Touched},
};

/// Amending a scope for more services than it holds, and than this, costs more than making it again.
const AMENDED_MAX: usize = 64;

/// A scope with what is needed to bring it up to date.
#[derive(Debug, Clone)]
pub struct BuiltScope {
    /// The scope.
    pub scope: Arc<Scope>,
    /// The hosts that virtual services of the scope send to: those need no import. Empty without imports.
    implied: BTreeSet<Hostname>,
    /// The virtual services that are asked for as delegates.
    wanted: BTreeSet<ObjectId>,
}

/// Shares what equal lists of rules say together.
pub type Merge<'a> = dyn FnMut(RuleList) -> Shared<MergedRule> + 'a;

/// How a scope was brought up to date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amended {
    /// Nothing in it changed.
    Same,
    /// Single things changed.
    Parts,
    /// It was made again as a whole.
    Whole,
}

impl BuiltScope {
    /// Makes a scope.
    #[must_use]
    pub fn new(mesh: &Mesh, key: &ScopeKey, merge: &mut Merge<'_>) -> Self {
        let sight = Sight::new(mesh, key);
        let mut scope = Scope::empty(key.namespace.clone(), mesh.config().clone());
        scope.sidecar = sight.sidecar.cloned();
        scope.outbound_policy = sight
            .sidecar
            .and_then(|sidecar| sidecar.spec.outbound_traffic_policy)
            .unwrap_or(mesh.config().spec.outbound_traffic_policy);
        scope.virtual_services = mesh.virtual_services().iter().filter(|vs| sight.sees(vs)).cloned().collect();
        scope.virtual_services.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        let (wanted, delegates) = delegates(&sight, &scope);
        scope.delegates = delegates;
        let implied = implied(&sight, &scope);
        let mut hosts = sight.hosts();
        hosts.extend(implied.iter().cloned());
        for host in hosts {
            if let Some(service) = scoped(&sight, &host, &implied, merge) {
                scope.services.insert(host, service);
            }
        }
        Self { scope: Arc::new(scope), implied, wanted }
    }

    /// Brings the scope up to date after a change; the result equals one made anew.
    pub fn amend(&mut self, mesh: &Mesh, key: &ScopeKey, touched: &Touched, merge: &mut Merge<'_>) -> Amended {
        let sight = Sight::new(mesh, key);
        let parts = touched.services.len().max(touched.virtual_services.len());
        let parts_max = AMENDED_MAX.max(self.scope.services.len());
        if touched.config || self.scope.sidecar.as_ref() != sight.sidecar || parts > parts_max {
            let made = Self::new(mesh, key, merge);
            let same = made.scope.means(&self.scope);
            if !same {
                *self = made;
            }
            return if same { Amended::Same } else { Amended::Whole };
        }
        let mut scope = Arc::clone(&self.scope);
        let mut hosts: BTreeSet<Hostname> = touched.services.iter().map(|service| service.host.clone()).collect();
        hosts.extend(ruled(&scope, touched));
        hosts.extend(self.amend_routes(&sight, &mut scope, touched));
        for host in hosts {
            let service = scoped(&sight, &host, &self.implied, merge);
            if service.as_ref() != scope.services.get(&host) {
                let services = &mut Arc::make_mut(&mut scope).services;
                match service {
                    Some(service) => services.insert(host, service),
                    None => services.remove(&host),
                };
            }
        }
        let same = Arc::ptr_eq(&scope, &self.scope);
        self.scope = scope;
        if same { Amended::Same } else { Amended::Parts }
    }

    /// Brings the virtual services up to date; returns the hosts that are implied now and were not, or the other way round.
    fn amend_routes(&mut self, sight: &Sight<'_>, scope: &mut Arc<Scope>, touched: &Touched) -> Vec<Hostname> {
        let mut differs = false;
        for id in &touched.virtual_services {
            let seen = sight.mesh.virtual_services().get(id).filter(|vs| sight.sees(vs));
            let place = scope.virtual_services.iter().position(|vs| vs.id == *id);
            if place.and_then(|place| scope.virtual_services.get(place)) == seen {
                continue;
            }
            differs = true;
            let list = &mut Arc::make_mut(scope).virtual_services;
            list.retain(|vs| vs.id != *id);
            if let Some(seen) = seen {
                let place = list.partition_point(|vs| vs.precedence() < seen.precedence());
                list.insert(place, seen.clone());
            }
        }
        if !differs && touched.virtual_services.is_disjoint(&self.wanted) {
            return Vec::new();
        }
        let (wanted, delegates) = delegates(sight, scope);
        self.wanted = wanted;
        if delegates != scope.delegates {
            differs = true;
            Arc::make_mut(scope).delegates = delegates;
        }
        if !differs {
            return Vec::new();
        }
        Arc::make_mut(scope).hosts = OnceLock::new();
        let before = std::mem::replace(&mut self.implied, implied(sight, scope));
        before.symmetric_difference(&self.implied).cloned().collect()
    }
}

/// The services of a scope for which another rule may hold now.
fn ruled(scope: &Scope, touched: &Touched) -> Vec<Hostname> {
    let mut hosts = Vec::new();
    for (_, host) in &touched.rules {
        if host.is_wildcard() {
            hosts.extend(scope.services.keys().filter(|of| host.covers(of)).cloned());
        } else if scope.services.contains_key(host) {
            hosts.push(host.clone());
        }
    }
    hosts
}

/// A host as it is seen, with the rule that holds for it.
fn scoped(
    sight: &Sight<'_>,
    host: &Hostname,
    implied: &BTreeSet<Hostname>,
    merge: &mut Merge<'_>,
) -> Option<ScopedService> {
    let service = sight.service(host, implied.contains(host))?;
    let rule = rules_for(sight.mesh, sight.key, &service.service).map(merge);
    Some(ScopedService { service: service.clone(), rule })
}

/// The virtual services that those of a scope delegate to: all that are asked for, and those that are there. One with
/// hosts stands for itself and is no delegate.
fn delegates(
    sight: &Sight<'_>,
    scope: &Scope,
) -> (BTreeSet<ObjectId>, BTreeMap<ObjectId, Shared<Object<VirtualService>>>) {
    let mut wanted = BTreeSet::new();
    let mut found = BTreeMap::new();
    for root in &scope.virtual_services {
        for rule in &root.spec.http {
            let HttpAction::Delegate { name, namespace } = &rule.action else { continue };
            let id = ObjectId::new(Kind::VirtualService, namespace.clone(), name);
            let delegate = sight.mesh.virtual_services().get(&id);
            let usable = |delegate: &Object<VirtualService>| {
                delegate.spec.hosts.is_empty() && sight.exports_virtual_service(delegate, &root.id.namespace)
            };
            if let Some(delegate) = delegate.filter(|delegate| usable(delegate)) {
                found.insert(id.clone(), delegate.clone());
            }
            wanted.insert(id);
        }
    }
    (wanted, found)
}

/// The hosts that the virtual services of a scope send to; without limits to what is imported nothing need be implied.
fn implied(sight: &Sight<'_>, scope: &Scope) -> BTreeSet<Hostname> {
    let mut hosts = BTreeSet::new();
    if sight.imports().is_none() {
        return hosts;
    }
    for object in scope.virtual_services.iter().chain(scope.delegates.values()) {
        let VirtualService { http, tls, tcp, hosts: _, gateways: _, export_to: _ } = &object.spec;
        for rule in http {
            if let HttpAction::Route(destinations) = &rule.action {
                hosts.extend(destinations.iter().map(|to| to.destination.host.clone()));
            }
            hosts.extend(rule.mirrors.iter().map(|mirror| mirror.destination.host.clone()));
        }
        let routes = tls.iter().map(|rule| &rule.route).chain(tcp.iter().map(|rule| &rule.route));
        hosts.extend(routes.flatten().map(|(destination, _)| destination.host.clone()));
    }
    hosts
}
