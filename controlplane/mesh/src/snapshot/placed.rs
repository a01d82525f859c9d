//! Where a caller is, reduced to what makes a difference for the services that it sees.

use std::collections::BTreeSet;

use crate::{
    compile::{
        endpoint::{Place, depends_on_place},
        scope::{Scope, ScopedService},
        viewpoint::Viewpoint,
    },
    model::{
        Labels, destination_rule::PortPolicy, endpoint::Locality, mesh_config::MeshConfig, service::TrafficDistribution,
    },
};

/// Which parts of a viewpoint make a difference in a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// Some service prefers near endpoints.
    place: bool,
    /// Labels of callers that decide which endpoints are near.
    near_labels: BTreeSet<String>,
    /// Some service has endpoints on the caller's own node only, or first.
    node: bool,
    /// Labels of callers that rules of virtual services ask for.
    source_labels: BTreeSet<String>,
}

impl Differences {
    pub(super) fn of(scope: &Scope) -> Self {
        let mut found = Self::default();
        let config = &scope.config.spec;
        for service in scope.services.values() {
            if is_placed(service, config) {
                found.place = true;
                found.node |= minds_node(service);
                found.near_labels.extend(near_labels(service, config));
            }
        }
        for virtual_service in scope.virtual_services.iter().chain(scope.delegates.values()) {
            let spec = &virtual_service.spec;
            let http = spec.http.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
            let tls = spec.tls.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
            let tcp = spec.tcp.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
            found.source_labels.extend(http.chain(tls).chain(tcp).flat_map(|labels| labels.keys().cloned()));
        }
        found
    }

    /// Where the caller is, as far as any service of the scope minds.
    pub(super) fn place(&self, viewpoint: &Viewpoint) -> Option<Place> {
        self.place.then(|| Place {
            locality: viewpoint.locality.clone(),
            node: viewpoint.node.clone().filter(|_| self.node),
            network: viewpoint.network.clone(),
            labels: reduced(&viewpoint.labels, &self.near_labels),
        })
    }

    /// The viewpoint as far as outbound listeners and routes mind: they do not depend on where the caller is.
    pub(super) fn entrance(&self, viewpoint: &Viewpoint) -> Viewpoint {
        Viewpoint {
            kind: viewpoint.kind,
            namespace: viewpoint.namespace.clone(),
            labels: reduced(&viewpoint.labels, &self.source_labels),
            network: String::new(),
            locality: Locality::default(),
            node: None,
            interception: viewpoint.interception,
            http_proxy_port: viewpoint.http_proxy_port,
            ipv6_only: viewpoint.ipv6_only,
            has_certificates: viewpoint.has_certificates,
        }
    }
}

/// Where the caller is, as far as one service minds.
pub(super) fn place_for(service: &ScopedService, config: &MeshConfig, place: Option<&Place>) -> Option<Place> {
    let place = place.filter(|_| is_placed(service, config))?;
    Some(Place {
        locality: place.locality.clone(),
        node: place.node.clone().filter(|_| minds_node(service)),
        network: place.network.clone(),
        labels: reduced(&place.labels, &near_labels(service, config).collect()),
    })
}

fn is_placed(service: &ScopedService, config: &MeshConfig) -> bool {
    depends_on_place(&service.service, service.rule.as_deref(), config)
}

fn minds_node(service: &ScopedService) -> bool {
    let service = &service.service.service;
    service.node_local || service.traffic_distribution == TrafficDistribution::SameNode
}

/// The label keys of `failoverPriority`, of the rule and of the mesh.
fn near_labels<'a>(service: &'a ScopedService, config: &'a MeshConfig) -> impl Iterator<Item = String> + 'a {
    let rule = service.rule.iter();
    let policies = rule
        .flat_map(|rule| std::iter::once(&rule.policy).chain(rule.subsets.iter().map(|(subset, _)| &subset.policy)));
    let blocks = policies
        .flat_map(|policy| std::iter::once(&policy.settings).chain(policy.ports.iter().map(|(_, block)| block)));
    let of_rule = blocks.filter_map(|PortPolicy { load_balancer, .. }| load_balancer.as_ref()?.locality.as_ref());
    let priorities = of_rule.chain(std::iter::once(&config.locality_lb)).flat_map(|lb| &lb.failover_priority);
    priorities.map(|entry| entry.split('=').next().unwrap_or_default().to_owned())
}

fn reduced(labels: &Labels, keys: &BTreeSet<String>) -> Labels {
    let of = labels.iter().filter(|(key, _)| keys.contains(*key));
    of.map(|(key, value)| (key.clone(), value.clone())).collect()
}
