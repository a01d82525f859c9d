//! Redirects.

use proto::envoy::config::route::v3::{
    RedirectAction,
    redirect_action::{PathRewriteSpecifier, RedirectResponseCode, SchemeRewriteSpecifier},
};

use crate::model::virtual_service::{Redirect, RedirectPort};

/// The redirect for a request that came to `port`.
pub(super) fn action(redirect: &Redirect, port: u16) -> RedirectAction {
    let Redirect { uri, uri_prefix, authority, port: own_port, scheme, code } = redirect;
    let path = uri.clone().map(PathRewriteSpecifier::PathRedirect);
    let prefix = uri_prefix.clone().map(PathRewriteSpecifier::PrefixRewrite);
    RedirectAction {
        host_redirect: authority.clone().unwrap_or_default(),
        port_redirect: match own_port {
            Some(RedirectPort::Number(number)) => u32::from(*number),
            Some(RedirectPort::RequestPort) => u32::from(port),
            // The usual port of the scheme is what a URL without one means.
            Some(RedirectPort::ProtocolDefault) | None => 0,
        },
        response_code: response_code(*code).into(),
        scheme_rewrite_specifier: scheme
            .as_ref()
            .filter(|scheme| !scheme.is_empty())
            .map(|scheme| SchemeRewriteSpecifier::SchemeRedirect(scheme.clone())),
        path_rewrite_specifier: path.or(prefix),
        ..RedirectAction::default()
    }
}

fn response_code(code: u16) -> RedirectResponseCode {
    match code {
        302 => RedirectResponseCode::Found,
        303 => RedirectResponseCode::SeeOther,
        307 => RedirectResponseCode::TemporaryRedirect,
        308 => RedirectResponseCode::PermanentRedirect,
        _ => RedirectResponseCode::MovedPermanently,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_changes_what_it_names() {
        let redirect = Redirect {
            uri: Some("/new".into()),
            authority: Some("other".into()),
            scheme: Some("https".into()),
            code: 302,
            ..Redirect::default()
        };
        let action = action(&redirect, 80);
        assert_eq!((action.host_redirect.as_str(), action.port_redirect), ("other", 0));
        assert_eq!(action.response_code, i32::from(RedirectResponseCode::Found));
        assert_eq!(action.path_rewrite_specifier, Some(PathRewriteSpecifier::PathRedirect("/new".into())));
        assert_eq!(action.scheme_rewrite_specifier, Some(SchemeRewriteSpecifier::SchemeRedirect("https".into())));
    }

    #[test]
    fn ports_are_given_taken_from_the_request_or_left_to_the_scheme() {
        let port = |port| action(&Redirect { port: Some(port), ..Redirect::default() }, 9080).port_redirect;
        assert_eq!(port(RedirectPort::Number(8443)), 8443);
        assert_eq!(port(RedirectPort::RequestPort), 9080);
        assert_eq!(port(RedirectPort::ProtocolDefault), 0);
    }
}
