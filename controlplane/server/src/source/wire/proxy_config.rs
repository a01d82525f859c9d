//! ProxyConfig.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::selector::MatchLabelsSelector;

/// How proxies are started. It counts when they are injected.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyConfigSpec {
    /// The workloads that it is for; all of the namespace, when not given.
    pub selector: Option<MatchLabelsSelector>,
    /// Worker threads; 0 is one for each core.
    #[schemars(range(min = 0), extend("nullable" = true))]
    pub concurrency: Option<i32>,
    /// Variables of the proxy's environment.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, VariableValue>")]
    pub environment_variables: BTreeMap<String, String>,
    /// The image of the proxy.
    pub image: Option<ProxyImage>,
}

/// The value of a variable.
#[derive(JsonSchema)]
#[schemars(transparent, extend("maxLength" = 2048))]
struct VariableValue(#[expect(dead_code, reason = "only its schema counts")] String);

/// The image of a proxy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyImage {
    /// Which build: `default`, `debug` or `distroless`.
    pub image_type: Option<String>,
}
