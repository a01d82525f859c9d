//! Mutual TLS towards services of the mesh: where a rule demands it, or with each endpoint that offers it.

use std::collections::BTreeMap;

use proto::{
    envoy::{
        config::{
            cluster::v3::cluster::TransportSocketMatch,
            core::v3::{TransportSocket, transport_socket::ConfigType},
        },
        extensions::transport_sockets::raw_buffer::v3::RawBuffer,
    },
    google::protobuf::{Struct, Value},
    pack,
};

use super::{
    OutboundInput,
    discovery::Discovery,
    http_protocol_options::Upstream,
    name::server_name,
    transport_socket::{Transport, alt_name},
};
use crate::{
    compile::mesh_tls,
    model::{
        destination_rule::{ClientTls, ClientTlsMode},
        mesh_service::Identities,
        protocol::Protocol,
        service::{Registry, ServicePort},
    },
};

/// The key in the metadata of endpoints that says what they speak.
const MODE: &str = "tlsMode";
/// Longest server name that Envoy takes, in bytes.
const SERVER_NAME_LEN_MAX: usize = 255;

/// A port of a service, or of its subset, that is spoken to.
pub(super) struct Destination<'a> {
    pub(super) input: &'a OutboundInput,
    pub(super) port: &'a ServicePort,
    pub(super) subset: Option<&'a str>,
    pub(super) upstream: Upstream,
}

/// The transport inside the mesh, for callers that have certificates; `None` where this room has nothing to say.
pub(super) fn transport(to: &Destination<'_>, tls: Option<&ClientTls>, discovery: &Discovery) -> Option<Transport> {
    let identities = to.input.identities.as_deref()?;
    match tls {
        Some(tls) => match tls.mode {
            ClientTlsMode::IstioMutual => Some(to.transport(Some(to.socket(identities, Some(tls))), Vec::new())),
            ClientTlsMode::Disable | ClientTlsMode::Simple | ClientTlsMode::Mutual => None,
        },
        None => to.automatic(identities, discovery),
    }
}

impl Destination<'_> {
    /// Nobody says what to speak, so each endpoint is spoken to as it offers. Services outside are not of the mesh.
    fn automatic(&self, identities: &Identities, discovery: &Discovery) -> Option<Transport> {
        let is_outside = self.input.service.service.registry == Registry::ExternalEntry;
        if is_outside || !self.input.config.spec.enable_auto_mtls {
            return None;
        }
        match discovery {
            Discovery::Eds | Discovery::Dns(..) => {
                let offered = TransportSocketMatch {
                    name: "tlsMode-istio".to_owned(),
                    r#match: Some(Struct { fields: BTreeMap::from([(MODE.to_owned(), Value::from("istio"))]) }),
                    transport_socket: Some(self.socket(identities, None)),
                };
                let not_offered = TransportSocketMatch {
                    name: "tlsMode-disabled".to_owned(),
                    r#match: Some(Struct::default()),
                    transport_socket: Some(clear_text()),
                };
                Some(self.transport(None, vec![offered, not_offered]))
            }
            // The address that the caller dialled comes without a word of what it speaks: all must speak the same.
            Discovery::OriginalDestination if identities.mesh_tls_ports.contains(&self.port.number) => {
                Some(self.transport(Some(self.socket(identities, None)), Vec::new()))
            }
            Discovery::OriginalDestination | Discovery::DnsOnRequest | Discovery::Nowhere => None,
        }
    }

    fn transport(&self, socket: Option<TransportSocket>, matches: Vec<TransportSocketMatch>) -> Transport {
        Transport { socket, matches, names: None, sniffed: self.port.protocol == Protocol::Auto }
    }

    /// Mutual TLS with whoever answers for the service; what a rule says of server name and certificates counts first.
    fn socket(&self, identities: &Identities, tls: Option<&ClientTls>) -> TransportSocket {
        let service = &self.input.service.service;
        let names = match tls.filter(|tls| !tls.subject_alt_names.is_empty()) {
            Some(tls) => tls.subject_alt_names.clone(),
            None => {
                let mut names = mesh_tls::identities(identities, &self.input.config.spec);
                names.extend(service.subject_alt_names.iter().cloned());
                names
            }
        };
        let verified = !tls.is_some_and(|tls| tls.insecure_skip_verify);
        let names = names.iter().filter(|_| verified).map(|name| alt_name(name)).collect();
        let own = || server_name(self.port.number, self.subset, &service.hostname);
        let sni = tls.and_then(|tls| tls.sni.clone()).filter(|sni| !sni.is_empty()).unwrap_or_else(own);
        let sni = Some(sni).filter(|sni| sni.len() <= SERVER_NAME_LEN_MAX).unwrap_or_default();
        mesh_tls::upstream(names, self.protocols(), sni)
    }

    fn protocols(&self) -> &'static [&'static str] {
        match self.upstream {
            Upstream::Http2 => &[mesh_tls::IN_MESH, "h2"],
            Upstream::Http1 | Upstream::AsDownstream => &[mesh_tls::IN_MESH],
        }
    }
}

fn clear_text() -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.raw_buffer".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&RawBuffer::default()))),
    }
}
