//! Service of Kubernetes.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::{api::core::v1 as k8s, apimachinery::pkg::util::intstr::IntOrString};
use mesh::model::{
    Hostname, Selector, code,
    protocol::Protocol,
    service::{Address, PORTS_MAX, Registry, Resolution, Service, ServicePort, TargetPort, TrafficDistribution},
};

use super::Conversion;
use crate::source::path::Path;

/// Who can see a Service; Kubernetes has no field for it.
const EXPORT_TO: &str = "networking.istio.io/exportTo";
/// Where its traffic should stay, for Kubernetes versions without the field.
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";

impl Conversion<'_> {
    /// Converts the `spec` at `path`; `None` when its name makes no host.
    pub fn service(&mut self, spec: k8s::ServiceSpec, path: Path<'_>) -> Option<Service> {
        let root = Path::root();
        let metadata_path = root.field("metadata");
        let hostname = match Hostname::of_service(&self.metadata.name, &self.metadata.namespace, &self.settings.domain)
        {
            Ok(hostname) => hostname,
            Err(error) => {
                self.error(code::BAD_METADATA, metadata_path.field("name"), format!("the name {error}"), "");
                return None;
            }
        };
        if spec.session_affinity.as_deref() == Some("ClientIP") {
            self.not_in_force(
                path.field("sessionAffinity"),
                "use consistentHash with useSourceIp in a DestinationRule",
            );
        }
        let annotations = &self.metadata.annotations;
        let export_to: Vec<String> = annotations
            .get(EXPORT_TO)
            .map(|list| list.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect())
            .unwrap_or_default();
        let distribution = spec.traffic_distribution.clone().or_else(|| annotations.get(TRAFFIC_DISTRIBUTION).cloned());
        let annotations_path = metadata_path.field("annotations");
        Some(Service {
            name: self.metadata.name.clone(),
            namespace: self.metadata.namespace.clone(),
            labels: self.metadata.labels.clone(),
            addresses: self.cluster_addresses(&spec, path),
            resolution: self.service_resolution(&spec, path),
            selector: spec.selector.filter(|selector| !selector.is_empty()).map(Selector),
            export_to: self.export_to(&export_to, annotations_path.field(EXPORT_TO)),
            registry: Registry::Kubernetes,
            node_local: spec.internal_traffic_policy.as_deref() == Some("Local"),
            publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
            subject_alt_names: Vec::new(),
            traffic_distribution: match distribution.as_deref() {
                Some("PreferClose" | "PreferSameZone") => TrafficDistribution::SameZone,
                Some("PreferSameNode") => TrafficDistribution::SameNode,
                Some(_) | None => TrafficDistribution::Any,
            },
            ports: self.service_ports(spec.ports.unwrap_or_default(), path.field("ports")),
            hostname,
        })
    }

    fn service_resolution(&mut self, spec: &k8s::ServiceSpec, path: Path<'_>) -> Resolution {
        if spec.type_.as_deref() == Some("ExternalName") {
            let target = spec.external_name.as_deref().unwrap_or_default();
            let target = target.strip_suffix('.').unwrap_or(target);
            return self.exact_host(target, path.field("externalName")).map_or(Resolution::Headless, Resolution::Alias);
        }
        if spec.cluster_ip.as_deref() == Some("None") { Resolution::Headless } else { Resolution::Static }
    }

    fn cluster_addresses(&mut self, spec: &k8s::ServiceSpec, path: Path<'_>) -> Vec<Address> {
        let many = spec.cluster_ips.iter().flatten();
        let mut addresses = Vec::new();
        for text in many.chain(&spec.cluster_ip).filter(|text| !text.is_empty() && *text != "None") {
            match text.parse::<IpAddr>() {
                Ok(ip) if !addresses.contains(&Address::single(ip)) => addresses.push(Address::single(ip)),
                Ok(_) => {}
                Err(_) => {
                    let reason = format!("{text:?} is not an address");
                    self.error(code::BAD_ADDRESS, path.field("clusterIP"), reason, "leave it out, or write None");
                }
            }
        }
        addresses
    }

    fn service_ports(&mut self, ports: Vec<k8s::ServicePort>, path: Path<'_>) -> Vec<ServicePort> {
        self.limit(ports.len(), PORTS_MAX, path);
        let several = ports.len() > 1;
        let (mut seen, mut names) = (BTreeSet::new(), BTreeSet::new());
        let mut list: Vec<ServicePort> = Vec::new();
        for (place, port) in ports.into_iter().enumerate() {
            let path = path.index(place);
            let transport = port.protocol.unwrap_or_else(|| "TCP".into());
            let name = port.name.unwrap_or_default();
            if several && !names.insert(name.clone()) {
                let reason = format!("the name {name:?} is given twice");
                self.error(code::DUPLICATE_NAME, path.field("name"), reason, "give each port its own name");
            }
            let Some(number) = self.port(port.port, path.field("port")) else { continue };
            if !seen.insert((number, transport.clone())) {
                let reason = format!("port {number} is given twice");
                self.error(code::DUPLICATE_NAME, path.field("port"), reason, "remove one");
            }
            let target = self.target_port(port.target_port, number, path.field("targetPort"));
            let protocol = Protocol::of_service_port(&transport, port.app_protocol.as_deref(), &name, number);
            list.push(ServicePort { number, name, protocol, target });
        }
        // A number may serve TCP and UDP at once; the proxy handles only the first.
        let taken: BTreeSet<u16> =
            list.iter().filter(|port| port.protocol != Protocol::Udp).map(|port| port.number).collect();
        list.retain(|port| port.protocol != Protocol::Udp || !taken.contains(&port.number));
        list
    }

    fn target_port(&mut self, target: Option<IntOrString>, number: u16, path: Path<'_>) -> TargetPort {
        match target {
            None | Some(IntOrString::Int(0)) => TargetPort::Number(number),
            Some(IntOrString::Int(target)) => {
                let target = self.port(target, path);
                TargetPort::Number(target.unwrap_or(number))
            }
            Some(IntOrString::String(name)) => match name.parse::<u16>() {
                Ok(target) if target > 0 => TargetPort::Number(target),
                _ => TargetPort::Named(name),
            },
        }
    }
}
