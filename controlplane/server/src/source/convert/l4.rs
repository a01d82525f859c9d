//! TLS and TCP rules of a VirtualService.

use mesh::model::{
    Hostname, code,
    virtual_service::{Destination, L4Match, RULES_MAX, TcpRule, TlsRule},
};

use super::Conversion;
use crate::source::{path::Path, wire::virtual_service as wire};

impl Conversion<'_> {
    pub(super) fn tls_rule(&mut self, value: wire::TlsRoute, hosts: &[Hostname], path: Path<'_>) -> TlsRule {
        let wire::TlsRoute { matches, route } = value;
        let matches_path = path.field("match");
        if matches.is_empty() {
            self.error(code::MISSING_FIELD, matches_path, "the field is missing", "add sniHosts");
        }
        self.limit(matches.len(), RULES_MAX, matches_path);
        TlsRule {
            matches: matches
                .into_iter()
                .enumerate()
                .map(|(place, value)| self.tls_match(value, hosts, matches_path.index(place)))
                .collect(),
            route: self.l4_route(route, path.field("route")),
        }
    }

    fn tls_match(&mut self, value: wire::TlsMatch, hosts: &[Hostname], path: Path<'_>) -> L4Match {
        let wire::TlsMatch { sni_hosts, destination_subnets, port, source_labels, gateways, source_namespace } = value;
        let sni_path = path.field("sniHosts");
        let mut names = Vec::new();
        for (place, text) in sni_hosts.iter().enumerate() {
            let path = sni_path.index(place);
            let Some(name) = self.exact_host(text, path) else { continue };
            // Hosts may be short names of services, which are complete here; compare the name with both forms.
            let among = hosts.iter().any(|host| host.covers(&name))
                || self.host_quietly(text).is_some_and(|full| hosts.iter().any(|host| host.covers(&full)));
            if !among {
                self.error(code::BAD_VALUE, path, format!("{name} is not among the hosts"), "add it to spec.hosts");
            }
            names.push(name);
        }
        if names.is_empty() && sni_hosts.is_empty() {
            self.error(code::MISSING_FIELD, sni_path, "names no host", "add one");
        }
        L4Match {
            sni_hosts: names,
            destination_subnets: self.addresses(&destination_subnets, path.field("destinationSubnets")),
            port: port.and_then(|port| self.port(port, path.field("port"))),
            source_labels,
            source_namespace: self.source_namespace(source_namespace, path),
            gateways: self.gateways(&gateways, path.field("gateways")),
        }
    }

    pub(super) fn tcp_rule(&mut self, value: wire::TcpRoute, path: Path<'_>) -> TcpRule {
        let wire::TcpRoute { matches, route } = value;
        let matches_path = path.field("match");
        self.limit(matches.len(), RULES_MAX, matches_path);
        TcpRule {
            matches: matches
                .into_iter()
                .enumerate()
                .map(|(place, value)| self.tcp_match(value, matches_path.index(place)))
                .collect(),
            route: self.l4_route(route, path.field("route")),
        }
    }

    fn tcp_match(&mut self, value: wire::L4Match, path: Path<'_>) -> L4Match {
        let wire::L4Match { destination_subnets, port, source_subnet, source_labels, gateways, source_namespace } =
            value;
        self.ignore(source_subnet.as_ref(), path.field("sourceSubnet"), "callers of every address match");
        L4Match {
            sni_hosts: Vec::new(),
            destination_subnets: self.addresses(&destination_subnets, path.field("destinationSubnets")),
            port: port.and_then(|port| self.port(port, path.field("port"))),
            source_labels,
            source_namespace: self.source_namespace(source_namespace, path),
            gateways: self.gateways(&gateways, path.field("gateways")),
        }
    }

    fn source_namespace(&mut self, text: Option<String>, path: Path<'_>) -> Option<mesh::model::Namespace> {
        let text = text.filter(|text| !text.is_empty())?;
        self.namespace(&text, path.field("sourceNamespace"))
    }

    fn l4_route(&mut self, route: Vec<wire::RouteDestination>, path: Path<'_>) -> Vec<(Destination, u32)> {
        if route.is_empty() {
            self.error(code::MISSING_FIELD, path, "the field is missing", "add a destination");
        }
        let weights: Vec<Option<i32>> = route.iter().map(|destination| destination.weight).collect();
        let weights = self.weights(&weights, path);
        route
            .into_iter()
            .zip(weights)
            .enumerate()
            .filter_map(|(place, (value, weight))| {
                let wire::RouteDestination { destination, weight: _ } = value;
                let path = path.index(place);
                Some((self.destination(destination, path.field("destination"))?, weight))
            })
            .collect()
    }

    /// A completed host, without a word when it is none.
    fn host_quietly(&self, text: &str) -> Option<Hostname> {
        if text.contains('.') {
            return None;
        }
        Hostname::of_service(text, &self.metadata.namespace, &self.settings.domain).ok()
    }
}
