//! PeerAuthentication.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{rule, selector::MatchLabelsSelector};

/// Whether workloads accept connections in plain text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [rule::PORTS_NEED_SELECTOR]))]
pub struct PeerAuthenticationSpec {
    /// The workloads that it is for; all of the namespace, when not given.
    pub selector: Option<MatchLabelsSelector>,
    /// For all ports.
    pub mtls: Option<MutualTls>,
    /// For single ports of the workload, by number.
    #[serde(default)]
    #[schemars(extend("minProperties" = 1), extend("x-kubernetes-validations" = [rule::PORT_KEYS]))]
    pub port_level_mtls: BTreeMap<String, MutualTls>,
}

/// Mutual TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MutualTls {
    /// Whether it is demanded.
    pub mode: Option<MutualTlsMode>,
}

/// Whether mutual TLS is demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MutualTlsMode {
    /// As what is above says: the namespace, the mesh; `PERMISSIVE` in the end.
    Unset,
    /// It is not offered.
    Disable,
    /// It is offered, and plain text accepted.
    Permissive,
    /// Connections without it are refused.
    Strict,
}
