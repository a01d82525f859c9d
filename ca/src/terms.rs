//! What certificates are issued with: numbers, times, bounds; and why there is none.

use rcgen::SerialNumber;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::certificate::CertificateError;

/// How far before `now` a certificate becomes valid, so that it is valid at once on machines whose clocks are behind.
pub const BACK_DATE: Duration = Duration::minutes(10);
/// How long a workload's certificate lives unless it asks for another time.
pub const LIFETIME_DEFAULT: Duration = Duration::hours(24);
/// Longest life of a workload's certificate, whatever the configuration says.
pub const LIFETIME_MAX: Duration = Duration::days(90);
/// Shortest life that is granted: one that is shorter would be renewed without pause.
pub const LIFETIME_MIN: Duration = Duration::minutes(1);
/// Most names in a certificate of a listener of ours.
pub const SERVER_NAMES_MAX: usize = 32;
/// Longest text in a subject, in characters: RFC 5280's bound for names and organisations.
pub const SUBJECT_TEXT_LEN_MAX: usize = 64;

/// Why nothing was signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The authority's own certificates are not valid now.
    #[error("the certificate authority cannot sign: its path to the root {0}")]
    Authority(#[from] CertificateError),
    /// A name for a listener is not a DNS name.
    #[error("`{0}` is not a DNS name")]
    Name(String),
    /// A listener's certificate needs 1 to [`SERVER_NAMES_MAX`] names.
    #[error("{0} names were given, 1 to {SERVER_NAMES_MAX} are allowed")]
    Names(usize),
    /// The cryptographic library refused.
    #[error("cannot sign: {0}")]
    Library(String),
}

/// A serial number: 126 random bits, always positive and 16 bytes long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Serial([u8; 16]);

impl Serial {
    /// Makes a serial number of bytes from a cryptographically secure source.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        // DER integers have a sign, and a leading zero byte would be dropped.
        if let Some(first) = bytes.first_mut() {
            *first = (*first & 0x7f) | 0x40;
        }
        Self(bytes)
    }

    /// Its bytes, most significant first, as they stand in the certificate.
    #[must_use]
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn number(self) -> SerialNumber {
        SerialNumber::from_slice(&self.0)
    }
}

/// When, for how long and under which number a certificate is issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The time of signing.
    pub now: OffsetDateTime,
    /// How long it lives; held between [`LIFETIME_MIN`] and [`LIFETIME_MAX`], and to the end of the authority.
    pub lifetime: Duration,
    /// Its number.
    pub serial: Serial,
}

/// Certificates have no fractions of seconds and their times are in UTC.
pub(crate) fn whole_seconds(time: OffsetDateTime) -> OffsetDateTime {
    let time = time.to_offset(UtcOffset::UTC);
    time.replace_nanosecond(0).unwrap_or(time)
}

pub(crate) fn ia5(text: &str) -> Result<rcgen::string::Ia5String, SignError> {
    text.try_into().map_err(|_| SignError::Name(text.to_owned()))
}
