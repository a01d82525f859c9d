//! Which outbound listeners a sidecar has, and what comes together on each address and port.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use super::{
    Certificates, HttpChain, OutboundContent, OutboundListenerInput, PortListener, Rest, TcpChain, TcpRoute, catch_all,
    l4::{At, L4},
};
use crate::{
    compile::{
        route::{
            HTTP_PROXY,
            choice::ByHost,
            port::{self, Place, Reading},
        },
        scope::{Endpoints, Scope, ScopedService},
        viewpoint::{Interception, Viewpoint},
    },
    model::{Hostname, Origin, Shared, endpoint::EndpointAddress, service::ServicePort},
};

pub(super) fn plan(
    scope: &Scope,
    viewpoint: &Viewpoint,
    headless: &dyn Fn(&Hostname) -> Option<Shared<Endpoints>>,
) -> Vec<OutboundListenerInput> {
    let by_host = ByHost::new(scope);
    let l4 = L4 { scope, viewpoint, by_host: &by_host };
    let mut planner = Planner { l4, headless, shared: port::shared_address(viewpoint), groups: BTreeMap::new() };
    for scoped in port::in_precedence(scope) {
        planner.add(scoped);
    }
    let input = |name: Arc<str>, content| OutboundListenerInput { name, content, config: scope.config.clone() };
    let mut listeners = Vec::with_capacity(planner.groups.len() + 2);
    let transparent = match viewpoint.interception {
        Interception::Redirect => Some(false),
        Interception::Tproxy => Some(true),
        Interception::None(_) => None,
    };
    if let Some(transparent) = transparent {
        let policy = scope.outbound_policy;
        let content = OutboundContent::CatchAll { ipv6: viewpoint.ipv6_only, transparent, policy };
        listeners.push(input(catch_all::NAME.into(), content));
    }
    if let Some(number) = viewpoint.http_proxy_port {
        let listener = http_proxy(viewpoint, number, scope.config.origin());
        listeners.push(input(name(listener.address, number), OutboundContent::Port(listener)));
    }
    let groups = std::mem::take(&mut planner.groups);
    let taken = |(address, number): &(IpAddr, u16)| port::is_taken(*address, *number, scope, viewpoint);
    for ((address, number), group) in groups.into_iter().filter(|(at, _)| !taken(at)) {
        let listener = planner.finish(address, number, group);
        listeners.push(input(name(address, number), OutboundContent::Port(listener)));
    }
    listeners
}

fn name(address: IpAddr, port: u16) -> Arc<str> {
    format!("{address}_{port}").into()
}

fn certificates(viewpoint: &Viewpoint) -> Certificates {
    if viewpoint.has_certificates { Certificates::Held } else { Certificates::None }
}

fn http_proxy(viewpoint: &Viewpoint, port: u16, origin: Option<Origin>) -> PortListener {
    PortListener {
        address: port::proxy_address(viewpoint),
        port,
        captured: false,
        certificates: certificates(viewpoint),
        http: Some(HttpChain { route: HTTP_PROXY.into(), sniffed: false }),
        chains: Vec::new(),
        rest: Rest::Closed,
        origins: origin.into_iter().collect(),
    }
}

/// What comes together on one address and port.
#[derive(Debug, Default)]
struct Group {
    /// The route configuration of requests.
    http: Option<Arc<str>>,
    /// Whether a service says that the port carries requests; else their first bytes do.
    is_declared: bool,
    chains: Vec<TcpChain>,
    /// Where connections go that no chain takes; the first service's.
    rest: Option<TcpRoute>,
    origins: Vec<Origin>,
}

impl Group {
    fn add(&mut self, host: &Hostname, reading: Reading, chains: Vec<TcpChain>) {
        for mut chain in chains {
            if !chain.ranges.is_empty() || !chain.server_names.is_empty() {
                self.chains.push(chain);
            } else if self.rest.is_none() {
                self.rest = Some(chain.route);
            } else if reading == Reading::Tls && host.as_str() != "*" {
                // Another service has the address already: TLS can still be told apart by its server name.
                chain.server_names.push(host.clone());
                self.chains.push(chain);
            }
        }
    }

    fn add_requests(&mut self, route: Arc<str>, origin: Origin) {
        if self.http.is_none() {
            self.http = Some(route);
            self.origins.push(origin);
        }
    }
}

struct Planner<'a> {
    l4: L4<'a>,
    headless: &'a dyn Fn(&Hostname) -> Option<Shared<Endpoints>>,
    shared: IpAddr,
    groups: BTreeMap<(IpAddr, u16), Group>,
}

impl Planner<'_> {
    fn add(&mut self, scoped: &ScopedService) {
        let service = &scoped.service.service;
        for service_port in &service.ports {
            let Some(reading) = port::reading(service_port.protocol) else { continue };
            let place = port::place(service, reading, self.l4.viewpoint);
            match reading {
                Reading::Http if place == Place::default() => {}
                Reading::Http => self.add_http(scoped, service_port, &place),
                Reading::Sniffed | Reading::Tls | Reading::Tcp => self.add_bytes(scoped, service_port, reading, &place),
            }
        }
    }

    fn add_http(&mut self, scoped: &ScopedService, service_port: &ServicePort, place: &Place) {
        let number = service_port.number;
        let group = self.groups.entry((self.shared, number)).or_default();
        group.is_declared = true;
        group.add_requests(
            port::route_name(&scoped.service.service, number, place),
            Origin::whole(&scoped.service.origin),
        );
    }

    fn add_bytes(&mut self, scoped: &ScopedService, service_port: &ServicePort, reading: Reading, place: &Place) {
        let service = &scoped.service.service;
        let number = service_port.number;
        let route = (reading == Reading::Sniffed).then(|| port::route_name(service, number, place));
        for address in place.own.iter().copied().chain(self.pods(scoped, number, place)) {
            self.add_at((address, number), scoped, reading, At::Own(address), route.as_ref());
        }
        let Some(ranges) = &place.shared else { return };
        let at = At::Shared(self.shared, ranges);
        self.add_at((self.shared, number), scoped, reading, at, route.as_ref());
    }

    fn add_at(
        &mut self,
        key: (IpAddr, u16),
        scoped: &ScopedService,
        reading: Reading,
        at: At<'_>,
        requests: Option<&Arc<str>>,
    ) {
        let mut chains = self.l4.chains(scoped, key.1, reading, at);
        let group = self.groups.entry(key).or_default();
        let origin = Origin::whole(&scoped.service.origin);
        match (at, requests) {
            (_, None) => {}
            // In a range requests belong to the service, beside others of the port.
            (At::Shared(_, [_, ..]), Some(route)) => {
                chains.iter_mut().for_each(|chain| chain.http = Some(Arc::clone(route)));
            }
            (At::Own(_) | At::Shared(_, []), Some(route)) => group.add_requests(Arc::clone(route), origin.clone()),
        }
        group.origins.extend(chains.iter().filter_map(|chain| chain.route.origin.clone()));
        group.origins.push(origin);
        group.add(&scoped.service.service.hostname, reading, chains);
    }

    /// The addresses of a headless service's pods, of the proxy's family.
    fn pods(&self, scoped: &ScopedService, number: u16, place: &Place) -> Vec<IpAddr> {
        if !place.pods {
            return Vec::new();
        }
        let Some(endpoints) = (self.headless)(&scoped.service.service.hostname) else { return Vec::new() };
        let at_port = endpoints.0.get(&number).into_iter().flatten();
        let address = |address: &EndpointAddress| match address {
            EndpointAddress::Ip(ip, _) => Some(*ip),
            EndpointAddress::Dns(..) | EndpointAddress::Pipe(_) => None,
        };
        let mut addresses: Vec<IpAddr> = at_port
            .filter_map(|endpoint| address(&endpoint.address))
            .filter(|ip| ip.is_ipv4() == self.shared.is_ipv4())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }

    fn finish(&self, address: IpAddr, port: u16, group: Group) -> PortListener {
        let Group { http, is_declared, chains, rest, mut origins } = group;
        origins.sort_unstable();
        origins.dedup();
        let captured = match self.l4.viewpoint.interception {
            Interception::Redirect | Interception::Tproxy => true,
            Interception::None(_) => false,
        };
        let unknown = Rest::Unknown(self.l4.scope.outbound_policy);
        let rest = match rest {
            // Requests win over bytes; what is captured and no request goes where it wanted to.
            _ if is_declared && captured => unknown,
            _ if is_declared => Rest::Closed,
            Some(route) => Rest::To(route),
            None if captured && address == self.shared => unknown,
            None => Rest::Closed,
        };
        let sniffed = captured || !is_declared || !chains.is_empty();
        let http = http.map(|route| HttpChain { route, sniffed });
        let certificates = certificates(self.l4.viewpoint);
        PortListener { address, port, captured, certificates, http, chains, rest, origins }
    }
}
