//! What is rewritten before a request goes on.

use proto::envoy::{
    config::route::v3::{RouteAction, route_action::HostRewriteSpecifier},
    r#type::matcher::v3::RegexMatchAndSubstitute,
};

use super::matcher;
use crate::model::virtual_service::Rewrite;

/// Writes the rewrite into a route; `host` is what header changes make of the authority, which the rewrite's own beats.
///
/// The matched prefix is replaced as text, as in Istio: `/old` to `/` makes `//x` of `/old/x`. Where the path was matched
/// as a whole or by an expression, all of it is replaced.
pub(super) fn apply(rewrite: Option<&Rewrite>, host: Option<String>, action: &mut RouteAction) {
    let authority = rewrite.and_then(|rewrite| rewrite.authority.clone()).or(host).filter(|host| !host.is_empty());
    action.host_rewrite_specifier = authority.map(HostRewriteSpecifier::HostRewriteLiteral);
    let Some(Rewrite { uri, authority: _, uri_regex }) = rewrite else { return };
    match uri_regex {
        // Envoy refuses both at once.
        Some((pattern, substitution)) => {
            action.regex_rewrite = Some(RegexMatchAndSubstitute {
                pattern: Some(matcher::regex_matcher(pattern)),
                substitution: substitution.clone(),
            });
        }
        None => action.prefix_rewrite = uri.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(rewrite: Option<&Rewrite>, host: Option<&str>) -> RouteAction {
        let mut action = RouteAction::default();
        apply(rewrite, host.map(str::to_owned), &mut action);
        action
    }

    #[test]
    fn the_authority_of_a_rewrite_beats_that_of_a_header() {
        let literal = |host: &str| Some(HostRewriteSpecifier::HostRewriteLiteral(host.into()));
        let rewrite = Rewrite { authority: Some("rewrite".into()), ..Rewrite::default() };
        assert_eq!(applied(Some(&rewrite), Some("header")).host_rewrite_specifier, literal("rewrite"));
        assert_eq!(applied(None, Some("header")).host_rewrite_specifier, literal("header"));
        assert_eq!(applied(None, None).host_rewrite_specifier, None);
    }

    #[test]
    fn a_path_is_rewritten_as_text_or_by_an_expression() {
        let text = Rewrite { uri: Some("/new".into()), ..Rewrite::default() };
        assert_eq!(applied(Some(&text), None).prefix_rewrite, "/new");
        let regex = Rewrite { uri_regex: Some(("/a/(.*)".into(), r"/b/\1".into())), ..text };
        let action = applied(Some(&regex), None);
        assert_eq!(
            (action.prefix_rewrite.as_str(), action.regex_rewrite.unwrap().substitution.as_str()),
            ("", r"/b/\1")
        );
    }
}
