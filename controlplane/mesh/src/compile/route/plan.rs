//! Which route configurations a viewpoint has, and which virtual hosts each of them holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use prost::Message as _;
use proto::envoy::config::route::v3::RouteConfiguration;

use super::{
    ChosenRule, HTTP_PROXY, RoutePlan, VirtualHostContent, VirtualHostInput,
    choice::{self, ByHost},
    destination,
    domains::{self, Candidate, Names},
    fallback, port,
};
use crate::{
    compile::{
        scope::{Scope, ScopedService},
        viewpoint::Viewpoint,
    },
    model::{Hostname, Object, Shared, service::Resolution, virtual_service::VirtualService},
};

/// Longest body of a direct response, in bytes; Envoy's own limit is 4 KiB.
pub(super) const DIRECT_RESPONSE_BODY_MAX: u32 = 1 << 20;
/// The port of a URL that names none.
const HTTP_PORT: u16 = 80;

/// The route configurations of a sidecar: one for each port that carries requests, one for each sniffed port, and that of
/// the explicit proxy.
pub(super) fn sidecar(scope: &Scope, viewpoint: &Viewpoint) -> Vec<RoutePlan> {
    let planner = Planner::new(scope, viewpoint);
    let asked = port::asked(scope, viewpoint);
    let by_port = asked.ports.iter().map(|port| RoutePlan {
        name: port.to_string().into(),
        head: head(&port.to_string(), IgnorePort::Yes),
        hosts: planner.finish(planner.candidates(*port)),
    });
    let sniffed = asked.sniffed.iter().map(|(name, (port, scoped))| RoutePlan {
        name: Arc::clone(name),
        head: head(name, IgnorePort::Yes),
        // The address says which service is meant, whatever host the request names.
        hosts: vec![VirtualHostInput {
            domains: vec!["*".to_owned()],
            ..planner.host(scoped.service.service.hostname.as_str(), *port, planner.content(scoped, *port))
        }],
    });
    let mut plans: Vec<RoutePlan> = by_port.chain(sniffed).collect();
    if viewpoint.http_proxy_port.is_some() {
        plans.push(planner.http_proxy());
    }
    plans
}

/// The route configurations of a proxyless gRPC client: one for each port of each service, `outbound|port||host`.
pub(super) fn grpc(scope: &Scope, viewpoint: &Viewpoint) -> Vec<RoutePlan> {
    let planner = Planner::new(scope, viewpoint);
    let mut plans = BTreeMap::new();
    for scoped in scope.services.values() {
        let service = &scoped.service.service;
        if matches!(service.resolution, Resolution::Alias(_)) {
            continue;
        }
        let Names { own, others } = domains::spellings(service, &scope.namespace, &scope.config.spec.domain);
        let spellings: Vec<String> = std::iter::once(own).chain(others).collect();
        for port in service.ports.iter().filter(|port| port::reading(port.protocol).is_some()) {
            let name = destination::cluster_name(port.number, None, &service.hostname).shared();
            let host = VirtualHostInput {
                domains: spellings.iter().flat_map(|d| [d.clone(), format!("{d}:{}", port.number)]).collect(),
                for_grpc: true,
                ..planner.host(service.hostname.as_str(), port.number, planner.content(scoped, port.number))
            };
            let plan = RoutePlan { name: Arc::clone(&name), head: grpc_head(&name), hosts: vec![host] };
            plans.entry(name).or_insert(plan);
        }
    }
    plans.into_values().collect()
}

/// Whether the port in a request's `Host` counts.
enum IgnorePort {
    Yes,
    No,
}

fn head(name: &str, ignore_port: IgnorePort) -> Bytes {
    let head = RouteConfiguration {
        name: name.to_owned(),
        // Clusters come and go apart from routes; the order of pushes sees to it that a route finds its own.
        validate_clusters: Some(false),
        max_direct_response_body_size_bytes: Some(DIRECT_RESPONSE_BODY_MAX),
        ignore_port_in_host_matching: match ignore_port {
            IgnorePort::Yes => true,
            IgnorePort::No => false,
        },
        ..RouteConfiguration::default()
    };
    head.encode_to_vec().into()
}

fn grpc_head(name: &str) -> Bytes {
    RouteConfiguration { name: name.to_owned(), ..RouteConfiguration::default() }.encode_to_vec().into()
}

/// What every route configuration of a viewpoint is planned from.
struct Planner<'a> {
    scope: &'a Scope,
    viewpoint: &'a Viewpoint,
    by_host: ByHost<'a>,
    /// The services that carry requests, by port.
    ports: BTreeMap<u16, Vec<&'a ScopedService>>,
    /// The aliases of each service, by its name.
    aliases: BTreeMap<&'a Hostname, Vec<&'a ScopedService>>,
    /// The place of each service in the order of precedence.
    ranks: BTreeMap<&'a str, usize>,
}

impl<'a> Planner<'a> {
    fn new(scope: &'a Scope, viewpoint: &'a Viewpoint) -> Self {
        Self {
            scope,
            viewpoint,
            by_host: ByHost::new(scope),
            ports: port::with_requests(scope),
            aliases: aliases(scope),
            ranks: port::in_precedence(scope).into_iter().map(Hostname::as_str).zip(1..).collect(),
        }
    }

    /// A virtual host without domains.
    fn host(&self, host: &str, port: u16, content: VirtualHostContent) -> VirtualHostInput {
        VirtualHostInput {
            name: format!("{host}:{port}").into(),
            domains: Vec::new(),
            content,
            config: self.scope.config.clone(),
            for_grpc: false,
        }
    }

    /// What a service does at a port: what its VirtualService says there, else the service itself.
    fn content(&self, scoped: &ScopedService, port: u16) -> VirtualHostContent {
        let found = self.by_host.first(&scoped.service.service.hostname, |vs| Some((vs, self.rules(vs, port)?)));
        match found {
            Some((vs, rules)) => self.following(vs, rules, port),
            None => VirtualHostContent::Service { service: scoped.clone(), port },
        }
    }

    fn rules(&self, virtual_service: &Object<VirtualService>, port: u16) -> Option<Vec<ChosenRule>> {
        choice::http_rules(virtual_service, port, self.viewpoint, &self.scope.delegates)
    }

    fn following(
        &self,
        virtual_service: &Shared<Object<VirtualService>>,
        rules: Vec<ChosenRule>,
        port: u16,
    ) -> VirtualHostContent {
        let destinations = destination::services(virtual_service, &rules, self.scope);
        VirtualHostContent::VirtualService { virtual_service: virtual_service.clone(), rules, port, destinations }
    }

    /// The virtual hosts of a port, in the order of their names.
    fn candidates(&self, port: u16) -> Vec<Candidate> {
        let services = self.ports.get(&port).map_or(&[][..], Vec::as_slice);
        let mut candidates: BTreeMap<&str, Candidate> = BTreeMap::new();
        for scoped in services {
            let service = &scoped.service.service;
            let host = service.hostname.as_str();
            let mut names = self.names(scoped);
            for alias in self.aliases.get(&service.hostname).into_iter().flatten() {
                match self.naming_alias(alias, port) {
                    Some(content) => {
                        let name = alias.service.service.hostname.as_str();
                        candidates.insert(name, self.candidate(name, port, self.names(alias), content));
                    }
                    None => {
                        let Names { own, others } = self.names(alias);
                        names.others.push(own);
                        names.others.extend(others);
                    }
                }
            }
            candidates.insert(host, self.candidate(host, port, names, self.content(scoped, port)));
        }
        self.add_foreign_hosts(port, services, &mut candidates);
        candidates.into_values().collect()
    }

    fn names(&self, scoped: &ScopedService) -> Names {
        domains::names(&scoped.service.service, &self.scope.namespace, &self.scope.config.spec.domain)
    }

    fn candidate(&self, host: &str, port: u16, names: Names, content: VirtualHostContent) -> Candidate {
        // Hosts that only a VirtualService knows have no rank of their own: they come first.
        let rank = self.ranks.get(host).copied().unwrap_or_default();
        let domains = std::iter::once(names.own).chain(names.others).collect();
        Candidate { host: self.host(host, port, content), domains, declared: 1, rank }
    }

    /// The rules of a VirtualService that names the alias itself.
    fn naming_alias(&self, alias: &ScopedService, port: u16) -> Option<VirtualHostContent> {
        let named = self.by_host.naming(alias.service.service.hostname.as_str());
        let (vs, rules) = named.iter().find_map(|vs| Some((vs, self.rules(vs, port)?)))?;
        Some(self.following(vs, rules, port))
    }

    /// Hosts of VirtualServices that no service of the port has: they are served where another host of the same
    /// VirtualService is, or on port 80 when there is none anywhere.
    fn add_foreign_hosts(&self, port: u16, services: &[&ScopedService], candidates: &mut BTreeMap<&'a str, Candidate>) {
        let at_port: BTreeSet<&str> = services.iter().map(|s| s.service.service.hostname.as_str()).collect();
        for virtual_service in &self.scope.virtual_services {
            let hosts = &virtual_service.spec.hosts;
            let foreign = |host: &&Hostname| host.as_str() != "*" && !at_port.contains(host.as_str());
            if !hosts.iter().any(|host| foreign(&host)) {
                continue;
            }
            let covers_one = |host: &Hostname| {
                at_port.contains(host.as_str())
                    || host.is_wildcard() && services.iter().any(|s| host.covers(&s.service.service.hostname))
            };
            if port != HTTP_PORT && !hosts.iter().any(covers_one) {
                continue;
            }
            let Some(rules) = self.rules(virtual_service, port) else { continue };
            for host in hosts.iter().filter(foreign) {
                // The oldest VirtualService keeps a host; an alias that is named was served above.
                candidates.entry(host.as_str()).or_insert_with(|| {
                    let content = self.following(virtual_service, rules.clone(), port);
                    self.candidate(host.as_str(), port, Names::only(host.as_str()), content)
                });
            }
        }
    }

    /// Settles the domains and adds what happens to all other hosts.
    fn finish(&self, mut candidates: Vec<Candidate>) -> Vec<VirtualHostInput> {
        let policy = self.scope.outbound_policy;
        candidates.push(Candidate {
            host: VirtualHostInput {
                name: fallback::name(policy).into(),
                domains: Vec::new(),
                content: VirtualHostContent::Fallback(policy),
                config: self.scope.config.clone(),
                for_grpc: false,
            },
            domains: vec!["*".to_owned()],
            declared: 1,
            // A service that stands for every host takes the place of the fallback.
            rank: usize::MAX,
        });
        domains::assign(candidates)
    }

    /// The explicit proxy: every port at once, so the port in the `Host` of a request counts; without one it is 80.
    fn http_proxy(&self) -> RoutePlan {
        let ports: BTreeSet<u16> = self.ports.keys().copied().chain([HTTP_PORT]).collect();
        let candidates =
            ports.into_iter().flat_map(|port| self.candidates(port).into_iter().map(move |c| at_port(c, port)));
        let hosts = self.finish(candidates.collect());
        RoutePlan { name: HTTP_PROXY.into(), head: head(HTTP_PROXY, IgnorePort::No), hosts }
    }
}

/// The candidate as the explicit proxy has it: its names with the port, and without one if that is what a URL means.
fn at_port(candidate: Candidate, port: u16) -> Candidate {
    let mut domains = Vec::with_capacity(candidate.domains.len() * 2);
    let mut declared = candidate.declared;
    for (place, domain) in candidate.domains.into_iter().enumerate() {
        domains.push(format!("{domain}:{port}"));
        // Alone, `*` would also be every host with another port.
        if port == HTTP_PORT && domain != "*" {
            declared += usize::from(place < candidate.declared);
            domains.push(domain);
        }
    }
    Candidate { domains, declared, ..candidate }
}

fn aliases(scope: &Scope) -> BTreeMap<&Hostname, Vec<&ScopedService>> {
    let mut aliases: BTreeMap<&Hostname, Vec<&ScopedService>> = BTreeMap::new();
    for scoped in scope.services.values() {
        if let Some(target) = destination::behind_alias(scope, scoped) {
            aliases.entry(&target.service.service.hostname).or_default().push(scoped);
        }
    }
    aliases
}

#[cfg(test)]
mod tests;
