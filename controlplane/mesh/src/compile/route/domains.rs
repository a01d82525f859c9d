//! The names by which a service is called, and which virtual host keeps a name that several would have.
//!
//! Envoy refuses a whole route configuration when two of its virtual hosts share a domain, in any case of letters; all
//! names here are in lower case.

use std::{collections::HashMap, net::IpAddr};

use super::VirtualHostInput;
use crate::model::{
    Namespace,
    service::{Registry, Resolution, Service},
};

/// The names of a virtual host that is still being planned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// The name that it was declared with.
    pub(crate) own: String,
    /// All other spellings.
    pub(crate) others: Vec<String>,
}

impl Names {
    /// One name and no other spelling.
    pub(crate) fn only(own: &str) -> Self {
        Self { own: own.to_owned(), others: Vec::new() }
    }
}

/// What a caller in namespace `caller` may write to mean the service: its full name, with a trailing dot, the short forms
/// that DNS completes there, and its addresses. A headless service also answers for the names of its pods.
pub(crate) fn names(service: &Service, caller: &Namespace, domain: &str) -> Names {
    let mut names = spellings(service, caller, domain);
    names.others.extend(service.addresses.iter().filter(|a| a.is_single()).map(|a| address_domain(a.ip)));
    if service.resolution == Resolution::Headless && service.registry == Registry::Kubernetes {
        let spellings = std::iter::once(&names.own).chain(&names.others);
        let of_pods: Vec<String> = spellings.filter(|name| !is_address(name)).map(|name| format!("*.{name}")).collect();
        names.others.extend(of_pods);
    }
    names
}

/// The names without addresses and pods.
pub(crate) fn spellings(service: &Service, caller: &Namespace, domain: &str) -> Names {
    let host = service.hostname.as_str();
    let mut others = Vec::with_capacity(8);
    if !service.hostname.is_wildcard() {
        others.push(format!("{host}."));
    }
    if let Some((name, namespace)) = kubernetes_parts(host, domain) {
        if namespace == caller.as_str() {
            others.push(name.to_owned());
        }
        others.push(format!("{name}.{namespace}.svc"));
        others.push(format!("{name}.{namespace}"));
    }
    Names { own: host.to_owned(), others }
}

/// Name and namespace of `name.namespace.svc.<domain>`.
fn kubernetes_parts<'a>(host: &'a str, domain: &str) -> Option<(&'a str, &'a str)> {
    let (name, namespace) = host.strip_suffix(domain)?.strip_suffix(".svc.")?.split_once('.')?;
    (!namespace.contains('.') && name != "*").then_some((name, namespace))
}

/// An address as the domain of a virtual host: IPv6 in brackets, as it stands in a URL.
pub(crate) fn address_domain(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn is_address(name: &str) -> bool {
    name.starts_with('[') || name.parse::<IpAddr>().is_ok()
}

/// A virtual host whose domains may still be wanted by others too.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The virtual host; its domains are not set yet.
    pub(crate) host: VirtualHostInput,
    /// What its domains would be.
    pub(crate) domains: Vec<String>,
    /// How many of them, from the first on, it was declared with; the others are further spellings.
    pub(crate) declared: usize,
    /// Its place in the order of precedence: the lowest keeps a name that several want.
    pub(crate) rank: usize,
}

/// Gives each domain to one virtual host: to that which was declared with the name, else to the first by rank. Virtual
/// hosts to which none is left are dropped.
pub(crate) fn assign(mut candidates: Vec<Candidate>) -> Vec<VirtualHostInput> {
    for (at, domain) in losers(&candidates).into_iter().rev() {
        if let Some(candidate) = candidates.get_mut(at) {
            candidate.domains.remove(domain);
        }
    }
    candidates
        .into_iter()
        .filter(|candidate| !candidate.domains.is_empty())
        .map(|candidate| VirtualHostInput { domains: candidate.domains, ..candidate.host })
        .collect()
}

/// The domains that others keep: place of the candidate, place in its domains; in ascending order.
fn losers(candidates: &[Candidate]) -> Vec<(usize, usize)> {
    let count = candidates.iter().map(|candidate| candidate.domains.len()).sum();
    // The hash is that of a memo: nobody chooses names against it, for they are names of the user's own mesh.
    let mut owners: HashMap<&str, (usize, usize), xxhash_rust::xxh3::Xxh3DefaultBuilder> =
        HashMap::with_capacity_and_hasher(count, xxhash_rust::xxh3::Xxh3DefaultBuilder);
    let mut lost = Vec::new();
    for (at, candidate) in candidates.iter().enumerate() {
        for (place, domain) in candidate.domains.iter().enumerate() {
            let owner = owners.entry(domain).or_insert((at, place));
            if *owner == (at, place) {
                continue;
            }
            let claim = |(at, place): (usize, usize)| {
                let rank = |other: &Candidate| (place >= other.declared, other.rank, at, place);
                candidates.get(at).map(rank)
            };
            if claim((at, place)) < claim(*owner) {
                lost.push(*owner);
                *owner = (at, place);
            } else {
                lost.push((at, place));
            }
        }
    }
    lost.sort_unstable();
    lost
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::route::fixture;

    fn all(names: Names) -> Vec<String> {
        std::iter::once(names.own).chain(names.others).collect()
    }

    #[test]
    fn a_service_has_every_spelling_that_dns_completes() {
        let service = fixture::service("web").at("10.0.0.1").at("2001:db8::1").service;
        let near = all(names(&service, &fixture::namespace("default"), "cluster.local"));
        assert_eq!(
            near,
            [
                "web.default.svc.cluster.local",
                "web.default.svc.cluster.local.",
                "web",
                "web.default.svc",
                "web.default",
                "10.0.0.1",
                "[2001:db8::1]"
            ]
        );
        let far = all(names(&service, &fixture::namespace("other"), "cluster.local"));
        assert!(!far.contains(&"web".to_owned()) && far.contains(&"web.default".to_owned()));
    }

    #[test]
    fn a_host_outside_the_cluster_has_its_name_alone() {
        let service = fixture::entry("api.example.com").service;
        let names = all(names(&service, &fixture::namespace("default"), "cluster.local"));
        assert_eq!(names, ["api.example.com", "api.example.com."]);
        let wildcard = fixture::entry("*.example.com").service;
        assert_eq!(all(super::names(&wildcard, &fixture::namespace("default"), "cluster.local")), ["*.example.com"]);
    }

    #[test]
    fn a_headless_service_answers_for_its_pods() {
        let mut service = fixture::service("db").service;
        service.resolution = Resolution::Headless;
        let names = all(names(&service, &fixture::namespace("default"), "cluster.local"));
        assert!(names.contains(&"*.db.default.svc.cluster.local".to_owned()));
        assert!(names.contains(&"*.db".to_owned()));
    }

    fn candidate(rank: usize, domains: &[&str]) -> Candidate {
        let host = fixture::fallback_host();
        Candidate { host, domains: domains.iter().map(|d| (*d).to_owned()).collect(), declared: 1, rank }
    }

    fn assigned(candidates: Vec<Candidate>) -> Vec<Vec<String>> {
        assign(candidates).into_iter().map(|host| host.domains).collect()
    }

    #[test]
    fn a_declared_name_beats_a_spelling_and_the_lower_rank_beats_the_higher() {
        let hosts = assigned(vec![
            candidate(2, &["web.default.svc", "web.default", "10.0.0.1"]),
            candidate(1, &["web.default", "10.0.0.1"]),
        ]);
        assert_eq!(hosts, [vec!["web.default.svc"], vec!["web.default", "10.0.0.1"]]);
    }

    #[test]
    fn a_name_wanted_three_times_is_given_once_and_an_empty_host_is_dropped() {
        let hosts = assigned(vec![
            candidate(3, &["a", "x"]),
            candidate(2, &["b", "x"]),
            candidate(1, &["c", "x", "x"]),
            candidate(0, &["a"]),
        ]);
        assert_eq!(hosts, [vec!["b"], vec!["c", "x"], vec!["a"]]);
    }
}
