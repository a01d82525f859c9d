//! Rules that are never reached, because an earlier one takes all that they would.

use super::Checker;
use crate::model::{
    Object, code,
    string_match::{StringMatch, ValueMatch},
    virtual_service::{HttpAction, HttpMatch, HttpRule, VirtualService},
};

/// Rules are compared with so many before them; the cost grows with the product.
const COMPARED_MAX: usize = 256;

impl Checker<'_> {
    pub(super) fn unreachable(&mut self, object: &Object<VirtualService>) {
        for (place, rule) in object.spec.http.iter().enumerate() {
            let earlier = object.spec.http.iter().take(place).enumerate().take(COMPARED_MAX);
            let Some((by, _)) = earlier.into_iter().find(|(_, before)| takes_all_of(before, rule)) else { continue };
            let name = |place: usize, rule: &HttpRule| match rule.name.as_str() {
                "" => format!("spec.http[{place}]"),
                name => format!("spec.http[{place}] ({name})"),
            };
            let before = object.spec.http.get(by).map(|rule| name(by, rule)).unwrap_or_default();
            self.say(
                code::UNREACHABLE_RULE,
                object,
                &format!("spec.http[{place}]"),
                format!("never reached: {before} takes every request that it would"),
                "put the narrower rule first".into(),
            );
        }
    }
}

/// Whether no request that `rule` matches gets past `before`.
fn takes_all_of(before: &HttpRule, rule: &HttpRule) -> bool {
    if matches!(before.action, HttpAction::Delegate { .. }) {
        // What the delegate does not match goes on.
        return false;
    }
    let everything = HttpMatch::default();
    let of = |rule: &HttpRule| -> Vec<HttpMatch> {
        if rule.matches.is_empty() { vec![everything.clone()] } else { rule.matches.clone() }
    };
    let before = of(before);
    of(rule).iter().all(|narrow| before.iter().any(|wide| covers(wide, narrow)))
}

/// Whether all that `wide` asks, `narrow` asks too.
fn covers(wide: &HttpMatch, narrow: &HttpMatch) -> bool {
    fn same_or_open<T: PartialEq>(wide: &Option<T>, narrow: &Option<T>) -> bool {
        wide.is_none() || wide == narrow
    }
    fn among(wide: &[(String, ValueMatch)], narrow: &[(String, ValueMatch)]) -> bool {
        wide.iter().all(|asked| {
            narrow.iter().any(|given| given == asked || (given.0 == asked.0 && asked.1 == ValueMatch::Present))
        })
    }
    covers_uri(wide, narrow)
        && same_or_open(&wide.scheme, &narrow.scheme)
        && same_or_open(&wide.method, &narrow.method)
        && same_or_open(&wide.authority, &narrow.authority)
        && same_or_open(&wide.port, &narrow.port)
        && same_or_open(&wide.source_namespace, &narrow.source_namespace)
        && among(&wide.headers, &narrow.headers)
        && wide.without_headers.iter().all(|asked| narrow.without_headers.contains(asked))
        && among(&wide.query_params, &narrow.query_params)
        && wide.source_labels.iter().all(|(key, value)| narrow.source_labels.get(key) == Some(value))
        && (wide.gateways.is_empty() || wide.gateways == narrow.gateways)
}

fn covers_uri(wide: &HttpMatch, narrow: &HttpMatch) -> bool {
    let Some(uri) = &wide.uri else { return true };
    match uri {
        StringMatch::Prefix(prefix) if prefix == "/" => true,
        StringMatch::Regex(pattern) if matches!(pattern.as_str(), ".*" | "/.*" | "^.*$" | "^/.*$") => true,
        StringMatch::Prefix(prefix) if wide.ignore_uri_case == narrow.ignore_uri_case => match &narrow.uri {
            Some(StringMatch::Exact(text) | StringMatch::Prefix(text)) if wide.ignore_uri_case => {
                text.to_ascii_lowercase().starts_with(&prefix.to_ascii_lowercase())
            }
            Some(StringMatch::Exact(text) | StringMatch::Prefix(text)) => text.starts_with(prefix.as_str()),
            Some(StringMatch::Regex(_)) | None => false,
        },
        StringMatch::Exact(_) | StringMatch::Prefix(_) | StringMatch::Regex(_) => {
            wide.uri == narrow.uri && wide.ignore_uri_case == narrow.ignore_uri_case
        }
    }
}
