//! DestinationRule: subsets of a service, and how requests are spread over endpoints.

use std::time::Duration;

use super::{
    name::{Hostname, Labels, Selector},
    visibility::ExportTo,
};

/// Most subsets of one rule.
pub const SUBSETS_MAX: usize = 512;

/// A DestinationRule.
#[derive(Debug, Clone, PartialEq)]
pub struct DestinationRule {
    /// The service it is for, resolved against the rule's namespace; may be a wildcard.
    pub host: Hostname,
    /// How traffic to the whole service is handled.
    pub policy: TrafficPolicy,
    /// Its named subsets.
    pub subsets: Vec<Subset>,
    /// Who can see it.
    pub export_to: ExportTo,
    /// The callers it holds for; `None` is all.
    pub workload_selector: Option<Selector>,
}

/// A named part of a service's endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Subset {
    /// Its name.
    pub name: String,
    /// The labels its endpoints have.
    pub labels: Labels,
    /// What differs from the rule's policy, block by block.
    pub policy: TrafficPolicy,
}

/// How traffic to a destination is handled; what is `None` was not said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrafficPolicy {
    /// The blocks that hold for every port.
    pub settings: PortPolicy,
    /// Blocks for single ports, which replace the ones above as a whole.
    pub ports: Vec<(u16, PortPolicy)>,
}

/// The blocks of a traffic policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PortPolicy {
    /// How an endpoint is chosen.
    pub load_balancer: Option<LoadBalancer>,
    /// Limits of connections and requests.
    pub connection_pool: Option<ConnectionPool>,
    /// When an endpoint is set aside.
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS towards the destination.
    pub tls: Option<ClientTls>,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LoadBalancer {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Locality settings, when the rule has its own.
    pub locality: Option<LocalityLb>,
    /// Slow start of new endpoints.
    pub warmup: Option<Warmup>,
}

/// The algorithm that chooses an endpoint.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Algorithm {
    /// Not said: least requests.
    #[default]
    Default,
    /// In turn.
    RoundRobin,
    /// The least busy of two.
    LeastRequest,
    /// At random.
    Random,
    /// The caller's own destination address.
    Passthrough,
    /// The same key, the same endpoint.
    ConsistentHash(ConsistentHash),
}

/// Hashing of requests onto endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsistentHash {
    /// What is hashed.
    pub key: HashKey,
    /// How the endpoints are laid out.
    pub table: HashTable,
}

/// What of a request is hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HashKey {
    /// A request header.
    Header(String),
    /// A cookie, which is set when it has a TTL and is missing.
    Cookie {
        /// Its name.
        name: String,
        /// Its path.
        path: String,
        /// How long it lives; `None` never sets it.
        ttl: Option<Duration>,
        /// Attributes it is set with (`SameSite`, ...).
        attributes: Vec<(String, String)>,
    },
    /// The caller's address.
    SourceIp,
    /// A query parameter.
    QueryParameter(String),
}

/// How endpoints are laid out for hashing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashTable {
    /// A ring of at least this many points; Istio's default is 1024.
    Ring {
        /// Points at least.
        size_min: u64,
    },
    /// Maglev with a table of this prime size.
    Maglev {
        /// Entries; `None` is Envoy's 65537.
        size: Option<u64>,
    },
}

/// Locality settings.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LocalityLb {
    /// `enabled`; not said counts as on.
    pub enabled: Option<bool>,
    /// Shares by locality: from, and pairs of to and weight in percent.
    pub distribute: Vec<(String, Vec<(String, u32)>)>,
    /// Which region takes over for which.
    pub failover: Vec<(String, String)>,
    /// Labels that make endpoints near, most important first; `key` or `key=value`.
    pub failover_priority: Vec<String>,
}

/// Slow start of new endpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Warmup {
    /// How long.
    pub duration: Duration,
    /// The share at the start, in percent of the full one.
    pub minimum_percent: Option<f64>,
    /// How steep: 1 is linear.
    pub aggression: Option<f64>,
}

/// Limits of connections and requests.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConnectionPool {
    /// Connections at most.
    pub max_connections: Option<u32>,
    /// How long a connect may take.
    pub connect_timeout: Option<Duration>,
    /// Keep-alive of connections.
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How long a connection may live.
    pub max_connection_duration: Option<Duration>,
    /// How long a TCP connection may be idle.
    pub tcp_idle_timeout: Option<Duration>,
    /// Requests waiting for a connection at most.
    pub http1_max_pending_requests: Option<u32>,
    /// Requests under way at most.
    pub http2_max_requests: Option<u32>,
    /// Requests that one connection serves at most.
    pub max_requests_per_connection: Option<u32>,
    /// Retries under way at most.
    pub max_retries: Option<u32>,
    /// How long an HTTP connection may be idle.
    pub http_idle_timeout: Option<Duration>,
    /// Whether HTTP/1.1 is carried over HTTP/2; `None` is the mesh's choice.
    pub h2_upgrade: Option<bool>,
    /// Speak upstream what the caller speaks.
    pub use_client_protocol: bool,
    /// Streams that one HTTP/2 connection carries at most.
    pub max_concurrent_streams: Option<u32>,
}

/// Most probes that Linux takes; with more the socket option fails, and with it every connect.
pub const PROBES_MAX: u32 = 127;
/// The longest times between them that Linux takes.
pub const KEEPALIVE_MAX: Duration = Duration::from_secs(32_767);

/// TCP keep-alive.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TcpKeepalive {
    /// Probes without an answer before the connection counts as lost.
    pub probes: Option<u32>,
    /// How long idle before the first probe.
    pub time: Option<Duration>,
    /// Between probes.
    pub interval: Option<Duration>,
}

/// When an endpoint is set aside.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutlierDetection {
    /// Server errors in a row; 0 turns this off.
    pub consecutive_5xx: Option<u32>,
    /// 502, 503 and 504 in a row; 0 turns this off.
    pub consecutive_gateway_errors: Option<u32>,
    /// Failures to connect in a row, with `split_local_origin`.
    pub consecutive_local_origin_failures: Option<u32>,
    /// Count failures to connect apart.
    pub split_local_origin: bool,
    /// How often endpoints are looked at.
    pub interval: Option<Duration>,
    /// How long the first time.
    pub base_ejection_time: Option<Duration>,
    /// How many of all, in percent.
    pub max_ejection_percent: Option<u32>,
    /// Below this many healthy, in percent, all are used.
    pub min_health_percent: Option<u32>,
}

/// TLS towards a destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientTls {
    /// Which.
    pub mode: ClientTlsMode,
    /// The server name to ask for.
    pub sni: Option<String>,
    /// Names that the server's certificate may have.
    pub subject_alt_names: Vec<String>,
    /// The certificate chain to show: a file of the proxy.
    pub client_certificate: Option<String>,
    /// Its key.
    pub private_key: Option<String>,
    /// The authorities to trust: a file of the proxy.
    pub ca_certificates: Option<String>,
    /// Do not check the server's certificate.
    pub insecure_skip_verify: bool,
}

/// `tls.mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the value of that name")]
pub enum ClientTlsMode {
    Disable,
    Simple,
    Mutual,
    IstioMutual,
}
