//! Which virtual host keeps a name that several would have.
//!
//! Full names are unique, and so are the short forms of services of the cluster: they have one, two and three labels, and
//! name and namespace in them. So only two things can meet: a foreign host that is written like a short form, which keeps
//! it since it was declared so; and addresses, which the service that comes first keeps. To know that costs little, and
//! nothing at all is written down for a mesh in which nothing meets.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{Called, Domains, address_domain, kubernetes_parts};
use crate::{
    compile::{route::VirtualHostInput, scope::MeshService},
    model::{Hostname, Namespace, service::Registry},
};

/// Takes from each virtual host of a route configuration the names that another one keeps.
pub(crate) fn settle(hosts: &mut [VirtualHostInput], caller: &Namespace, domain: &str) {
    for (at, mut names) in lost(hosts, caller, domain) {
        names.sort_unstable();
        names.dedup();
        if let Some(VirtualHostInput { domains: Domains::Names { lost, .. }, .. }) = hosts.get_mut(at) {
            *lost = names;
        }
    }
}

/// What is lost, by place.
fn lost(hosts: &[VirtualHostInput], caller: &Namespace, domain: &str) -> BTreeMap<usize, Vec<String>> {
    let mut lost: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut foreign: Vec<&Hostname> = Vec::new();
    let mut addresses: HashMap<IpAddr, (usize, &MeshService)> = HashMap::new();
    for (at, called) in all_called(hosts) {
        if kubernetes_parts(called.declared().as_str(), domain).is_none() {
            foreign.push(called.declared());
        }
        let Called::Service { service, .. } = called else { continue };
        for address in service.service.addresses.iter().filter(|address| address.is_single()) {
            let (owner, other) = *addresses.entry(address.ip).or_insert((at, service));
            if owner == at {
                continue;
            }
            let loser = if precedence(service) < precedence(other) {
                addresses.insert(address.ip, (at, service));
                owner
            } else {
                at
            };
            lost.entry(loser).or_default().push(address_domain(address.ip));
        }
    }
    if foreign.is_empty() {
        return lost;
    }
    let places: HashMap<&str, usize> = all_called(hosts).map(|(at, called)| (called.declared().as_str(), at)).collect();
    for host in foreign {
        let of_short_form =
            full_name(host.as_str(), caller, domain).and_then(|full| places.get(full.as_str()).copied());
        let of_address = || Some(addresses.get(&host.as_str().parse().ok()?)?.0);
        let own = places.get(host.as_str());
        if let Some(at) = of_short_form.or_else(of_address).filter(|at| Some(at) != own) {
            lost.entry(at).or_default().push(host.as_str().to_owned());
        }
    }
    lost
}

fn all_called(hosts: &[VirtualHostInput]) -> impl Iterator<Item = (usize, &Called)> {
    hosts.iter().enumerate().flat_map(|(at, host)| {
        let called = match &host.domains {
            Domains::Names { called, .. } => called.as_slice(),
            Domains::Everything => &[],
        };
        called.iter().map(move |called| (at, called))
    })
}

/// The service of the cluster that a short form stands for, or whose pods a wildcard does.
fn full_name(host: &str, caller: &Namespace, domain: &str) -> Option<String> {
    let (of_pods, name) = host.strip_prefix("*.").map_or((false, host), |name| (true, name));
    let is_full = kubernetes_parts(name, domain).is_some();
    match name.split('.').count() {
        _ if is_full => of_pods.then(|| name.to_owned()),
        1 => Some(format!("{name}.{caller}.svc.{domain}")),
        2 => Some(format!("{name}.svc.{domain}")),
        3 if name.ends_with(".svc") => Some(format!("{name}.{domain}")),
        _ => None,
    }
}

/// The order in which services keep what several want: those of Kubernetes, then the oldest, then by name.
pub(crate) fn precedence(service: &MeshService) -> (bool, i64, &Hostname) {
    let is_foreign = service.service.registry != Registry::Kubernetes;
    (is_foreign, service.created.unwrap_or(i64::MIN), &service.service.hostname)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(host: &str) -> Option<String> {
        full_name(host, &Namespace::parse("default").unwrap(), "cluster.local")
    }

    #[test]
    fn a_short_form_stands_for_a_service_of_the_cluster() {
        for form in
            ["web", "web.default", "web.default.svc", "*.web", "*.web.default", "*.web.default.svc.cluster.local"]
        {
            assert_eq!(full(form).as_deref(), Some("web.default.svc.cluster.local"), "{form}");
        }
        for form in ["api.example.com", "a.b.c.d", "*.a.example.com", "web.default.svc.cluster.local"] {
            assert_eq!(full(form), None, "{form}");
        }
    }
}
