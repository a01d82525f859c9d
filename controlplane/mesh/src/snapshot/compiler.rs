//! The compile functions, each behind a memo, with their results encoded.

use std::{collections::BTreeSet, sync::Arc};

use bytes::Bytes;
use proto::type_url::ResourceType;

use super::{
    References, Resource, Unit, Version,
    encoder::{EncodedHost, Encoder},
    memo::Memo,
};
use crate::{
    compile::{
        cluster::{self, InboundInput, OutboundInput},
        endpoint::{self, AssignmentInput},
        listener::{self, InboundListenerInput, OutboundListenerInput},
        route::{self, RoutePlan, VirtualHostInput},
        scope::{MergedRule, RuleList, merge},
        viewpoint::{Interception, Viewpoint},
    },
    model::{Object, Shared, mesh_config::MeshConfig},
};

/// A RouteConfiguration with the hosts it was put together from, which stay in the memo as long as it does.
#[derive(Debug)]
pub(super) struct RouteUnit {
    pub(super) resource: Arc<Resource>,
    _hosts: Vec<Arc<EncodedHost>>,
}

/// What a RouteConfiguration depends on: its name, its own fields, and the versions of its virtual hosts.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RouteKey {
    name: Arc<str>,
    head: Bytes,
    hosts: Vec<Version>,
}

/// The compile functions behind memos.
#[derive(Debug, Default)]
pub(super) struct Compiler {
    pub(super) encoder: Encoder,
    rules: Memo<RuleList, Shared<MergedRule>>,
    clusters: Memo<OutboundInput, Unit>,
    assignments: Memo<AssignmentInput, Unit>,
    fixed: Memo<(Shared<Object<MeshConfig>>, Interception, bool), Unit>,
    inbound: Memo<InboundInput, Unit>,
    outbound_listeners: Memo<OutboundListenerInput, Unit>,
    inbound_listeners: Memo<InboundListenerInput, Unit>,
    hosts: Memo<VirtualHostInput, Arc<EncodedHost>>,
    routes: Memo<RouteKey, Arc<RouteUnit>>,
}

impl Compiler {
    pub(super) fn merged(&mut self, rules: RuleList) -> Shared<MergedRule> {
        self.rules.get(rules, |rules| Shared::new(merge(rules)))
    }

    pub(super) fn clusters(&mut self, input: OutboundInput) -> Unit {
        self.clusters.get(input, |input| self.encoder.unit(ResourceType::Cluster, cluster::outbound(input)))
    }

    pub(super) fn assignments(&mut self, input: AssignmentInput) -> Unit {
        self.assignments.get(input, |input| self.encoder.unit(ResourceType::Endpoint, endpoint::assignments(input)))
    }

    pub(super) fn fixed(&mut self, config: &Shared<Object<MeshConfig>>, viewpoint: &Viewpoint) -> Unit {
        let key = (config.clone(), viewpoint.interception, viewpoint.ipv6_only);
        self.fixed.get(key, |(config, interception, ipv6)| {
            self.encoder.unit(ResourceType::Cluster, cluster::fixed(config, *interception, *ipv6))
        })
    }

    pub(super) fn inbound(&mut self, input: &InboundInput) -> Unit {
        self.inbound.get(input.clone(), |input| {
            self.encoder.unit(ResourceType::Cluster, cluster::inbound(input).into_iter().collect())
        })
    }

    pub(super) fn outbound_listener(&mut self, input: OutboundListenerInput) -> Unit {
        self.outbound_listeners.get(input, |input| {
            self.encoder.unit(ResourceType::Listener, listener::outbound(input).into_iter().collect())
        })
    }

    pub(super) fn inbound_listener(&mut self, input: InboundListenerInput) -> Unit {
        self.inbound_listeners.get(input, |input| {
            self.encoder.unit(ResourceType::Listener, listener::inbound(input).into_iter().collect())
        })
    }

    /// Puts a RouteConfiguration together from its virtual hosts, of which each is compiled and encoded once.
    pub(super) fn routes(&mut self, plan: RoutePlan) -> Arc<RouteUnit> {
        let RoutePlan { name, head, hosts } = plan;
        let hosts: Vec<_> = hosts
            .into_iter()
            .map(|input| self.hosts.get(input, |input| self.encoder.host(route::virtual_host(input))))
            .collect();
        let key = RouteKey { name, head, hosts: hosts.iter().map(|host| host.version).collect() };
        self.routes.get(key, |key| {
            self.encoder.counters.count_compiled(ResourceType::Route);
            let parts: Vec<Bytes> =
                std::iter::once(&key.head).chain(hosts.iter().map(|host| &host.field)).cloned().collect();
            let (references, provenance) = of_hosts(&hosts);
            let name = Arc::clone(&key.name);
            self.encoder.counters.count_encode(ResourceType::Route, parts.iter().map(Bytes::len).sum());
            let resource = self.encoder.put_together(ResourceType::Route, name, &parts, references, provenance);
            Arc::new(RouteUnit { resource, _hosts: hosts })
        })
    }

    /// Lets go of all that no snapshot holds; from the results that hold others to those that are held.
    pub(super) fn sweep(&mut self) {
        self.routes.sweep();
        self.hosts.sweep();
        self.inbound_listeners.sweep();
        self.outbound_listeners.sweep();
        self.inbound.sweep();
        self.fixed.sweep();
        self.assignments.sweep();
        self.clusters.sweep();
        self.rules.sweep();
        self.encoder.sweep();
    }

    /// Results held in all memos.
    pub(super) fn memoised(&self) -> usize {
        self.routes.len()
            + self.hosts.len()
            + self.inbound_listeners.len()
            + self.outbound_listeners.len()
            + self.inbound.len()
            + self.fixed.len()
            + self.assignments.len()
            + self.clusters.len()
            + self.rules.len()
    }
}

/// What the hosts of a route configuration refer to and come from, each thing once.
fn of_hosts(hosts: &[Arc<EncodedHost>]) -> (References, Vec<crate::model::Origin>) {
    let clusters: BTreeSet<_> = hosts.iter().flat_map(|host| &host.references.clusters).collect();
    let origins: BTreeSet<_> = hosts.iter().flat_map(|host| &host.provenance).collect();
    let references = References { clusters: clusters.into_iter().cloned().collect(), ..References::default() };
    (references, origins.into_iter().cloned().collect())
}
