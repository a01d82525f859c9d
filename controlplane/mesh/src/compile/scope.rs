//! What the proxies of a viewpoint can see: services, the rules that hold for them, and routes.

mod build;
mod key;
mod rules;
mod sight;

pub use build::{Amended, BuiltScope, Merge};
pub use key::ScopeKey;
pub use rules::{RuleList, merge, rules_for};

pub use crate::model::mesh_service::{Endpoints, MeshService};

use std::{
    collections::{BTreeMap, HashMap},
    sync::OnceLock,
};

use crate::model::{
    Hostname, Namespace, Object, ObjectId, Shared,
    destination_rule::{Subset, TrafficPolicy},
    mesh_config::{MeshConfig, OutboundTrafficPolicy},
    sidecar::Sidecar,
    virtual_service::VirtualService,
};

/// The DestinationRules that hold for one service and one caller namespace, merged.
#[derive(Debug, PartialEq)]
pub struct MergedRule {
    /// The policy of the first rule that has one.
    pub policy: TrafficPolicy,
    /// The rule that `policy` is from; `None` where none has one.
    pub policy_origin: Option<ObjectId>,
    /// The subsets of all, each with the rule that it comes from; the first of a name wins.
    pub subsets: Vec<(Subset, ObjectId)>,
    /// The rules, oldest first.
    pub origins: Vec<ObjectId>,
}

impl MergedRule {
    /// The subset of this name, with the rule that declares it.
    #[must_use]
    pub fn subset(&self, name: &str) -> Option<&(Subset, ObjectId)> {
        self.subsets.iter().find(|(subset, _)| subset.name == name)
    }

    /// The one rule that tools are shown for a cluster: that of its subset, else that of the policy, else the oldest.
    #[must_use]
    pub fn shown(&self, subset: Option<&str>) -> Option<&ObjectId> {
        let of_subset = subset.and_then(|name| self.subset(name)).map(|(_, origin)| origin);
        of_subset.or(self.policy_origin.as_ref()).or(self.origins.first())
    }
}

/// A service as it is seen from a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ScopedService {
    /// The service.
    pub service: Shared<MeshService>,
    /// The rule that holds for it there.
    pub rule: Option<Shared<MergedRule>>,
}

/// What the proxies of one namespace (and Sidecar) can see.
#[derive(Debug, Clone)]
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
    /// The virtual services that hold for sidecars, in order of precedence.
    pub virtual_services: Vec<Shared<Object<VirtualService>>>,
    /// The virtual services that those delegate to, as far as they exist and may be used.
    pub delegates: BTreeMap<ObjectId, Shared<Object<VirtualService>>>,
    /// Which of `virtual_services` holds for each host that one of them names; made when first asked for.
    hosts: OnceLock<HashMap<Hostname, usize>>,
}

impl Scope {
    /// A scope in which nothing can be seen yet; its fields are then filled in.
    #[must_use]
    pub fn empty(namespace: Namespace, config: Shared<Object<MeshConfig>>) -> Self {
        Self {
            namespace,
            sidecar: None,
            outbound_policy: config.spec.outbound_traffic_policy,
            config,
            services: BTreeMap::new(),
            virtual_services: Vec::new(),
            delegates: BTreeMap::new(),
            hosts: OnceLock::new(),
        }
    }

    /// The service of this name.
    #[must_use]
    pub fn service(&self, host: &Hostname) -> Option<&ScopedService> {
        self.services.get(host)
    }

    /// The virtual service that holds for `host`: an exact name before a wildcard, a longer wildcard before a shorter
    /// one, and the older object of equals.
    #[must_use]
    pub fn virtual_service(&self, host: &Hostname) -> Option<&Shared<Object<VirtualService>>> {
        let hosts = self.hosts.get_or_init(|| self.index_hosts());
        let place = std::iter::once(host.as_str().to_owned())
            .chain(host.wildcards())
            .find_map(|name| hosts.get(name.as_str()))?;
        self.virtual_services.get(*place)
    }

    /// Whether both show the same things, in the same memory.
    #[must_use]
    pub fn means(&self, other: &Self) -> bool {
        let Self { namespace, sidecar, config, outbound_policy, services, virtual_services, delegates, hosts: _ } =
            self;
        *namespace == other.namespace
            && *sidecar == other.sidecar
            && *config == other.config
            && *outbound_policy == other.outbound_policy
            && *services == other.services
            && *virtual_services == other.virtual_services
            && *delegates == other.delegates
    }

    fn index_hosts(&self) -> HashMap<Hostname, usize> {
        let mut hosts = HashMap::new();
        for (place, virtual_service) in self.virtual_services.iter().enumerate() {
            for host in &virtual_service.spec.hosts {
                hosts.entry(host.clone()).or_insert(place);
            }
        }
        hosts
    }
}
