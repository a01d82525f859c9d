//! When a route holds: path, headers and query parameters.

use proto::envoy::{
    config::route::v3::{
        HeaderMatcher, QueryParameterMatcher, RouteMatch, header_matcher::HeaderMatchSpecifier,
        query_parameter_matcher::QueryParameterMatchSpecifier, route_match::PathSpecifier,
    },
    r#type::matcher::v3::{RegexMatcher, StringMatcher, string_matcher::MatchPattern},
};

use crate::model::{
    string_match::{StringMatch, ValueMatch},
    virtual_service::HttpMatch,
};

/// Every request.
pub(crate) fn everything() -> RouteMatch {
    RouteMatch { path_specifier: Some(PathSpecifier::Prefix("/".to_owned())), ..RouteMatch::default() }
}

/// The requests that a match of a VirtualService means, of those that reach the port.
pub(super) fn route_match(condition: &HttpMatch) -> RouteMatch {
    let HttpMatch {
        name: _,
        uri,
        ignore_uri_case,
        scheme,
        method,
        authority,
        headers,
        without_headers,
        query_params,
        // These chose the rule for the viewpoint; Envoy never sees them.
        port: _,
        source_labels: _,
        source_namespace: _,
        gateways: _,
        stat_prefix: _,
    } = condition;
    let pseudo = [(":scheme", scheme), (":method", method), (":authority", authority)];
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some(header(name, &ValueMatch::Value(value.clone()?))));
    let with = headers.iter().map(|(name, value)| header(name, value));
    let without = without_headers.iter().map(|(name, value)| absent(name, value));
    RouteMatch {
        path_specifier: Some(uri.as_ref().map_or_else(|| PathSpecifier::Prefix("/".to_owned()), path)),
        case_sensitive: ignore_uri_case.then_some(false),
        headers: pseudo.chain(with).chain(without).collect(),
        query_parameters: query_params.iter().map(|(name, value)| query_parameter(name, value)).collect(),
        ..RouteMatch::default()
    }
}

/// Whether no request is left for the routes that come after one with this match.
pub(super) fn is_everything(route_match: &RouteMatch) -> bool {
    let all_paths = matches!(&route_match.path_specifier, Some(PathSpecifier::Prefix(prefix)) if prefix == "/" || prefix.is_empty());
    all_paths && route_match.headers.is_empty() && route_match.query_parameters.is_empty()
}

fn path(uri: &StringMatch) -> PathSpecifier {
    match uri {
        StringMatch::Exact(path) => PathSpecifier::Path(path.clone()),
        // A prefix of the text, not of path segments, as in Istio: `/a` is also `/ab`.
        StringMatch::Prefix(prefix) => PathSpecifier::Prefix(prefix.clone()),
        // The empty expression, which Envoy does not take, is the empty path, which no request has.
        StringMatch::Regex(regex) if regex.is_empty() => PathSpecifier::Path(String::new()),
        StringMatch::Regex(regex) => PathSpecifier::SafeRegex(regex_matcher(regex)),
    }
}

fn header(name: &str, value: &ValueMatch) -> HeaderMatcher {
    let specifier = match value {
        ValueMatch::Present => HeaderMatchSpecifier::PresentMatch(true),
        ValueMatch::Value(value) => HeaderMatchSpecifier::StringMatch(string_matcher(value)),
    };
    HeaderMatcher { name: name.to_owned(), header_match_specifier: Some(specifier), ..HeaderMatcher::default() }
}

fn absent(name: &str, value: &ValueMatch) -> HeaderMatcher {
    HeaderMatcher {
        invert_match: true,
        // Otherwise Envoy leaves a condition on a missing header unfulfilled, though the header is certainly not so.
        treat_missing_header_as_empty: match value {
            ValueMatch::Present => false,
            ValueMatch::Value(_) => true,
        },
        ..header(name, value)
    }
}

fn query_parameter(name: &str, value: &ValueMatch) -> QueryParameterMatcher {
    let specifier = match value {
        ValueMatch::Present => QueryParameterMatchSpecifier::PresentMatch(true),
        ValueMatch::Value(value) => QueryParameterMatchSpecifier::StringMatch(string_matcher(value)),
    };
    QueryParameterMatcher { name: name.to_owned(), query_parameter_match_specifier: Some(specifier) }
}

/// The comparison as Envoy has it, which takes neither an empty prefix nor an empty expression.
pub(super) fn string_matcher(value: &StringMatch) -> StringMatcher {
    let pattern = match value {
        StringMatch::Prefix(prefix) if prefix.is_empty() => MatchPattern::SafeRegex(regex_matcher(".*")),
        StringMatch::Regex(regex) if regex.is_empty() => MatchPattern::Exact(String::new()),
        StringMatch::Exact(text) => MatchPattern::Exact(text.clone()),
        StringMatch::Prefix(prefix) => MatchPattern::Prefix(prefix.clone()),
        StringMatch::Regex(regex) => MatchPattern::SafeRegex(regex_matcher(regex)),
    };
    StringMatcher { match_pattern: Some(pattern), ..StringMatcher::default() }
}

/// A regular expression for Envoy's own engine, which is RE2: it takes time linear in what it reads.
pub(super) fn regex_matcher(regex: &str) -> RegexMatcher {
    RegexMatcher { regex: regex.to_owned(), ..RegexMatcher::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> StringMatch {
        StringMatch::Exact(text.into())
    }

    #[test]
    fn paths_match_exactly_by_prefix_or_by_expression() {
        let specifier =
            |uri| route_match(&HttpMatch { uri: Some(uri), ..HttpMatch::default() }).path_specifier.unwrap();
        assert_eq!(specifier(exact("/a")), PathSpecifier::Path("/a".into()));
        assert_eq!(specifier(StringMatch::Prefix("/a".into())), PathSpecifier::Prefix("/a".into()));
        assert_eq!(specifier(StringMatch::Regex("/a.*".into())), PathSpecifier::SafeRegex(regex_matcher("/a.*")));
    }

    #[test]
    fn no_condition_is_every_request() {
        let everything = route_match(&HttpMatch::default());
        assert!(is_everything(&everything));
        assert_eq!(everything.case_sensitive, None);
        let cases = HttpMatch { ignore_uri_case: true, uri: Some(exact("/a")), ..HttpMatch::default() };
        assert_eq!(route_match(&cases).case_sensitive, Some(false));
        let method = HttpMatch { method: Some(exact("GET")), ..HttpMatch::default() };
        assert!(!is_everything(&route_match(&method)));
    }

    #[test]
    fn pseudo_headers_come_before_headers() {
        let condition = HttpMatch {
            method: Some(exact("GET")),
            authority: Some(exact("web")),
            scheme: Some(exact("https")),
            headers: vec![("x-a".into(), ValueMatch::Present)],
            ..HttpMatch::default()
        };
        let names: Vec<String> = route_match(&condition).headers.into_iter().map(|header| header.name).collect();
        assert_eq!(names, [":scheme", ":method", ":authority", "x-a"]);
    }

    #[test]
    fn an_excluded_value_is_also_excluded_by_absence() {
        let condition = HttpMatch {
            without_headers: vec![("x-a".into(), ValueMatch::Present), ("x-b".into(), ValueMatch::Value(exact("1")))],
            ..HttpMatch::default()
        };
        let headers = route_match(&condition).headers;
        assert!(headers.iter().all(|header| header.invert_match));
        assert_eq!(headers[0].header_match_specifier, Some(HeaderMatchSpecifier::PresentMatch(true)));
        assert!(!headers[0].treat_missing_header_as_empty && headers[1].treat_missing_header_as_empty);
    }

    #[test]
    fn empty_comparisons_become_ones_that_envoy_takes() {
        let pattern = |value| string_matcher(&value).match_pattern.unwrap();
        assert_eq!(pattern(StringMatch::Prefix(String::new())), MatchPattern::SafeRegex(regex_matcher(".*")));
        assert_eq!(pattern(StringMatch::Regex(String::new())), MatchPattern::Exact(String::new()));
    }
}
