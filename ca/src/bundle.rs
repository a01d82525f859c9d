//! The roots that are trusted in one trust domain, as PEM and as the JWKS of the SPIFFE bundle format.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{CertificateDer, pem::SectionKind};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use x509_parser::{prelude::FromDer as _, public_key::PublicKey, x509::SubjectPublicKeyInfo};

use crate::certificate::{Certificate, CertificateError};
use crate::identity::TrustDomain;
use crate::pem::{self, PemError};

/// Most roots in a bundle: those of a rotation and of a few clusters.
pub const ROOTS_MAX: usize = 32;

/// Why there is no bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// Not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// No roots: it would revoke everything.
    #[error("holds no certificate: a bundle without roots would revoke every identity of the trust domain")]
    Empty,
    /// More than [`ROOTS_MAX`] roots.
    #[error("holds {0} roots, at most {ROOTS_MAX} are allowed")]
    TooMany(usize),
    /// A root that is none.
    #[error("certificate {number} {error}")]
    Root {
        /// Its place, from 1.
        number: usize,
        /// What is wrong with it.
        error: CertificateError,
    },
    /// Roots of two trust domains do not belong in one bundle: each could then sign for the other.
    #[error("the roots of `{other}` must not be merged into the bundle of `{own}`")]
    OtherTrustDomain {
        /// The bundle's.
        own: TrustDomain,
        /// The other's.
        other: TrustDomain,
    },
}

/// The SHA-256 of a certificate in DER, by which a root is named. Written as hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate, or of any bytes.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        let mut fingerprint = [0; 32];
        fingerprint.iter_mut().zip(digest(&SHA256, der).as_ref()).for_each(|(to, from)| *to = *from);
        Self(fingerprint)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not 64 hexadecimal digits");
        let mut fingerprint = [0; 32];
        if text.len() != 64 {
            return Err(wrong());
        }
        for (index, byte) in fingerprint.iter_mut().enumerate() {
            let digits = text.get(2 * index..2 * index + 2).ok_or_else(wrong)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        let parsed = Self(fingerprint);
        // One text for one fingerprint: `+f` and capitals are numbers to the parser too.
        if parsed.to_string() == text { Ok(parsed) } else { Err(wrong()) }
    }
}

/// The roots of a trust domain: at least one, each once, in the order of their fingerprints so that equal bundles are equal bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustBundle {
    trust_domain: TrustDomain,
    roots: Vec<(Fingerprint, CertificateDer<'static>)>,
}

impl TrustBundle {
    /// A bundle of roots.
    ///
    /// # Errors
    /// When there is none, there are too many, or one is not the certificate of an authority.
    pub fn new<'a>(
        trust_domain: TrustDomain,
        roots: impl IntoIterator<Item = &'a CertificateDer<'a>>,
    ) -> Result<Self, BundleError> {
        let mut known = Vec::new();
        for (index, root) in roots.into_iter().enumerate() {
            let parsed = Certificate::parse(root).map_err(|error| BundleError::Root { number: index + 1, error })?;
            known.push((Fingerprint::of(root), parsed.der));
        }
        Self::checked(trust_domain, known)
    }

    /// Reads a bundle from PEM; anything but certificates in it is left alone.
    ///
    /// # Errors
    /// As [`TrustBundle::new`], and when the text is not PEM.
    pub fn from_pem(trust_domain: TrustDomain, text: &[u8]) -> Result<Self, BundleError> {
        let blocks = pem::blocks(text)?;
        let certificates: Vec<CertificateDer<'_>> = blocks
            .iter()
            .filter(|block| block.kind == SectionKind::Certificate)
            .map(|block| CertificateDer::from(block.der.as_slice()))
            .collect();
        Self::new(trust_domain, &certificates)
    }

    /// This bundle and another of the same trust domain together, as both roots are trusted during a rotation.
    ///
    /// # Errors
    /// [`BundleError::OtherTrustDomain`] or [`BundleError::TooMany`].
    pub fn join(&self, other: &Self) -> Result<Self, BundleError> {
        if self.trust_domain != other.trust_domain {
            let (own, other) = (self.trust_domain.clone(), other.trust_domain.clone());
            return Err(BundleError::OtherTrustDomain { own, other });
        }
        Self::checked(self.trust_domain.clone(), self.roots.iter().chain(&other.roots).cloned().collect())
    }

    fn checked(
        trust_domain: TrustDomain,
        mut roots: Vec<(Fingerprint, CertificateDer<'static>)>,
    ) -> Result<Self, BundleError> {
        roots.sort_by_key(|(fingerprint, _)| *fingerprint);
        roots.dedup_by_key(|(fingerprint, _)| *fingerprint);
        match roots.len() {
            0 => Err(BundleError::Empty),
            len if len > ROOTS_MAX => Err(BundleError::TooMany(len)),
            _ => Ok(Self { trust_domain, roots }),
        }
    }

    /// Whose roots these are.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// The roots with their fingerprints, in order.
    pub fn roots(&self) -> impl Iterator<Item = (Fingerprint, &CertificateDer<'static>)> {
        self.roots.iter().map(|(fingerprint, der)| (*fingerprint, der))
    }

    /// The roots as PEM, for `root-cert.pem` and validation contexts.
    #[must_use]
    pub fn to_pem(&self) -> String {
        self.roots.iter().map(|(_, der)| pem::certificate(der)).collect()
    }

    /// The bundle in SPIFFE's format: one JWK for each root, with use `x509-svid` and one certificate.
    /// `sequence` must rise with every change; `refresh_hint_s` says how often readers should look again, in seconds.
    ///
    /// See <https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE_Trust_Domain_and_Bundle.md>.
    ///
    /// # Errors
    /// [`BundleError::Root`] for a root whose key JWKs cannot express.
    pub fn to_jwks(&self, sequence: u64, refresh_hint_s: u32) -> Result<String, BundleError> {
        let keys = self.roots.iter().enumerate().map(|(index, (_, der))| {
            let error = BundleError::Root { number: index + 1, error: CertificateError::Malformed };
            jwk(der).ok_or(error)
        });
        let keys = keys.collect::<Result<Vec<Value>, BundleError>>()?;
        Ok(json!({ "keys": keys, "spiffe_sequence": sequence, "spiffe_refresh_hint": refresh_hint_s }).to_string())
    }
}

/// The JSON Web Key of a certificate (RFC 7517, RFC 7518 section 6, RFC 8037).
fn jwk(der: &CertificateDer<'_>) -> Option<Value> {
    let public_key = Certificate::parse(der).ok()?.public_key;
    let (_, info) = SubjectPublicKeyInfo::from_der(&public_key).ok()?;
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let x5c = [STANDARD.encode(der)];
    match info.parsed().ok()? {
        PublicKey::EC(point) => {
            let coordinates = point.data().strip_prefix(&[4])?;
            let (x, y) = coordinates.split_at(coordinates.len() / 2);
            let curve = match x.len() {
                32 => "P-256",
                48 => "P-384",
                66 => "P-521",
                _ => return None,
            };
            Some(json!({ "use": "x509-svid", "kty": "EC", "crv": curve, "x": text(x), "y": text(y), "x5c": x5c }))
        }
        PublicKey::RSA(rsa) => {
            // Base64urlUInt has no leading zero octets; DER has one before a set high bit.
            let number = |bytes: &[u8]| {
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                text(bytes.get(zeros..).unwrap_or_default())
            };
            let (n, e) = (number(rsa.modulus), number(rsa.exponent));
            Some(json!({ "use": "x509-svid", "kty": "RSA", "n": n, "e": e, "x5c": x5c }))
        }
        PublicKey::Unknown(key) if key.len() == 32 => {
            Some(json!({ "use": "x509-svid", "kty": "OKP", "crv": "Ed25519", "x": text(key), "x5c": x5c }))
        }
        PublicKey::DSA(_) | PublicKey::GostR3410(_) | PublicKey::GostR3410_2012(_) | PublicKey::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests;
