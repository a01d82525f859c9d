//! Gateway.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// The ports that proxies at the edge of the mesh open, and the hosts that they serve there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewaySpec {
    /// The ports, each with its hosts.
    #[serde(default)]
    pub servers: Vec<Server>,
    /// Labels of the pods whose proxies open them, in any namespace.
    #[serde(default)]
    pub selector: BTreeMap<String, String>,
}

/// A port and its hosts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// The port.
    pub port: GatewayPort,
    /// The address, or unix socket, that it binds; all addresses, when not given.
    pub bind: Option<String>,
    /// The hosts, as `host` or `namespace/host`: those of VirtualServices of that namespace. `*.` may stand for any
    /// first part.
    pub hosts: Vec<String>,
    /// TLS that it terminates, or lets through.
    pub tls: Option<ServerTlsSettings>,
    /// Has no meaning.
    pub default_endpoint: Option<String>,
    /// A name for logs.
    pub name: Option<String>,
}

/// A port of a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayPort {
    /// Its number.
    pub number: u32,
    /// What it carries: HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, MONGO, TCP or TLS.
    pub protocol: String,
    /// Its name.
    pub name: String,
    /// Has no meaning.
    pub target_port: Option<u32>,
}

/// TLS on the side of the server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["tlsCertificates", "credentialNames"], ["credentialName", "credentialNames"]]))]
pub struct ServerTlsSettings {
    /// Answer plain HTTP with a redirect to HTTPS.
    pub https_redirect: Option<bool>,
    /// Whether TLS is terminated, and which certificate the caller must show.
    pub mode: Option<ServerTlsMode>,
    /// The file of the certificate.
    pub server_certificate: Option<String>,
    /// The file of its key.
    pub private_key: Option<String>,
    /// The file of the authorities that callers' certificates must come from.
    pub ca_certificates: Option<String>,
    /// The file of revoked certificates.
    pub ca_crl: Option<String>,
    /// The Secret that holds certificate, key and authorities.
    pub credential_name: Option<String>,
    /// Secrets, when there are certificates of two kinds of key.
    #[serde(default)]
    #[schemars(length(min = 1, max = 2))]
    pub credential_names: Vec<String>,
    /// Certificates as files, when there are two kinds of key.
    #[serde(default)]
    #[schemars(length(min = 1, max = 2))]
    pub tls_certificates: Vec<TlsCertificate>,
    /// The Secret that holds the authorities, when it is another than that of the certificate.
    pub ca_cert_credential_name: Option<String>,
    /// Names that callers' certificates may have.
    #[serde(default)]
    pub subject_alt_names: Vec<String>,
    /// Hashes of the public keys, in base64, that callers may have.
    #[serde(default)]
    pub verify_certificate_spki: Vec<String>,
    /// Hashes of the certificates, in hexadecimal, that callers may have.
    #[serde(default)]
    pub verify_certificate_hash: Vec<String>,
    /// The oldest version of TLS; 1.2 when not given.
    pub min_protocol_version: Option<TlsProtocol>,
    /// The newest version of TLS.
    pub max_protocol_version: Option<TlsProtocol>,
    /// The cipher suites that are offered; Envoy's, when not given.
    #[serde(default)]
    pub cipher_suites: Vec<String>,
    /// Do not check callers' certificates.
    #[schemars(extend("nullable" = true))]
    pub insecure_skip_verify: Option<bool>,
}

/// A certificate as files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsCertificate {
    /// The file of the certificate.
    pub server_certificate: Option<String>,
    /// The file of its key.
    pub private_key: Option<String>,
    /// The file of the authorities that callers' certificates must come from.
    pub ca_certificates: Option<String>,
}

/// Whether a server terminates TLS, and which certificate the caller must show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ServerTlsMode {
    /// Let through unopened; the server name decides where to.
    Passthrough,
    /// The server alone shows a certificate.
    Simple,
    /// The caller must show one too.
    Mutual,
    /// Let through unopened; the server name itself is the destination.
    AutoPassthrough,
    /// Both show the certificates of the mesh.
    IstioMutual,
    /// The caller may show one; if it does, it must be good.
    OptionalMutual,
}

/// Versions of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TlsProtocol {
    /// As the proxy has it.
    #[serde(rename = "TLS_AUTO")]
    Auto,
    /// 1.0.
    #[serde(rename = "TLSV1_0")]
    V1_0,
    /// 1.1.
    #[serde(rename = "TLSV1_1")]
    V1_1,
    /// 1.2.
    #[serde(rename = "TLSV1_2")]
    V1_2,
    /// 1.3.
    #[serde(rename = "TLSV1_3")]
    V1_3,
}
