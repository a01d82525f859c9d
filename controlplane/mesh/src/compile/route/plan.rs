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
    domains::{self, Called, Domains, Ports},
    port,
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
        hosts: planner.settled(planner.hosts(*port, Ports::Ignored)),
    });
    let sniffed = asked.sniffed.iter().map(|(name, (port, scoped))| RoutePlan {
        name: Arc::clone(name),
        head: head(name, IgnorePort::Yes),
        // The address says which service is meant, whatever host the request names.
        hosts: vec![VirtualHostInput {
            host: Some((scoped.service.service.hostname.clone(), *port)),
            domains: Domains::Everything,
            content: planner.content(scoped, *port),
            config: scope.config.clone(),
            for_grpc: false,
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
        for port in service.ports.iter().filter(|port| port::reading(port.protocol).is_some()) {
            let name = destination::cluster_name(port.number, None, &service.hostname).shared();
            let host = VirtualHostInput {
                host: Some((service.hostname.clone(), port.number)),
                domains: Domains::of(vec![planner.called(scoped)], Ports::Optional(port.number)),
                content: planner.content(scoped, port.number),
                config: scope.config.clone(),
                for_grpc: true,
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
}

impl<'a> Planner<'a> {
    fn new(scope: &'a Scope, viewpoint: &'a Viewpoint) -> Self {
        Self {
            scope,
            viewpoint,
            by_host: ByHost::new(scope),
            ports: port::with_requests(scope),
            aliases: aliases(scope),
        }
    }

    fn called(&self, scoped: &ScopedService) -> Called {
        Called::service(&scoped.service, &self.scope.namespace, &self.scope.config.spec.domain)
    }

    /// A virtual host named after the first of what is called.
    fn host(&self, port: u16, called: Vec<Called>, ports: Ports, content: VirtualHostContent) -> VirtualHostInput {
        VirtualHostInput {
            host: called.first().map(|first| (first.declared().clone(), port)),
            domains: Domains::of(called, ports),
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
    fn hosts(&self, port: u16, ports: Ports) -> Vec<VirtualHostInput> {
        let services = self.ports.get(&port).map_or(&[][..], Vec::as_slice);
        let mut hosts = Vec::with_capacity(services.len() + 1);
        let mut others = BTreeMap::new();
        for scoped in services {
            let mut called = vec![self.called(scoped)];
            for alias in self.aliases.get(&scoped.service.service.hostname).into_iter().flatten() {
                match self.naming_alias(alias, port) {
                    Some(content) => {
                        let name = alias.service.service.hostname.as_str();
                        others.insert(name, self.host(port, vec![self.called(alias)], ports, content));
                    }
                    None => called.push(self.called(alias)),
                }
            }
            hosts.push(self.host(port, called, ports, self.content(scoped, port)));
        }
        self.add_foreign_hosts(port, ports, services, &mut others);
        if !others.is_empty() {
            hosts.extend(others.into_values());
            hosts.sort_by(|a, b| a.host.cmp(&b.host));
        }
        domains::settle(&mut hosts, &self.scope.namespace, &self.scope.config.spec.domain);
        hosts
    }

    /// The rules of a VirtualService that names the alias itself.
    fn naming_alias(&self, alias: &ScopedService, port: u16) -> Option<VirtualHostContent> {
        let named = self.by_host.naming(alias.service.service.hostname.as_str());
        let (vs, rules) = named.iter().find_map(|vs| Some((vs, self.rules(vs, port)?)))?;
        Some(self.following(vs, rules, port))
    }

    /// Hosts of VirtualServices that no service of the port has: they are served where another host of the same
    /// VirtualService is, or on port 80 when there is none anywhere.
    fn add_foreign_hosts(
        &self,
        port: u16,
        ports: Ports,
        services: &[&ScopedService],
        hosts: &mut BTreeMap<&'a str, VirtualHostInput>,
    ) {
        let is_at_port = |host: &Hostname| self.scope.service(host).is_some_and(|scoped| port::is_met(scoped, port));
        for virtual_service in &self.scope.virtual_services {
            let named = &virtual_service.spec.hosts;
            // A star covers services, but no unknown host.
            let foreign = |host: &&Hostname| host.as_str() != "*" && !is_at_port(host);
            if !named.iter().any(|host| foreign(&host)) {
                continue;
            }
            let covers_one = |host: &Hostname| {
                is_at_port(host)
                    || host.is_wildcard() && services.iter().any(|s| host.covers(&s.service.service.hostname))
            };
            if port != HTTP_PORT && !named.iter().any(covers_one) {
                continue;
            }
            let Some(rules) = self.rules(virtual_service, port) else { continue };
            for host in named.iter().filter(foreign) {
                // The oldest VirtualService keeps a host; an alias that is named was served above.
                hosts.entry(host.as_str()).or_insert_with(|| {
                    let content = self.following(virtual_service, rules.clone(), port);
                    self.host(port, vec![Called::Host(host.clone())], ports, content)
                });
            }
        }
    }

    /// The virtual hosts of one port, and what happens to all other hosts. A service that stands for every host takes the
    /// place of that.
    fn settled(&self, mut hosts: Vec<VirtualHostInput>) -> Vec<VirtualHostInput> {
        if !hosts.iter().any(|input| input.host.as_ref().is_some_and(|(host, _)| host.as_str() == "*")) {
            hosts.push(self.fallback());
        }
        hosts
    }

    fn fallback(&self) -> VirtualHostInput {
        VirtualHostInput {
            host: None,
            domains: Domains::Everything,
            content: VirtualHostContent::Fallback(self.scope.outbound_policy),
            config: self.scope.config.clone(),
            for_grpc: false,
        }
    }

    /// The explicit proxy: every port at once, so the port in the `Host` of a request counts; without one it is 80.
    fn http_proxy(&self) -> RoutePlan {
        let ports: BTreeSet<u16> = self.ports.keys().copied().chain([HTTP_PORT]).collect();
        let of_port =
            |port| self.hosts(port, if port == HTTP_PORT { Ports::Optional(port) } else { Ports::Required(port) });
        let mut hosts: Vec<VirtualHostInput> = ports.into_iter().flat_map(of_port).collect();
        hosts.push(self.fallback());
        RoutePlan { name: HTTP_PROXY.into(), head: head(HTTP_PROXY, IgnorePort::No), hosts }
    }
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
