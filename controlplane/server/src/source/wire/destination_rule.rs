//! DestinationRule.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{selector::MatchLabelsSelector, traffic_policy::TrafficPolicy};

/// Subsets of a service, and how its traffic is handled once it is decided where it goes.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DestinationRuleSpec {
    /// The service. A name without dots is completed with the namespace of this object; `*.` may stand for any first
    /// part.
    pub host: String,
    /// How traffic to the whole service is handled.
    pub traffic_policy: Option<TrafficPolicy>,
    /// Named parts of the service.
    #[serde(default)]
    pub subsets: Vec<Subset>,
    /// The namespaces that can see it: names, `.` for its own, `*` for all. Not given, the mesh's default holds.
    #[serde(default)]
    pub export_to: Vec<String>,
    /// The callers that it holds for, in its own namespace; all, when not given.
    pub workload_selector: Option<MatchLabelsSelector>,
}

/// A named part of a service.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Subset {
    /// Its name, which the rules of a VirtualService use.
    pub name: String,
    /// Labels that its endpoints have.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// What differs for it from the policy of the whole service.
    pub traffic_policy: Option<TrafficPolicy>,
}
