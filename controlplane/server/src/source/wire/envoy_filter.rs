//! EnvoyFilter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    rule,
    selector::{LabelsSelector, PolicyTargetReference},
};

/// Changes of the configuration that proxies are sent.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["workloadSelector", "targetRefs"]]))]
pub struct EnvoyFilterSpec {
    /// The workloads that it is for; all of the namespace, when not given.
    pub workload_selector: Option<LabelsSelector>,
    /// The gateways or services that it is for, in place of `workloadSelector`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// The changes, made in this order.
    #[serde(default)]
    pub config_patches: Vec<ConfigPatch>,
    /// Which of several objects comes first: the lowest number; 0 when not given.
    pub priority: Option<i32>,
}

/// One change.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigPatch {
    /// What sort of thing is changed.
    pub apply_to: Option<ApplyTo>,
    /// Which of them.
    #[serde(rename = "match")]
    pub matches: Option<PatchMatch>,
    /// How.
    pub patch: Option<Patch>,
}

/// What sort of thing a patch changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ApplyTo {
    /// Nothing.
    Invalid,
    /// A listener.
    Listener,
    /// A filter chain of a listener.
    FilterChain,
    /// A network filter of a chain.
    NetworkFilter,
    /// A filter of the HTTP connection manager.
    HttpFilter,
    /// A route configuration.
    RouteConfiguration,
    /// A virtual host of a route configuration.
    VirtualHost,
    /// A route of a virtual host.
    HttpRoute,
    /// A cluster.
    Cluster,
    /// The configuration of an extension, by ECDS.
    ExtensionConfig,
    /// The bootstrap of the proxy.
    Bootstrap,
    /// A listener filter.
    ListenerFilter,
}

/// Which things a patch changes; at most one of listener, route configuration, cluster and waypoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    extend("x-mainsheet-exclusive" = [["listener", "routeConfiguration", "cluster", "waypoint"]]),
    extend("x-kubernetes-validations" = [rule::WAYPOINT_CONTEXT])
)]
pub struct PatchMatch {
    /// In which direction, and of which proxies.
    pub context: Option<PatchContext>,
    /// Of which proxies, by what they say of themselves.
    pub proxy: Option<ProxyMatch>,
    /// Listeners, or what is in them.
    pub listener: Option<ListenerMatch>,
    /// Route configurations, or what is in them.
    pub route_configuration: Option<RouteConfigurationMatch>,
    /// Clusters.
    pub cluster: Option<ClusterMatch>,
    /// What is in the proxies of waypoints.
    pub waypoint: Option<WaypointMatch>,
}

/// The direction and the proxies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchContext {
    /// All but waypoints.
    Any,
    /// Sidecars, for requests to the workload.
    SidecarInbound,
    /// Sidecars, for requests of the workload.
    SidecarOutbound,
    /// Gateways.
    Gateway,
    /// Waypoints.
    Waypoint,
}

/// Proxies, by what they say of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyMatch {
    /// A regular expression for the version.
    pub proxy_version: Option<String>,
    /// Metadata that they must have, all of it.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// Listeners, or what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerMatch {
    /// The port.
    pub port_number: Option<u32>,
    /// Has no meaning.
    pub port_name: Option<String>,
    /// A filter chain.
    pub filter_chain: Option<FilterChainMatch>,
    /// A listener filter, by name.
    pub listener_filter: Option<String>,
    /// The name of the listener.
    pub name: Option<String>,
}

/// A filter chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilterChainMatch {
    /// Its name.
    pub name: Option<String>,
    /// The server name that it is for.
    pub sni: Option<String>,
    /// The transport that it is for: `tls` or `raw_buffer`.
    pub transport_protocol: Option<String>,
    /// The application protocols that it is for, separated by commas.
    pub application_protocols: Option<String>,
    /// A filter of it.
    pub filter: Option<FilterMatch>,
    /// The port that it is for.
    pub destination_port: Option<u32>,
}

/// A network filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FilterMatch {
    /// Its name: `envoy.filters.network.http_connection_manager`.
    pub name: Option<String>,
    /// A filter within it.
    pub sub_filter: Option<SubFilterMatch>,
}

/// A filter within a filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SubFilterMatch {
    /// Its name: `envoy.filters.http.router`.
    pub name: Option<String>,
}

/// Route configurations, or what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteConfigurationMatch {
    /// The port of the service or gateway.
    pub port_number: Option<u32>,
    /// The name of the gateway's port.
    pub port_name: Option<String>,
    /// The gateway, as `namespace/name`.
    pub gateway: Option<String>,
    /// A virtual host.
    pub vhost: Option<VirtualHostMatch>,
    /// The name of the route configuration.
    pub name: Option<String>,
}

/// A virtual host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VirtualHostMatch {
    /// Its name: `host:port`.
    pub name: Option<String>,
    /// One of its domains.
    pub domain_name: Option<String>,
    /// A route of it.
    pub route: Option<RouteMatch>,
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteMatch {
    /// Its name.
    pub name: Option<String>,
    /// What it does.
    pub action: Option<RouteAction>,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RouteAction {
    /// Whatever.
    Any,
    /// Forwards.
    Route,
    /// Redirects.
    Redirect,
    /// Answers.
    DirectResponse,
}

/// Clusters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterMatch {
    /// The port of the service.
    pub port_number: Option<u32>,
    /// The host of the service, in full.
    pub service: Option<String>,
    /// The subset.
    pub subset: Option<String>,
    /// The name of the cluster.
    pub name: Option<String>,
}

/// What is in the proxies of waypoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaypointMatch {
    /// The port of the service.
    #[schemars(range(min = 1, max = 65535))]
    pub port_number: Option<u32>,
    /// A filter.
    pub filter: Option<FilterMatch>,
    /// A route.
    pub route: Option<WaypointRouteMatch>,
}

/// A route in the proxy of a waypoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WaypointRouteMatch {
    /// Its name.
    pub name: Option<String>,
}

/// How a thing is changed.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Patch {
    /// What is done.
    pub operation: Option<PatchOperation>,
    /// Configuration of Envoy, as JSON of its messages.
    #[schemars(extend("type" = "object"), extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub value: Option<serde_json::Value>,
    /// Where among the filters an added one goes.
    pub filter_class: Option<FilterClass>,
}

/// What a patch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PatchOperation {
    /// Nothing.
    Invalid,
    /// The value is merged into what is there.
    Merge,
    /// The value is added to the list.
    Add,
    /// What is there is removed.
    Remove,
    /// The value is put before what is there.
    InsertBefore,
    /// The value is put behind what is there.
    InsertAfter,
    /// The value becomes the first of the list.
    InsertFirst,
    /// The value takes the place of what is there.
    Replace,
    /// The value is merged into what is there, lists taking the place of lists.
    MergeAndReplaceList,
}

/// Where among the filters an added one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FilterClass {
    /// Where the operation says.
    Unspecified,
    /// Behind the filters of authentication.
    Authn,
    /// Behind the filters of authorization.
    Authz,
    /// Before the filters of statistics.
    Stats,
}
