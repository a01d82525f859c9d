//! SPIFFE identities of workloads: `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`.
//!
//! The rules are those of the SPIFFE ID standard
//! (<https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md>).

use std::{fmt, str::FromStr};

/// Longest trust domain, in bytes.
pub const TRUST_DOMAIN_LEN_MAX: usize = 255;
/// Longest identity, in bytes.
pub const SPIFFE_ID_LEN_MAX: usize = 2048;

/// Why a text is not an identity of the mesh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It does not begin with `spiffe://`.
    #[error("`{0}` does not begin with `spiffe://`")]
    Scheme(String),
    /// The trust domain is empty, too long, or has other characters than `a-z`, `0-9`, `.`, `-` and `_`.
    #[error("`{0}` is not a trust domain: use 1 to 255 of a-z, 0-9, `.`, `-` and `_`")]
    TrustDomain(String),
    /// A segment of the path is empty, `.`, `..`, or has other characters than letters, digits, `.`, `-` and `_`.
    #[error("`{0}` is not a path segment: use letters, digits, `.`, `-` and `_`")]
    Segment(String),
    /// The path is not `/ns/<namespace>/sa/<service account>`.
    #[error("`{0}` is not of the form `/ns/<namespace>/sa/<service account>`")]
    Path(String),
    /// Longer than [`SPIFFE_ID_LEN_MAX`].
    #[error("is {0} bytes long, at most {SPIFFE_ID_LEN_MAX} are allowed")]
    TooLong(usize),
}

/// The name of a domain of trust, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(String);

impl TrustDomain {
    /// Parses a trust domain.
    ///
    /// # Errors
    /// [`IdentityError::TrustDomain`].
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > TRUST_DOMAIN_LEN_MAX || !text.bytes().all(allowed) {
            return Err(IdentityError::TrustDomain(text.chars().take(TRUST_DOMAIN_LEN_MAX).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The domain as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TrustDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The identity of a workload: a service account of a namespace in a trust domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    namespace: String,
    service_account: String,
}

impl SpiffeId {
    /// The identity of a service account.
    ///
    /// # Errors
    /// When a part holds what SPIFFE paths must not, or the whole is too long.
    pub fn new(trust_domain: TrustDomain, namespace: &str, service_account: &str) -> Result<Self, IdentityError> {
        check_segment(namespace)?;
        check_segment(service_account)?;
        let id = Self { trust_domain, namespace: namespace.to_owned(), service_account: service_account.to_owned() };
        let len = id.to_string().len();
        if len > SPIFFE_ID_LEN_MAX { Err(IdentityError::TooLong(len)) } else { Ok(id) }
    }

    /// Its domain of trust.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Its service account.
    #[must_use]
    pub fn service_account(&self) -> &str {
        &self.service_account
    }
}

fn check_segment(segment: &str) -> Result<(), IdentityError> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if segment.is_empty() || segment == "." || segment == ".." || !segment.bytes().all(allowed) {
        return Err(IdentityError::Segment(segment.chars().take(64).collect()));
    }
    Ok(())
}

impl FromStr for SpiffeId {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Self, IdentityError> {
        if text.len() > SPIFFE_ID_LEN_MAX {
            return Err(IdentityError::TooLong(text.len()));
        }
        let rest = text.strip_prefix("spiffe://").ok_or_else(|| IdentityError::Scheme(text.to_owned()))?;
        let (domain, path) = rest.split_once('/').unwrap_or((rest, ""));
        let trust_domain = TrustDomain::parse(domain)?;
        let segments: Vec<&str> = path.split('/').collect();
        match segments.as_slice() {
            ["ns", namespace, "sa", account] => Self::new(trust_domain, namespace, account),
            _ => Err(IdentityError::Path(format!("/{path}"))),
        }
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spiffe://{}/ns/{}/sa/{}", self.trust_domain, self.namespace, self.service_account)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_identity_reads_back_as_it_was_written() {
        let text = "spiffe://cluster.local/ns/default/sa/bookinfo-reviews";
        let id: SpiffeId = text.parse().unwrap();
        assert_eq!((id.namespace(), id.service_account()), ("default", "bookinfo-reviews"));
        assert_eq!(id.to_string(), text);
    }

    #[test]
    fn what_the_standard_forbids_is_refused() {
        for bad in [
            "",
            "https://a/ns/b/sa/c",
            "spiffe://",
            "spiffe:///ns/a/sa/b",
            "spiffe://Upper/ns/a/sa/b",
            "spiffe://user@a/ns/a/sa/b",
            "spiffe://a:80/ns/a/sa/b",
            "spiffe://a/ns//sa/b",
            "spiffe://a/ns/../sa/b",
            "spiffe://a/ns/a/sa/b/",
            "spiffe://a/ns/a/sa/b?x",
            "spiffe://a/ns/a%20/sa/b",
            "spiffe://a/sa/b/ns/a",
        ] {
            assert!(bad.parse::<SpiffeId>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_read_as_an_identity_that_prints_differently(text in "(spiffe://)?[a-zA-Z0-9./:_%@-]{0,80}") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
