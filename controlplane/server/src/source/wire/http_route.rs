//! The HTTP rules of a VirtualService.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, Percent, StringMatch, virtual_service::Destination};

/// A rule for HTTP: when it holds, and what then happens.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// A name for logs.
    pub name: Option<String>,
    /// When the rule holds: any of these; always, when not given.
    #[serde(rename = "match", default)]
    pub matches: Vec<HttpMatchRequest>,
    /// Where requests go, by weight.
    #[serde(default)]
    pub route: Vec<HttpRouteDestination>,
    /// Sends the caller elsewhere, in place of `route`.
    pub redirect: Option<HttpRedirect>,
    /// Answers, in place of `route`.
    pub direct_response: Option<HttpDirectResponse>,
    /// Hands over to the rules of another VirtualService, in place of `route`.
    pub delegate: Option<Delegate>,
    /// What is rewritten before the request goes on.
    pub rewrite: Option<HttpRewrite>,
    /// How long the whole request may take, retries included: `0.5s`. Not given, or `0s`, it is without end.
    pub timeout: Option<DurationText>,
    /// When and how often a failed request is tried again.
    pub retries: Option<HttpRetry>,
    /// Faults that are injected.
    pub fault: Option<HttpFaultInjection>,
    /// Where a copy of each request goes; its answer is thrown away.
    pub mirror: Option<Destination>,
    /// Where copies of requests go, each with its own share.
    #[serde(default)]
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Deprecated: the share of requests that `mirror` copies, as a whole percentage.
    #[serde(rename = "mirror_percent")]
    pub mirror_percent_old: Option<u32>,
    /// Deprecated: the share of requests that `mirror` copies, as a whole percentage.
    pub mirror_percent: Option<u32>,
    /// The share of requests that `mirror` copies; all, when not given.
    pub mirror_percentage: Option<Percent>,
    /// Cross-origin resource sharing.
    pub cors_policy: Option<CorsPolicy>,
    /// Changes of headers, for every destination.
    pub headers: Option<Headers>,
}

/// When an HTTP rule holds: all that is said must be true.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpMatchRequest {
    /// A name for logs, put behind that of the rule.
    pub name: Option<String>,
    /// The path.
    pub uri: Option<StringMatch>,
    /// `http` or `https`.
    pub scheme: Option<StringMatch>,
    /// The method.
    pub method: Option<StringMatch>,
    /// The host of the request, with the port if the caller sent one.
    pub authority: Option<StringMatch>,
    /// Headers, by name in lower case; `{}` asks only that the header is there.
    #[serde(default)]
    pub headers: BTreeMap<String, StringMatch>,
    /// The port of the service.
    pub port: Option<u32>,
    /// Labels that the caller's workload must have.
    #[serde(default)]
    pub source_labels: BTreeMap<String, String>,
    /// Where the match holds, in place of the gateways of the object.
    #[serde(default)]
    pub gateways: Vec<String>,
    /// Query parameters, by name; `{}` asks only that the parameter is there.
    #[serde(default)]
    pub query_params: BTreeMap<String, StringMatch>,
    /// Compare the path without regard to case; only exact and prefix paths.
    pub ignore_uri_case: Option<bool>,
    /// Headers that must not compare so.
    #[serde(default)]
    pub without_headers: BTreeMap<String, StringMatch>,
    /// The namespace of the caller.
    pub source_namespace: Option<String>,
    /// A prefix for statistics of the rule.
    pub stat_prefix: Option<String>,
}

/// A destination of an HTTP rule.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRouteDestination {
    /// Where to.
    pub destination: Destination,
    /// Its share, relative to those of the other destinations.
    pub weight: Option<i32>,
    /// Changes of headers, for this destination only.
    pub headers: Option<Headers>,
}

/// Changes of headers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Headers {
    /// Of the request, before it goes on.
    pub request: Option<HeaderOperations>,
    /// Of the answer, before it reaches the caller.
    pub response: Option<HeaderOperations>,
}

/// Changes of the headers of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeaderOperations {
    /// Overwritten with these values.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Given these values besides those they have.
    #[serde(default)]
    pub add: BTreeMap<String, String>,
    /// Removed.
    #[serde(default)]
    pub remove: Vec<String>,
}

/// Sends the caller elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRedirect {
    /// The path, in place of the whole one.
    pub uri: Option<String>,
    /// In place of the part of the path that matched.
    pub prefix_rewrite: Option<String>,
    /// The host.
    pub authority: Option<String>,
    /// The port.
    pub port: Option<u32>,
    /// The port by rule, in place of `port`.
    pub derive_port: Option<RedirectPortSelection>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The status code; 301 when not given.
    pub redirect_code: Option<u32>,
}

/// How the port of a redirect is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RedirectPortSelection {
    /// The usual one of the scheme.
    FromProtocolDefault,
    /// The one that the request came with.
    FromRequestPort,
}

/// An answer that the proxy gives itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpDirectResponse {
    /// The status code.
    pub status: u32,
    /// The body; none, when not given.
    pub body: Option<HttpBody>,
}

/// The body of an answer; one of the two.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpBody {
    /// As text.
    pub string: Option<String>,
    /// As base64.
    pub bytes: Option<String>,
}

/// Another VirtualService.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Delegate {
    /// Its name.
    pub name: Option<String>,
    /// Its namespace; that of this object, when not given.
    pub namespace: Option<String>,
}

/// What is rewritten before a request goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRewrite {
    /// In place of the path, or of the prefix that matched.
    pub uri: Option<String>,
    /// In place of the host.
    pub authority: Option<String>,
    /// The path by regular expression, in place of `uri`.
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// A rewrite by regular expression.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegexRewrite {
    /// The pattern, in RE2 syntax.
    #[serde(rename = "match")]
    pub pattern: Option<String>,
    /// What takes the place of what matches; `\1` is the first group.
    pub rewrite: Option<String>,
}

/// When and how often a failed request is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRetry {
    /// How often; 0 turns retries off.
    pub attempts: Option<i32>,
    /// How long each try may take; at least 1ms.
    pub per_try_timeout: Option<DurationText>,
    /// Conditions, separated by commas: Envoy's names, or status codes.
    pub retry_on: Option<String>,
    /// Whether endpoints in other localities are tried too.
    pub retry_remote_localities: Option<bool>,
    /// Whether endpoints that have failed are avoided; they are, when not given.
    pub retry_ignore_previous_hosts: Option<bool>,
    /// How long to wait before the first retry; later ones wait longer.
    pub backoff: Option<DurationText>,
}

/// Faults that are injected.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpFaultInjection {
    /// A delay before the request goes on.
    pub delay: Option<FaultDelay>,
    /// An answer in place of the destination's.
    pub abort: Option<FaultAbort>,
}

/// An injected delay.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultDelay {
    /// Deprecated: the share of requests, as a whole percentage.
    pub percent: Option<i32>,
    /// How long; at least 1ms.
    pub fixed_delay: Option<DurationText>,
    /// Has no meaning.
    pub exponential_delay: Option<DurationText>,
    /// The share of requests; without it no request is delayed.
    pub percentage: Option<Percent>,
}

/// An injected answer; one of the two statuses.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FaultAbort {
    /// The HTTP status.
    pub http_status: Option<i32>,
    /// The gRPC status, by name: `UNAVAILABLE`.
    pub grpc_status: Option<String>,
    /// Has no meaning.
    pub http2_error: Option<String>,
    /// The share of requests; without it no request is answered so.
    pub percentage: Option<Percent>,
}

/// Where copies of requests go.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpMirrorPolicy {
    /// Where to.
    pub destination: Destination,
    /// The share of requests; all, when not given.
    pub percentage: Option<Percent>,
}

/// Cross-origin resource sharing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CorsPolicy {
    /// Deprecated: origins that may call, exactly; `*` for all.
    #[serde(default)]
    pub allow_origin: Vec<String>,
    /// Origins that may call.
    #[serde(default)]
    pub allow_origins: Vec<StringMatch>,
    /// Methods that they may use.
    #[serde(default)]
    pub allow_methods: Vec<String>,
    /// Headers that they may send.
    #[serde(default)]
    pub allow_headers: Vec<String>,
    /// Headers of the answer that they may read.
    #[serde(default)]
    pub expose_headers: Vec<String>,
    /// How long the answer to a preflight may be remembered.
    pub max_age: Option<DurationText>,
    /// Whether they may send credentials.
    pub allow_credentials: Option<bool>,
    /// What happens to preflights of other origins.
    pub unmatched_preflights: Option<UnmatchedPreflights>,
}

/// What happens to preflights of origins that are not allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum UnmatchedPreflights {
    /// As `FORWARD`.
    Unspecified,
    /// They reach the destination.
    Forward,
    /// They are answered without leave.
    Ignore,
}
