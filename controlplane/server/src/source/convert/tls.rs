//! TLS towards a destination.

use mesh::model::{
    code,
    destination_rule::{ClientTls, ClientTlsMode},
};

use super::Conversion;
use crate::source::{path::Path, wire::traffic_policy as wire};

impl Conversion<'_> {
    pub(super) fn client_tls(&mut self, value: wire::ClientTlsSettings, path: Path<'_>) -> ClientTls {
        let wire::ClientTlsSettings {
            mode,
            client_certificate,
            private_key,
            ca_certificates,
            credential_name,
            subject_alt_names,
            sni,
            insecure_skip_verify,
            ca_crl,
        } = value;
        let mode = match mode {
            None | Some(wire::ClientTlsMode::Disable) => ClientTlsMode::Disable,
            Some(wire::ClientTlsMode::Simple) => ClientTlsMode::Simple,
            Some(wire::ClientTlsMode::Mutual) => ClientTlsMode::Mutual,
            Some(wire::ClientTlsMode::IstioMutual) => ClientTlsMode::IstioMutual,
        };
        if mode == ClientTlsMode::IstioMutual {
            let reason = "only proxies that have certificates of the mesh do so: others speak plain text";
            let remedy = "run the proxy with an agent that serves certificates";
            self.error(code::SECURITY_NOT_IN_FORCE, path.field("mode"), reason, remedy);
        }
        // Without them more certificates would be trusted than was said.
        for (name, given) in [("credentialName", credential_name.is_some()), ("caCrl", ca_crl.is_some())] {
            if given && mode != ClientTlsMode::Disable {
                self.error(code::OBJECT_NOT_SUPPORTED, path.field(name), "not supported yet", "use files of the proxy");
            }
        }
        let client_certificate = given(client_certificate);
        let private_key = given(private_key);
        let ca_certificates = given(ca_certificates);
        // What is not supported is not asked for in another form.
        let by_secret = credential_name.is_some();
        self.check_tls_files(
            mode,
            by_secret,
            &[
                ("clientCertificate", client_certificate.is_some()),
                ("privateKey", private_key.is_some()),
                ("caCertificates", ca_certificates.is_some()),
            ],
            path,
        );
        ClientTls {
            mode,
            sni: given(sni),
            subject_alt_names,
            client_certificate,
            private_key,
            ca_certificates,
            insecure_skip_verify: insecure_skip_verify.unwrap_or_default(),
        }
    }

    fn check_tls_files(&mut self, mode: ClientTlsMode, by_secret: bool, files: &[(&str, bool)], path: Path<'_>) {
        for (name, given) in files {
            match mode {
                ClientTlsMode::Mutual if !given && !by_secret && *name != "caCertificates" => {
                    let reason = "the field is missing: MUTUAL shows a certificate of its own";
                    self.error(
                        code::MISSING_FIELD,
                        path.field(name),
                        reason,
                        "name a file, or use SIMPLE or ISTIO_MUTUAL",
                    );
                }
                ClientTlsMode::IstioMutual if *given => {
                    let reason = "ISTIO_MUTUAL shows the certificate of the mesh";
                    self.error(code::CONFLICTING_FIELDS, path.field(name), reason, "remove it, or use MUTUAL");
                }
                ClientTlsMode::Simple if *given && *name != "caCertificates" => {
                    let reason = "SIMPLE shows no certificate";
                    self.error(code::CONFLICTING_FIELDS, path.field(name), reason, "remove it, or use MUTUAL");
                }
                ClientTlsMode::Disable | ClientTlsMode::Simple | ClientTlsMode::Mutual | ClientTlsMode::IstioMutual => {
                }
            }
        }
    }
}

fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}
