//! WasmPlugin and TrafficExtension.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    rule,
    selector::{MatchLabelsSelector, PolicyTarget, PolicyTargetReference},
};

/// A WebAssembly module that proxies run.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["selector", "targetRef", "targetRefs"]]))]
pub struct WasmPluginSpec {
    /// What it is for.
    #[serde(flatten)]
    pub target: PolicyTarget,
    /// The module.
    #[serde(flatten)]
    pub module: WasmModule,
    /// Where among the filters it stands.
    pub phase: Option<WasmPluginPhase>,
    /// Which of several in one phase comes first: the highest number; 0 when not given.
    #[schemars(extend("nullable" = true))]
    pub priority: Option<i32>,
    /// The traffic that it sees: any of these; all, when not given.
    #[serde(rename = "match", default)]
    pub matches: Vec<TrafficSelector>,
}

/// A module or script that proxies run.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(
    extend("x-mainsheet-exclusive" = [["selector", "targetRefs"]]),
    extend("x-kubernetes-validations" = [rule::WASM_OR_LUA])
)]
pub struct TrafficExtensionSpec {
    /// The workloads that it is for; all of the namespace, when not given.
    pub selector: Option<MatchLabelsSelector>,
    /// The gateways or services that it is for, in place of `selector`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTargetReference>,
    /// Where among the filters it stands.
    pub phase: Option<ExtensionPhase>,
    /// Which of several in one phase comes first: the highest number; 0 when not given.
    #[schemars(extend("nullable" = true))]
    pub priority: Option<i32>,
    /// The traffic that it sees: any of these; all, when not given.
    #[serde(rename = "match", default)]
    pub matches: Vec<TrafficSelector>,
    /// A WebAssembly module.
    pub wasm: Option<WasmModule>,
    /// A script.
    pub lua: Option<LuaScript>,
}

/// A script in Lua.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LuaScript {
    /// The script itself.
    #[schemars(length(min = 1, max = 65536))]
    pub inline_code: String,
}

/// A WebAssembly module, and how it is run.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WasmModule {
    /// Where it comes from: `oci://`, `http://`, `https://` or `file://`; without a scheme it is `oci://`.
    #[schemars(length(min = 1), extend("x-kubernetes-validations" = [rule::MODULE_URL]))]
    pub url: String,
    /// The SHA-256 hash that it must have, in hexadecimal.
    #[schemars(regex(pattern = "(^$|^[a-f0-9]{64}$)"))]
    pub sha256: Option<String>,
    /// When it is fetched anew.
    pub image_pull_policy: Option<PullPolicy>,
    /// The Secret, in the same namespace, with which it is fetched.
    #[schemars(length(min = 1, max = 253))]
    pub image_pull_secret: Option<String>,
    /// Has no meaning yet: the key that it is signed with.
    pub verification_key: Option<String>,
    /// Its configuration, in whatever form it has.
    #[schemars(extend("type" = "object"), extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub plugin_config: Option<serde_json::Value>,
    /// Which plug-in of the module is meant.
    #[schemars(length(min = 1, max = 256))]
    pub plugin_name: Option<String>,
    /// What happens to requests when it fails.
    pub fail_strategy: Option<FailStrategy>,
    /// The machine that it runs in.
    pub vm_config: Option<VmConfig>,
    /// What sort of filter it is.
    #[serde(rename = "type")]
    pub plugin_type: Option<PluginType>,
}

/// When a module is fetched anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// `Always` for tag `latest`, else `IfNotPresent`.
    #[serde(rename = "UNSPECIFIED_POLICY")]
    Unspecified,
    /// When it is not there.
    IfNotPresent,
    /// Whenever this object changes.
    Always,
}

/// What happens to requests when a module fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailStrategy {
    /// They are answered with an error.
    FailClose,
    /// They pass by it.
    FailOpen,
    /// It is started anew; until then they are answered with an error.
    FailReload,
}

/// What sort of filter a module is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PluginType {
    /// As `HTTP`.
    UnspecifiedPluginType,
    /// It sees requests.
    Http,
    /// It sees connections.
    Network,
}

/// The machine that a module runs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VmConfig {
    /// Variables of its environment.
    #[serde(default)]
    #[schemars(
        length(max = 256),
        extend("x-kubernetes-list-type" = "map"),
        extend("x-kubernetes-list-map-keys" = ["name"])
    )]
    pub env: Vec<EnvVar>,
}

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule::INLINE_VALUE]))]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// Where its value comes from; `INLINE` when not given.
    pub value_from: Option<EnvValueSource>,
    /// `INLINE`: its value.
    #[schemars(length(max = 2048))]
    pub value: Option<String>,
}

/// Where the value of a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EnvValueSource {
    /// It is given.
    Inline,
    /// The proxy has it in its own environment.
    Host,
}

/// Where among the filters a plug-in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WasmPluginPhase {
    /// At the end, before the router.
    UnspecifiedPhase,
    /// Before the filters of authentication.
    Authn,
    /// Before the filters of authorization.
    Authz,
    /// Before the filters of statistics.
    Stats,
}

/// Where among the filters an extension stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExtensionPhase {
    /// At the end, before the router.
    Unspecified,
    /// Before the filters of authentication.
    Authn,
    /// Before the filters of authorization.
    Authz,
    /// Before the filters of statistics.
    Stats,
}

/// Traffic that a plug-in sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficSelector {
    /// On which side of a request; both, when not given.
    pub mode: Option<TrafficMode>,
    /// The ports: any of these; all, when not given.
    #[serde(default)]
    #[schemars(
        extend("x-kubernetes-list-type" = "map"),
        extend("x-kubernetes-list-map-keys" = ["number"])
    )]
    pub ports: Vec<ExtensionPort>,
}

/// A side of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TrafficMode {
    /// Both.
    Undefined,
    /// Requests that the workload sends.
    Client,
    /// Requests that the workload is sent.
    Server,
    /// Both.
    ClientAndServer,
}

/// A port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExtensionPort {
    /// Its number.
    #[schemars(range(min = 1, max = 65535))]
    pub number: u32,
}
