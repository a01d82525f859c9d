//! TLS towards a destination outside the mesh, as a DestinationRule asks for it.

use std::net::IpAddr;

use proto::{
    envoy::{
        config::{
            cluster::v3::cluster::TransportSocketMatch,
            core::v3::{DataSource, TransportSocket, UpstreamHttpProtocolOptions, data_source::Specifier},
        },
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, CommonTlsContext, SubjectAltNameMatcher, TlsCertificate, UpstreamTlsContext,
            common_tls_context::ValidationContextType, subject_alt_name_matcher::SanType,
        },
        r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
    },
    pack,
};

use super::http_protocol_options::Upstream;
use crate::{
    compile::mesh_tls,
    model::destination_rule::{ClientTls, ClientTlsMode},
};

/// Where the images that Envoy is shipped in keep the authorities that the world trusts. Envoy cannot be told "the
/// system's"; a proxy without the file refuses the cluster, which is better than to trust everyone.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How a cluster is spoken to below HTTP.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Transport {
    /// TLS; `None` is plain text.
    pub(super) socket: Option<TransportSocket>,
    /// What is spoken to endpoints of certain metadata in place of `socket`, the first that fits.
    pub(super) matches: Vec<TransportSocketMatch>,
    /// Names taken from each request.
    pub(super) names: Option<UpstreamHttpProtocolOptions>,
    /// Whether the server looks at the application protocol of TLS to learn what a connection carries.
    pub(super) sniffed: bool,
}

/// The transport that a rule asks for. `alt_names` are the names that the service itself says its certificates have.
pub(super) fn transport(tls: Option<&ClientTls>, alt_names: &[String], upstream: Upstream) -> Transport {
    let Some(tls) = tls else { return Transport::default() };
    match tls.mode {
        ClientTlsMode::Disable => Transport::default(),
        // Callers that have no certificate of the mesh speak plain text inside it.
        ClientTlsMode::IstioMutual => Transport::default(),
        ClientTlsMode::Simple => originated(tls, alt_names, upstream, None),
        ClientTlsMode::Mutual => originated(tls, alt_names, upstream, client_certificate(tls)),
    }
}

fn originated(
    tls: &ClientTls,
    alt_names: &[String],
    upstream: Upstream,
    certificate: Option<TlsCertificate>,
) -> Transport {
    let sni = tls.sni.as_deref().filter(|sni| !sni.is_empty());
    let alt_names = if tls.subject_alt_names.is_empty() { alt_names } else { &tls.subject_alt_names };
    let verified = !tls.insecure_skip_verify;
    let unnamed = verified && alt_names.is_empty();
    let context = UpstreamTlsContext {
        common_tls_context: Some(CommonTlsContext {
            tls_params: Some(mesh_tls::parameters()),
            tls_certificates: certificate.into_iter().collect(),
            alpn_protocols: application_protocols(upstream),
            validation_context_type: verified
                .then(|| ValidationContextType::ValidationContext(validation(tls, alt_names))),
            ..CommonTlsContext::default()
        }),
        sni: sni.unwrap_or_default().to_owned(),
        // With the world's authorities any server of the world would pass, so the name that was asked for counts, as with
        // every TLS client. With an authority of one's own its signature alone counts, as in Istio.
        auto_sni_san_validation: unnamed && sni.is_some() && tls.ca_certificates.is_none(),
        ..UpstreamTlsContext::default()
    };
    Transport {
        socket: Some(mesh_tls::socket(pack::any(&context))),
        names: sni.is_none().then(|| UpstreamHttpProtocolOptions {
            auto_sni: true,
            auto_san_validation: unnamed,
            ..UpstreamHttpProtocolOptions::default()
        }),
        ..Transport::default()
    }
}

/// HTTP/2 is asked for where nothing else will be spoken; elsewhere Envoy asks for what the connection pool speaks.
fn application_protocols(upstream: Upstream) -> Vec<String> {
    match upstream {
        Upstream::Http2 => vec!["h2".to_owned()],
        Upstream::Http1 | Upstream::AsDownstream => Vec::new(),
    }
}

fn client_certificate(tls: &ClientTls) -> Option<TlsCertificate> {
    Some(TlsCertificate {
        certificate_chain: Some(file(tls.client_certificate.as_deref()?)),
        private_key: Some(file(tls.private_key.as_deref()?)),
        ..TlsCertificate::default()
    })
}

fn validation(tls: &ClientTls, alt_names: &[String]) -> CertificateValidationContext {
    CertificateValidationContext {
        trusted_ca: Some(file(tls.ca_certificates.as_deref().unwrap_or(SYSTEM_ROOTS))),
        match_typed_subject_alt_names: alt_names.iter().map(|name| alt_name(name)).collect(),
        ..CertificateValidationContext::default()
    }
}

/// A name that the server's certificate may have. Envoy wants its type, which Istio's field does not say.
pub(super) fn alt_name(name: &str) -> SubjectAltNameMatcher {
    let san_type = if name.contains("://") {
        SanType::Uri
    } else if name.parse::<IpAddr>().is_ok() {
        SanType::IpAddress
    } else {
        SanType::Dns
    };
    SubjectAltNameMatcher {
        san_type: san_type.into(),
        matcher: Some(StringMatcher {
            match_pattern: Some(MatchPattern::Exact(name.to_owned())),
            ..StringMatcher::default()
        }),
        ..SubjectAltNameMatcher::default()
    }
}

fn file(path: &str) -> DataSource {
    DataSource { specifier: Some(Specifier::Filename(path.to_owned())), ..DataSource::default() }
}

#[cfg(test)]
mod tests {
    use proto::envoy::{
        config::core::v3::transport_socket::ConfigType,
        extensions::transport_sockets::tls::v3::tls_parameters::TlsProtocol,
    };

    use super::*;

    fn tls(mode: ClientTlsMode) -> ClientTls {
        ClientTls {
            mode,
            sni: None,
            subject_alt_names: Vec::new(),
            client_certificate: None,
            private_key: None,
            ca_certificates: None,
            insecure_skip_verify: false,
        }
    }

    fn context(transport: &Transport) -> (UpstreamTlsContext, CommonTlsContext) {
        let socket = transport.socket.as_ref().unwrap();
        let Some(ConfigType::TypedConfig(any)) = &socket.config_type else { panic!("no TLS") };
        let context: UpstreamTlsContext = pack::unpack(any).unwrap();
        let common = context.common_tls_context.clone().unwrap();
        (context, common)
    }

    fn validation_of(common: &CommonTlsContext) -> Option<&CertificateValidationContext> {
        match &common.validation_context_type {
            Some(ValidationContextType::ValidationContext(validation)) => Some(validation),
            _ => None,
        }
    }

    fn filename(source: &Option<DataSource>) -> Option<&str> {
        match source.as_ref()?.specifier.as_ref()? {
            Specifier::Filename(name) => Some(name),
            Specifier::InlineBytes(_) | Specifier::InlineString(_) | Specifier::EnvironmentVariable(_) => None,
        }
    }

    #[test]
    fn plain_text_is_what_nobody_or_disable_asks_for() {
        assert_eq!(transport(None, &[], Upstream::Http1), Transport::default());
        assert_eq!(transport(Some(&tls(ClientTlsMode::Disable)), &[], Upstream::Http1), Transport::default());
    }

    #[test]
    fn simple_tls_checks_the_name_of_each_request_against_the_worlds_authorities() {
        let simple = transport(Some(&tls(ClientTlsMode::Simple)), &[], Upstream::Http2);
        let names = simple.names.clone().unwrap();
        assert!(names.auto_sni && names.auto_san_validation);
        let (context, common) = context(&simple);
        assert_eq!(context.sni, "");
        assert_eq!(common.alpn_protocols, ["h2"]);
        assert_eq!(common.tls_params.clone().unwrap().tls_maximum_protocol_version(), TlsProtocol::TlSv13);
        assert_eq!(filename(&validation_of(&common).unwrap().trusted_ca), Some(SYSTEM_ROOTS));
    }

    #[test]
    fn a_server_name_of_the_rule_is_checked_unless_an_authority_of_ones_own_signs() {
        let mut rule = tls(ClientTlsMode::Simple);
        rule.sni = Some("api.example.com".into());
        let asked = transport(Some(&rule), &[], Upstream::Http1);
        assert_eq!(asked.names, None);
        assert!(context(&asked).0.auto_sni_san_validation);
        rule.ca_certificates = Some("/etc/own/ca.pem".into());
        let (context, common) = context(&transport(Some(&rule), &[], Upstream::Http1));
        assert!(!context.auto_sni_san_validation);
        assert_eq!(filename(&validation_of(&common).unwrap().trusted_ca), Some("/etc/own/ca.pem"));
    }

    #[test]
    fn names_of_the_rule_win_over_those_of_the_service_and_are_typed() {
        let mut rule = tls(ClientTlsMode::Simple);
        let service = ["spiffe://a/ns/b/sa/c".to_owned()];
        let types = |transport: &Transport| -> Vec<(SanType, bool)> {
            let (context, common) = context(transport);
            let sans = &validation_of(&common).unwrap().match_typed_subject_alt_names;
            sans.iter().map(|san| (san.san_type(), context.auto_sni_san_validation)).collect()
        };
        let of_service = transport(Some(&rule), &service, Upstream::Http1);
        assert_eq!(types(&of_service), [(SanType::Uri, false)]);
        assert!(!of_service.names.unwrap().auto_san_validation);
        rule.subject_alt_names = vec!["a.example.com".into(), "192.0.2.1".into()];
        rule.sni = Some("a".into());
        let of_rule = transport(Some(&rule), &service, Upstream::Http1);
        assert_eq!(types(&of_rule), [(SanType::Dns, false), (SanType::IpAddress, false)]);
    }

    #[test]
    fn mutual_tls_shows_a_certificate() {
        let mut rule = tls(ClientTlsMode::Mutual);
        rule.client_certificate = Some("/etc/own/cert.pem".into());
        rule.private_key = Some("/etc/own/key.pem".into());
        let (_, common) = context(&transport(Some(&rule), &[], Upstream::Http1));
        assert_eq!(filename(&common.tls_certificates[0].certificate_chain), Some("/etc/own/cert.pem"));
        assert_eq!(filename(&common.tls_certificates[0].private_key), Some("/etc/own/key.pem"));
    }

    #[test]
    fn verification_is_skipped_only_when_the_rule_says_so() {
        let mut rule = tls(ClientTlsMode::Simple);
        rule.insecure_skip_verify = true;
        let blind = transport(Some(&rule), &["a".to_owned()], Upstream::Http1);
        assert_eq!(validation_of(&context(&blind).1), None);
        assert!(!blind.names.unwrap().auto_san_validation);
    }
}
