//! Where a destination leads: the name of its cluster, and the service behind it.

use std::collections::BTreeSet;

use proto::envoy::config::route::v3::{VirtualHost, route::Action, route_action::ClusterSpecifier};

use super::ChosenRule;
use crate::{
    compile::{
        cluster::name::ClusterName,
        scope::{Scope, ScopedService},
    },
    model::{
        Hostname, Object,
        service::{Resolution, Service},
        virtual_service::{Destination, HttpAction, HttpRule, VirtualService},
    },
};

/// Most names that may stand between an alias and the service that it means.
const ALIAS_HOPS_MAX: usize = 8;

/// The name of an outbound cluster.
pub(crate) fn cluster_name(port: u16, subset: Option<&str>, host: &Hostname) -> ClusterName {
    ClusterName::outbound(port, subset, host)
}

/// Where a destination leads for a caller that used `port`.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// Its cluster. One that does not exist keeps its name: requests to it are answered 503 until it does.
    pub(crate) cluster: ClusterName,
    /// The service, if there is one.
    pub(crate) service: Option<&'a ScopedService>,
    /// The port of it.
    pub(crate) port: u16,
}

/// The target of a destination among the services that can be seen.
///
/// A destination without a port means the only port of its service; of a service with several, the port that the caller
/// used.
pub(crate) fn target<'a>(
    destination: &Destination,
    port: u16,
    find: impl Fn(&Hostname) -> Option<&'a ScopedService>,
) -> Target<'a> {
    let service = find(&destination.host).and_then(|found| through_alias(found, &find));
    let host = service.map_or(&destination.host, |found| &found.service.service.hostname);
    let port = destination.port.or_else(|| only_port(&service?.service.service)).unwrap_or(port);
    Target { cluster: cluster_name(port, destination.subset.as_deref(), host), service, port }
}

fn only_port(service: &Service) -> Option<u16> {
    match service.ports.as_slice() {
        [only] => Some(only.number),
        _ => None,
    }
}

/// The service that an alias means in the end; a service that is none is itself.
fn through_alias<'a>(
    service: &'a ScopedService,
    find: &impl Fn(&Hostname) -> Option<&'a ScopedService>,
) -> Option<&'a ScopedService> {
    let mut at = service;
    for _ in 0..=ALIAS_HOPS_MAX {
        match &at.service.service.resolution {
            Resolution::Alias(target) => at = find(target)?,
            Resolution::Static
            | Resolution::Headless
            | Resolution::None
            | Resolution::Dns
            | Resolution::DnsRoundRobin => return Some(at),
        }
    }
    None
}

/// The service that an alias means; nothing for a service that is no alias.
pub(crate) fn behind_alias<'a>(scope: &'a Scope, service: &'a ScopedService) -> Option<&'a ScopedService> {
    matches!(service.service.service.resolution, Resolution::Alias(_))
        .then(|| through_alias(service, &|host| scope.service(host)))
        .flatten()
}

/// The services that the rules send to, with those that stand between: what names of clusters depend on.
pub(crate) fn services(
    virtual_service: &Object<VirtualService>,
    rules: &[ChosenRule],
    scope: &Scope,
) -> Vec<ScopedService> {
    let mut hosts = BTreeSet::new();
    for chosen in rules {
        let root = virtual_service.spec.http.get(chosen.rule);
        collect_hosts(root, &mut hosts);
        if let Some(delegated) = &chosen.delegate {
            for rule in &delegated.rules {
                collect_hosts(delegated.virtual_service.spec.http.get(rule.rule), &mut hosts);
            }
        }
    }
    let mut found: Vec<&ScopedService> = Vec::with_capacity(hosts.len());
    for host in hosts {
        let mut next = scope.service(host);
        for _ in 0..=ALIAS_HOPS_MAX {
            let Some(service) = next else { break };
            if !found.iter().any(|known| known.service == service.service) {
                found.push(service);
            }
            next = match &service.service.service.resolution {
                Resolution::Alias(target) => scope.service(target),
                Resolution::Static
                | Resolution::Headless
                | Resolution::None
                | Resolution::Dns
                | Resolution::DnsRoundRobin => None,
            };
        }
    }
    found.into_iter().cloned().collect()
}

fn collect_hosts<'a>(rule: Option<&'a HttpRule>, hosts: &mut BTreeSet<&'a Hostname>) {
    let Some(rule) = rule else { return };
    if let HttpAction::Route(destinations) = &rule.action {
        hosts.extend(destinations.iter().map(|weighted| &weighted.destination.host));
    }
    hosts.extend(rule.mirrors.iter().map(|mirror| &mirror.destination.host));
}

/// Every cluster that a virtual host names, in order.
pub(crate) fn clusters(host: &VirtualHost) -> BTreeSet<String> {
    let mut clusters = BTreeSet::new();
    for route in &host.routes {
        let Some(Action::Route(action)) = &route.action else { continue };
        match &action.cluster_specifier {
            Some(ClusterSpecifier::Cluster(name)) => {
                clusters.insert(name.clone());
            }
            Some(ClusterSpecifier::WeightedClusters(weighted)) => {
                clusters.extend(weighted.clusters.iter().map(|cluster| cluster.name.clone()));
            }
            Some(
                ClusterSpecifier::ClusterHeader(_)
                | ClusterSpecifier::ClusterSpecifierPlugin(_)
                | ClusterSpecifier::InlineClusterSpecifierPlugin(_),
            )
            | None => {}
        }
        clusters.extend(action.request_mirror_policies.iter().map(|mirror| mirror.cluster.clone()));
    }
    clusters
}

/// Weights as Envoy takes them: those of 0 are dropped where there are several, all 0 are equal, and the sum fits 32 bits.
pub(crate) fn weights(given: &[u32]) -> Vec<u32> {
    if given.len() < 2 || given.iter().all(|weight| *weight == 0) {
        return vec![1; given.len()];
    }
    let sum: u64 = given.iter().copied().map(u64::from).sum();
    let divisor = sum / u64::from(u32::MAX) + 1;
    let scaled = |weight: u32| match weight {
        0 => 0,
        // A quotient of a 32-bit number fits 32 bits; what is small stays.
        _ => u32::try_from(u64::from(weight) / divisor).unwrap_or(u32::MAX).max(1),
    };
    given.iter().copied().map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::route::fixture;

    fn cluster(mesh: &fixture::Mesh, host: &str, destination_port: Option<u16>, port: u16) -> String {
        let scope = mesh.scope();
        let destination = Destination { port: destination_port, ..fixture::destination(host) };
        target(&destination, port, |host| scope.service(host)).cluster.to_string()
    }

    #[test]
    fn a_destination_without_port_means_the_only_one_or_that_of_the_caller() {
        let mesh = fixture::Mesh::new()
            .service(fixture::service("one").port(9080, "http"))
            .service(fixture::service("two").port(80, "http").port(81, "http"));
        assert_eq!(cluster(&mesh, "one", None, 80), "outbound|9080||one.default.svc.cluster.local");
        assert_eq!(cluster(&mesh, "one", Some(7), 80), "outbound|7||one.default.svc.cluster.local");
        assert_eq!(cluster(&mesh, "two", None, 81), "outbound|81||two.default.svc.cluster.local");
        assert_eq!(cluster(&mesh, "missing", None, 81), "outbound|81||missing.default.svc.cluster.local");
    }

    #[test]
    fn an_alias_leads_to_what_it_means_and_a_ring_of_them_nowhere() {
        let mesh = fixture::Mesh::new()
            .service(fixture::service("web").port(80, "http"))
            .service(fixture::alias("a", "b"))
            .service(fixture::alias("b", "web"))
            .service(fixture::alias("c", "d"))
            .service(fixture::alias("d", "c"));
        assert_eq!(cluster(&mesh, "a", None, 8080), "outbound|80||web.default.svc.cluster.local");
        assert_eq!(cluster(&mesh, "c", None, 80), "outbound|80||c.default.svc.cluster.local");
    }

    #[test]
    fn weights_become_what_envoy_takes() {
        assert_eq!(weights(&[0]), [1]);
        assert_eq!(weights(&[0, 0]), [1, 1]);
        assert_eq!(weights(&[90, 0, 10]), [90, 0, 10]);
        let huge = weights(&[u32::MAX, u32::MAX, 1]);
        assert!(huge.iter().copied().map(u64::from).sum::<u64>() <= u64::from(u32::MAX));
        assert_eq!(huge[0], huge[1]);
        assert_eq!(huge[2], 1);
    }
}
