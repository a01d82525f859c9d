//! ServiceEntry and WorkloadEntry.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{rule, selector::LabelsSelector};

/// A service that Kubernetes does not know.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["workloadSelector", "endpoints"]]),
    extend("x-kubernetes-validations" = [rule::RANGES_NEED_ADDRESSES, rule::NONE_WITHOUT_ENDPOINTS, rule::ONE_ENDPOINT_IN_TURN]))]
pub struct ServiceEntrySpec {
    /// Its names; each becomes a service. `*.` may stand for any first part.
    #[schemars(length(min = 1, max = 256), with = "Vec<Host>")]
    pub hosts: Vec<String>,
    /// Its addresses, or ranges of them.
    #[serde(default)]
    #[schemars(length(max = 256), inner(length(max = 64)))]
    pub addresses: Vec<String>,
    /// Its ports.
    #[serde(default)]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map"),
        extend("x-kubernetes-list-map-keys" = ["name"]),
        extend("x-kubernetes-validations" = [rule::PORT_NUMBERS_DIFFER])
    )]
    pub ports: Vec<ServicePort>,
    /// Whether it is part of the mesh.
    pub location: Option<Location>,
    /// How its endpoints are found.
    pub resolution: Option<Resolution>,
    /// Its endpoints.
    #[serde(default)]
    #[schemars(length(max = 4096), with = "Vec<AddressedEntry>")]
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
    #[schemars(range(min = 1, max = 65535))]
    pub number: u32,
    /// What it carries: HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TLS, TCP, MONGO, REDIS, MYSQL or UDP.
    #[schemars(length(max = 256))]
    pub protocol: Option<String>,
    /// Its name.
    #[schemars(length(max = 256))]
    pub name: String,
    /// Where endpoints listen, when it is another number.
    #[schemars(range(min = 1, max = 65535))]
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
#[schemars(extend("x-kubernetes-validations" = [rule::SOCKET_WITHOUT_PORTS]))]
pub struct WorkloadEntrySpec {
    /// Its address: an IP, a name, or `unix:///path`.
    #[schemars(length(max = 256), extend("x-kubernetes-validations" = [rule::SOCKET_PATH, rule::SOCKET_IS_NO_DIRECTORY]))]
    pub address: Option<String>,
    /// Its ports, by the name of the service port, where they differ.
    #[serde(default)]
    #[schemars(
        with = "BTreeMap<String, Port>",
        extend("maxProperties" = 128),
        extend("x-kubernetes-validations" = [rule::PORT_NAMES])
    )]
    pub ports: BTreeMap<String, u32>,
    /// Its labels.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 256))]
    pub labels: BTreeMap<String, String>,
    /// Its network.
    #[schemars(length(max = 2048))]
    pub network: Option<String>,
    /// Where it runs: `region/zone/subzone`.
    #[schemars(length(max = 2048))]
    pub locality: Option<String>,
    /// Its share, relative to those of the other endpoints.
    pub weight: Option<u32>,
    /// Its service account.
    #[schemars(length(max = 253))]
    pub service_account: Option<String>,
}

/// A workload with an address, which only a template may do without.
#[derive(JsonSchema)]
#[schemars(
    transparent,
    extend("x-kubernetes-validations" = [rule::ADDRESS_OR_NETWORK, rule::SOCKET_WITHOUT_PORTS])
)]
pub(in crate::source) struct AddressedEntry(#[expect(dead_code, reason = "only its schema counts")] WorkloadEntrySpec);

/// The host of an entry.
#[derive(JsonSchema)]
#[schemars(transparent, extend("x-kubernetes-validations" = [rule::HOST_NOT_ALL]))]
struct Host(#[expect(dead_code, reason = "only its schema counts")] String);

/// A port, by number.
#[derive(JsonSchema)]
#[schemars(transparent, extend("minimum" = 1), extend("maximum" = 65535))]
struct Port(#[expect(dead_code, reason = "only its schema counts")] u32);
