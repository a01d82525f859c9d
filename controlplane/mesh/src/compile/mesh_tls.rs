//! Mutual TLS inside the mesh: certificates from the agent beside the proxy, and the names that those of others must have.

use proto::{
    envoy::{
        config::core::v3::{
            ApiConfigSource, ApiVersion, ConfigSource, GrpcService, TransportSocket, api_config_source::ApiType,
            config_source::ConfigSourceSpecifier, grpc_service, grpc_service::EnvoyGrpc, transport_socket::ConfigType,
        },
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, CommonTlsContext, DownstreamTlsContext, SdsSecretConfig,
            SubjectAltNameMatcher, TlsParameters, UpstreamTlsContext,
            common_tls_context::{CombinedCertificateValidationContext, ValidationContextType},
            subject_alt_name_matcher::SanType,
            tls_parameters::TlsProtocol,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    google::protobuf::{Any, Duration},
    pack,
};

use crate::model::{mesh_config::MeshConfig, mesh_service::Identities};

/// The SDS name of the workload's key and certificate.
const CERTIFICATE: &str = "default";
/// The SDS name of the roots that the mesh trusts.
const ROOTS: &str = "ROOTCA";
/// The cluster in the bootstrap that leads to the agent.
const AGENT: &str = "sds-grpc";
/// The application protocol that says "inside the mesh": it tells its TLS from that of applications.
pub(super) const IN_MESH: &str = "istio";
/// The same, of connections that carry requests in HTTP/1.0, HTTP/1.1 and HTTP/2.
pub(super) const IN_MESH_HTTP: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// Marks, in the metadata of a cluster, ports whose servers look at the application protocol to learn whether a
/// connection carries requests.
pub(super) const SNIFFED: &str = "sniffed_mtls";

/// TLS towards servers with one of these names, asking for the server `sni`.
pub(super) fn upstream(names: Vec<SubjectAltNameMatcher>, protocols: &[&str], sni: String) -> TransportSocket {
    socket(pack::any(&UpstreamTlsContext {
        common_tls_context: Some(common(names, protocols)),
        sni,
        ..UpstreamTlsContext::default()
    }))
}

/// TLS that demands a certificate of the mesh from its clients.
pub(super) fn downstream(config: &MeshConfig, protocols: &[&str]) -> TransportSocket {
    let names = trust_domains(config).map(|domain| uri(MatchPattern::Prefix(format!("spiffe://{domain}/"))));
    socket(pack::any(&DownstreamTlsContext {
        common_tls_context: Some(common(names.collect(), protocols)),
        require_client_certificate: Some(true),
        ..DownstreamTlsContext::default()
    }))
}

/// The identities of service accounts, in each name of the trust domain: while a trust domain is renamed, some
/// certificates have the old one. In the order of names.
pub(super) fn identities(identities: &Identities, config: &MeshConfig) -> Vec<String> {
    let mut names: Vec<String> = trust_domains(config)
        .flat_map(|domain| {
            let accounts = identities.accounts.iter();
            accounts.map(move |(namespace, account)| format!("spiffe://{domain}/ns/{namespace}/sa/{account}"))
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

/// Any transport socket for TLS.
pub(super) fn socket(context: Any) -> TransportSocket {
    TransportSocket {
        name: "envoy.transport_sockets.tls".to_owned(),
        config_type: Some(ConfigType::TypedConfig(context)),
    }
}

/// TLS 1.2 to 1.3: as a client Envoy would stop at 1.2 by itself.
pub(super) fn parameters() -> TlsParameters {
    TlsParameters {
        tls_minimum_protocol_version: TlsProtocol::TlSv12.into(),
        tls_maximum_protocol_version: TlsProtocol::TlSv13.into(),
        ..TlsParameters::default()
    }
}

/// The name of the mesh's trust domain, then its other names.
fn trust_domains(config: &MeshConfig) -> impl Iterator<Item = &String> {
    let others = config.trust_domain_aliases.iter().filter(|alias| **alias != config.trust_domain);
    std::iter::once(&config.trust_domain).chain(others)
}

fn common(names: Vec<SubjectAltNameMatcher>, protocols: &[&str]) -> CommonTlsContext {
    let validation = CombinedCertificateValidationContext {
        default_validation_context: Some(CertificateValidationContext {
            match_typed_subject_alt_names: names,
            ..CertificateValidationContext::default()
        }),
        validation_context_sds_secret_config: Some(secret(ROOTS)),
        ..CombinedCertificateValidationContext::default()
    };
    CommonTlsContext {
        tls_params: Some(parameters()),
        alpn_protocols: protocols.iter().map(|protocol| (*protocol).to_owned()).collect(),
        tls_certificate_sds_secret_configs: vec![secret(CERTIFICATE)],
        validation_context_type: Some(ValidationContextType::CombinedValidationContext(validation)),
        ..CommonTlsContext::default()
    }
}

fn secret(name: &str) -> SdsSecretConfig {
    let agent = GrpcService {
        target_specifier: Some(grpc_service::TargetSpecifier::EnvoyGrpc(EnvoyGrpc {
            cluster_name: AGENT.to_owned(),
            ..EnvoyGrpc::default()
        })),
        ..GrpcService::default()
    };
    let source = ApiConfigSource {
        api_type: ApiType::Grpc.into(),
        transport_api_version: ApiVersion::V3.into(),
        grpc_services: vec![agent],
        set_node_on_first_message_only: true,
        ..ApiConfigSource::default()
    };
    SdsSecretConfig {
        name: name.to_owned(),
        sds_config: Some(ConfigSource {
            config_source_specifier: Some(ConfigSourceSpecifier::ApiConfigSource(source)),
            // Without end: what goes into service before it has a certificate can only refuse connections. Envoy asks
            // by itself, and only the first resource that it holds has to wait.
            initial_fetch_timeout: Some(Duration::default()),
            resource_api_version: ApiVersion::V3.into(),
            ..ConfigSource::default()
        }),
    }
}

fn uri(pattern: MatchPattern) -> SubjectAltNameMatcher {
    SubjectAltNameMatcher {
        san_type: SanType::Uri.into(),
        matcher: Some(StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }),
        ..SubjectAltNameMatcher::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_expected_in_every_name_of_the_trust_domain() {
        let accounts = [("default", "web"), ("default", "api")].map(|(of, name)| (of.to_owned(), name.to_owned()));
        let known = Identities { accounts: accounts.into(), ..Identities::default() };
        let config = MeshConfig {
            trust_domain: "new".into(),
            trust_domain_aliases: vec!["old".into(), "new".into()],
            ..MeshConfig::default()
        };
        assert_eq!(
            identities(&known, &config),
            [
                "spiffe://new/ns/default/sa/api",
                "spiffe://new/ns/default/sa/web",
                "spiffe://old/ns/default/sa/api",
                "spiffe://old/ns/default/sa/web",
            ]
        );
    }
}
