//! The names by which a service is called, and which virtual host keeps a name that several would have.
//!
//! Envoy refuses a whole route configuration when two of its virtual hosts share a domain, in any case of letters; all
//! names here are in lower case.

mod lost;

pub(crate) use lost::{precedence, settle};

use std::{collections::HashSet, net::IpAddr};

use crate::{
    compile::scope::MeshService,
    model::{
        Hostname, Namespace, Shared,
        service::{Registry, Resolution, Service},
    },
};

/// The names that lead to a virtual host.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Domains {
    /// All of them.
    Everything,
    /// Some.
    Names {
        /// What is called, first what the virtual host is named after; then its aliases.
        called: Vec<Called>,
        /// Spellings of them that belong to another virtual host; in order.
        lost: Vec<String>,
        /// Whether the port belongs to a name.
        ports: Ports,
    },
}

/// Something with a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Called {
    /// A service, in all of its spellings.
    Service {
        /// The service.
        service: Shared<MeshService>,
        /// Whether callers are in its namespace, where its first label alone means it.
        is_near: bool,
    },
    /// A host that is no service, under this very name.
    Host(Hostname),
}

/// Whether the port belongs to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// Envoy leaves the port away before it compares.
    Ignored,
    /// It stands there.
    Required(u16),
    /// It may stand there or not.
    Optional(u16),
}

impl Called {
    /// A service, as callers in a namespace call it.
    pub(crate) fn service(service: &Shared<MeshService>, caller: &Namespace, domain: &str) -> Self {
        let parts = kubernetes_parts(service.service.hostname.as_str(), domain);
        let is_near = parts.is_some_and(|(_, namespace)| namespace == caller.as_str());
        Self::Service { service: service.clone(), is_near }
    }

    /// Its names without addresses and pods; the first is that which it was declared with.
    pub(crate) fn spellings(&self, domain: &str) -> Vec<String> {
        match self {
            Self::Service { service, is_near } => spellings(&service.service, *is_near, domain),
            Self::Host(host) => vec![host.as_str().to_owned()],
        }
    }

    /// The name that it was declared with.
    pub(crate) fn declared(&self) -> &Hostname {
        match self {
            Self::Service { service, .. } => &service.service.hostname,
            Self::Host(host) => host,
        }
    }
}

impl Domains {
    /// What is called so, and nothing that another one keeps.
    pub(crate) fn of(called: Vec<Called>, ports: Ports) -> Self {
        Self::Names { called, lost: Vec::new(), ports }
    }

    /// The domains as Envoy takes them; `domain` is that of the cluster.
    pub(super) fn write(&self, domain: &str) -> Vec<String> {
        let Self::Names { called, lost, ports } = self else { return vec!["*".to_owned()] };
        let mut seen = HashSet::new();
        let names = called.iter().flat_map(|called| match called {
            Called::Service { service, is_near } => names(&service.service, *is_near, domain),
            Called::Host(host) => vec![host.as_str().to_owned()],
        });
        let own = names.filter(|name| !lost.contains(name) && seen.insert(name.clone()));
        match ports {
            Ports::Ignored => own.collect(),
            Ports::Required(port) => own.map(|name| format!("{name}:{port}")).collect(),
            Ports::Optional(port) => own
                .flat_map(|name| {
                    let with_port = format!("{name}:{port}");
                    // Alone, `*` would also be every host with another port.
                    if name == "*" { vec![with_port] } else { vec![name, with_port] }
                })
                .collect(),
        }
    }
}

/// What may be written to mean the service: its full name, with a trailing dot, the short forms that DNS completes for
/// the caller, and its addresses. A headless service also answers for the names of its pods.
fn names(service: &Service, is_near: bool, domain: &str) -> Vec<String> {
    let mut names = spellings(service, is_near, domain);
    let of_pods: Vec<String> =
        if answers_for_pods(service) { names.iter().map(|name| format!("*.{name}")).collect() } else { Vec::new() };
    names.extend(service.addresses.iter().filter(|a| a.is_single()).map(|a| address_domain(a.ip)));
    names.extend(of_pods);
    names
}

/// The names without addresses and pods; the first is that which the service was declared with.
fn spellings(service: &Service, is_near: bool, domain: &str) -> Vec<String> {
    let host = service.hostname.as_str();
    let mut names = Vec::with_capacity(8);
    names.push(host.to_owned());
    if !service.hostname.is_wildcard() {
        names.push(format!("{host}."));
    }
    if let Some((name, namespace)) = kubernetes_parts(host, domain) {
        if is_near {
            names.push(name.to_owned());
        }
        names.push(format!("{name}.{namespace}.svc"));
        names.push(format!("{name}.{namespace}"));
    }
    names
}

fn answers_for_pods(service: &Service) -> bool {
    service.resolution == Resolution::Headless
        && service.registry == Registry::Kubernetes
        && !service.hostname.is_wildcard()
}

/// Name and namespace of `name.namespace.svc.<domain>`.
fn kubernetes_parts<'a>(host: &'a str, domain: &str) -> Option<(&'a str, &'a str)> {
    let (name, namespace) = host.strip_suffix(domain)?.strip_suffix(".svc.")?.split_once('.')?;
    (!namespace.contains('.') && name != "*").then_some((name, namespace))
}

/// An address as the domain of a virtual host: IPv6 in brackets, as it stands in a URL.
fn address_domain(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::route::fixture::{self, Written};

    fn called(written: Written, caller: &str) -> Called {
        Called::service(&written.scoped().service, &fixture::namespace(caller), "cluster.local")
    }

    fn written(written: Written, caller: &str, ports: Ports) -> Vec<String> {
        Domains::of(vec![called(written, caller)], ports).write("cluster.local")
    }

    #[test]
    fn a_service_has_every_spelling_that_dns_completes() {
        let service = || fixture::service("web").at("10.0.0.1").at("10.0.0.1").at("2001:db8::1");
        assert_eq!(
            written(service(), "default", Ports::Ignored),
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
        let far = written(service(), "other", Ports::Ignored);
        assert!(!far.contains(&"web".to_owned()) && far.contains(&"web.default".to_owned()));
    }

    #[test]
    fn a_host_outside_the_cluster_has_its_name_alone() {
        let outside = |host| written(fixture::entry(host), "default", Ports::Ignored);
        assert_eq!(outside("api.example.com"), ["api.example.com", "api.example.com."]);
        assert_eq!(outside("*.example.com"), ["*.example.com"]);
    }

    #[test]
    fn a_headless_service_answers_for_its_pods() {
        let names = written(fixture::service("db").headless(), "default", Ports::Ignored);
        assert!(names.contains(&"*.db.default.svc.cluster.local".to_owned()));
        assert!(names.contains(&"*.db".to_owned()));
    }

    #[test]
    fn ports_stand_where_they_must_or_may() {
        let host = || fixture::entry("a.example.com");
        assert_eq!(written(host(), "default", Ports::Required(81)), ["a.example.com:81", "a.example.com.:81"]);
        let optional = written(host(), "default", Ports::Optional(80));
        assert_eq!(optional, ["a.example.com", "a.example.com:80", "a.example.com.", "a.example.com.:80"]);
        assert_eq!(written(fixture::entry("*"), "default", Ports::Optional(80)), ["*:80"]);
    }

    #[test]
    fn aliases_add_their_spellings_and_lost_names_are_left_out() {
        let called =
            vec![called(fixture::entry("a.example.com"), "default"), called(fixture::alias("b", "a"), "other")];
        let lost = vec!["b.default".to_owned()];
        let domains = Domains::Names { called, lost, ports: Ports::Ignored }.write("cluster.local");
        assert_eq!(
            domains,
            [
                "a.example.com",
                "a.example.com.",
                "b.default.svc.cluster.local",
                "b.default.svc.cluster.local.",
                "b.default.svc"
            ]
        );
    }
}
