//! Sidecar.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    gateway::ServerTlsSettings, selector::LabelsSelector, traffic_policy::ConnectionPoolSettings,
    virtual_service::Destination,
};

/// What the proxies of a namespace, or of some workloads, import, and what they let in.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarSpec {
    /// The workloads that it is for; all of the namespace, when not given.
    pub workload_selector: Option<LabelsSelector>,
    /// Listeners for requests from outside, in place of those that follow from services.
    #[serde(default)]
    pub ingress: Vec<IngressListener>,
    /// What is imported.
    #[serde(default)]
    pub egress: Vec<EgressListener>,
    /// Limits of connections from outside.
    pub inbound_connection_pool: Option<ConnectionPoolSettings>,
    /// What happens to requests for unknown hosts.
    pub outbound_traffic_policy: Option<OutboundTrafficPolicy>,
}

/// A listener for requests from outside.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IngressListener {
    /// Where it listens.
    pub port: SidecarPort,
    /// The address that it binds.
    pub bind: Option<String>,
    /// Whether traffic is captured for it.
    pub capture_mode: Option<CaptureMode>,
    /// Where the application answers: `127.0.0.1:PORT`, `0.0.0.0:PORT` or `unix:///path`.
    pub default_endpoint: Option<String>,
    /// TLS that the listener terminates.
    pub tls: Option<ServerTlsSettings>,
    /// Limits of connections.
    pub connection_pool: Option<ConnectionPoolSettings>,
}

/// What is imported, for all ports or for one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressListener {
    /// The port that the hosts are imported for; all, when not given.
    pub port: Option<SidecarPort>,
    /// The address, or unix socket, that the listener binds.
    pub bind: Option<String>,
    /// Whether traffic is captured for it.
    pub capture_mode: Option<CaptureMode>,
    /// What is imported: `namespace/host`, where the namespace may be `*`, `.` or `~` and the host `*`.
    pub hosts: Vec<String>,
}

/// A port of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SidecarPort {
    /// Its number; 0 only for unix sockets.
    #[serde(default)]
    pub number: u32,
    /// What it carries: HTTP, HTTPS, HTTP2, GRPC, TLS, TCP, MONGO, REDIS or MYSQL.
    pub protocol: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Has no meaning here.
    pub target_port: Option<u32>,
}

/// Whether traffic is captured for a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CaptureMode {
    /// As the proxy has it.
    Default,
    /// By the rules of the pod.
    Iptables,
    /// Not at all: the application connects to the listener itself.
    None,
}

/// What happens to requests for unknown hosts.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutboundTrafficPolicy {
    /// Whether they are let through.
    pub mode: Option<OutboundMode>,
    /// Where they go.
    pub egress_proxy: Option<Destination>,
}

/// Whether requests for unknown hosts are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OutboundMode {
    /// No.
    RegistryOnly,
    /// Yes.
    AllowAny,
    /// Yes, and the proxy resolves their names.
    AllowAnyDynamicDns,
}
