//! Which filter chains a port has, by what it carries and whether it takes mutual TLS.
//!
//! Envoy does not go back from a transport to "any transport", nor from an application protocol to "any": each transport
//! that a port takes has a chain of its own for what no other chain takes.

use proto::envoy::config::{core::v3::TransportSocket, listener::v3::FilterChainMatch};

use super::{
    InboundProtocol,
    filter_chain::{RAW, looks_like_http},
};
use crate::{
    compile::mesh_tls::{self, IN_MESH, IN_MESH_HTTP},
    model::{mesh_config::MeshConfig, peer_authentication::MutualTls},
};

/// One chain: the connections that it takes, and how.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Way {
    pub(super) takes: FilterChainMatch,
    pub(super) carries: Carries,
    pub(super) transport: Transport,
}

/// What a connection is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Carries {
    Requests,
    Bytes,
}

/// What is done about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    /// Nothing: clear text, or TLS of the application.
    AsItIs,
    /// It ends here, and the caller shows a certificate of the mesh.
    Mutual,
}

impl Way {
    /// The transport socket of the chain, if it has one.
    pub(super) fn socket(&self, config: &MeshConfig) -> Option<TransportSocket> {
        match (self.transport, self.carries) {
            (Transport::AsItIs, _) => None,
            (Transport::Mutual, Carries::Requests) => Some(mesh_tls::downstream(config, &["h2", "http/1.1"])),
            (Transport::Mutual, Carries::Bytes) => Some(mesh_tls::downstream(config, &[])),
        }
    }
}

/// The chains of a port, for the connections that `takes` says.
pub(super) fn ways(protocol: InboundProtocol, mode: MutualTls, takes: &FilterChainMatch) -> Vec<Way> {
    use Carries::{Bytes, Requests};
    use Transport::{AsItIs, Mutual};

    let with = |transport_protocol: &str, protocols: &[&str]| FilterChainMatch {
        transport_protocol: transport_protocol.to_owned(),
        application_protocols: protocols.iter().map(|protocol| (*protocol).to_owned()).collect(),
        ..takes.clone()
    };
    let tls = |protocols: &[&str]| with("tls", protocols);
    let raw = || with(RAW, &[]);
    let [http_1_0, http_1_1, http_2] = IN_MESH_HTTP;
    let in_mesh = [IN_MESH, http_1_0, http_1_1, http_2];
    let chains = match (mode, protocol) {
        (MutualTls::Disable, InboundProtocol::Http) => vec![(takes.clone(), Requests, AsItIs)],
        (MutualTls::Disable, InboundProtocol::Tcp) => vec![(takes.clone(), Bytes, AsItIs)],
        (MutualTls::Disable, InboundProtocol::Sniffed) => {
            // Without a TLS inspector every transport is clear text, and to ask for it would shut out the chain beside.
            let http = FilterChainMatch { transport_protocol: String::new(), ..looks_like_http(takes.clone()) };
            vec![(http, Requests, AsItIs), (takes.clone(), Bytes, AsItIs)]
        }
        (MutualTls::Strict, InboundProtocol::Http) => vec![(tls(&[]), Requests, Mutual)],
        (MutualTls::Strict, InboundProtocol::Tcp) => vec![(tls(&[]), Bytes, Mutual)],
        (MutualTls::Strict, InboundProtocol::Sniffed) => {
            vec![(tls(&IN_MESH_HTTP), Requests, Mutual), (tls(&[]), Bytes, Mutual)]
        }
        (MutualTls::Permissive, InboundProtocol::Http) => {
            vec![(tls(&in_mesh), Requests, Mutual), (raw(), Requests, AsItIs)]
        }
        (MutualTls::Permissive, InboundProtocol::Tcp) => {
            vec![(tls(&in_mesh), Bytes, Mutual), (tls(&[]), Bytes, AsItIs), (raw(), Bytes, AsItIs)]
        }
        (MutualTls::Permissive, InboundProtocol::Sniffed) => vec![
            (tls(&IN_MESH_HTTP), Requests, Mutual),
            (tls(&[IN_MESH]), Bytes, Mutual),
            (tls(&[]), Bytes, AsItIs),
            (looks_like_http(takes.clone()), Requests, AsItIs),
            (raw(), Bytes, AsItIs),
        ],
    };
    chains.into_iter().map(|(takes, carries, transport)| Way { takes, carries, transport }).collect()
}

/// Whether connections must be looked at for TLS.
pub(super) fn inspects_tls(mode: MutualTls) -> bool {
    mode != MutualTls::Disable
}

/// Whether connections must be looked at for requests in clear text.
pub(super) fn inspects_http(protocol: InboundProtocol, mode: MutualTls) -> bool {
    protocol == InboundProtocol::Sniffed && mode != MutualTls::Strict
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `transport/protocols:what it carries`, with `!` where mutual TLS ends.
    fn shown(protocol: InboundProtocol, mode: MutualTls) -> Vec<String> {
        let show = |way: &Way| {
            let ends = if way.transport == Transport::Mutual { "!" } else { "" };
            let FilterChainMatch { transport_protocol, application_protocols, .. } = &way.takes;
            format!("{ends}{transport_protocol}/{}:{:?}", application_protocols.join(","), way.carries)
        };
        ways(protocol, mode, &FilterChainMatch::default()).iter().map(show).collect()
    }

    #[test]
    fn strict_ports_have_no_chain_for_clear_text() {
        assert_eq!(shown(InboundProtocol::Http, MutualTls::Strict), ["!tls/:Requests"]);
        assert_eq!(shown(InboundProtocol::Tcp, MutualTls::Strict), ["!tls/:Bytes"]);
        let sniffed = shown(InboundProtocol::Sniffed, MutualTls::Strict);
        assert_eq!(sniffed, ["!tls/istio-http/1.0,istio-http/1.1,istio-h2:Requests", "!tls/:Bytes"]);
    }

    #[test]
    fn permissive_ports_tell_the_tls_of_the_mesh_from_that_of_applications() {
        assert_eq!(
            shown(InboundProtocol::Sniffed, MutualTls::Permissive),
            [
                "!tls/istio-http/1.0,istio-http/1.1,istio-h2:Requests",
                "!tls/istio:Bytes",
                "tls/:Bytes",
                "raw_buffer/http/1.1,h2c:Requests",
                "raw_buffer/:Bytes",
            ]
        );
        let of_mesh = "!tls/istio,istio-http/1.0,istio-http/1.1,istio-h2";
        let tcp = shown(InboundProtocol::Tcp, MutualTls::Permissive);
        assert_eq!(tcp, [format!("{of_mesh}:Bytes"), "tls/:Bytes".to_owned(), "raw_buffer/:Bytes".to_owned()]);
        let http = shown(InboundProtocol::Http, MutualTls::Permissive);
        assert_eq!(http, [format!("{of_mesh}:Requests"), "raw_buffer/:Requests".to_owned()]);
    }

    #[test]
    fn without_mutual_tls_no_transport_is_asked_for() {
        for protocol in [InboundProtocol::Http, InboundProtocol::Tcp, InboundProtocol::Sniffed] {
            let ways = ways(protocol, MutualTls::Disable, &FilterChainMatch::default());
            assert!(
                ways.iter().all(|way| way.takes.transport_protocol.is_empty() && way.transport == Transport::AsItIs)
            );
        }
    }
}
