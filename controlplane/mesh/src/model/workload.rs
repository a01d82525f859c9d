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

/// The network of a pod.
const NETWORK_LABEL: &str = "topology.istio.io/network";
/// Where a pod runs, against what its node says: `region.zone.subzone`, since labels have no slashes.
const LOCALITY_LABELS: [&str; 2] = ["topology.istio.io/locality", "istio-locality"];

/// The locality that the labels of a workload claim, if they do.
#[must_use]
pub fn labelled_locality(labels: &Labels) -> Option<Locality> {
    let text = LOCALITY_LABELS.iter().find_map(|key| labels.get(*key))?;
    Some(if text.contains('/') { Locality::parse(text) } else { Locality::parse(&text.replace('.', "/")) })
}

/// The network that the labels of a workload name; empty is the default one.
#[must_use]
pub fn labelled_network(labels: &Labels) -> String {
    labels.get(NETWORK_LABEL).cloned().unwrap_or_default()
}
