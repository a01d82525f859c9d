//! Where connections to a port of a service go: as a VirtualService's TLS and TCP rules say, else to the service.

use std::net::IpAddr;

use super::{filter_chain::TcpChain, tcp_proxy::TcpRoute};
use crate::{
    compile::{
        cluster::policy,
        route::{
            choice::{ByHost, l4_match_holds},
            destination::{self, Target},
            hash_policy,
            port::Reading,
        },
        scope::{Scope, ScopedService},
        viewpoint::Viewpoint,
    },
    model::{
        Hostname, Object, Origin,
        destination_rule::HashKey,
        service::Address,
        virtual_service::{Destination, L4Match, VirtualService, in_subnets},
    },
};

/// Where the listener of a connection is.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    /// On the address that the caller used.
    Own(IpAddr),
    /// On an address that stands for all of its family: the caller used one in these ranges, or any when there are none.
    Shared(IpAddr, &'a [Address]),
}

/// What connections are sorted by.
pub(super) struct L4<'a> {
    pub(super) scope: &'a Scope,
    pub(super) viewpoint: &'a Viewpoint,
    pub(super) by_host: &'a ByHost<'a>,
}

impl L4<'_> {
    /// The chains of a port of a service, the first that takes a connection has it. One that takes every connection of the
    /// listener has neither ranges nor server names.
    pub(super) fn chains(&self, scoped: &ScopedService, port: u16, reading: Reading, at: At<'_>) -> Vec<TcpChain> {
        let host = &scoped.service.service.hostname;
        match reading {
            Reading::Tls => self
                .by_host
                .first(host, |vs| Some(self.tls_rules(vs, port, at)).filter(|chains| !chains.is_empty()))
                .unwrap_or_else(|| vec![self.by_server_name(scoped, port, at)]),
            Reading::Http | Reading::Sniffed | Reading::Tcp => {
                let found = self.by_host.first(host, |vs| self.tcp_rules(vs, port, at));
                let Tcp { mut chains, is_complete } = found.unwrap_or_default();
                if !is_complete {
                    chains.push(chain(ranges(&[], at), Vec::new(), self.to_service(scoped, port)));
                }
                chains
            }
        }
    }

    /// TLS that no rule speaks of goes to its service: by its address where the listener is on it, else by its name.
    fn by_server_name(&self, scoped: &ScopedService, port: u16, at: At<'_>) -> TcpChain {
        let names = match at {
            At::Own(_) => Vec::new(),
            At::Shared(..) => server_names(std::slice::from_ref(&scoped.service.service.hostname)),
        };
        chain(ranges(&[], at), names, self.to_service(scoped, port))
    }

    fn tls_rules(&self, virtual_service: &Object<VirtualService>, port: u16, at: At<'_>) -> Vec<TcpChain> {
        let rules = virtual_service.spec.tls.iter().enumerate();
        let chosen = rules.flat_map(|(place, rule)| {
            let matches =
                rule.matches.iter().enumerate().map(move |(number, condition)| {
                    (format!("spec.tls[{place}].match[{number}]"), condition, &rule.route)
                });
            matches.filter(|(_, condition, _)| self.can_hold(condition, port, at))
        });
        chosen
            .filter_map(|(field, condition, route)| {
                let route = self.route(route, port, Origin::field(&virtual_service.id, &field))?;
                Some(chain(ranges(&condition.destination_subnets, at), server_names(&condition.sni_hosts), route))
            })
            .collect()
    }

    fn tcp_rules(&self, virtual_service: &Object<VirtualService>, port: u16, at: At<'_>) -> Option<Tcp> {
        let mut found = Tcp::default();
        for (place, rule) in virtual_service.spec.tcp.iter().enumerate() {
            if rule.matches.is_empty() {
                let origin = Origin::field(&virtual_service.id, &format!("spec.tcp[{place}]"));
                found.add(&[], at, self.route(&rule.route, port, origin));
            }
            for (number, condition) in rule.matches.iter().enumerate() {
                if !found.is_complete && self.can_hold(condition, port, at) {
                    let field = format!("spec.tcp[{place}].match[{number}]");
                    let route = self.route(&rule.route, port, Origin::field(&virtual_service.id, &field));
                    found.add(&condition.destination_subnets, at, route);
                }
            }
            if found.is_complete {
                break;
            }
        }
        (found.is_complete || !found.chains.is_empty()).then_some(found)
    }

    fn can_hold(&self, condition: &L4Match, port: u16, at: At<'_>) -> bool {
        let reachable = match at {
            At::Own(ip) => in_subnets(&condition.destination_subnets, ip),
            At::Shared(..) => {
                condition.destination_subnets.is_empty() || !ranges(&condition.destination_subnets, at).is_empty()
            }
        };
        reachable && l4_match_holds(condition, port, self.viewpoint)
    }

    fn to_service(&self, scoped: &ScopedService, port: u16) -> TcpRoute {
        let cluster = destination::cluster_name(port, None, &scoped.service.service.hostname);
        let target = Target { cluster: cluster.clone(), service: Some(scoped), port };
        settings(TcpRoute::to(cluster), &target, None)
    }

    /// The route of a rule; none when it has no destination.
    fn route(&self, legs: &[(Destination, u32)], port: u16, origin: Origin) -> Option<TcpRoute> {
        let weights = destination::weights(&legs.iter().map(|(_, weight)| *weight).collect::<Vec<_>>());
        let legs: Vec<(&Destination, u32)> = legs
            .iter()
            .zip(weights)
            .filter(|(_, weight)| *weight > 0)
            .map(|((destination, _), weight)| (destination, weight))
            .collect();
        let target = |leg: &Destination| destination::target(leg, port, |host| self.scope.service(host));
        let (first, _) = legs.first()?;
        let route = TcpRoute {
            clusters: legs.iter().map(|(leg, weight)| (target(leg).cluster, *weight)).collect(),
            hash_source_ip: false,
            idle_timeout: None,
            origin: Some(origin),
        };
        Some(settings(route, &target(first), first.subset.as_deref()))
    }
}

/// The chains of TCP rules, and whether they leave nothing over.
#[derive(Debug, Default)]
struct Tcp {
    chains: Vec<TcpChain>,
    is_complete: bool,
}

impl Tcp {
    fn add(&mut self, subnets: &[Address], at: At<'_>, route: Option<TcpRoute>) {
        let Some(route) = route else { return };
        self.is_complete |= match at {
            At::Own(_) => true,
            At::Shared(..) => subnets.is_empty(),
        };
        self.chains.push(chain(ranges(subnets, at), Vec::new(), route));
    }
}

fn chain(ranges: Vec<Address>, server_names: Vec<Hostname>, route: TcpRoute) -> TcpChain {
    TcpChain { ranges, server_names, http: None, route }
}

/// The ranges that a chain must ask for: those of the rule before those of the service, of the listener's family. A
/// listener that is on the address itself need not ask.
fn ranges(subnets: &[Address], at: At<'_>) -> Vec<Address> {
    match at {
        At::Own(_) => Vec::new(),
        At::Shared(_, own) if subnets.is_empty() => own.to_vec(),
        At::Shared(shared, _) => {
            subnets.iter().filter(|subnet| subnet.ip.is_ipv4() == shared.is_ipv4()).copied().collect()
        }
    }
}

/// Names as a chain can ask for them: `*` is every name, and none.
fn server_names(names: &[Hostname]) -> Vec<Hostname> {
    if names.iter().any(|name| name.as_str() == "*") { Vec::new() } else { names.to_vec() }
}

/// What the rule for the destination says about connections.
fn settings(route: TcpRoute, target: &Target<'_>, subset: Option<&str>) -> TcpRoute {
    let rule = target.service.and_then(|scoped| scoped.rule.as_deref());
    let pool = policy::effective(rule, target.port, subset).connection_pool;
    TcpRoute {
        hash_source_ip: hash_policy::hash_key(target, subset).is_some_and(|(key, _)| key == HashKey::SourceIp),
        idle_timeout: pool.and_then(|pool| pool.tcp_idle_timeout),
        ..route
    }
}
