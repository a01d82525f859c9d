//! What a change touches: as much as the snapshot room must know to compile nothing else again.

use std::collections::BTreeSet;

use super::ServiceKey;
use crate::model::{Hostname, Labels, Namespace, ObjectId};

/// What a change touched. A change after which everything means what it meant before touches nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Touched {
    /// The mesh's configuration: everything.
    pub config: bool,
    /// Services that were declared, changed or withdrawn.
    pub services: BTreeSet<ServiceKey>,
    /// Services whose endpoints changed; when nothing else is touched, only load assignments follow, and clusters where
    /// somebody else answers now.
    pub endpoints: BTreeSet<ServiceKey>,
    /// Virtual services.
    pub virtual_services: BTreeSet<ObjectId>,
    /// Destination rules, by their namespace and the host they are for.
    pub rules: BTreeSet<(Namespace, Hostname)>,
    /// Namespaces whose Sidecars changed.
    pub sidecars: BTreeSet<Namespace>,
    /// Namespaces whose PeerAuthentications changed.
    pub peer_authentications: BTreeSet<Namespace>,
    /// Workloads that came, went or changed labels or named ports: namespace and labels.
    pub workloads: BTreeSet<(Namespace, Labels)>,
    /// Pods whose own proxy may look from another viewpoint now.
    pub pods: BTreeSet<ObjectId>,
    /// Nodes that stand elsewhere now.
    pub nodes: BTreeSet<String>,
    /// Namespaces in which viewpoints are reduced in another way now; the empty one stands for all.
    pub reductions: BTreeSet<Namespace>,
    /// Which objects or endpoints are left out for want of room.
    pub left_out: bool,
}

impl Touched {
    /// Whether everything means what it meant before.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.changes_resources() && self.pods.is_empty() && self.nodes.is_empty() && !self.left_out
    }

    /// Whether what is seen from some viewpoint can differ; else proxies can only have moved to others.
    #[must_use]
    pub fn changes_resources(&self) -> bool {
        !self.only_endpoints() || !self.endpoints.is_empty() || !self.reductions.is_empty()
    }

    /// Whether no resource but load assignments (and what names single endpoints or who they are) can differ.
    #[must_use]
    pub fn only_endpoints(&self) -> bool {
        !self.config
            && self.services.is_empty()
            && self.virtual_services.is_empty()
            && self.rules.is_empty()
            && self.sidecars.is_empty()
            && self.peer_authentications.is_empty()
            && self.workloads.is_empty()
    }

    /// Whether viewpoints of a namespace are reduced in another way now.
    pub(crate) fn reduces(&self, namespace: &Namespace) -> bool {
        self.reductions.contains(&Namespace::none()) || self.reductions.contains(namespace)
    }

    /// Adds what a later change touched.
    pub fn absorb(&mut self, later: Self) {
        let Self {
            config,
            services,
            endpoints,
            virtual_services,
            rules,
            sidecars,
            peer_authentications,
            workloads,
            pods,
            nodes,
            reductions,
            left_out,
        } = later;
        self.config |= config;
        self.services.extend(services);
        self.endpoints.extend(endpoints);
        self.virtual_services.extend(virtual_services);
        self.rules.extend(rules);
        self.sidecars.extend(sidecars);
        self.peer_authentications.extend(peer_authentications);
        self.workloads.extend(workloads);
        self.pods.extend(pods);
        self.nodes.extend(nodes);
        self.reductions.extend(reductions);
        self.left_out |= left_out;
    }
}
