//! A certificate authority: a key with the path of certificates that leads to a root, and the roots that are trusted with it.

mod load;

use std::fmt;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyUsagePurpose, SanType};
use rustls_pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

pub use load::{AuthorityError, AuthorityFiles, PATH_LEN_MAX};

use crate::bundle::{Fingerprint, TrustBundle};
use crate::certificate::Validity;
use crate::identity::TrustDomain;
use crate::key::PrivateKey;
use crate::pem;
use crate::terms::{BACK_DATE, SUBJECT_TEXT_LEN_MAX, Serial, SignError, ia5, whole_seconds};

/// How long a root lives that is made here.
pub const ROOT_LIFETIME: Duration = Duration::days(3650);

/// An authority that can sign.
pub struct Authority {
    issuer: Issuer<'static, PrivateKey>,
    /// The signing certificate first, the root last; both are one for a self-signed authority.
    path: Arc<[CertificateDer<'static>]>,
    bundle: TrustBundle,
    /// When all of the path is valid.
    validity: Validity,
}

impl Authority {
    /// Makes a root: a certificate for `key`, signed by itself, that may sign leaves of `trust_domain` and no further authorities.
    ///
    /// # Errors
    /// When the library fails.
    pub fn self_signed(
        trust_domain: &TrustDomain,
        key: PrivateKey,
        serial: Serial,
        now: OffsetDateTime,
    ) -> Result<Self, SignError> {
        let now = whole_seconds(now);
        let mut params = CertificateParams::default();
        params.not_before = now.saturating_sub(BACK_DATE);
        params.not_after = now.saturating_add(ROOT_LIFETIME);
        params.serial_number = Some(serial.number());
        params.distinguished_name = root_name(trust_domain, serial);
        // The SPIFFE ID of an authority is its trust domain, without a path.
        params.subject_alt_names = vec![SanType::URI(ia5(&format!("spiffe://{trust_domain}"))?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        let validity = Validity { not_before: params.not_before, not_after: params.not_after };
        let library = |error: rcgen::Error| SignError::Library(error.to_string());
        let root: CertificateDer<'static> = params.self_signed(&key).map_err(library)?.into();
        let issuer = Issuer::from_ca_cert_der(&root, key).map_err(library)?;
        let bundle =
            TrustBundle::new(trust_domain.clone(), [&root]).map_err(|error| SignError::Library(error.to_string()))?;
        Ok(Self { issuer, path: [root].into(), bundle, validity })
    }

    /// The certificate that signs, as PEM: `ca-cert.pem`.
    #[must_use]
    pub fn certificate_pem(&self) -> String {
        self.path.first().map(|der| pem::certificate(der)).unwrap_or_default()
    }

    /// Its key, to be kept in a Secret.
    #[must_use]
    pub fn key(&self) -> &PrivateKey {
        self.issuer.key()
    }

    /// The roots that peers need in order to trust what this authority signs.
    #[must_use]
    pub fn bundle(&self) -> &TrustBundle {
        &self.bundle
    }

    /// The root in which its path ends.
    #[must_use]
    pub fn root(&self) -> Fingerprint {
        Fingerprint::of(self.path.last().map_or(&[], |root| root.as_ref()))
    }

    /// When the first certificate of its path ends: nothing that it signs lives longer.
    #[must_use]
    pub fn not_after(&self) -> OffsetDateTime {
        self.validity.not_after
    }

    /// When all of its path is valid.
    pub(crate) fn validity(&self) -> Validity {
        self.validity
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, PrivateKey> {
        &self.issuer
    }

    pub(crate) fn path(&self) -> Arc<[CertificateDer<'static>]> {
        Arc::clone(&self.path)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority")
            .field("root", &self.root())
            .field("path_len", &self.path.len())
            .field("not_after", &self.not_after())
            .finish_non_exhaustive()
    }
}

/// Two roots of one trust domain differ in name, so that verifiers and people can tell them apart during a rotation.
fn root_name(trust_domain: &TrustDomain, serial: Serial) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if trust_domain.as_str().len() <= SUBJECT_TEXT_LEN_MAX {
        name.push(DnType::OrganizationName, trust_domain.as_str());
    }
    let number: String = serial.bytes().iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    name.push(DnType::CommonName, format!("Mainsheet root {number}"));
    name
}

#[cfg(test)]
mod tests;
