//! VirtualService.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{PortSelector, http_route::HttpRoute};

/// Where requests for a host go.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualServiceSpec {
    /// The hosts that callers name. A name without dots is completed with the namespace of this object; a name with
    /// dots is taken as it is; `*.` may stand for any first part. Empty only for a delegate.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Where the rules hold: `mesh` for every sidecar, or gateways as `namespace/name`. Not given, it is `mesh`.
    #[serde(default)]
    pub gateways: Vec<String>,
    /// The rules for HTTP; the first that matches is used.
    #[serde(default)]
    pub http: Vec<HttpRoute>,
    /// The rules for TLS that is not terminated, by server name.
    #[serde(default)]
    pub tls: Vec<TlsRoute>,
    /// The rules for plain TCP.
    #[serde(default)]
    pub tcp: Vec<TcpRoute>,
    /// The namespaces that can see it: names, `.` for its own, `*` for all. Not given, the mesh's default holds.
    #[serde(default)]
    pub export_to: Vec<String>,
}

/// A rule for TLS that is not terminated.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsRoute {
    /// When the rule holds: any of these.
    #[serde(rename = "match")]
    pub matches: Vec<TlsMatch>,
    /// Where connections go, by weight.
    #[serde(default)]
    pub route: Vec<RouteDestination>,
}

/// When a TLS rule holds: all that is said must be true.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsMatch {
    /// Server names that the caller asks for; `*.` may stand for any first part. They must be among the hosts.
    pub sni_hosts: Vec<String>,
    /// Addresses that the caller connects to, as addresses or ranges.
    #[serde(default)]
    pub destination_subnets: Vec<String>,
    /// The port of the service.
    pub port: Option<u32>,
    /// Labels that the caller's workload must have.
    #[serde(default)]
    pub source_labels: BTreeMap<String, String>,
    /// Where the match holds, in place of the gateways of the object.
    #[serde(default)]
    pub gateways: Vec<String>,
    /// The namespace of the caller.
    pub source_namespace: Option<String>,
}

/// A rule for plain TCP.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpRoute {
    /// When the rule holds: any of these; always, when not given.
    #[serde(rename = "match", default)]
    pub matches: Vec<L4Match>,
    /// Where connections go, by weight.
    #[serde(default)]
    pub route: Vec<RouteDestination>,
}

/// When a TCP rule holds: all that is said must be true.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct L4Match {
    /// Addresses that the caller connects to, as addresses or ranges.
    #[serde(default)]
    pub destination_subnets: Vec<String>,
    /// The port of the service.
    pub port: Option<u32>,
    /// The caller's address, as an address or range.
    pub source_subnet: Option<String>,
    /// Labels that the caller's workload must have.
    #[serde(default)]
    pub source_labels: BTreeMap<String, String>,
    /// Where the match holds, in place of the gateways of the object.
    #[serde(default)]
    pub gateways: Vec<String>,
    /// The namespace of the caller.
    pub source_namespace: Option<String>,
}

/// A destination of a TLS or TCP rule.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteDestination {
    /// Where to.
    pub destination: Destination,
    /// Its share, relative to those of the other destinations.
    pub weight: Option<i32>,
}

/// A service, or a subset of it.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// The service. A name without dots is completed with the namespace of this object.
    pub host: String,
    /// A subset that a DestinationRule of the service names.
    pub subset: Option<String>,
    /// The port of the service; may be left out when it has only one.
    pub port: Option<PortSelector>,
}
