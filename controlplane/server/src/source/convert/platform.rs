//! Node, Namespace and ServiceAccount of Kubernetes: of all of them only the metadata counts.

use mesh::model::{
    endpoint::Locality,
    workload::{NamespaceInfo, Node, ServiceAccount},
};

use super::Conversion;

/// Labels of a node by what they say, the current spelling before the old one.
const REGION: [&str; 2] = ["topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"];
const ZONE: [&str; 2] = ["topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"];
const SUBZONE: [&str; 1] = ["topology.istio.io/subzone"];

impl Conversion<'_> {
    /// Converts a Node.
    #[must_use]
    pub fn node(&self) -> Node {
        let label = |names: &[&str]| names.iter().find_map(|name| self.metadata.labels.get(*name)).cloned();
        Node {
            locality: Locality {
                region: label(&REGION).unwrap_or_default(),
                zone: label(&ZONE).unwrap_or_default(),
                subzone: label(&SUBZONE).unwrap_or_default(),
            },
        }
    }

    /// Converts a Namespace.
    #[must_use]
    pub fn namespace_info(&self) -> NamespaceInfo {
        NamespaceInfo { labels: self.metadata.labels.clone() }
    }

    /// Converts a ServiceAccount.
    #[must_use]
    pub fn service_account(&self) -> ServiceAccount {
        ServiceAccount {}
    }
}
