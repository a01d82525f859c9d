//! Verification of certificate signing requests: what comes out is a public key whose owner is proved to hold the private one.
//!
//! Nothing else of a request is kept: names, subjects and extensions that it asks for cannot reach a certificate.

use rcgen::SubjectPublicKeyInfo;
use rustls_pki_types::pem::SectionKind;
use x509_parser::{
    certification_request::X509CertificationRequest, der_parser::oid::Oid, oid_registry, prelude::FromDer as _,
    public_key::PublicKey,
};

use crate::key::KeyAlgorithm;
use crate::pem::{self, PemError};

/// Longest request, in bytes of PEM or DER. One for a 4096-bit RSA key with a few names has 2 kB.
pub const REQUEST_LEN_MAX: usize = 16 * 1024;
/// Shortest RSA key, in bits.
pub const RSA_BITS_MIN: usize = 2048;
/// Longest RSA key, in bits: the cost of its signatures is paid at every handshake.
pub const RSA_BITS_MAX: usize = 4096;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing in it.
    #[error("the request is empty")]
    Empty,
    /// Longer than [`REQUEST_LEN_MAX`].
    #[error("the request is {0} bytes long, at most {REQUEST_LEN_MAX} are read")]
    TooLong(usize),
    /// Not PEM.
    #[error("the request is not PEM: {0}")]
    Pem(#[from] PemError),
    /// Not exactly one request in the PEM text.
    #[error("the PEM text holds {0} blocks CERTIFICATE REQUEST, one is expected")]
    NotOne(usize),
    /// Not a PKCS#10 request.
    #[error("the request is not a PKCS#10 certificate signing request in DER")]
    Malformed,
    /// Bytes after the request.
    #[error("{0} bytes follow the request")]
    Trailing(usize),
    /// A kind of key that is never accepted.
    #[error("keys of the kind {0} are not signed: use ECDSA P-256")]
    UnknownKey(String),
    /// A kind of key that the configuration does not accept.
    #[error("{0} keys are not accepted here: use ECDSA P-256, or have the certificate authority accept them")]
    KeyNotAccepted(KeyAlgorithm),
    /// An RSA key of a wrong length, in bits.
    #[error("the RSA key has {0} bits, {RSA_BITS_MIN} to {RSA_BITS_MAX} are accepted")]
    RsaLength(usize),
    /// A point of a curve in another form than uncompressed, which TLS requires.
    #[error("the public key is not an uncompressed point of its curve")]
    Point,
    /// Signed with a method that is too weak or unknown.
    #[error("the signature method {0} is not accepted: use SHA-256 or stronger")]
    SignatureMethod(String),
    /// The signature is not by the key.
    #[error("the signature of the request does not fit its public key")]
    Signature,
}

/// The kinds of keys that are signed. P-256 always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AcceptedKeys {
    /// ECDSA P-384.
    pub ecdsa_p384: bool,
    /// RSA of [`RSA_BITS_MIN`] to [`RSA_BITS_MAX`] bits.
    pub rsa: bool,
    /// Ed25519.
    pub ed25519: bool,
}

impl AcceptedKeys {
    fn contain(self, algorithm: KeyAlgorithm) -> bool {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => true,
            KeyAlgorithm::EcdsaP384 => self.ecdsa_p384,
            KeyAlgorithm::Rsa => self.rsa,
            KeyAlgorithm::Ed25519 => self.ed25519,
        }
    }
}

/// A public key from a request, proved to belong to whoever made the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRequest {
    key: SubjectPublicKeyInfo,
    algorithm: KeyAlgorithm,
}

impl VerifiedRequest {
    /// Verifies a request in PEM.
    ///
    /// # Errors
    /// The first of the faults that is found, cheapest first: the signature is checked last.
    pub fn from_pem(text: &[u8], accepted: AcceptedKeys) -> Result<Self, RequestError> {
        check_length(text)?;
        let blocks = pem::blocks(text)?;
        let mut requests = blocks.iter().filter(|block| block.kind == SectionKind::Csr);
        match (requests.next(), requests.count()) {
            (Some(request), 0) => Self::from_der(&request.der, accepted),
            (None, _) => Err(RequestError::NotOne(0)),
            (Some(_), more) => Err(RequestError::NotOne(more + 1)),
        }
    }

    /// Verifies a request in DER.
    ///
    /// # Errors
    /// As [`VerifiedRequest::from_pem`].
    pub fn from_der(der: &[u8], accepted: AcceptedKeys) -> Result<Self, RequestError> {
        check_length(der)?;
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| RequestError::Malformed)?;
        if !rest.is_empty() {
            return Err(RequestError::Trailing(rest.len()));
        }
        let info = &request.certification_request_info.subject_pki;
        let key = SubjectPublicKeyInfo::from_der(info.raw)
            .map_err(|_| RequestError::UnknownKey(info.algorithm.algorithm.to_id_string()))?;
        let algorithm = KeyAlgorithm::of(rcgen::PublicKeyData::algorithm(&key))
            .ok_or_else(|| RequestError::UnknownKey(info.algorithm.algorithm.to_id_string()))?;
        if !accepted.contain(algorithm) {
            return Err(RequestError::KeyNotAccepted(algorithm));
        }
        check_key(algorithm, info)?;
        let method = &request.signature_algorithm.algorithm;
        if !METHODS.contains(method) {
            return Err(RequestError::SignatureMethod(method.to_id_string()));
        }
        request.verify_signature().map_err(|_| RequestError::Signature)?;
        Ok(Self { key, algorithm })
    }

    /// The kind of its key.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    pub(crate) fn key(&self) -> &SubjectPublicKeyInfo {
        &self.key
    }
}

/// Accepted methods of signing a request. SHA-1, which the parser would verify, is not among them.
const METHODS: [Oid<'static>; 6] = [
    oid_registry::OID_SIG_ECDSA_WITH_SHA256,
    oid_registry::OID_SIG_ECDSA_WITH_SHA384,
    oid_registry::OID_PKCS1_SHA256WITHRSA,
    oid_registry::OID_PKCS1_SHA384WITHRSA,
    oid_registry::OID_PKCS1_SHA512WITHRSA,
    oid_registry::OID_SIG_ED25519,
];

fn check_length(bytes: &[u8]) -> Result<(), RequestError> {
    match bytes.len() {
        0 => Err(RequestError::Empty),
        len if len > REQUEST_LEN_MAX => Err(RequestError::TooLong(len)),
        _ => Ok(()),
    }
}

fn check_key(algorithm: KeyAlgorithm, info: &x509_parser::x509::SubjectPublicKeyInfo<'_>) -> Result<(), RequestError> {
    let uncompressed = |coordinate_len: usize| {
        let point = &info.subject_public_key.data;
        let fits = point.len() == 1 + 2 * coordinate_len && point.first() == Some(&4);
        if fits { Ok(()) } else { Err(RequestError::Point) }
    };
    match algorithm {
        KeyAlgorithm::EcdsaP256 => uncompressed(32),
        KeyAlgorithm::EcdsaP384 => uncompressed(48),
        KeyAlgorithm::Ed25519 => Ok(()),
        KeyAlgorithm::Rsa => {
            let Ok(PublicKey::RSA(rsa)) = info.parsed() else { return Err(RequestError::Malformed) };
            // Counted from the first set bit: the parser's `key_size` rounds up to bytes.
            let modulus = rsa.modulus.iter().skip_while(|byte| **byte == 0).copied().collect::<Vec<u8>>();
            let bits = modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize);
            if (RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) { Ok(()) } else { Err(RequestError::RsaLength(bits)) }
        }
    }
}

#[cfg(test)]
mod tests;
