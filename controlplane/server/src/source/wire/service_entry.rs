//! ServiceEntry and WorkloadEntry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::LabelsSelector;

/// A service that Kubernetes does not know.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceEntrySpec {
    /// Its names; each becomes a service. `*.` may stand for any first part.
    pub hosts: Vec<String>,
    /// Its addresses, or ranges of them.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// Its ports.
    #[serde(default)]
    pub ports: Vec<ServicePort>,
    /// Whether it is part of the mesh.
    pub location: Option<Location>,
    /// How its endpoints are found.
    pub resolution: Option<Resolution>,
    /// Its endpoints.
    #[serde(default)]
    pub endpoints: Vec<WorkloadEntrySpec>,
    /// Selects pods and WorkloadEntries of its namespace as endpoints, in place of `endpoints`.
    pub workload_selector: Option<LabelsSelector>,
    /// The namespaces that can see it: names, `.` for its own, `*` for all. Not given, the mesh's default holds.
    #[serde(default)]
    pub export_to: Vec<String>,
    /// Names that the certificates of its servers may have.
    #[serde(default)]
    pub subject_alt_names: Vec<String>,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServicePort {
    /// Its number.
    pub number: u32,
    /// What it carries: HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS, MYSQL or UDP.
    pub protocol: Option<String>,
    /// Its name.
    pub name: String,
    /// Where endpoints listen, when it is another number.
    pub target_port: Option<u32>,
}

/// Whether a service is part of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Location {
    /// Outside: no identity is expected of it.
    MeshExternal,
    /// Part of the mesh.
    MeshInternal,
}

/// How the endpoints of a service are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resolution {
    /// At the address that the caller asked for.
    None,
    /// They are given.
    Static,
    /// The proxy resolves the host, or the names of the endpoints; every address is an endpoint.
    Dns,
    /// The proxy resolves the host; one address at a time.
    DnsRoundRobin,
    /// The proxy resolves the host of each request.
    DynamicDns,
}

/// A workload that Kubernetes does not know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadEntrySpec {
    /// Its address: an IP, a name, or `unix:///path`.
    pub address: Option<String>,
    /// Its ports, by the name of the service port, where they differ.
    #[serde(default)]
    pub ports: BTreeMap<String, u32>,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Its network.
    pub network: Option<String>,
    /// Where it runs: `region/zone/subzone`.
    pub locality: Option<String>,
    /// Its share, relative to those of the other endpoints.
    pub weight: Option<u32>,
    /// Its service account.
    pub service_account: Option<String>,
}
