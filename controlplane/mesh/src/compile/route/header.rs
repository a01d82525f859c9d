//! Changes of request and response headers.

use proto::envoy::config::core::v3::{HeaderValue, HeaderValueOption, header_value_option::HeaderAppendAction};

use super::format;
use crate::model::virtual_service::{HeaderChanges, HeaderOperations};

/// Header changes as Envoy takes them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Headers {
    pub(super) request_add: Vec<HeaderValueOption>,
    pub(super) request_remove: Vec<String>,
    pub(super) response_add: Vec<HeaderValueOption>,
    pub(super) response_remove: Vec<String>,
    /// `host` is no header that can be changed: it is rewritten.
    pub(super) host: Option<String>,
}

/// Several changes as one, in their order: of two that set a header the later wins. Within one, removals go first, so that
/// a header that is removed and set is set.
///
/// They become one list because Envoy applies the changes of a destination before those of its route, which would let the
/// route win.
pub(super) fn changes(layers: &[&HeaderChanges]) -> Headers {
    let mut headers = Headers::default();
    for HeaderChanges { request, response } in layers {
        if let Some(host) = host_of(request) {
            headers.host = Some(host.to_owned());
        }
        add(request, &mut headers.request_add, &mut headers.request_remove);
        add(response, &mut headers.response_add, &mut headers.response_remove);
    }
    headers
}

fn add(operations: &HeaderOperations, added: &mut Vec<HeaderValueOption>, removed: &mut Vec<String>) {
    let HeaderOperations { set, add, remove } = operations;
    let option = |(name, value): &(String, String), action: HeaderAppendAction| HeaderValueOption {
        header: Some(HeaderValue {
            key: name.clone(),
            value: format::known(value).into_owned(),
            ..HeaderValue::default()
        }),
        append_action: action.into(),
        ..HeaderValueOption::default()
    };
    // An empty value adds no header.
    let changeable = |(name, value): &&(String, String)| can_change(name) && !value.is_empty();
    added.extend(set.iter().filter(changeable).map(|pair| option(pair, HeaderAppendAction::OverwriteIfExistsOrAdd)));
    added.extend(add.iter().filter(changeable).map(|pair| option(pair, HeaderAppendAction::AppendIfExistsOrAdd)));
    for name in remove.iter().filter(|name| can_change(name)) {
        if !removed.contains(name) {
            removed.push(name.clone());
        }
    }
}

/// Envoy refuses changes of pseudo headers and of `host`.
fn can_change(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(':') && !name.eq_ignore_ascii_case("host")
}

fn host_of(operations: &HeaderOperations) -> Option<&str> {
    let is_host = |name: &str| name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority");
    let mut all = operations.set.iter().chain(&operations.add);
    all.find(|(name, value)| is_host(name) && !value.is_empty()).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn request(set: &[(&str, &str)], add: &[(&str, &str)], remove: &[&str]) -> HeaderChanges {
        let remove = remove.iter().map(|name| (*name).to_owned()).collect();
        HeaderChanges {
            request: HeaderOperations { set: pairs(set), add: pairs(add), remove },
            response: HeaderOperations::default(),
        }
    }

    fn added(headers: &Headers) -> Vec<(String, String, i32)> {
        let option = |o: &HeaderValueOption| {
            let header = o.header.clone().unwrap();
            (header.key, header.value, o.append_action)
        };
        headers.request_add.iter().map(option).collect()
    }

    #[test]
    fn what_is_set_replaces_and_what_is_added_comes_beside() {
        let headers = changes(&[&request(&[("x-a", "1")], &[("x-a", "2")], &["x-b"])]);
        let (set, add) = (HeaderAppendAction::OverwriteIfExistsOrAdd, HeaderAppendAction::AppendIfExistsOrAdd);
        assert_eq!(
            added(&headers),
            [("x-a".into(), "1".into(), i32::from(set)), ("x-a".into(), "2".into(), i32::from(add))]
        );
        assert_eq!(headers.request_remove, ["x-b"]);
    }

    #[test]
    fn the_later_layer_comes_later_and_so_wins() {
        let headers =
            changes(&[&request(&[("x-a", "route")], &[], &[]), &request(&[("x-a", "destination")], &[], &[])]);
        let values: Vec<String> = added(&headers).into_iter().map(|(_, value, _)| value).collect();
        assert_eq!(values, ["route", "destination"]);
    }

    #[test]
    fn the_host_is_rewritten_and_other_pseudo_headers_are_left_alone() {
        let headers = changes(&[&request(&[("Host", "a"), (":path", "/x")], &[], &["host", ":method"])]);
        assert_eq!(headers.host.as_deref(), Some("a"));
        assert!(headers.request_add.is_empty() && headers.request_remove.is_empty());
    }

    #[test]
    fn an_empty_value_adds_nothing() {
        assert_eq!(changes(&[&request(&[("x-a", "")], &[("x-b", "")], &[])]), Headers::default());
    }
}
