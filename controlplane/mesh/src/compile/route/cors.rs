//! Cross-origin rules.

use proto::{envoy::extensions::filters::http::cors::v3::CorsPolicy, google::protobuf::Any, pack};

use super::{fault, matcher};
use crate::model::virtual_service::{Cors, Millionths};

/// The filter that reads the configuration.
pub(crate) const FILTER: &str = "envoy.filters.http.cors";

/// The route's configuration of the filter.
pub(super) fn config(cors: &Cors) -> Any {
    let Cors {
        allow_origins,
        allow_methods,
        allow_headers,
        expose_headers,
        max_age,
        allow_credentials,
        forward_unmatched_preflights,
    } = cors;
    pack::any(&CorsPolicy {
        allow_origin_string_match: allow_origins.iter().map(matcher::string_matcher).collect(),
        allow_methods: allow_methods.join(","),
        allow_headers: allow_headers.join(","),
        expose_headers: expose_headers.join(","),
        // The header counts whole seconds.
        max_age: max_age.map(|age| age.as_secs().to_string()).unwrap_or_default(),
        allow_credentials: *allow_credentials,
        filter_enabled: Some(fault::fraction(Millionths(1_000_000))),
        forward_not_matching_preflights: Some(forward_unmatched_preflights.unwrap_or(true)),
        ..CorsPolicy::default()
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::string_match::StringMatch;

    #[test]
    fn a_policy_is_carried_over_whole() {
        let cors = Cors {
            allow_origins: vec![StringMatch::Exact("https://a.example".into()), StringMatch::Regex(".*".into())],
            allow_methods: vec!["GET".into(), "PUT".into()],
            allow_headers: vec!["x-a".into()],
            expose_headers: vec!["x-b".into(), "x-c".into()],
            max_age: Some(Duration::from_millis(1500)),
            allow_credentials: Some(true),
            forward_unmatched_preflights: None,
        };
        let policy: CorsPolicy = pack::unpack(&config(&cors)).unwrap();
        assert_eq!(policy.allow_origin_string_match.len(), 2);
        assert_eq!(
            (policy.allow_methods.as_str(), policy.allow_headers.as_str(), policy.expose_headers.as_str()),
            ("GET,PUT", "x-a", "x-b,x-c")
        );
        assert_eq!(policy.max_age, "1");
        assert_eq!(policy.allow_credentials, Some(true));
        assert_eq!(policy.forward_not_matching_preflights, Some(true));
    }
}
