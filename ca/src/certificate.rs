//! What the authority has to know of a certificate that it is given: names, key, validity, and whether it may sign.

use rustls_pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::{certificate::X509Certificate, parse_x509_certificate};

/// What is wrong with a certificate of an authority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not X.509.
    #[error("is not an X.509 certificate in DER")]
    Malformed,
    /// Not the certificate of an authority.
    #[error("is not the certificate of an authority: its basic constraints do not say CA:TRUE")]
    NotAuthority,
    /// May not sign certificates.
    #[error("may not sign certificates: its key usage lacks keyCertSign")]
    NoCertSign,
    /// Its time has not come.
    #[error("is not valid before {0}")]
    NotYetValid(OffsetDateTime),
    /// Its time is over.
    #[error("has expired at {0}: renew it")]
    Expired(OffsetDateTime),
}

/// When a certificate is valid, or all of several.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validity {
    pub(crate) not_before: OffsetDateTime,
    /// The first moment at which it is not valid any more.
    pub(crate) not_after: OffsetDateTime,
}

impl Validity {
    pub(crate) fn check(self, now: OffsetDateTime) -> Result<(), CertificateError> {
        if now < self.not_before {
            Err(CertificateError::NotYetValid(self.not_before))
        } else if now >= self.not_after {
            Err(CertificateError::Expired(self.not_after))
        } else {
            Ok(())
        }
    }

    /// When both are valid.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { not_before: self.not_before.max(other.not_before), not_after: self.not_after.min(other.not_after) }
    }
}

/// A parsed certificate, with copies of what is asked for often.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) der: CertificateDer<'static>,
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    /// SubjectPublicKeyInfo in DER.
    pub(crate) public_key: Vec<u8>,
    pub(crate) validity: Validity,
    /// How many authorities may stand between this one and a leaf; `None` is any number.
    pub(crate) path_len: Option<u32>,
}

impl Certificate {
    pub(crate) fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let parsed = parse(der)?;
        let basic = parsed.basic_constraints().map_err(|_| CertificateError::Malformed)?;
        let Some(basic) = basic.filter(|basic| basic.value.ca) else { return Err(CertificateError::NotAuthority) };
        let usage = parsed.key_usage().map_err(|_| CertificateError::Malformed)?;
        if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(CertificateError::NoCertSign);
        }
        Ok(Self {
            der: CertificateDer::from(der.to_vec()),
            subject: parsed.subject().as_raw().to_vec(),
            issuer: parsed.issuer().as_raw().to_vec(),
            public_key: parsed.public_key().raw.to_vec(),
            validity: Validity {
                not_before: parsed.validity().not_before.to_datetime(),
                not_after: parsed.validity().not_after.to_datetime(),
            },
            path_len: basic.value.path_len_constraint,
        })
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }

    /// Whether `authority` has signed this certificate.
    pub(crate) fn is_signed_by(&self, authority: &Self) -> bool {
        if self.issuer != authority.subject {
            return false;
        }
        let (Ok(own), Ok(other)) = (parse(&self.der), parse(&authority.der)) else { return false };
        own.verify_signature(Some(other.public_key())).is_ok()
    }
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match parse_x509_certificate(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}
