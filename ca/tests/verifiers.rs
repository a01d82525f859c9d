//! Certificates of ours under the eyes of others: rustls (webpki) in handshakes, and OpenSSL.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use ca::{
    AcceptedKeys, Authority, AuthorityFiles, Issued, KeyAlgorithm, PrivateKey, Serial, Terms, TrustBundle, TrustDomain,
    VerifiedRequest, Workload, sign, sign_server,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection};
use time::{Duration, OffsetDateTime};

const ALL_KEYS: AcceptedKeys = AcceptedKeys { ecdsa_p384: true, rsa: true, ed25519: true };

fn trust_domain() -> TrustDomain {
    TrustDomain::parse("cluster.local").unwrap()
}

fn terms(now: OffsetDateTime) -> Terms {
    Terms { now, lifetime: Duration::hours(24), serial: Serial::from_random([9; 16]) }
}

fn root(algorithm: KeyAlgorithm, now: OffsetDateTime) -> Authority {
    static ROOTS: AtomicU8 = AtomicU8::new(0);
    let key = PrivateKey::generate(algorithm).unwrap();
    // Roots are named after their serials, and a stranger has another name.
    let serial = Serial::from_random([ROOTS.fetch_add(1, Ordering::Relaxed); 16]);
    Authority::self_signed(&trust_domain(), key, serial, now).unwrap()
}

/// An authority that was plugged in: a root, and an intermediate whose key signs, made by other means.
fn plugged_in(now: OffsetDateTime) -> Authority {
    let params = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_before = now - Duration::days(1);
        params.not_after = now + Duration::days(90);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        params.use_authority_key_identifier_extension = true;
        params
    };
    let (root_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let root = params("root").self_signed(&root_key).unwrap();
    let issuer = rcgen::Issuer::new(params("root"), root_key);
    let signing = params("intermediate").signed_by(&key, &issuer).unwrap();
    let data = BTreeMap::from([
        ("ca-cert.pem".to_owned(), signing.pem().into_bytes()),
        ("ca-key.pem".to_owned(), key.serialize_pem().into_bytes()),
        ("root-cert.pem".to_owned(), root.pem().into_bytes()),
    ]);
    Authority::load(&AuthorityFiles::find(&data).unwrap(), &trust_domain(), now).unwrap()
}

/// A proxy: its key, and its certificate.
struct Peer {
    key: PrivateKey,
    issued: Issued,
}

fn peer(authority: &Authority, algorithm: KeyAlgorithm, account: &str, now: OffsetDateTime) -> Peer {
    let key = PrivateKey::generate(algorithm).unwrap();
    let csr = CertificateParams::default().serialize_request(&key).unwrap();
    let request = VerifiedRequest::from_der(csr.der(), ALL_KEYS).unwrap();
    let identity = format!("spiffe://cluster.local/ns/default/sa/{account}").parse().unwrap();
    let workload = Workload::new(identity).with_labels(account, account, "v1");
    Peer { issued: sign(authority, &request, &workload, terms(now)).unwrap(), key }
}

impl Peer {
    fn chain(&self) -> Vec<CertificateDer<'static>> {
        self.issued.presented().cloned().collect()
    }

    fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.to_pem().as_bytes()).unwrap()
    }
}

fn store(bundle: &TrustBundle) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    bundle.roots().for_each(|(_, root)| store.add(root.clone()).unwrap());
    Arc::new(store)
}

/// A handshake with certificates on both sides; the client knows the server by `name`.
fn handshake(server: &Peer, client: &Peer, trusted: &TrustBundle, name: &str) -> Result<(), rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let clients = rustls::server::WebPkiClientVerifier::builder_with_provider(store(trusted), Arc::clone(&provider));
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(server.chain(), server.private_key())?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store(trusted))
        .with_client_auth_cert(client.chain(), client.private_key())?;
    let mut server = ServerConnection::new(Arc::new(server))?;
    let mut client = ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap())?;
    while client.is_handshaking() || server.is_handshaking() {
        let mut wire = Vec::new();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets()?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok(())
}

/// The certificate of a listener of ours, which webpki can find by name as it cannot find a SPIFFE identity.
fn listener(authority: &Authority, now: OffsetDateTime) -> Peer {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    Peer { issued: sign_server(authority, &key, &["mainsheet.istio-system.svc"], terms(now)).unwrap(), key }
}

#[test]
fn rustls_takes_leaves_of_every_kind_of_authority_and_key() {
    let now = OffsetDateTime::now_utc();
    let kinds = [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa, KeyAlgorithm::Ed25519];
    let authorities = kinds.into_iter().map(|kind| root(kind, now)).chain([plugged_in(now)]);
    for authority in authorities {
        let server = listener(&authority, now);
        for kind in kinds {
            let client = peer(&authority, kind, "sleep", now);
            let done = handshake(&server, &client, authority.bundle(), "mainsheet.istio-system.svc");
            assert_eq!(done, Ok(()), "{authority:?} {kind}");
        }
    }
}

#[test]
fn rustls_refuses_other_names_other_roots_and_expired_leaves() {
    let now = OffsetDateTime::now_utc();
    let (authority, stranger) = (root(KeyAlgorithm::EcdsaP256, now), root(KeyAlgorithm::EcdsaP256, now));
    let (server, client) = (listener(&authority, now), peer(&authority, KeyAlgorithm::EcdsaP256, "sleep", now));
    let name = "mainsheet.istio-system.svc";
    let refused = |server: &Peer, client: &Peer, trusted: &TrustBundle, name: &str| {
        format!("{:?}", handshake(server, client, trusted, name).unwrap_err())
    };
    assert!(refused(&server, &client, authority.bundle(), "elsewhere.svc").contains("NotValidForName"));
    assert!(refused(&server, &client, stranger.bundle(), name).contains("UnknownIssuer"));
    let foreign = peer(&stranger, KeyAlgorithm::EcdsaP256, "sleep", now);
    assert!(refused(&server, &foreign, authority.bundle(), name).contains("UnknownIssuer"));
    let both = authority.bundle().join(stranger.bundle()).unwrap();
    assert_eq!(handshake(&server, &foreign, &both, name), Ok(()), "both roots are trusted during a rotation");
    let old_authority = root(KeyAlgorithm::EcdsaP256, now - Duration::days(3));
    let expired = peer(&old_authority, KeyAlgorithm::EcdsaP256, "sleep", now - Duration::days(2));
    let trusted = authority.bundle().join(old_authority.bundle()).unwrap();
    assert!(refused(&server, &expired, &trusted, name).contains("Expired"));
    // A listener's certificate does not make a client.
    assert!(refused(&server, &listener(&authority, now), authority.bundle(), name).contains("Purpose"));
}

/// A leaf is no authority: what a workload signs with its key is refused.
#[test]
fn rustls_refuses_what_a_workload_signs() {
    let now = OffsetDateTime::now_utc();
    let authority = root(KeyAlgorithm::EcdsaP256, now);
    let workload = peer(&authority, KeyAlgorithm::EcdsaP256, "sleep", now);
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(&workload.issued.leaf, &workload.key).unwrap();
    let mut params = CertificateParams::default();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let leaf = params.signed_by(&key, &issuer).unwrap().into();
    let path = [workload.issued.leaf.clone(), workload.issued.path.last().unwrap().clone()];
    let forged = Peer { issued: Issued { leaf, path: path.into(), ..workload.issued.clone() }, key };
    let done = handshake(&listener(&authority, now), &forged, authority.bundle(), "mainsheet.istio-system.svc");
    assert!(
        format!("{done:?}").contains("CaUsedAsEndEntity") || format!("{done:?}").contains("EndEntityUsedAsCa"),
        "{done:?}"
    );
}

fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

#[test]
fn openssl_takes_our_certificates_for_both_purposes_and_prints_what_we_wrote() {
    if Command::new("openssl").arg("version").output().is_err() {
        // Continuous integration has it, and asks for everything with this variable.
        #[expect(clippy::disallowed_methods, reason = "a test's switch")]
        let required = std::env::var("MAINSHEET_REQUIRE_ENVOY").is_ok_and(|value| value == "1");
        assert!(!required, "openssl is missing; install it: sudo apt-get install openssl");
        println!("skipped: openssl_takes_our_certificates_for_both_purposes_and_prints_what_we_wrote: no openssl");
        return;
    }
    let now = OffsetDateTime::now_utc();
    for authority in [root(KeyAlgorithm::EcdsaP256, now), root(KeyAlgorithm::Rsa, now), plugged_in(now)] {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let leaf = peer(&authority, KeyAlgorithm::EcdsaP256, "reviews", now);
        let roots = write("roots.pem", &authority.bundle().to_pem());
        let chain = write("chain.pem", &leaf.issued.presented_pem());
        for purpose in ["sslclient", "sslserver"] {
            let (verified, said) = openssl(&[
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                &roots,
                "-untrusted",
                &chain,
                &chain,
            ]);
            assert!(verified, "{purpose}: {said}");
        }
        let (_, said) = openssl(&["x509", "-in", &chain, "-noout", "-text", "-nameopt", "RFC2253"]);
        for expected in [
            "URI:spiffe://cluster.local/ns/default/sa/reviews",
            "Subject: generationQualifier=v1,CN=reviews,OU=reviews,O=default",
            "CA:FALSE",
            "Digital Signature",
            "TLS Web Server Authentication, TLS Web Client Authentication",
        ] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        let stranger = write("stranger.pem", &root(KeyAlgorithm::EcdsaP256, now).bundle().to_pem());
        let (verified, _) = openssl(&["verify", "-CAfile", &stranger, "-untrusted", &chain, &chain]);
        assert!(!verified);
    }
}
