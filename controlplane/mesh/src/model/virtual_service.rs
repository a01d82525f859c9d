//! VirtualService: where requests for a host go.

use std::{net::IpAddr, time::Duration};

use super::{
    name::{Hostname, Labels, Namespace},
    service::Address,
    string_match::{StringMatch, ValueMatch},
    visibility::ExportTo,
};

/// Most rules of one VirtualService, and most matches of one rule.
pub const RULES_MAX: usize = 4096;

/// A VirtualService.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualService {
    /// Its hosts, short names resolved against its namespace; a name with dots stays as written.
    pub hosts: Vec<Hostname>,
    /// Where it holds.
    pub gateways: Vec<GatewayName>,
    /// Who can see it.
    pub export_to: ExportTo,
    /// HTTP rules, first match wins.
    pub http: Vec<HttpRule>,
    /// Rules by SNI.
    pub tls: Vec<TlsRule>,
    /// Rules by port and address.
    pub tcp: Vec<TcpRule>,
}

impl VirtualService {
    /// Whether it holds for sidecars.
    #[must_use]
    pub fn in_mesh(&self) -> bool {
        self.gateways.contains(&GatewayName::Mesh)
    }
}

/// Where a VirtualService holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GatewayName {
    /// `mesh`: every sidecar.
    Mesh,
    /// A Gateway, by namespace and name.
    Gateway(Namespace, String),
}

/// One HTTP rule.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpRule {
    /// Its name; may be empty.
    pub name: String,
    /// When it holds: any of these; empty is always.
    pub matches: Vec<HttpMatch>,
    /// What happens.
    pub action: HttpAction,
    /// Header changes that hold for every destination.
    pub headers: HeaderChanges,
    /// What is rewritten before the request goes on.
    pub rewrite: Option<Rewrite>,
    /// How long the whole request may take; zero or `None` is without end.
    pub timeout: Option<Duration>,
    /// Retries; `None` is the mesh's default.
    pub retries: Option<Retries>,
    /// Injected faults.
    pub fault: Option<Fault>,
    /// Where copies go.
    pub mirrors: Vec<Mirror>,
    /// Cross-origin rules.
    pub cors: Option<Cors>,
}

/// What an HTTP rule does.
#[derive(Debug, Clone, PartialEq)]
pub enum HttpAction {
    /// Forwards, by weight.
    Route(Vec<HttpDestination>),
    /// Sends the caller elsewhere.
    Redirect(Redirect),
    /// Answers.
    DirectResponse {
        /// The status code, 200 to 599.
        status: u16,
        /// The body, if any.
        body: Option<Vec<u8>>,
    },
    /// Hands over to the rules of another VirtualService.
    Delegate {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: Namespace,
    },
}

impl Default for HttpAction {
    fn default() -> Self {
        Self::Route(Vec::new())
    }
}

/// When an HTTP rule holds: all that is said must be true.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HttpMatch {
    /// A name for statistics and debugging.
    pub name: String,
    /// The path.
    pub uri: Option<StringMatch>,
    /// Exact and prefix paths match in any case.
    pub ignore_uri_case: bool,
    /// `:scheme`.
    pub scheme: Option<StringMatch>,
    /// `:method`.
    pub method: Option<StringMatch>,
    /// `:authority`.
    pub authority: Option<StringMatch>,
    /// Headers that must compare so, by lower-case name.
    pub headers: Vec<(String, ValueMatch)>,
    /// Headers that must not.
    pub without_headers: Vec<(String, ValueMatch)>,
    /// Query parameters that must compare so.
    pub query_params: Vec<(String, ValueMatch)>,
    /// The port of the service.
    pub port: Option<u16>,
    /// Labels that the caller's workload must have.
    pub source_labels: Labels,
    /// The caller's namespace.
    pub source_namespace: Option<Namespace>,
    /// Where the rule holds; empty is wherever the VirtualService does.
    pub gateways: Vec<GatewayName>,
    /// A prefix for statistics of the route.
    pub stat_prefix: String,
}

/// One destination of a rule.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpDestination {
    /// Where to.
    pub destination: Destination,
    /// Its share; 0 when not said.
    pub weight: u32,
    /// Header changes for this destination.
    pub headers: HeaderChanges,
}

/// A service, a subset of it, and a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Destination {
    /// The service, short names resolved against the namespace of the VirtualService.
    pub host: Hostname,
    /// The subset; `None` is all endpoints.
    pub subset: Option<String>,
    /// The port; `None` is the only one, or the one that the caller used.
    pub port: Option<u16>,
}

/// Changes of headers, for requests and responses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderChanges {
    /// Of the request.
    pub request: HeaderOperations,
    /// Of the response.
    pub response: HeaderOperations,
}

/// Changes of the headers of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderOperations {
    /// Overwritten.
    pub set: Vec<(String, String)>,
    /// Appended.
    pub add: Vec<(String, String)>,
    /// Removed.
    pub remove: Vec<String>,
}

/// What is rewritten before a request goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rewrite {
    /// The matched path or prefix.
    pub uri: Option<String>,
    /// The authority.
    pub authority: Option<String>,
    /// The path by regular expression: pattern and replacement.
    pub uri_regex: Option<(String, String)>,
}

/// Sends the caller elsewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirect {
    /// The whole path.
    pub uri: Option<String>,
    /// The matched prefix (`prefixRewrite`).
    pub uri_prefix: Option<String>,
    /// The authority.
    pub authority: Option<String>,
    /// The port.
    pub port: Option<RedirectPort>,
    /// `http` or `https`.
    pub scheme: Option<String>,
    /// The status code: 301, 302, 303, 307 or 308.
    pub code: u16,
}

/// The port of a redirect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectPort {
    /// This one.
    Number(u16),
    /// The usual one of the scheme (`FROM_PROTOCOL_DEFAULT`).
    ProtocolDefault,
    /// The one the request came with (`FROM_REQUEST_PORT`).
    RequestPort,
}

/// Retries of a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retries {
    /// How many; 0 turns retries off.
    pub attempts: u32,
    /// How long each try may take.
    pub per_try_timeout: Option<Duration>,
    /// Envoy's retry conditions; empty is the default list.
    pub retry_on: Vec<String>,
    /// Status codes that are retried.
    pub retriable_status_codes: Vec<u32>,
    /// Retry in other localities too.
    pub remote_localities: Option<bool>,
    /// Avoid endpoints that already failed; not said counts as yes.
    pub ignore_previous_hosts: Option<bool>,
    /// The first pause between tries.
    pub backoff: Option<Duration>,
}

/// Injected faults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fault {
    /// A delay before the request goes on.
    pub delay: Option<FaultDelay>,
    /// An answer in place of the destination's.
    pub abort: Option<FaultAbort>,
}

/// A share of all requests, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millionths(pub u32);

/// An injected delay.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultDelay {
    /// How long.
    pub duration: Duration,
    /// How often; none said never fires.
    pub share: Millionths,
}

/// An injected answer.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultAbort {
    /// What is answered.
    pub status: AbortStatus,
    /// How often; none said never fires.
    pub share: Millionths,
}

/// What an abort answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AbortStatus {
    /// An HTTP status, 200 to 599.
    Http(u16),
    /// A gRPC status.
    Grpc(u32),
}

/// Where copies of requests go.
#[derive(Debug, Clone, PartialEq)]
pub struct Mirror {
    /// Where to.
    pub destination: Destination,
    /// How many.
    pub share: Millionths,
}

/// Cross-origin rules.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cors {
    /// Origins that may call.
    pub allow_origins: Vec<StringMatch>,
    /// Methods they may use.
    pub allow_methods: Vec<String>,
    /// Headers they may send.
    pub allow_headers: Vec<String>,
    /// Headers they may read.
    pub expose_headers: Vec<String>,
    /// How long a preflight may be remembered.
    pub max_age: Option<Duration>,
    /// Whether credentials may be sent.
    pub allow_credentials: Option<bool>,
    /// Whether preflights of other origins reach the destination; not said counts as yes.
    pub forward_unmatched_preflights: Option<bool>,
}

/// One rule by SNI.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsRule {
    /// When it holds: any of these.
    pub matches: Vec<L4Match>,
    /// Where to, by weight.
    pub route: Vec<(Destination, u32)>,
}

/// One rule by port and address.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpRule {
    /// When it holds: any of these; empty is always.
    pub matches: Vec<L4Match>,
    /// Where to, by weight.
    pub route: Vec<(Destination, u32)>,
}

/// When a TLS or TCP rule holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct L4Match {
    /// Server names, exact or `*.` prefixed; only of TLS rules.
    pub sni_hosts: Vec<Hostname>,
    /// Where the caller connects to.
    pub destination_subnets: Vec<Address>,
    /// The port of the service.
    pub port: Option<u16>,
    /// Labels that the caller's workload must have.
    pub source_labels: Labels,
    /// The caller's namespace.
    pub source_namespace: Option<Namespace>,
    /// Where the rule holds; empty is wherever the VirtualService does.
    pub gateways: Vec<GatewayName>,
}

/// Whether `ip` lies in any of `subnets`; none at all hold every address.
#[must_use]
pub fn in_subnets(subnets: &[Address], ip: IpAddr) -> bool {
    subnets.is_empty() || subnets.iter().any(|subnet| contains(subnet, ip))
}

fn contains(subnet: &Address, ip: IpAddr) -> bool {
    let (net, ip, bits) = match (subnet.ip, ip) {
        (IpAddr::V4(net), IpAddr::V4(ip)) => (u128::from(net.to_bits()), u128::from(ip.to_bits()), 32),
        (IpAddr::V6(net), IpAddr::V6(ip)) => (net.to_bits(), ip.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let host_bits = u32::from(bits - subnet.prefix_len.min(bits));
    net.checked_shr(host_bits) == ip.checked_shr(host_bits)
}
