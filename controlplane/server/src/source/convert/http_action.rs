//! What an HTTP rule does besides forwarding: redirects, direct responses, rewrites.

use mesh::model::{
    code,
    virtual_service::{HttpAction, Redirect, RedirectPort, Rewrite},
};

use super::{Conversion, pattern};
use crate::source::{
    path::Path,
    wire::http_route::{
        Delegate, HttpBody, HttpDirectResponse, HttpRedirect, HttpRewrite, RedirectPortSelection, RegexRewrite,
    },
};

/// Longest body of a direct response, in bytes.
const BODY_LEN_MAX: usize = 1 << 20;
/// Longest path, host or the like that is written into a request, in bytes.
const TEXT_LEN_MAX: usize = 4096;

impl Conversion<'_> {
    pub(super) fn redirect(&mut self, value: HttpRedirect, path: Path<'_>) -> HttpAction {
        let HttpRedirect { uri, prefix_rewrite, authority, port, derive_port, scheme, redirect_code } = value;
        self.exclusive((uri.is_some(), "uri"), (prefix_rewrite.is_some(), "prefixRewrite"), path);
        self.exclusive((port.is_some(), "port"), (derive_port.is_some(), "derivePort"), path);
        let says_nothing = [&uri, &prefix_rewrite, &authority, &scheme].into_iter().all(Option::is_none)
            && port.is_none()
            && derive_port.is_none();
        if says_nothing {
            self.error(
                code::MISSING_FIELD,
                path,
                "the redirect leads back to itself",
                "add uri, prefixRewrite, authority, scheme or port",
            );
        }
        let code = redirect_code.unwrap_or(301);
        if !matches!(code, 301 | 302 | 303 | 307 | 308) {
            let reason = format!("{code} is not the status of a redirect");
            self.error(code::BAD_STATUS, path.field("redirectCode"), reason, "use 301, 302, 303, 307 or 308");
        }
        if let Some(scheme) = &scheme
            && !matches!(scheme.as_str(), "http" | "https")
        {
            self.error(
                code::UNKNOWN_VALUE,
                path.field("scheme"),
                format!("{scheme:?} is not a scheme"),
                "use http or https",
            );
        }
        let number = port.and_then(|port| self.port(port, path.field("port")));
        HttpAction::Redirect(Redirect {
            uri: self.plain(uri, path.field("uri")),
            uri_prefix: self.plain(prefix_rewrite, path.field("prefixRewrite")),
            authority: self.plain(authority, path.field("authority")),
            port: match derive_port {
                Some(RedirectPortSelection::FromProtocolDefault) => Some(RedirectPort::ProtocolDefault),
                Some(RedirectPortSelection::FromRequestPort) => Some(RedirectPort::RequestPort),
                None => number.map(RedirectPort::Number),
            },
            scheme,
            code: u16::try_from(code).unwrap_or(301),
        })
    }

    pub(super) fn direct_response(&mut self, value: HttpDirectResponse, path: Path<'_>) -> HttpAction {
        let HttpDirectResponse { status, body } = value;
        let status = match u16::try_from(status) {
            Ok(status @ 200..=599) => status,
            _ => {
                let reason = format!("{status} is not a status from 200 to 599");
                self.error(code::BAD_STATUS, path.field("status"), reason, "");
                200
            }
        };
        let body = body.and_then(|body| self.body(body, path.field("body")));
        HttpAction::DirectResponse { status, body }
    }

    fn body(&mut self, body: HttpBody, path: Path<'_>) -> Option<Vec<u8>> {
        let HttpBody { string, bytes } = body;
        self.exclusive((string.is_some(), "string"), (bytes.is_some(), "bytes"), path);
        let body = match (string, bytes) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(encoded)) => match serde_json::from_value::<k8s_openapi::ByteString>(encoded.into()) {
                Ok(k8s_openapi::ByteString(bytes)) => bytes,
                Err(_) => {
                    self.error(code::BAD_VALUE, path.field("bytes"), "is not base64", "");
                    return None;
                }
            },
            (None, None) => return None,
        };
        if body.len() > BODY_LEN_MAX {
            self.error(code::LIMIT, path, format!("has {} bytes, at most {BODY_LEN_MAX} are allowed", body.len()), "");
            return None;
        }
        Some(body)
    }

    pub(super) fn delegate(&mut self, value: Delegate, path: Path<'_>) -> HttpAction {
        let Delegate { name, namespace } = value;
        let name = name.unwrap_or_default();
        if name.is_empty() {
            self.error(code::MISSING_FIELD, path.field("name"), "the field is missing", "name a VirtualService");
        }
        let namespace = namespace
            .filter(|namespace| !namespace.is_empty())
            .and_then(|namespace| self.namespace(&namespace, path.field("namespace")))
            .unwrap_or_else(|| self.metadata.namespace.clone());
        HttpAction::Delegate { name, namespace }
    }

    pub(super) fn rewrite(&mut self, value: HttpRewrite, path: Path<'_>) -> Rewrite {
        let HttpRewrite { uri, authority, uri_regex_rewrite } = value;
        self.exclusive((uri.is_some(), "uri"), (uri_regex_rewrite.is_some(), "uriRegexRewrite"), path);
        if uri.is_none() && authority.is_none() && uri_regex_rewrite.is_none() {
            self.error(code::MISSING_FIELD, path, "rewrites nothing", "add uri, authority or uriRegexRewrite");
        }
        Rewrite {
            uri: self.plain(uri, path.field("uri")),
            authority: self.plain(authority, path.field("authority")),
            uri_regex: uri_regex_rewrite.and_then(|regex| self.regex_rewrite(regex, path.field("uriRegexRewrite"))),
        }
    }

    fn regex_rewrite(&mut self, value: RegexRewrite, path: Path<'_>) -> Option<(String, String)> {
        let RegexRewrite { pattern, rewrite } = value;
        let Some(pattern) = pattern.filter(|pattern| !pattern.is_empty()) else {
            self.error(code::MISSING_FIELD, path.field("match"), "the field is missing", "add the pattern");
            return None;
        };
        let groups = match pattern::check(&pattern) {
            Ok(groups) => groups,
            Err(reason) => {
                self.error(code::BAD_PATTERN, path.field("match"), reason, "write it in RE2 syntax");
                return None;
            }
        };
        let rewrite = rewrite.unwrap_or_default();
        if let Err(reason) = check_substitution(&rewrite, groups) {
            self.error(code::BAD_PATTERN, path.field("rewrite"), reason, "");
            return None;
        }
        Some((pattern, rewrite))
    }

    /// Text that is written into requests as it is.
    fn plain(&mut self, text: Option<String>, path: Path<'_>) -> Option<String> {
        let text = text?;
        if text.len() > TEXT_LEN_MAX || text.bytes().any(|byte| byte.is_ascii_control()) {
            self.error(code::BAD_VALUE, path, format!("must be at most {TEXT_LEN_MAX} bytes without line ends"), "");
            return None;
        }
        Some(text)
    }
}

/// Checks that each `\1` of a substitution has its group.
fn check_substitution(text: &str, groups: u32) -> Result<(), String> {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            continue;
        }
        match characters.next() {
            Some('\\') => {}
            Some(digit) if digit.to_digit(10).is_some_and(|group| group <= groups) => {}
            Some(digit) if digit.is_ascii_digit() => {
                return Err(format!("\\{digit} stands for a group that the pattern does not have: it has {groups}"));
            }
            _ => return Err("a backslash stands before the number of a group, or before another one".into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutions_name_groups_that_are_there() {
        assert_eq!(check_substitution(r"/a/\1\\x\0", 1), Ok(()));
        for bad in [r"\2", r"\", r"\x"] {
            assert!(check_substitution(bad, 1).is_err(), "{bad:?}");
        }
    }
}
