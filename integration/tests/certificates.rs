//! Certificates of ours in the hands of a real Envoy: BoringSSL's verdict on chains, identities and times.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use ca::{
    AcceptedKeys, Authority, Issued, KeyAlgorithm, PrivateKey, Serial, Terms, TrustDomain, VerifiedRequest, Workload,
    sign,
};
use integration::{
    envoy::Envoy,
    outside::{Program, all_present},
    ports::Loopback,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const SERVER: &str = "spiffe://cluster.local/ns/default/sa/reviews";
const CLIENT: &str = "spiffe://cluster.local/ns/default/sa/productpage";

fn root(number: u8, now: OffsetDateTime) -> Result<Authority> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    Ok(Authority::self_signed(&TrustDomain::parse("cluster.local")?, key, Serial::from_random([number; 16]), now)?)
}

/// A workload's key and certificate.
struct Peer {
    key: PrivateKey,
    issued: Issued,
}

impl Peer {
    fn of(authority: &Authority, identity: &str, algorithm: KeyAlgorithm, now: OffsetDateTime) -> Result<Self> {
        let key = PrivateKey::generate(algorithm)?;
        let csr = rcgen::CertificateParams::default().serialize_request(&key)?;
        let accepted = AcceptedKeys { ecdsa_p384: true, rsa: true, ed25519: true };
        let request = VerifiedRequest::from_der(csr.der(), accepted)?;
        let workload = Workload::new(identity.parse()?).with_labels("productpage-v1", "productpage", "v1");
        let terms = Terms { now, lifetime: time::Duration::hours(1), serial: Serial::from_random([2; 16]) };
        Ok(Self { issued: sign(authority, &request, &workload, terms)?, key })
    }
}

/// An Envoy that asks its clients for a certificate of `CLIENT`, and answers with what it has understood of it.
fn bootstrap(admin: SocketAddr, listener: SocketAddr, server: &Peer, roots: &str) -> Value {
    let address = |at: SocketAddr| json!({ "socket_address": { "address": at.ip(), "port_value": at.port() } });
    let tls = json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [{
                "certificate_chain": { "inline_string": server.issued.presented_pem() },
                "private_key": { "inline_string": server.key.to_pem().as_str() },
            }],
            "validation_context": {
                "trusted_ca": { "inline_string": roots },
                "match_typed_subject_alt_names": [{ "san_type": "URI", "matcher": { "exact": CLIENT } }],
            },
        },
    });
    let seen = "%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_PEER_SUBJECT%";
    let http = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "mtls",
        "http_filters": [{
            "name": "router",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        }],
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{
                "match": { "prefix": "/" },
                "direct_response": { "status": 200 },
                "response_headers_to_add": [{ "header": { "key": "x-seen", "value": seen } }],
            }],
        }]},
    });
    json!({
        "admin": { "address": address(admin) },
        "static_resources": { "listeners": [{
            "name": "mtls",
            "address": address(listener),
            "filter_chains": [{
                "transport_socket": { "name": "tls", "typed_config": tls },
                "filters": [{ "name": "http", "typed_config": http }],
            }],
        }]},
    })
}

/// Takes a server whose chain ends in a known root and whose only URI name is the expected identity, as SPIFFE asks; webpki
/// verifies the chain, and knows no names of that kind.
#[derive(Debug)]
struct Spiffe {
    roots: rustls::RootCertStore,
    provider: Arc<CryptoProvider>,
    identity: &'static str,
}

impl ServerCertVerifier for Spiffe {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let algorithms = self.provider.signature_verification_algorithms.all;
        let parsed = ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.roots,
            intermediates,
            now,
            algorithms,
        )?;
        let wanted = self.identity.as_bytes();
        if end_entity.windows(wanted.len()).any(|window| window == wanted) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(rustls::CertificateError::NotValidForName.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// One request over mutual TLS: the answer as text, or why there is none.
async fn ask(address: SocketAddr, client: &Peer, trusted: &Authority, identity: &'static str) -> Result<String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for (_, root) in trusted.bundle().roots() {
        roots.add(root.clone())?;
    }
    let verifier = Arc::new(Spiffe { roots, provider: Arc::clone(&provider), identity });
    let key = PrivateKeyDer::from_pem_slice(client.key.to_pem().as_bytes())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(client.issued.presented().cloned().collect(), key)?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let exchange = async {
        let stream = tokio::net::TcpStream::connect(address).await?;
        let mut stream = connector.connect(ServerName::from(address.ip()), stream).await?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: reviews\r\nconnection: close\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8(answer)?)
    };
    tokio::time::timeout(Duration::from_secs(10), exchange).await.context("no answer in 10 s")?
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_takes_our_certificates_and_refuses_all_others() -> Result<()> {
    if !all_present("envoy_takes_our_certificates_and_refuses_all_others", &[Program::Envoy])? {
        return Ok(());
    }
    #[expect(clippy::disallowed_methods, reason = "Envoy reads the clock, so the test must")]
    let now = OffsetDateTime::from(std::time::SystemTime::now());
    let (authority, stranger) = (root(1, now)?, root(2, now)?);
    // An authority of the day before yesterday, trusted too, for leaves that have expired since.
    let old = root(3, now - time::Duration::days(2))?;
    let roots = authority.bundle().join(old.bundle())?.to_pem();
    let peer = |authority, identity| Peer::of(authority, identity, KeyAlgorithm::EcdsaP256, now);
    let server = peer(&authority, SERVER)?;

    let (place, directory) = (Loopback::claim()?, tempfile::tempdir()?);
    let (admin, listener) = (place.port()?, place.port()?);
    let text = bootstrap(admin.address(), listener.address(), &server, &roots).to_string();
    let (admin, listener) = (admin.release(), listener.release());
    let mut envoy = Envoy::start("certificates", &text, admin, directory.path())?;
    envoy.ready().await?;

    for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa] {
        let client = Peer::of(&authority, CLIENT, algorithm, now)?;
        let answer = ask(listener, &client, &authority, SERVER).await.with_context(|| algorithm.to_string())?;
        ensure!(answer.starts_with("HTTP/1.1 200"), "{algorithm}: {answer}");
        // What peers can label their metrics with.
        let seen = format!("x-seen: {CLIENT} generationQualifier=v1,CN=productpage-v1,OU=productpage,O=default");
        ensure!(answer.contains(&seen), "{answer}");
    }
    ensure!(envoy.stat_sum(r"^listener\..*\.ssl\.handshake$").await? == 3);

    let refused = [
        ("another identity", peer(&authority, "spiffe://cluster.local/ns/default/sa/sleep")?, "fail_verify_san"),
        ("another root", peer(&stranger, CLIENT)?, "fail_verify_error"),
        (
            "expired",
            Peer::of(&old, CLIENT, KeyAlgorithm::EcdsaP256, now - time::Duration::days(1))?,
            "fail_verify_error",
        ),
    ];
    for (what, client, counter) in refused {
        let filter = format!(r"^listener\..*\.ssl\.{counter}$");
        let before = envoy.stat_sum(&filter).await?;
        let answer = ask(listener, &client, &authority, SERVER).await;
        ensure!(answer.is_err(), "{what}: {answer:?}");
        ensure!(envoy.stat_sum(&filter).await? == before + 1, "{what} is not counted as {counter}");
    }

    let client = peer(&authority, CLIENT)?;
    let wrong = ask(listener, &client, &authority, CLIENT).await.map_err(|error| format!("{error:#}"));
    ensure!(wrong.as_ref().is_err_and(|error| error.contains("NotValidForName")), "{wrong:?}");
    let unknown = ask(listener, &client, &stranger, SERVER).await.map_err(|error| format!("{error:#}"));
    ensure!(unknown.as_ref().is_err_and(|error| error.contains("UnknownIssuer")), "{unknown:?}");
    Ok(())
}
