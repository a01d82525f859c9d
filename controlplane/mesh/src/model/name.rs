//! Names: hostnames, namespaces, labels and selectors.

use std::{borrow::Borrow, collections::BTreeMap, fmt, sync::Arc};

/// Longest hostname, in bytes, as DNS has it.
pub const HOSTNAME_LEN_MAX: usize = 253;
/// Longest namespace, in bytes, as Kubernetes has it.
pub const NAMESPACE_LEN_MAX: usize = 63;

/// Why a string is not the name that it was taken for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing is there.
    #[error("must not be empty")]
    Empty,
    /// Longer than DNS or Kubernetes allows.
    #[error("is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A character or label that names cannot have.
    #[error("`{0}` is not a valid name: use letters, digits, `-` and `.`; `*` only alone or as the first label")]
    Invalid(String),
}

/// A DNS name in lower case: exact (`reviews.default.svc.cluster.local`), a wildcard (`*.example.com`) or `*`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(Arc<str>);

impl Hostname {
    /// Parses a hostname; upper case is folded, a trailing dot is not accepted.
    ///
    /// # Errors
    /// Empty, longer than [`HOSTNAME_LEN_MAX`], or with characters that DNS names do not have.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > HOSTNAME_LEN_MAX {
            return Err(NameError::TooLong { len: text.len(), max: HOSTNAME_LEN_MAX });
        }
        let rest = if text == "*" { "" } else { text.strip_prefix("*.").unwrap_or(text) };
        let valid = text == "*" || rest.split('.').all(is_dns_label);
        if !valid {
            return Err(NameError::Invalid(text.to_owned()));
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    /// The name `service.namespace.svc.domain` of a Kubernetes Service.
    ///
    /// # Errors
    /// When the parts do not make a hostname.
    pub fn of_service(name: &str, namespace: &Namespace, domain: &str) -> Result<Self, NameError> {
        Self::parse(&format!("{name}.{namespace}.svc.{domain}"))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as shared text.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// Whether the name begins with `*`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// Whether every name that `other` stands for is also one of this name's: `*.b` covers `a.b` and `*.a.b`.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match self.0.strip_prefix('*') {
            Some(suffix) => {
                let other = other.0.strip_prefix('*').unwrap_or(&other.0);
                other.len() >= suffix.len() && other.ends_with(suffix)
            }
            None => self == other,
        }
    }

    /// The wildcards that cover the name, the longest first; a wildcard is not among its own.
    pub fn wildcards(&self) -> impl Iterator<Item = String> {
        let text = self.as_str();
        let start = usize::from(self.is_wildcard());
        let dots = text.match_indices('.').map(|(at, _)| at).filter(move |at| *at > start);
        let narrower = dots.filter_map(|at| text.get(at..)).map(|suffix| format!("*{suffix}"));
        narrower.chain((text != "*").then(|| "*".to_owned()))
    }
}

fn is_dns_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= 63
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Borrow<str> for Hostname {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The name of a Kubernetes namespace; empty for objects that have none.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// Parses the name of a namespace.
    ///
    /// # Errors
    /// Empty, longer than [`NAMESPACE_LEN_MAX`], or not a DNS label.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAMESPACE_LEN_MAX {
            return Err(NameError::TooLong { len: text.len(), max: NAMESPACE_LEN_MAX });
        }
        if !is_dns_label(text) {
            return Err(NameError::Invalid(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The namespace of objects that belong to the whole cluster.
    #[must_use]
    pub fn none() -> Self {
        Self("".into())
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl Borrow<str> for Namespace {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// The labels of an object, in order.
pub type Labels = BTreeMap<String, String>;

/// A set of labels that an object must have; an empty one selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(pub BTreeMap<String, String>);

impl Selector {
    /// Whether `labels` hold every pair of the selector.
    #[must_use]
    pub fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, value)| labels.get(key) == Some(value))
    }

    /// Whether the selector asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Hostname {
        Hostname::parse(text).unwrap()
    }

    #[test]
    fn a_wildcard_covers_names_and_narrower_wildcards() {
        assert!(host("*.example.com").covers(&host("a.example.com")));
        assert!(host("*.example.com").covers(&host("*.a.example.com")));
        assert!(host("*").covers(&host("*.example.com")));
        assert!(!host("*.example.com").covers(&host("example.com")));
        assert!(!host("a.example.com").covers(&host("*.example.com")));
    }

    #[test]
    fn the_wildcards_of_a_name_cover_it_the_longest_first() {
        let of = |text: &str| host(text).wildcards().collect::<Vec<_>>();
        assert_eq!(of("a.b.c"), ["*.b.c", "*.c", "*"]);
        assert_eq!(of("*.b.c"), ["*.c", "*"]);
        assert_eq!(of("a"), ["*"]);
        assert!(of("*").is_empty());
    }

    #[test]
    fn hostnames_fold_case_and_refuse_what_dns_refuses() {
        assert_eq!(host("WEB.Default").as_str(), "web.default");
        for bad in ["", "a..b", "-a", "a b", "a*.b", "*a", "*.*", "a.", "ü"] {
            assert!(Hostname::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Hostname::parse(&"a".repeat(254)).is_err());
    }

    #[test]
    fn a_selector_asks_for_every_pair() {
        let labels = Labels::from([("app".into(), "web".into()), ("version".into(), "v1".into())]);
        assert!(Selector::default().selects(&labels));
        assert!(Selector([("app".into(), "web".into())].into()).selects(&labels));
        assert!(!Selector([("app".into(), "db".into())].into()).selects(&labels));
    }
}
