//! Where the ports of services are met: which addresses their listeners have, and which route configuration they ask for.
//!
//! Routes and listeners are planned apart; what both must agree on is decided here.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use super::domains;
use crate::{
    compile::{
        scope::{Scope, ScopedService},
        viewpoint::{Interception, Viewpoint},
    },
    model::{
        Hostname,
        protocol::Protocol,
        service::{Address, Registry, Resolution, Service, ServicePort},
    },
};

/// Where a port of a service is met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// On these addresses, which no other service has.
    pub(crate) own: Vec<IpAddr>,
    /// On the addresses of its pods.
    pub(crate) pods: bool,
    /// On the address that services share: only for destinations in these ranges, or for all when there are none.
    pub(crate) shared: Option<Vec<Address>>,
}

/// How traffic of a port is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reading {
    /// As HTTP.
    Http,
    /// As HTTP when its first bytes look so, else as bytes.
    Sniffed,
    /// By its SNI.
    Tls,
    /// As bytes.
    Tcp,
}

/// How the proxy reads traffic of a protocol; not at all for datagrams.
pub(crate) fn reading(protocol: Protocol) -> Option<Reading> {
    match protocol {
        Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => Some(Reading::Http),
        Protocol::Auto => Some(Reading::Sniffed),
        Protocol::Https | Protocol::Tls => Some(Reading::Tls),
        Protocol::Tcp | Protocol::Mongo | Protocol::Redis | Protocol::Mysql => Some(Reading::Tcp),
        Protocol::Udp => None,
    }
}

/// Whether requests on the port can be read as HTTP.
pub(crate) fn carries_requests(port: &ServicePort) -> bool {
    matches!(reading(port.protocol), Some(Reading::Http | Reading::Sniffed))
}

/// Where a port of a service is met by the proxies of a viewpoint; nowhere for aliases, which have no traffic of their own.
pub(crate) fn place(service: &Service, reading: Reading, viewpoint: &Viewpoint) -> Place {
    if matches!(service.resolution, Resolution::Alias(_)) {
        return Place::default();
    }
    let everywhere = Place { shared: Some(Vec::new()), ..Place::default() };
    if reading == Reading::Http {
        return everywhere;
    }
    let family = shared_address(viewpoint).is_ipv4();
    let addresses = service.addresses.iter().filter(|address| address.ip.is_ipv4() == family);
    let (single, ranges): (Vec<&Address>, Vec<&Address>) = addresses.partition(|address| address.is_single());
    let single = single.into_iter().map(|address| address.ip).filter(|ip| !ip.is_unspecified());
    match viewpoint.interception {
        // Only an address of this machine can be listened on, and a range cannot.
        Interception::None(_) => {
            let own: Vec<IpAddr> = single.filter(IpAddr::is_loopback).collect();
            if own.is_empty() { everywhere } else { Place { own, ..Place::default() } }
        }
        Interception::Redirect | Interception::Tproxy => {
            let own: Vec<IpAddr> = single.collect();
            let ranges: Vec<Address> = ranges.into_iter().copied().collect();
            if service.resolution == Resolution::Headless && service.registry == Registry::Kubernetes {
                return Place { pods: true, ..Place::default() };
            }
            let shared = if ranges.is_empty() { own.is_empty().then(Vec::new) } else { Some(ranges) };
            Place { own, pods: false, shared }
        }
    }
}

/// The address of listeners that services share: the wildcard of the pod's family, or the one that the proxy binds.
pub(crate) fn shared_address(viewpoint: &Viewpoint) -> IpAddr {
    match viewpoint.interception {
        Interception::None(Some(ip)) => ip,
        Interception::None(None) if viewpoint.ipv6_only => IpAddr::V6(Ipv6Addr::LOCALHOST),
        Interception::None(None) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Interception::Redirect | Interception::Tproxy if viewpoint.ipv6_only => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Interception::Redirect | Interception::Tproxy => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    }
}

/// Where the explicit HTTP proxy listens: the address that the proxy binds, or loopback where traffic is captured.
pub(crate) fn proxy_address(viewpoint: &Viewpoint) -> IpAddr {
    match viewpoint.interception {
        Interception::None(_) => shared_address(viewpoint),
        Interception::Redirect | Interception::Tproxy if viewpoint.ipv6_only => IpAddr::V6(Ipv6Addr::LOCALHOST),
        Interception::Redirect | Interception::Tproxy => IpAddr::V4(Ipv4Addr::LOCALHOST),
    }
}

/// Whether something else of the proxy listens at this address and port already.
pub(crate) fn is_taken(address: IpAddr, port: u16, scope: &Scope, viewpoint: &Viewpoint) -> bool {
    if viewpoint.http_proxy_port == Some(port) && address == proxy_address(viewpoint) {
        return true;
    }
    match viewpoint.interception {
        Interception::Redirect | Interception::Tproxy => {
            let config = &scope.config.spec;
            address == shared_address(viewpoint)
                && (port == config.proxy_listen_port || port == config.proxy_inbound_listen_port)
        }
        Interception::None(_) => scope.sidecar.as_ref().is_some_and(|sidecar| {
            let bind = |ingress: &crate::model::sidecar::Ingress| ingress.bind.unwrap_or(shared_address(viewpoint));
            sidecar.spec.ingress.iter().any(|ingress| ingress.port == port && bind(ingress) == address)
        }),
    }
}

/// The name of the route configuration that the listener of a port asks for.
pub(crate) fn route_name(service: &Service, port: u16, place: &Place) -> Arc<str> {
    if is_by_port(place) { port.to_string().into() } else { sniffed_name(&service.hostname, port) }
}

/// Whether requests are told apart by their host, since the address says nothing.
fn is_by_port(place: &Place) -> bool {
    place.shared.as_ref().is_some_and(Vec::is_empty)
}

fn sniffed_name(host: &Hostname, port: u16) -> Arc<str> {
    format!("{host}:{port}").into()
}

/// Whether a service is met with requests at a port; an alias never is, for its target stands in its place.
pub(crate) fn is_met(scoped: &ScopedService, number: u16) -> bool {
    let service = &scoped.service.service;
    !matches!(service.resolution, Resolution::Alias(_))
        && service.ports.iter().any(|port| port.number == number && carries_requests(port))
}

/// The services that carry requests, by port, in the order of their names.
pub(crate) fn with_requests(scope: &Scope) -> BTreeMap<u16, Vec<&ScopedService>> {
    let mut ports: BTreeMap<u16, Vec<&ScopedService>> = BTreeMap::new();
    for scoped in scope.services.values() {
        let service = &scoped.service.service;
        if matches!(service.resolution, Resolution::Alias(_)) {
            continue;
        }
        for port in service.ports.iter().filter(|port| carries_requests(port)) {
            let at = ports.entry(port.number).or_default();
            // A port number that a service has twice counts once.
            if at.last().is_none_or(|last| last.service != scoped.service) {
                at.push(scoped);
            }
        }
    }
    ports
}

/// The services in the order in which they keep what several want.
pub(crate) fn in_precedence(scope: &Scope) -> Vec<&ScopedService> {
    let mut services: Vec<&ScopedService> = scope.services.values().collect();
    services.sort_by(|a, b| domains::precedence(&a.service).cmp(&domains::precedence(&b.service)));
    services
}

/// Which route configurations the outbound listeners of a sidecar ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked<'a> {
    /// Those of a port, where the host of a request decides.
    pub(crate) ports: BTreeSet<u16>,
    /// Those of one sniffed port of one service.
    pub(crate) sniffed: BTreeMap<Arc<str>, (u16, &'a ScopedService)>,
}

pub(crate) fn asked<'a>(scope: &'a Scope, viewpoint: &Viewpoint) -> Asked<'a> {
    let mut asked = Asked::default();
    let shared = shared_address(viewpoint);
    for scoped in scope.services.values() {
        let service = &scoped.service.service;
        for port in service.ports.iter().filter(|port| carries_requests(port)) {
            let Some(reading) = reading(port.protocol) else { continue };
            let place = place(service, reading, viewpoint);
            if is_by_port(&place) {
                if !is_taken(shared, port.number, scope, viewpoint) {
                    asked.ports.insert(port.number);
                }
            } else if place != Place::default() {
                asked.sniffed.insert(route_name(service, port.number, &place), (port.number, scoped));
            }
        }
    }
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::route::fixture;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn http_is_shared_and_bytes_have_addresses_of_their_own() {
        let viewpoint = fixture::sidecar();
        let service = fixture::service("web").at("10.0.0.1").service;
        assert_eq!(place(&service, Reading::Http, &viewpoint).shared, Some(Vec::new()));
        let tcp = place(&service, Reading::Tcp, &viewpoint);
        assert_eq!((tcp.own, tcp.shared), (vec![ip("10.0.0.1")], None));
        let none = fixture::service("web").service;
        assert_eq!(place(&none, Reading::Tcp, &viewpoint).shared, Some(Vec::new()));
    }

    #[test]
    fn a_range_is_met_on_the_shared_address() {
        let viewpoint = fixture::sidecar();
        let mut service = fixture::service("web").service;
        let range = Address { ip: ip("10.1.0.0"), prefix_len: 16 };
        service.addresses.push(range);
        assert_eq!(place(&service, Reading::Tls, &viewpoint).shared, Some(vec![range]));
        let sniffed = place(&service, Reading::Sniffed, &viewpoint);
        assert_eq!(&*route_name(&service, 80, &sniffed), "web.default.svc.cluster.local:80");
    }

    #[test]
    fn without_capture_only_loopback_addresses_are_listened_on() {
        let viewpoint = fixture::bound("127.0.0.7");
        let on = |address: &str| place(&fixture::service("db").at(address).service, Reading::Tcp, &viewpoint);
        assert_eq!(on("127.1.0.1").own, [ip("127.1.0.1")]);
        assert_eq!((on("10.0.0.1").own, on("10.0.0.1").shared), (vec![], Some(Vec::new())));
        assert_eq!(shared_address(&viewpoint), ip("127.0.0.7"));
    }

    #[test]
    fn addresses_of_the_other_family_are_not_listened_on() {
        let mut viewpoint = fixture::sidecar();
        let service = fixture::service("db").at("2001:db8::1").at("10.0.0.1").service;
        assert_eq!(place(&service, Reading::Tcp, &viewpoint).own, [ip("10.0.0.1")]);
        viewpoint.ipv6_only = true;
        assert_eq!(place(&service, Reading::Tcp, &viewpoint).own, [ip("2001:db8::1")]);
    }

    #[test]
    fn the_proxys_own_ports_are_taken() {
        let scope = fixture::Mesh::new().scope();
        let mut viewpoint = fixture::sidecar();
        viewpoint.http_proxy_port = Some(15080);
        let wildcard = shared_address(&viewpoint);
        assert!(is_taken(wildcard, 15001, &scope, &viewpoint));
        assert!(is_taken(wildcard, 15006, &scope, &viewpoint));
        assert!(is_taken(ip("127.0.0.1"), 15080, &scope, &viewpoint));
        assert!(!is_taken(wildcard, 15080, &scope, &viewpoint));
        assert!(!is_taken(ip("10.0.0.1"), 15001, &scope, &viewpoint));
    }
}
