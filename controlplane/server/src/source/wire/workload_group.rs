//! WorkloadGroup.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::service_entry::WorkloadEntrySpec;

/// What the WorkloadEntries of workloads that register themselves look like.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadGroupSpec {
    /// What their metadata has.
    pub metadata: Option<GroupMetadata>,
    /// What they say.
    pub template: WorkloadEntrySpec,
    /// How a workload's health is found out, by its own agent.
    pub probe: Option<ReadinessProbe>,
}

/// The metadata of WorkloadEntries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GroupMetadata {
    /// Their labels.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<String, String>,
    /// Their annotations.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 256))]
    pub annotations: BTreeMap<String, String>,
}

/// How a workload's health is found out; one of the four ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["httpGet", "tcpSocket", "exec", "grpc"]]))]
pub struct ReadinessProbe {
    /// How long after the start the first try is made.
    #[schemars(range(min = 0))]
    pub initial_delay_seconds: Option<i32>,
    /// How long a try may take; 1 when not given.
    #[schemars(range(min = 0))]
    pub timeout_seconds: Option<i32>,
    /// How long from one try to the next; 10 when not given.
    #[schemars(range(min = 0))]
    pub period_seconds: Option<i32>,
    /// Successes in a row that make it healthy; 1 when not given.
    #[schemars(range(min = 0))]
    pub success_threshold: Option<i32>,
    /// Failures in a row that make it unhealthy; 3 when not given.
    #[schemars(range(min = 0))]
    pub failure_threshold: Option<i32>,
    /// An HTTP request that must succeed.
    pub http_get: Option<HttpHealthCheck>,
    /// A port that must accept connections.
    pub tcp_socket: Option<TcpHealthCheck>,
    /// A command that must succeed.
    pub exec: Option<ExecHealthCheck>,
    /// A gRPC health check.
    pub grpc: Option<GrpcHealthCheck>,
}

/// An HTTP request that must succeed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHealthCheck {
    /// The path; `/` when not given.
    pub path: Option<String>,
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
    /// The address; that of the workload, when not given.
    pub host: Option<String>,
    /// HTTP or HTTPS; HTTP when not given.
    #[schemars(with = "Option<HealthCheckScheme>")]
    pub scheme: Option<String>,
    /// Headers of the request.
    #[serde(default)]
    pub http_headers: Vec<HttpHeader>,
}

/// How a health check is sent.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema counts")]
enum HealthCheckScheme {
    /// As not given.
    #[serde(rename = "")]
    Unset,
    /// In plain text.
    #[serde(rename = "HTTP")]
    Http,
    /// Over TLS.
    #[serde(rename = "HTTPS")]
    Https,
}

/// A header.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpHeader {
    /// Its name.
    #[schemars(regex(pattern = "^[-_A-Za-z0-9]+$"))]
    pub name: Option<String>,
    /// Its value.
    pub value: Option<String>,
}

/// A port that must accept connections.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpHealthCheck {
    /// The address; that of the workload, when not given.
    pub host: Option<String>,
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: u32,
}

/// A command that must succeed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecHealthCheck {
    /// The program and its arguments; no shell reads them.
    #[schemars(inner(length(min = 1)))]
    pub command: Vec<String>,
}

/// A gRPC health check.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcHealthCheck {
    /// The port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u32>,
    /// The service that is asked for.
    pub service: Option<String>,
}
