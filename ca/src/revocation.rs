//! Lists of revoked certificates.

use rcgen::{CertificateParams, CertificateRevocationListParams, KeyIdMethod, RevokedCertParams};
use time::{Duration, OffsetDateTime};
use x509_parser::{extensions::ParsedExtension, parse_x509_certificate};

use crate::authority::Authority;
use crate::pem;
use crate::terms::{BACK_DATE, Serial, SignError, whole_seconds};

/// Most entries of a list: every proxy holds it. Leaves are short-lived, so that an entry may go when its leaf has expired.
pub const REVOKED_MAX: usize = 10_000;

/// A certificate that is no longer trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Its number.
    pub serial: Serial,
    /// Since when.
    pub since: OffsetDateTime,
}

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RevocationError {
    /// More than [`REVOKED_MAX`] entries.
    #[error("{0} certificates are revoked, at most {REVOKED_MAX} fit a list: rotate the root instead")]
    TooMany(usize),
    /// It could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Signs the list of `revoked` certificates as PEM. `number` must rise with every list; it holds for `lifetime` from `now`.
///
/// # Errors
/// When there are too many entries, the authority may not sign lists or is not valid, or the library fails.
pub fn revocation_list(
    authority: &Authority,
    revoked: &[Revoked],
    number: u64,
    now: OffsetDateTime,
    lifetime: Duration,
) -> Result<String, RevocationError> {
    if revoked.len() > REVOKED_MAX {
        return Err(RevocationError::TooMany(revoked.len()));
    }
    authority.validity().check(now).map_err(SignError::from)?;
    let now = whole_seconds(now);
    let entry = |entry: &Revoked| RevokedCertParams {
        serial_number: entry.serial.number(),
        revocation_time: whole_seconds(entry.since),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: now.saturating_sub(BACK_DATE),
        next_update: now.saturating_add(lifetime),
        crl_number: number.into(),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::PreSpecified(key_identifier(authority)),
    };
    let list = params.signed_by(authority.issuer()).map_err(|error| SignError::Library(error.to_string()))?;
    Ok(pem::encode("X509 CRL", list.der()).to_string())
}

/// The identifier by which lists and leaves name the authority's key: what its certificate says, or the hash of the key.
fn key_identifier(authority: &Authority) -> Vec<u8> {
    let certificate = authority.path().first().and_then(|der| {
        let (_, parsed) = parse_x509_certificate(der).ok()?;
        parsed.iter_extensions().find_map(|extension| {
            let ParsedExtension::SubjectKeyIdentifier(identifier) = extension.parsed_extension() else { return None };
            Some(identifier.0.to_vec())
        })
    });
    certificate.unwrap_or_else(|| CertificateParams::default().key_identifier(authority.key()))
}

#[cfg(test)]
mod tests;
