//! Telemetry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{rule, selector::PolicyTarget};

/// What workloads tell about their requests, and whom.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["selector", "targetRef", "targetRefs"]]))]
pub struct TelemetrySpec {
    /// What it is for.
    #[serde(flatten)]
    pub target: PolicyTarget,
    /// Traces.
    #[serde(default)]
    pub tracing: Vec<Tracing>,
    /// Metrics.
    #[serde(default)]
    pub metrics: Vec<Metrics>,
    /// Access logs.
    #[serde(default)]
    pub access_logging: Vec<AccessLogging>,
}

/// Traces.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tracing {
    /// On which side of a request; both, when not given.
    #[serde(rename = "match")]
    pub matches: Option<ModeSelector>,
    /// Who gets them; the mesh's default, when not given.
    #[serde(default)]
    pub providers: Vec<ProviderRef>,
    /// The share of requests that a trace is begun for, from 0 to 100.
    #[schemars(range(min = 0.0, max = 100.0), extend("nullable" = true))]
    pub random_sampling_percentage: Option<f64>,
    /// Report nothing. The context of a trace is handed on all the same.
    #[schemars(extend("nullable" = true))]
    pub disable_span_reporting: Option<bool>,
    /// Tags that spans are given, by name.
    #[serde(default)]
    pub custom_tags: BTreeMap<String, CustomTag>,
    /// Whether a span is given the tags of Istio; it is, when not given.
    #[schemars(extend("nullable" = true))]
    pub enable_istio_tags: Option<bool>,
    /// Whether the request's identifier says if it is traced; it does, when not given.
    #[schemars(extend("nullable" = true))]
    pub use_request_id_for_trace_sampling: Option<bool>,
    /// Do not hand the context of a trace on.
    #[schemars(extend("nullable" = true))]
    pub disable_context_propagation: Option<bool>,
}

/// A side of a request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ModeSelector {
    /// Which.
    pub mode: Option<WorkloadMode>,
}

/// A side of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WorkloadMode {
    /// Both.
    ClientAndServer,
    /// Requests that the workload sends.
    Client,
    /// Requests that the workload is sent.
    Server,
}

/// Who gets what is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProviderRef {
    /// Its name among the `extensionProviders` of the mesh.
    #[schemars(length(min = 1))]
    pub name: String,
}

/// A tag of a span; one of the four.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["literal", "environment", "header", "formatter"]]))]
pub struct CustomTag {
    /// This value.
    pub literal: Option<TagValue>,
    /// The value of a variable of the proxy's environment.
    pub environment: Option<TagSource>,
    /// The value of a header of the request.
    pub header: Option<TagSource>,
    /// What Envoy's access log makes of a format: `%REQ(:path)%`.
    pub formatter: Option<TagValue>,
}

/// The value of a tag, or its format.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagValue {
    /// The text.
    #[schemars(length(min = 1))]
    pub value: String,
}

/// Where the value of a tag comes from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TagSource {
    /// The name of the variable or header.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The value when there is none; without it the tag is left out.
    pub default_value: Option<String>,
}

/// Metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Metrics {
    /// Who gets them; the mesh's default, when not given.
    #[serde(default)]
    pub providers: Vec<ProviderRef>,
    /// What differs from the usual; of several that match, the last counts.
    #[serde(default)]
    pub overrides: Vec<MetricsOverride>,
    /// How often they are reported, where they are reported and not fetched.
    #[schemars(extend("x-kubernetes-validations" = [rule::DURATION]))]
    pub reporting_interval: Option<String>,
}

/// How metrics differ from the usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricsOverride {
    /// Which metrics; all, when not given.
    #[serde(rename = "match")]
    pub matches: Option<MetricSelector>,
    /// Leave them out.
    #[schemars(extend("nullable" = true))]
    pub disabled: Option<bool>,
    /// Changes of their tags, by name.
    #[serde(default)]
    pub tag_overrides: BTreeMap<String, TagOverride>,
}

/// Metrics; by one of the two names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["metric", "customMetric"]]))]
pub struct MetricSelector {
    /// One that every mesh has.
    pub metric: Option<Metric>,
    /// Another, by name.
    #[schemars(length(min = 1))]
    pub custom_metric: Option<String>,
    /// On which side of a request; both, when not given.
    pub mode: Option<WorkloadMode>,
}

/// The metrics that every mesh has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Metric {
    /// All of them.
    AllMetrics,
    /// `istio_requests_total`.
    RequestCount,
    /// `istio_request_duration_milliseconds`.
    RequestDuration,
    /// `istio_request_bytes`.
    RequestSize,
    /// `istio_response_bytes`.
    ResponseSize,
    /// `istio_tcp_connections_opened_total`.
    TcpOpenedConnections,
    /// `istio_tcp_connections_closed_total`.
    TcpClosedConnections,
    /// `istio_tcp_sent_bytes_total`.
    TcpSentBytes,
    /// `istio_tcp_received_bytes_total`.
    TcpReceivedBytes,
    /// `istio_request_messages_total`.
    GrpcRequestMessages,
    /// `istio_response_messages_total`.
    GrpcResponseMessages,
}

/// A change of a tag.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule::UPSERT_NEEDS_VALUE, rule::REMOVE_WITHOUT_VALUE]))]
pub struct TagOverride {
    /// What is done.
    pub operation: Option<TagOperation>,
    /// `UPSERT`: an expression for its value.
    pub value: Option<String>,
}

/// What is done to a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TagOperation {
    /// It is given a value, whether it was there or not.
    Upsert,
    /// It is left out.
    Remove,
}

/// Access logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessLogging {
    /// On which side of a request; both, when not given.
    #[serde(rename = "match")]
    pub matches: Option<ModeSelector>,
    /// Who gets them; the mesh's default, when not given.
    #[serde(default)]
    pub providers: Vec<ProviderRef>,
    /// Log nothing.
    #[schemars(extend("nullable" = true))]
    pub disabled: Option<bool>,
    /// Which requests are logged; all, when not given.
    pub filter: Option<AccessLogFilter>,
}

/// Which requests are logged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccessLogFilter {
    /// An expression in the Common Expression Language: `response.code >= 400`.
    pub expression: Option<String>,
}
