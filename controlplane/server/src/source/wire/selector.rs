//! Which workloads an object is for.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::rule;

/// Selects workloads by their labels.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LabelsSelector {
    /// Labels that a workload must have, all of them.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, LabelValue>", extend("maxProperties" = 256))]
    pub labels: BTreeMap<String, String>,
}

/// Selects workloads by their labels, in the newer spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchLabelsSelector {
    /// Labels that a workload must have, all of them.
    #[serde(default)]
    #[schemars(
        with = "BTreeMap<String, LabelValue>",
        extend("maxProperties" = 4096),
        extend("x-kubernetes-validations" = [rule::LABEL_KEYS_WITHOUT_WILDCARD, rule::LABEL_KEYS_NOT_EMPTY])
    )]
    pub match_labels: BTreeMap<String, String>,
}

/// The value of a label that is compared.
#[derive(JsonSchema)]
#[schemars(
    transparent,
    extend("maxLength" = 63),
    extend("x-kubernetes-validations" = [rule::LABEL_WITHOUT_WILDCARD])
)]
struct LabelValue(#[expect(dead_code, reason = "only its schema counts")] String);

/// What a policy is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["selector", "targetRef", "targetRefs"]]))]
pub struct PolicyTarget {
    /// The workloads that it is for; all of the namespace, when not given.
    pub selector: Option<MatchLabelsSelector>,
    /// The gateway or service that it is for, in place of `selector`.
    pub target_ref: Option<PolicyTargetReference>,
    /// The gateways or services that it is for, in place of `selector`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
}

/// Names what a policy is for, in place of a selector: a gateway, a waypoint, a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTargetReference {
    /// Its API group; empty for those of Kubernetes' core.
    #[schemars(
        length(max = 253),
        regex(pattern = r"^$|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub group: Option<String>,
    /// Its kind.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"))]
    pub kind: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Must be empty: it is in the namespace of the policy.
    #[schemars(extend("x-kubernetes-validations" = [rule::SAME_NAMESPACE]))]
    pub namespace: Option<String>,
}
