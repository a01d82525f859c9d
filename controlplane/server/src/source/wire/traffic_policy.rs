//! The traffic policies of a DestinationRule.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DurationText, Percent, PortSelector};

/// How traffic to a destination is handled.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicy {
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits of connections and requests.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is set aside.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the destination.
    pub tls: Option<ClientTlsSettings>,
    /// Settings for single ports, which replace those above as a whole.
    #[serde(default)]
    pub port_level_settings: Vec<PortTrafficPolicy>,
    /// TCP over HTTP `CONNECT` or `POST`.
    pub tunnel: Option<TunnelSettings>,
    /// The PROXY protocol towards the destination.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Limits retries to a share of the requests under way.
    pub retry_budget: Option<RetryBudget>,
}

/// How traffic to one port is handled.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortTrafficPolicy {
    /// The port of the service.
    pub port: Option<PortSelector>,
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits of connections and requests.
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is set aside.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the destination.
    pub tls: Option<ClientTlsSettings>,
}

/// How an endpoint is chosen; `simple` or `consistentHash`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoadBalancerSettings {
    /// One of the usual algorithms.
    pub simple: Option<SimpleLb>,
    /// The same key goes to the same endpoint.
    pub consistent_hash: Option<ConsistentHashLb>,
    /// How traffic is spread over localities.
    pub locality_lb_setting: Option<LocalityLbSetting>,
    /// Zone-aware routing by the proxy itself.
    pub zone_aware_lb_setting: Option<ZoneAwareLbSetting>,
    /// Deprecated: how long a new endpoint is warmed up.
    pub warmup_duration_secs: Option<DurationText>,
    /// A new endpoint gets its share by and by.
    pub warmup: Option<WarmupConfiguration>,
}

/// The usual algorithms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SimpleLb {
    /// The default: least requests.
    Unspecified,
    /// Deprecated: as `LEAST_REQUEST`.
    LeastConn,
    /// At random.
    Random,
    /// To the address that the caller asked for.
    Passthrough,
    /// In turn.
    RoundRobin,
    /// The less busy of two.
    LeastRequest,
}

/// Consistent hashing; one key, and at most one of `ringHash` and `maglev`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConsistentHashLb {
    /// The key is the value of this header.
    pub http_header_name: Option<String>,
    /// The key is the value of this cookie.
    pub http_cookie: Option<HttpCookie>,
    /// The key is the address of the caller.
    pub use_source_ip: Option<bool>,
    /// The key is the value of this query parameter.
    pub http_query_parameter_name: Option<String>,
    /// Endpoints are laid out on a ring.
    pub ring_hash: Option<RingHash>,
    /// Endpoints are laid out in a table.
    pub maglev: Option<Maglev>,
    /// Deprecated: `ringHash.minimumRingSize`.
    pub minimum_ring_size: Option<u64>,
}

/// A cookie as the key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpCookie {
    /// Its name.
    pub name: Option<String>,
    /// The path that it is set for.
    pub path: Option<String>,
    /// How long it lives. Given, the cookie is made for callers without one; `0s` makes one for the session.
    pub ttl: Option<DurationText>,
    /// Attributes that it is made with.
    #[serde(default)]
    pub attributes: Vec<CookieAttribute>,
}

/// An attribute of a cookie.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CookieAttribute {
    /// Its name, as `SameSite`.
    pub name: Option<String>,
    /// Its value; none for those that have none.
    pub value: Option<String>,
}

/// A ring.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RingHash {
    /// Points on the ring at least; 1024 when not given.
    pub minimum_ring_size: Option<u64>,
}

/// A table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Maglev {
    /// Its size, a prime number; 65537 when not given.
    pub table_size: Option<u64>,
}

/// How traffic is spread over localities; `distribute`, or `failover` and `failoverPriority`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalityLbSetting {
    /// Shares by locality.
    #[serde(default)]
    pub distribute: Vec<Distribute>,
    /// Which region takes over for which.
    #[serde(default)]
    pub failover: Vec<Failover>,
    /// Labels that make endpoints near, the most important first.
    #[serde(default)]
    pub failover_priority: Vec<String>,
    /// Whether any of this holds; it does, when not given.
    pub enabled: Option<bool>,
}

/// Shares of traffic that comes from one locality.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Distribute {
    /// Where it comes from: `region/zone/subzone`, with `*` for the rest.
    pub from: Option<String>,
    /// Where it goes, in percent; together 100.
    #[serde(default)]
    pub to: BTreeMap<String, u32>,
}

/// Which region takes over for which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failover {
    /// The region that fails.
    pub from: Option<String>,
    /// The region that takes over.
    pub to: Option<String>,
}

/// Zone-aware routing by the proxy itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ZoneAwareLbSetting {
    /// Whether it is on.
    pub enabled: Option<bool>,
    /// Which region takes over for which.
    #[serde(default)]
    pub failover: Vec<Failover>,
    /// Labels that make endpoints near, the most important first.
    #[serde(default)]
    pub failover_priority: Vec<String>,
    /// Endpoints that the service must have for it.
    pub min_cluster_size: Option<u64>,
}

/// A new endpoint gets its share by and by.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WarmupConfiguration {
    /// How long it takes.
    pub duration: Option<DurationText>,
    /// The share at the start, in percent of the full one.
    pub minimum_percent: Option<f64>,
    /// How steep: 1 is linear.
    pub aggression: Option<f64>,
}

/// Limits of connections and requests.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionPoolSettings {
    /// For TCP, and so for HTTP too.
    pub tcp: Option<TcpSettings>,
    /// For HTTP.
    pub http: Option<HttpSettings>,
}

/// Limits of connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpSettings {
    /// Connections at most.
    pub max_connections: Option<i32>,
    /// How long a connect may take; at least 1ms.
    pub connect_timeout: Option<DurationText>,
    /// Keep-alive of connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How long a connection may live.
    pub max_connection_duration: Option<DurationText>,
    /// How long a connection may be idle.
    pub idle_timeout: Option<DurationText>,
}

/// TCP keep-alive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpKeepalive {
    /// Probes without an answer before the connection counts as lost.
    pub probes: Option<u32>,
    /// How long idle before the first probe.
    pub time: Option<DurationText>,
    /// How long between probes.
    pub interval: Option<DurationText>,
}

/// Limits of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSettings {
    /// Requests waiting for a connection at most.
    pub http1_max_pending_requests: Option<i32>,
    /// Requests under way at most, whatever the version of HTTP.
    pub http2_max_requests: Option<i32>,
    /// Requests that one connection serves at most; 0 is without limit, 1 turns keep-alive off.
    pub max_requests_per_connection: Option<i32>,
    /// Retries under way at most.
    pub max_retries: Option<i32>,
    /// How long a connection may be idle.
    pub idle_timeout: Option<DurationText>,
    /// Whether HTTP/1.1 is carried over HTTP/2.
    pub h2_upgrade_policy: Option<H2UpgradePolicy>,
    /// Speak upstream what the caller speaks.
    pub use_client_protocol: Option<bool>,
    /// Streams that one HTTP/2 connection carries at most.
    pub max_concurrent_streams: Option<i32>,
    /// Keep-alive of HTTP/2 connections.
    pub http2_keep_alive: Option<Http2KeepAlive>,
}

/// Whether HTTP/1.1 is carried over HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum H2UpgradePolicy {
    /// As the mesh has it.
    Default,
    /// Never.
    DoNotUpgrade,
    /// Always.
    Upgrade,
}

/// Keep-alive of HTTP/2 connections.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Http2KeepAlive {
    /// How long between pings.
    pub interval: Option<DurationText>,
    /// How long to wait for the answer.
    pub timeout: Option<DurationText>,
}

/// When an endpoint is set aside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutlierDetection {
    /// Deprecated: as `consecutiveGatewayErrors`.
    pub consecutive_errors: Option<i32>,
    /// Count failures to connect apart.
    pub split_external_local_origin_errors: Option<bool>,
    /// Failures to connect in a row, when they are counted apart.
    pub consecutive_local_origin_failures: Option<u32>,
    /// Answers 502, 503 and 504 in a row; 0 turns this off.
    pub consecutive_gateway_errors: Option<u32>,
    /// Answers of the 500s in a row; 0 turns this off.
    #[serde(rename = "consecutive5xxErrors")]
    pub consecutive_5xx_errors: Option<u32>,
    /// How often endpoints are looked at; at least 1ms.
    pub interval: Option<DurationText>,
    /// How long an endpoint is set aside the first time.
    pub base_ejection_time: Option<DurationText>,
    /// How many endpoints may be set aside, in percent.
    pub max_ejection_percent: Option<i32>,
    /// Below this share of healthy endpoints, in percent, all are used.
    pub min_health_percent: Option<i32>,
    /// Status codes that count as errors.
    #[serde(default)]
    pub outlier_detection_http_error_codes: Vec<String>,
}

/// TLS towards the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientTlsSettings {
    /// Whether, and with what.
    pub mode: Option<ClientTlsMode>,
    /// `MUTUAL`: the file of the certificate to show.
    pub client_certificate: Option<String>,
    /// `MUTUAL`: the file of its key.
    pub private_key: Option<String>,
    /// The file of the authorities to trust.
    pub ca_certificates: Option<String>,
    /// The Secret that holds certificate, key and authorities.
    pub credential_name: Option<String>,
    /// Names that the server's certificate may have.
    #[serde(default)]
    pub subject_alt_names: Vec<String>,
    /// The server name to ask for.
    pub sni: Option<String>,
    /// Do not check the server's certificate.
    pub insecure_skip_verify: Option<bool>,
    /// The file of revoked certificates.
    pub ca_crl: Option<String>,
}

/// Which TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// None.
    Disable,
    /// The server shows a certificate.
    Simple,
    /// Both show certificates, from files or a Secret.
    Mutual,
    /// Both show the certificates of the mesh.
    IstioMutual,
}

/// TCP over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TunnelSettings {
    /// `CONNECT` or `POST`.
    pub protocol: Option<String>,
    /// The host that the tunnel leads to.
    pub target_host: Option<String>,
    /// The port that the tunnel leads to.
    pub target_port: Option<u32>,
}

/// The PROXY protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyProtocol {
    /// `V1` or `V2`.
    pub version: Option<ProxyProtocolVersion>,
}

/// Versions of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ProxyProtocolVersion {
    /// As text.
    V1,
    /// As bytes.
    V2,
}

/// Limits retries to a share of the requests under way.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RetryBudget {
    /// The share, in percent; 20 when not given.
    pub percent: Option<Percent>,
    /// Retries that may be under way in any case; 3 when not given.
    pub min_retry_concurrency: Option<u32>,
    /// The time over which requests are counted.
    pub budget_interval: Option<DurationText>,
}
