//! Sidecar.

use std::net::{IpAddr, SocketAddr};

use mesh::model::{
    code,
    endpoint::EndpointAddress,
    mesh_config::OutboundTrafficPolicy,
    sidecar::{Import, ImportNamespace, Ingress, Sidecar},
};

use super::{Conversion, values::labels_selector};
use crate::source::{path::Path, wire::sidecar as wire};

/// Most hosts that one Sidecar may import.
const IMPORTS_MAX: usize = 10_000;
/// Most listeners for requests from outside.
const INGRESS_MAX: usize = 256;

impl Conversion<'_> {
    /// Converts the `spec` at `path`.
    pub fn sidecar(&mut self, spec: wire::SidecarSpec, path: Path<'_>) -> Sidecar {
        let wire::SidecarSpec { workload_selector, ingress, egress, inbound_connection_pool, outbound_traffic_policy } =
            spec;
        self.ignore(
            inbound_connection_pool.as_ref(),
            path.field("inboundConnectionPool"),
            "connections from outside are not limited",
        );
        let ingress_path = path.field("ingress");
        self.limit(ingress.len(), INGRESS_MAX, ingress_path);
        Sidecar {
            workload_selector: labels_selector(workload_selector),
            egress: self.egress(egress, path.field("egress")),
            ingress: ingress
                .into_iter()
                .enumerate()
                .filter_map(|(place, listener)| self.ingress(listener, ingress_path.index(place)))
                .collect(),
            outbound_traffic_policy: outbound_traffic_policy
                .map(|policy| self.outbound_policy(policy, path.field("outboundTrafficPolicy"))),
        }
    }

    fn egress(&mut self, listeners: Vec<wire::EgressListener>, path: Path<'_>) -> Option<Vec<Import>> {
        if listeners.is_empty() {
            return None;
        }
        let mut imports = Vec::new();
        let mut general = false;
        for (place, wire::EgressListener { port, bind, capture_mode, hosts }) in listeners.into_iter().enumerate() {
            let path = path.index(place);
            let instead = "its hosts are imported for all ports";
            self.ignore(port.as_ref(), path.field("port"), instead);
            self.ignore(bind.as_ref(), path.field("bind"), "connections are captured");
            self.ignore(
                capture_mode.as_ref(),
                path.field("captureMode"),
                "connections are captured as the proxy has it",
            );
            if port.is_none() && std::mem::replace(&mut general, true) {
                let reason = "another entry without a port stands before it, and only that one counts";
                self.error(code::LATER_EGRESS, path, reason, "move the hosts to the first entry");
                continue;
            }
            let hosts_path = path.field("hosts");
            if hosts.is_empty() {
                self.error(code::MISSING_FIELD, hosts_path, "imports nothing", "add a host such as ./* or */*");
            }
            self.limit(imports.len().saturating_add(hosts.len()), IMPORTS_MAX, hosts_path);
            for (place, text) in hosts.iter().enumerate() {
                imports.extend(self.import(text, hosts_path.index(place)));
            }
        }
        Some(imports)
    }

    fn import(&mut self, text: &str, path: Path<'_>) -> Option<Import> {
        let Some((namespace, host)) = text.split_once('/') else {
            let reason = format!("{text:?} has no namespace");
            self.error(code::BAD_NAME, path, reason, format!("did you mean ./{text}, or */{text}?"));
            return None;
        };
        let namespace = match namespace {
            "*" => ImportNamespace::Any,
            "." => ImportNamespace::Own,
            "~" => ImportNamespace::None,
            name => ImportNamespace::Named(self.namespace(name, path)?),
        };
        Some(Import { namespace, host: self.exact_host(host, path)? })
    }

    fn ingress(&mut self, listener: wire::IngressListener, path: Path<'_>) -> Option<Ingress> {
        let wire::IngressListener { port, bind, capture_mode, default_endpoint, tls, connection_pool } = listener;
        let wire::SidecarPort { number, protocol, name, target_port: _ } = port;
        self.ignore(capture_mode.as_ref(), path.field("captureMode"), "connections are captured as the proxy has it");
        if tls.is_some() {
            // Without it the listener would take plain text.
            self.error(code::OBJECT_NOT_SUPPORTED, path.field("tls"), "not supported yet", "");
        }
        self.ignore(connection_pool.as_ref(), path.field("connectionPool"), "connections are not limited");
        let port_path = path.field("port");
        let bind = match bind.filter(|bind| !bind.is_empty()) {
            Some(text) => Some(self.bind(&text, path.field("bind"))?),
            None => None,
        };
        Some(Ingress {
            protocol: self.protocol(protocol.as_ref(), port_path.field("protocol")),
            name: name.unwrap_or_default(),
            bind,
            default_endpoint: match default_endpoint.filter(|text| !text.is_empty()) {
                Some(text) => Some(self.default_endpoint(&text, path.field("defaultEndpoint"))?),
                None => None,
            },
            port: self.port(number, port_path.field("number"))?,
        })
    }

    fn bind(&mut self, text: &str, path: Path<'_>) -> Option<IpAddr> {
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.error(code::BAD_ADDRESS, path, format!("{text:?} is not an address"), "write it like 127.0.0.1");
        }
        parsed
    }

    fn default_endpoint(&mut self, text: &str, path: Path<'_>) -> Option<EndpointAddress> {
        if let Some(socket) = text.strip_prefix("unix://")
            && socket.starts_with('/')
        {
            return Some(EndpointAddress::Pipe(socket.to_owned()));
        }
        if let Ok(address) = text.parse::<SocketAddr>()
            && (address.ip().is_loopback() || address.ip().is_unspecified())
            && address.port() > 0
        {
            return Some(EndpointAddress::Ip(address.ip(), address.port()));
        }
        let remedy = "write it like 127.0.0.1:8080, 0.0.0.0:8080 or unix:///run/app.sock";
        self.error(code::BAD_ADDRESS, path, format!("{text:?} is not an endpoint of this workload"), remedy);
        None
    }

    /// As in Istio, a policy without a mode is the strict one.
    pub(super) fn outbound_policy(
        &mut self,
        policy: wire::OutboundTrafficPolicy,
        path: Path<'_>,
    ) -> OutboundTrafficPolicy {
        let wire::OutboundTrafficPolicy { mode, egress_proxy } = policy;
        self.ignore(egress_proxy.as_ref(), path.field("egressProxy"), "requests go out without it");
        match mode {
            None | Some(wire::OutboundMode::RegistryOnly) => OutboundTrafficPolicy::RegistryOnly,
            Some(wire::OutboundMode::AllowAny) => OutboundTrafficPolicy::AllowAny,
            Some(wire::OutboundMode::AllowAnyDynamicDns) => {
                self.not_in_force(path.field("mode"), "it works as ALLOW_ANY");
                OutboundTrafficPolicy::AllowAny
            }
        }
    }
}
