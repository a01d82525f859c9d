//! A rule that hands over to another VirtualService: both conditions must hold, and the delegate's words go first.

use std::borrow::Cow;

use super::line::Line;
use crate::model::{
    string_match::{StringMatch, ValueMatch},
    virtual_service::{HeaderChanges, HttpMatch, HttpRule},
};

/// The lines of one rule of a delegate under the lines of the rule that hands over to it. A pair of matches that cannot
/// both hold gives none.
pub(super) fn merge<'a>(roots: &[Line<'a>], leaves: Vec<Line<'a>>) -> Vec<Line<'a>> {
    roots
        .iter()
        .flat_map(|root| {
            leaves.iter().filter_map(move |leaf| {
                let condition = merge_match(&root.condition, &leaf.condition)?;
                let rule = merge_rule(&root.rule, &leaf.rule);
                let origins = root.origins.iter().chain(&leaf.origins).cloned().collect();
                Some(Line { rule: Cow::Owned(rule), condition: Cow::Owned(condition), origins })
            })
        })
        .collect()
}

/// The delegate's rule, with what only the root says. Headers are not put together: the delegate's replace the root's.
fn merge_rule(root: &HttpRule, leaf: &HttpRule) -> HttpRule {
    let mut merged = leaf.clone();
    merged.name = joined(&root.name, &leaf.name);
    if merged.headers == HeaderChanges::default() {
        merged.headers = root.headers.clone();
    }
    if merged.mirrors.is_empty() {
        merged.mirrors.clone_from(&root.mirrors);
    }
    merged.rewrite = merged.rewrite.or_else(|| root.rewrite.clone());
    merged.timeout = merged.timeout.or(root.timeout);
    merged.retries = merged.retries.or_else(|| root.retries.clone());
    merged.fault = merged.fault.or_else(|| root.fault.clone());
    merged.cors = merged.cors.or_else(|| root.cors.clone());
    merged
}

fn merge_match(root: &HttpMatch, leaf: &HttpMatch) -> Option<HttpMatch> {
    // Where both look at the path, they must do so in the same way.
    if root.uri.is_some() && leaf.uri.is_some() && root.ignore_uri_case != leaf.ignore_uri_case {
        return None;
    }
    let uri = narrower(root.uri.as_ref(), leaf.uri.as_ref())?;
    Some(HttpMatch {
        name: joined(&root.name, &leaf.name),
        ignore_uri_case: if leaf.uri.is_some() { leaf.ignore_uri_case } else { root.ignore_uri_case },
        uri,
        scheme: narrower(root.scheme.as_ref(), leaf.scheme.as_ref())?,
        method: narrower(root.method.as_ref(), leaf.method.as_ref())?,
        authority: narrower(root.authority.as_ref(), leaf.authority.as_ref())?,
        headers: both(&root.headers, &leaf.headers)?,
        without_headers: union(&root.without_headers, &leaf.without_headers),
        query_params: both(&root.query_params, &leaf.query_params)?,
        stat_prefix: if leaf.stat_prefix.is_empty() { root.stat_prefix.clone() } else { leaf.stat_prefix.clone() },
        // These chose the rules already.
        port: None,
        source_labels: leaf.source_labels.clone(),
        source_namespace: None,
        gateways: Vec::new(),
    })
}

/// The comparison that holds when both do; `None` when the delegate's is not within the root's, or nobody can tell.
fn narrower(root: Option<&StringMatch>, leaf: Option<&StringMatch>) -> Option<Option<StringMatch>> {
    let (root, leaf) = match (root, leaf) {
        (Some(root), Some(leaf)) => (root, leaf),
        (one, other) => return Some(other.or(one).cloned()),
    };
    let within = match (root, leaf) {
        (StringMatch::Exact(root), StringMatch::Exact(leaf)) => root == leaf,
        (StringMatch::Prefix(root), StringMatch::Exact(leaf) | StringMatch::Prefix(leaf)) => {
            leaf.starts_with(root.as_str())
        }
        (StringMatch::Exact(_), StringMatch::Prefix(_)) | (StringMatch::Regex(_), _) | (_, StringMatch::Regex(_)) => {
            false
        }
    };
    within.then(|| Some(leaf.clone()))
}

/// The conditions of both; one on the same name must be within the root's.
fn both(root: &[(String, ValueMatch)], leaf: &[(String, ValueMatch)]) -> Option<Vec<(String, ValueMatch)>> {
    let mut merged = leaf.to_vec();
    for (name, condition) in root {
        let Some((_, own)) = merged.iter_mut().find(|(other, _)| other == name) else {
            merged.push((name.clone(), condition.clone()));
            continue;
        };
        match (condition, &*own) {
            (ValueMatch::Present, _) => {}
            (ValueMatch::Value(_), ValueMatch::Present) => *own = condition.clone(),
            (ValueMatch::Value(root), ValueMatch::Value(leaf)) => {
                if let Some(narrow) = narrower(Some(root), Some(leaf))? {
                    *own = ValueMatch::Value(narrow);
                }
            }
        }
    }
    Some(merged)
}

fn union(root: &[(String, ValueMatch)], leaf: &[(String, ValueMatch)]) -> Vec<(String, ValueMatch)> {
    let more = root.iter().filter(|condition| !leaf.contains(condition));
    leaf.iter().chain(more).cloned().collect()
}

fn joined(root: &str, leaf: &str) -> String {
    match (root.is_empty(), leaf.is_empty()) {
        (false, false) => format!("{root}-{leaf}"),
        (true, _) => leaf.to_owned(),
        (_, true) => root.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{compile::route::fixture, model::virtual_service::Rewrite};

    fn uri(uri: StringMatch) -> HttpMatch {
        HttpMatch { uri: Some(uri), ..HttpMatch::default() }
    }

    fn prefix(text: &str) -> StringMatch {
        StringMatch::Prefix(text.into())
    }

    fn exact(text: &str) -> StringMatch {
        StringMatch::Exact(text.into())
    }

    fn merged_uri(root: StringMatch, leaf: StringMatch) -> Option<StringMatch> {
        merge_match(&uri(root), &uri(leaf)).and_then(|merged| merged.uri)
    }

    #[test]
    fn a_match_outside_the_roots_is_dropped() {
        assert_eq!(merged_uri(prefix("/a"), prefix("/a/b")), Some(prefix("/a/b")));
        assert_eq!(merged_uri(prefix("/a"), exact("/a/b")), Some(exact("/a/b")));
        assert_eq!(merged_uri(prefix("/a"), prefix("/b")), None);
        assert_eq!(merged_uri(exact("/a"), prefix("/a")), None);
    }

    #[test]
    fn a_regex_of_the_root_conflicts_with_any_path_of_the_delegate() {
        let regex = StringMatch::Regex("/a.*".into());
        assert_eq!(merged_uri(regex.clone(), exact("/ab")), None);
        assert_eq!(merged_uri(prefix("/"), regex.clone()), None);
        let alone = merge_match(&uri(regex.clone()), &HttpMatch::default()).unwrap();
        assert_eq!(alone.uri, Some(regex));
    }

    #[test]
    fn conditions_on_other_headers_are_put_together() {
        let header = |name: &str, value: &str| (name.to_owned(), ValueMatch::Value(exact(value)));
        let with = |headers: Vec<_>| HttpMatch { headers, ..HttpMatch::default() };
        let merged = merge_match(&with(vec![header("a", "1")]), &with(vec![header("b", "2")])).unwrap();
        assert_eq!(merged.headers, [header("b", "2"), header("a", "1")]);
        assert!(merge_match(&with(vec![header("a", "1")]), &with(vec![header("a", "2")])).is_none());
    }

    #[test]
    fn timeout_and_rewrite_are_inherited_and_headers_replaced() {
        let mut root = fixture::rule("a");
        root.timeout = Some(Duration::from_secs(1));
        root.rewrite = Some(Rewrite { uri: Some("/x".into()), ..Rewrite::default() });
        root.headers.request.set.push(("x-root".into(), "1".into()));
        let mut leaf = fixture::rule("b");
        leaf.timeout = Some(Duration::from_secs(2));
        leaf.headers.request.set.push(("x-leaf".into(), "1".into()));
        let merged = merge_rule(&root, &leaf);
        assert_eq!(merged.timeout, leaf.timeout);
        assert_eq!(merged.rewrite, root.rewrite);
        assert_eq!(merged.headers, leaf.headers);
        leaf.headers = HeaderChanges::default();
        assert_eq!(merge_rule(&root, &leaf).headers, root.headers);
    }
}
