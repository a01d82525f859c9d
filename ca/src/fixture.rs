//! Authorities, requests and times for tests.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime, macros::datetime};

use crate::authority::Authority;
use crate::csr::{AcceptedKeys, VerifiedRequest};
use crate::identity::TrustDomain;
use crate::key::{KeyAlgorithm, PrivateKey};
use crate::terms::{Serial, Terms};

pub(crate) const NOW: OffsetDateTime = datetime!(2026-11-21 12:00:00.5 UTC);
pub(crate) const ALL_KEYS: AcceptedKeys = AcceptedKeys { ecdsa_p384: true, rsa: true, ed25519: true };

pub(crate) fn trust_domain() -> TrustDomain {
    TrustDomain::parse("cluster.local").unwrap()
}

pub(crate) fn serial(number: u8) -> Serial {
    Serial::from_random([number; 16])
}

pub(crate) fn terms(number: u8) -> Terms {
    Terms { now: NOW, lifetime: Duration::hours(24), serial: serial(number) }
}

pub(crate) fn authority() -> Authority {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    Authority::self_signed(&trust_domain(), key, serial(1), NOW).unwrap()
}

/// A request as a proxy makes it, with `params` for what it asks.
pub(crate) fn request_der(key: &KeyPair, params: &CertificateParams) -> Vec<u8> {
    params.serialize_request(key).unwrap().der().to_vec()
}

pub(crate) fn request() -> VerifiedRequest {
    let key = KeyPair::generate().unwrap();
    VerifiedRequest::from_der(&request_der(&key, &CertificateParams::default()), ALL_KEYS).unwrap()
}

/// The parameters of an authority with that common name.
pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = NOW - Duration::days(1);
    params.not_after = NOW + Duration::days(100);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}
