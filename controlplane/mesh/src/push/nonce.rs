//! The number of a response, which a proxy repeats in its answer.

use std::fmt;

use proto::type_url::ResourceType;

/// The number of a response on its stream: `cds1`, `eds2`, `eds1f`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nonce {
    kind: ResourceType,
    count: u64,
}

impl Nonce {
    pub(super) fn new(kind: ResourceType, count: u64) -> Self {
        Self { kind, count }
    }

    /// The count in a nonce of this type; none for what we never wrote.
    pub(super) fn parse(kind: ResourceType, text: &str) -> Option<u64> {
        u64::from_str_radix(text.strip_prefix(kind.short_name())?, 16).ok()
    }

    /// Which response of the stream it is, counted from 1 over all types.
    #[must_use]
    pub fn count(self) -> u64 {
        self.count
    }
}

impl fmt::Display for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:x}", self.kind.short_name(), self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_short_and_leads_back_to_its_count() {
        let nonce = Nonce::new(ResourceType::Endpoint, 31);
        assert_eq!(nonce.to_string(), "eds1f");
        assert_eq!(Nonce::parse(ResourceType::Endpoint, "eds1f"), Some(31));
    }

    #[test]
    fn a_nonce_of_another_type_or_of_nobody_is_none() {
        assert_eq!(Nonce::parse(ResourceType::Cluster, "eds1f"), None);
        assert_eq!(Nonce::parse(ResourceType::Endpoint, "eds"), None);
        assert_eq!(Nonce::parse(ResourceType::Endpoint, "edséé"), None);
        assert_eq!(Nonce::parse(ResourceType::Endpoint, ""), None);
    }
}
