//! VirtualService.

use mesh::model::{
    Hostname, code,
    virtual_service::{GatewayName, RULES_MAX, VirtualService},
};

use super::Conversion;
use crate::source::{path::Path, wire::virtual_service::VirtualServiceSpec};

/// Most hosts of one VirtualService.
const HOSTS_MAX: usize = 4096;

impl Conversion<'_> {
    /// Converts the `spec` at `path`.
    pub fn virtual_service(&mut self, spec: VirtualServiceSpec, path: Path<'_>) -> VirtualService {
        let VirtualServiceSpec { hosts, gateways, http, tls, tcp, export_to } = spec;
        if http.is_empty() && tls.is_empty() && tcp.is_empty() {
            self.error(code::MISSING_FIELD, path, "has no rules", "add http, tls or tcp");
        }
        let is_delegate = hosts.is_empty();
        let hosts = self.virtual_hosts(&hosts, path.field("hosts"));
        let gateways_path = path.field("gateways");
        let mut gateways = self.gateways(&gateways, gateways_path);
        if is_delegate {
            if http.is_empty() {
                self.error(code::MISSING_FIELD, path.field("hosts"), "the field is missing", "name a host");
            }
            if !gateways.is_empty() {
                let reason = "a VirtualService without hosts is a delegate, and has no gateways of its own";
                self.error(code::CONFLICTING_FIELDS, gateways_path, reason, "add hosts, or remove the gateways");
            }
        } else if gateways.is_empty() {
            gateways.push(GatewayName::Mesh);
        }
        if gateways.iter().any(|gateway| *gateway != GatewayName::Mesh) {
            self.not_in_force(gateways_path, "the rules hold for sidecars only");
        }
        if gateways.contains(&GatewayName::Mesh)
            && let Some(place) = hosts.iter().position(|host| host.as_str() == "*")
        {
            let path = path.field("hosts");
            self.error(
                code::BAD_VALUE,
                path.index(place),
                "`*` would take every host of the mesh",
                "name hosts, or a gateway",
            );
        }
        let (http_path, tls_path, tcp_path) = (path.field("http"), path.field("tls"), path.field("tcp"));
        for (len, path) in [(http.len(), http_path), (tls.len(), tls_path), (tcp.len(), tcp_path)] {
            self.limit(len, RULES_MAX, path);
        }
        VirtualService {
            gateways,
            export_to: self.export_to(&export_to, path.field("exportTo")),
            http: http.into_iter().enumerate().map(|(i, rule)| self.http_rule(rule, http_path.index(i))).collect(),
            tls: tls.into_iter().enumerate().map(|(i, rule)| self.tls_rule(rule, &hosts, tls_path.index(i))).collect(),
            tcp: tcp.into_iter().enumerate().map(|(i, rule)| self.tcp_rule(rule, tcp_path.index(i))).collect(),
            hosts,
        }
    }

    fn virtual_hosts(&mut self, texts: &[String], path: Path<'_>) -> Vec<Hostname> {
        self.limit(texts.len(), HOSTS_MAX, path);
        let mut seen = std::collections::BTreeSet::new();
        let mut hosts = Vec::new();
        for (place, text) in texts.iter().enumerate().take(HOSTS_MAX) {
            let path = path.index(place);
            let Some(host) = self.host(text, path) else { continue };
            if !seen.insert(host.clone()) {
                self.error(code::DUPLICATE_NAME, path, format!("{host} is given twice"), "remove one");
            }
            hosts.push(host);
        }
        hosts
    }
}
