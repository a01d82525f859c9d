//! When an HTTP rule holds.

use std::collections::BTreeMap;

use mesh::model::{
    code,
    string_match::{StringMatch, ValueMatch},
    virtual_service::HttpMatch,
};

use super::Conversion;
use crate::source::{
    path::Path,
    wire::{self, http_route::HttpMatchRequest},
};

/// The beginning of header names that stand for claims of a token.
const CLAIM_PREFIX: &str = "@request.auth.claims";
/// Header names that Istio drops, since fields of their own stand for them.
const FIELDS_NOT_HEADERS: [&str; 4] = ["uri", "scheme", "method", "authority"];

impl Conversion<'_> {
    pub(super) fn http_match(&mut self, value: HttpMatchRequest, path: Path<'_>) -> HttpMatch {
        let HttpMatchRequest {
            name,
            uri,
            scheme,
            method,
            authority,
            headers,
            port,
            source_labels,
            gateways,
            query_params,
            ignore_uri_case,
            without_headers,
            source_namespace,
            stat_prefix,
        } = value;
        let uri = self.string_match(uri, path.field("uri"));
        let ignore_uri_case = ignore_uri_case.unwrap_or_default();
        self.check_uri(uri.as_ref(), ignore_uri_case, path);
        HttpMatch {
            name: name.unwrap_or_default(),
            uri,
            ignore_uri_case,
            scheme: self.string_match(scheme, path.field("scheme")),
            method: self.string_match(method, path.field("method")),
            authority: self.string_match(authority, path.field("authority")),
            headers: self.header_matches(headers, path.field("headers")),
            without_headers: self.header_matches(without_headers, path.field("withoutHeaders")),
            query_params: self.query_matches(query_params, path.field("queryParams")),
            port: port.and_then(|port| self.port(port, path.field("port"))),
            source_labels,
            source_namespace: source_namespace
                .filter(|namespace| !namespace.is_empty())
                .and_then(|namespace| self.namespace(&namespace, path.field("sourceNamespace"))),
            gateways: self.gateways(&gateways, path.field("gateways")),
            stat_prefix: stat_prefix.unwrap_or_default(),
        }
    }

    fn check_uri(&mut self, uri: Option<&StringMatch>, ignore_case: bool, path: Path<'_>) {
        let uri_path = path.field("uri");
        match uri {
            Some(StringMatch::Regex(_)) if ignore_case => self.error(
                code::CASE_OF_PATTERN,
                path.field("ignoreUriCase"),
                "does nothing for a regular expression",
                "write (?i) at the beginning of the pattern",
            ),
            Some(StringMatch::Exact(text)) if !text.starts_with('/') => self.error(
                code::BAD_VALUE,
                uri_path.field("exact"),
                "a path begins with /",
                format!("did you mean /{text}?"),
            ),
            Some(StringMatch::Prefix(text)) if !text.starts_with('/') => self.error(
                code::BAD_VALUE,
                uri_path.field("prefix"),
                "a path begins with /",
                format!("did you mean /{text}?"),
            ),
            Some(StringMatch::Exact(_) | StringMatch::Prefix(_) | StringMatch::Regex(_)) | None => {}
        }
    }

    fn header_matches(
        &mut self,
        headers: BTreeMap<String, wire::StringMatch>,
        path: Path<'_>,
    ) -> Vec<(String, ValueMatch)> {
        let mut list = Vec::new();
        for (name, value) in headers {
            let path = path.field(&name);
            if name.starts_with(CLAIM_PREFIX) {
                // A rule that ignored the claim would let everybody through.
                self.error(code::OBJECT_NOT_SUPPORTED, path, "claims of tokens are not supported yet", "");
                continue;
            }
            if FIELDS_NOT_HEADERS.contains(&name.as_str()) {
                self.error(
                    code::HEADER_NO_EFFECT,
                    path,
                    format!("{name} is not a header, and is not compared"),
                    format!("use the field {name} of the match"),
                );
                continue;
            }
            if let Some(name) = self.header_name(&name, path)
                && let Some(value) = self.value_match(value, path)
            {
                list.push((name, value));
            }
        }
        list
    }

    fn query_matches(
        &mut self,
        parameters: BTreeMap<String, wire::StringMatch>,
        path: Path<'_>,
    ) -> Vec<(String, ValueMatch)> {
        parameters
            .into_iter()
            .filter_map(|(name, value)| {
                let path = path.field(&name);
                if name.is_empty() || name.len() > 1024 {
                    self.error(code::BAD_NAME, path, "the name of a parameter has 1 to 1024 bytes", "");
                    return None;
                }
                let value = self.value_match(value, path)?;
                Some((name, value))
            })
            .collect()
    }
}
