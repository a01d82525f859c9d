//! What of a request is hashed to choose an endpoint.

use proto::envoy::config::route::v3::route_action::{
    HashPolicy,
    hash_policy::{ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter},
};

use super::destination::Target;
use crate::{
    compile::{cluster::policy, duration},
    model::{
        Origin,
        destination_rule::{Algorithm, HashKey, PortPolicy},
    },
};

/// The hash key of a destination, if its rule hashes, and the field that says so.
pub(crate) fn hash_key(target: &Target<'_>, subset: Option<&str>) -> Option<(HashKey, Origin)> {
    let rule = target.service?.rule.as_deref()?;
    match policy::effective(Some(rule), target.port, subset).load_balancer?.algorithm {
        Algorithm::ConsistentHash(hash) => {
            let has = |policy: &PortPolicy| policy.load_balancer.is_some();
            let origin = policy::origin_of_block(rule, target.port, subset, "loadBalancer", has)?;
            Some((hash.key, origin))
        }
        Algorithm::Default
        | Algorithm::RoundRobin
        | Algorithm::LeastRequest
        | Algorithm::Random
        | Algorithm::Passthrough => None,
    }
}

/// The hash policy of a key; none for a key without a name, which Envoy refuses.
pub(super) fn policy(key: HashKey) -> Option<HashPolicy> {
    let specifier = match key {
        HashKey::Header(name) | HashKey::QueryParameter(name) | HashKey::Cookie { name, .. } if name.is_empty() => {
            return None;
        }
        HashKey::Header(header_name) => PolicySpecifier::Header(Header { header_name, ..Header::default() }),
        HashKey::Cookie { name, path, ttl, attributes } => {
            let attributes = attributes.into_iter().map(|(name, value)| CookieAttribute { name, value }).collect();
            // Zero is a cookie of the session; none at all is never set.
            PolicySpecifier::Cookie(Cookie { name, ttl: ttl.map(duration::of), path, attributes })
        }
        HashKey::SourceIp => PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true }),
        HashKey::QueryParameter(name) => PolicySpecifier::QueryParameter(QueryParameter { name }),
    };
    Some(HashPolicy { policy_specifier: Some(specifier), ..HashPolicy::default() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_key_has_its_policy() {
        let specifier = |key| policy(key).and_then(|policy| policy.policy_specifier);
        let header = PolicySpecifier::Header(Header { header_name: "x-user".into(), ..Header::default() });
        assert_eq!(specifier(HashKey::Header("x-user".into())), Some(header));
        let source = PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: true });
        assert_eq!(specifier(HashKey::SourceIp), Some(source));
        let query = PolicySpecifier::QueryParameter(QueryParameter { name: "q".into() });
        assert_eq!(specifier(HashKey::QueryParameter("q".into())), Some(query));
        assert_eq!(specifier(HashKey::Header(String::new())), None);
    }

    #[test]
    fn a_cookie_is_set_only_with_a_time_to_live() {
        let ttl = |ttl| {
            let key = HashKey::Cookie { name: "c".into(), path: "/".into(), ttl, attributes: Vec::new() };
            match policy(key).unwrap().policy_specifier {
                Some(PolicySpecifier::Cookie(cookie)) => cookie.ttl,
                other => panic!("no cookie: {other:?}"),
            }
        };
        assert_eq!(ttl(None), None);
        assert_eq!(ttl(Some(Duration::ZERO)), Some(duration::of(Duration::ZERO)));
    }
}
