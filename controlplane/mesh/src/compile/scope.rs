//! What the proxies of a viewpoint can see: services, the rules that hold for them, and routes.

use std::collections::BTreeMap;

use crate::model::{
    Hostname, Namespace, Object, ObjectId, Shared,
    destination_rule::{Subset, TrafficPolicy},
    endpoint::Endpoint,
    mesh_config::{MeshConfig, OutboundTrafficPolicy},
    service::Service,
    sidecar::Sidecar,
    virtual_service::VirtualService,
};

/// A service with the object that declared it.
#[derive(Debug, PartialEq)]
pub struct MeshService {
    /// The service.
    pub service: Service,
    /// The object that declared it.
    pub origin: ObjectId,
    /// When that object was created: older ones win.
    pub created: Option<i64>,
}

/// The DestinationRules that hold for one service and one caller namespace, merged.
#[derive(Debug, PartialEq)]
pub struct MergedRule {
    /// The policy of the first rule that has one.
    pub policy: TrafficPolicy,
    /// The subsets of all, each with the rule that it comes from; the first of a name wins.
    pub subsets: Vec<(Subset, ObjectId)>,
    /// The rules, oldest first.
    pub origins: Vec<ObjectId>,
}

/// The endpoints of one service, by service port, in a stable order.
#[derive(Debug, Default, PartialEq)]
pub struct Endpoints(pub BTreeMap<u16, Vec<Endpoint>>);

/// A service as it is seen from a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScopedService {
    /// The service.
    pub service: Shared<MeshService>,
    /// The rule that holds for it there.
    pub rule: Option<Shared<MergedRule>>,
}

/// What the proxies of one namespace (and Sidecar) can see.
#[derive(Debug)]
pub struct Scope {
    /// The namespace of the callers.
    pub namespace: Namespace,
    /// The Sidecar that shapes the scope, if any.
    pub sidecar: Option<Shared<Object<Sidecar>>>,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
    /// What happens to requests for unknown hosts.
    pub outbound_policy: OutboundTrafficPolicy,
    /// The services, by hostname.
    pub services: BTreeMap<Hostname, ScopedService>,
    /// The virtual services that hold for sidecars, in order of precedence; delegates are resolved (see `delegates`).
    pub virtual_services: Vec<Shared<Object<VirtualService>>>,
}

impl Scope {
    /// The service of this name.
    #[must_use]
    pub fn service(&self, host: &Hostname) -> Option<&ScopedService> {
        self.services.get(host)
    }

    /// The virtual service that holds for `host`: an exact name before a wildcard, a longer wildcard before a shorter
    /// one, and the older object of equals.
    #[must_use]
    pub fn virtual_service(&self, host: &Hostname) -> Option<&Shared<Object<VirtualService>>> {
        let specificity = |vs: &Object<VirtualService>| {
            vs.spec
                .hosts
                .iter()
                .filter(|h| h.covers(host))
                .map(|h| (usize::from(!h.is_wildcard()), h.as_str().len()))
                .max()
        };
        let mut best: Option<((usize, usize), &Shared<Object<VirtualService>>)> = None;
        for candidate in &self.virtual_services {
            if let Some(found) = specificity(candidate)
                && best.is_none_or(|(so_far, _)| found > so_far)
            {
                best = Some((found, candidate));
            }
        }
        best.map(|(_, vs)| vs)
    }
}
