//! What runs: pods, nodes, and the namespaces and accounts they belong to.

use std::{collections::BTreeMap, net::IpAddr};

use super::{endpoint::Locality, name::Labels};

/// A Pod, reduced to what the compiler uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its labels.
    pub labels: Labels,
    /// The annotations that the mesh reads (`istio.io`, `sidecar.istio.io` and the like).
    pub annotations: Labels,
    /// Its addresses, once it has some.
    pub addresses: Vec<IpAddr>,
    /// Its service account; `default` when it names none.
    pub service_account: String,
    /// The node it runs on.
    pub node: Option<String>,
    /// Its named container ports.
    pub named_ports: BTreeMap<String, u16>,
    /// Name of the workload that made it: its owner's, or its own.
    pub workload: String,
    /// It has ended (`Succeeded` or `Failed`).
    pub ended: bool,
}

/// A Node, reduced to where it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its topology labels.
    pub locality: Locality,
}

/// A Namespace, reduced to its labels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamespaceInfo {
    /// Its labels.
    pub labels: Labels,
}

/// A ServiceAccount; that it exists is all that counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceAccount {}
