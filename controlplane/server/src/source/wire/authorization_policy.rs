//! AuthorizationPolicy.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{rule, selector::PolicyTarget};

/// Who may do what. Without rules an `ALLOW` policy allows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-mainsheet-exclusive" = [["selector", "targetRef", "targetRefs"]]))]
pub struct AuthorizationPolicySpec {
    /// What it is for.
    #[serde(flatten)]
    pub target: PolicyTarget,
    /// The rules; a request matches if any of them does.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub rules: Vec<Rule>,
    /// What happens to requests that match; `ALLOW` when not given.
    pub action: Option<Action>,
    /// `CUSTOM`: who decides.
    pub provider: Option<Provider>,
}

/// What happens to requests that match a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// They are allowed, and whatever no such policy allows is denied.
    Allow,
    /// They are denied, whatever else allows them.
    Deny,
    /// They are marked for the access log.
    Audit,
    /// A provider of the mesh decides.
    Custom,
}

/// A provider of the mesh.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Provider {
    /// Its name among the `extensionProviders` of the mesh.
    pub name: Option<String>,
}

/// When a request matches: who, what and when must all be so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// Who sends it: any of these; anybody, when not given.
    #[serde(default)]
    #[schemars(length(max = 512))]
    pub from: Vec<From>,
    /// What it asks for: any of these; anything, when not given.
    #[serde(default)]
    pub to: Vec<To>,
    /// What else must be so: all of these.
    #[serde(default)]
    pub when: Vec<Condition>,
}

/// Who sends a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct From {
    /// The sender: all that is said must be true.
    pub source: Option<Source>,
}

/// The sender of a request. In each list any entry will do; `x*`, `*x` and `*` stand for what begins or ends so, or is
/// there at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule::SERVICE_ACCOUNTS_ALONE]))]
pub struct Source {
    /// Identities proved by mTLS: `cluster.local/ns/default/sa/reviews`.
    #[serde(default)]
    pub principals: Vec<String>,
    /// Identities that must not be the sender's.
    #[serde(default)]
    pub not_principals: Vec<String>,
    /// Identities proved by a token: `issuer/subject`.
    #[serde(default)]
    pub request_principals: Vec<String>,
    /// Identities of a token that must not be the sender's.
    #[serde(default)]
    pub not_request_principals: Vec<String>,
    /// Namespaces, proved by mTLS.
    #[serde(default)]
    pub namespaces: Vec<String>,
    /// Namespaces that must not be the sender's.
    #[serde(default)]
    pub not_namespaces: Vec<String>,
    /// Addresses or ranges of the connection's other end.
    #[serde(default)]
    pub ip_blocks: Vec<String>,
    /// Addresses or ranges that must not be the connection's other end.
    #[serde(default)]
    pub not_ip_blocks: Vec<String>,
    /// Addresses or ranges of the client, as trusted proxies before us give it.
    #[serde(default)]
    pub remote_ip_blocks: Vec<String>,
    /// Addresses or ranges that must not be the client's.
    #[serde(default)]
    pub not_remote_ip_blocks: Vec<String>,
    /// Service accounts, proved by mTLS: `namespace/name`, or `name` in the policy's own namespace. They exclude
    /// principals and namespaces.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 320)))]
    pub service_accounts: Vec<String>,
    /// Service accounts that must not be the sender's.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(max = 320)))]
    pub not_service_accounts: Vec<String>,
    /// Trust domains, proved by mTLS.
    #[serde(default)]
    pub trust_domains: Vec<String>,
    /// Trust domains that must not be the sender's.
    #[serde(default)]
    pub not_trust_domains: Vec<String>,
}

/// What a request asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct To {
    /// The operation: all that is said must be true.
    pub operation: Option<Operation>,
}

/// What a request asks for. In each list any entry will do; `x*`, `*x` and `*` stand for what begins or ends so, or is
/// there at all. All but ports needs HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// Hosts; their case does not matter.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Hosts that it must not be for.
    #[serde(default)]
    pub not_hosts: Vec<String>,
    /// Ports of the workload.
    #[serde(default)]
    pub ports: Vec<String>,
    /// Ports that it must not be for.
    #[serde(default)]
    pub not_ports: Vec<String>,
    /// Methods; of gRPC it is always `POST`.
    #[serde(default)]
    pub methods: Vec<String>,
    /// Methods that it must not have.
    #[serde(default)]
    pub not_methods: Vec<String>,
    /// Paths, without the query; `{*}` stands for one segment, `{**}` for any number. Of gRPC `/package.Service/Method`.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Paths that it must not be for.
    #[serde(default)]
    pub not_paths: Vec<String>,
}

/// What else must be so.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is looked at: `request.headers[x]`, `source.ip`, `source.principal`, `request.auth.claims[x]`,
    /// `connection.sni` and others.
    pub key: String,
    /// Values, any of which it must have.
    #[serde(default)]
    pub values: Vec<String>,
    /// Values that it must not have.
    #[serde(default)]
    pub not_values: Vec<String>,
}
