//! Pod of Kubernetes.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as k8s;
use mesh::model::workload::Pod;

use super::{Conversion, Metadata, values::mesh_annotations};

impl Conversion<'_> {
    /// Converts a Pod: of its many fields only those that the compiler uses.
    pub fn pod(&mut self, spec: Option<k8s::PodSpec>, status: Option<k8s::PodStatus>) -> Pod {
        let spec = spec.unwrap_or_default();
        let status = status.unwrap_or_default();
        let containers = spec.containers.into_iter();
        // Init containers that go on running are sidecars, and may serve ports.
        let sidecars = spec
            .init_containers
            .unwrap_or_default()
            .into_iter()
            .filter(|container| container.restart_policy.as_deref() == Some("Always"));
        let named_ports = containers
            .chain(sidecars)
            .flat_map(|container| container.ports.unwrap_or_default())
            .filter_map(|port| Some((port.name?, u16::try_from(port.container_port).ok().filter(|port| *port > 0)?)))
            .collect();
        let many = status.pod_ips.unwrap_or_default().into_iter().map(|ip| ip.ip);
        let mut addresses: Vec<IpAddr> = Vec::new();
        for ip in many.chain(status.pod_ip).filter_map(|text| text.parse().ok()) {
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        Pod {
            labels: self.metadata.labels.clone(),
            annotations: mesh_annotations(&self.metadata.annotations),
            addresses,
            service_account: spec
                .service_account_name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "default".into()),
            node: spec.node_name.filter(|name| !name.is_empty()),
            named_ports,
            workload: workload(self.metadata),
            ended: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        }
    }
}

/// The name of the workload that made the pod: a Deployment's ReplicaSet carries the hash of the template behind the
/// Deployment's name, and a CronJob's Job the time of its run.
fn workload(metadata: &Metadata) -> String {
    let Some((kind, name)) = metadata.owners.first() else { return metadata.name.clone() };
    let strip = |suffix: &str| name.strip_suffix(suffix).and_then(|name| name.strip_suffix('-')).map(str::to_owned);
    match kind.as_str() {
        "ReplicaSet" => metadata.labels.get("pod-template-hash").and_then(|hash| strip(hash)),
        "Job" => name
            .rsplit_once('-')
            .filter(|(_, run)| run.len() >= 8 && run.bytes().all(|b| b.is_ascii_digit()))
            .map(|(cron, _)| cron.to_owned()),
        _ => None,
    }
    .unwrap_or_else(|| name.clone())
}

#[cfg(test)]
mod tests {
    use mesh::model::{Labels, Namespace};

    use super::*;

    fn owned(kind: &str, name: &str, hash: &str) -> String {
        workload(&Metadata {
            name: "pod-0".into(),
            namespace: Namespace::none(),
            labels: Labels::from([("pod-template-hash".into(), hash.into())]),
            annotations: Labels::new(),
            owners: vec![(kind.into(), name.into())],
            created: None,
            generation: None,
        })
    }

    #[test]
    fn a_pod_is_named_for_what_made_it() {
        assert_eq!(owned("ReplicaSet", "web-v1-5d7c", "5d7c"), "web-v1");
        assert_eq!(owned("ReplicaSet", "alone", "5d7c"), "alone");
        assert_eq!(owned("StatefulSet", "db", ""), "db");
        assert_eq!(owned("Job", "backup-28392840", ""), "backup");
        assert_eq!(owned("Job", "import-3", ""), "import-3");
    }
}
