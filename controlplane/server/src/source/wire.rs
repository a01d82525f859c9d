//! The objects as users write them: field for field the JSON shape of Istio's kinds.
//!
//! Every field that the API has is here, whether Mainsheet acts on it or not, so that a correct object is never called
//! misspelt. The descriptions become those of the custom resource definitions.

pub mod destination_rule;
pub mod http_route;
pub mod mesh_config;
pub mod service_entry;
pub mod sidecar;
pub mod traffic_policy;
pub mod virtual_service;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// A duration: `0.5s`, `250ms`, `1h30m`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("format" = "duration"))]
pub struct DurationText(pub String);

/// How a string is compared; exactly one of the three, or none for "is there at all" where that is possible.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StringMatch {
    /// Equal to this.
    pub exact: Option<String>,
    /// Beginning with this.
    pub prefix: Option<String>,
    /// Matching this regular expression as a whole; RE2 syntax.
    pub regex: Option<String>,
}

/// A share of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Percent {
    /// From 0 to 100; parts of a percent are possible.
    #[serde(default)]
    pub value: f64,
}

/// A port, by number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortSelector {
    /// The number, from 1 to 65535.
    #[serde(default)]
    pub number: u32,
}

/// Selects workloads by their labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelsSelector {
    /// Labels that a workload must have, all of them.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// Selects workloads by their labels, in the newer spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchLabelsSelector {
    /// Labels that a workload must have, all of them.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
}
