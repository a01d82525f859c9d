//! Services from the objects that declare them: a Kubernetes Service, or the ServiceEntries of a namespace with one host.

use super::Mesh;
use crate::model::{
    Hostname, Object, ObjectId, Shared,
    mesh_service::MeshService,
    service::{PORTS_MAX, Registry, Resolution, Service, ServicePort, TargetPort, TrafficDistribution},
    service_entry::{EntryPort, EntryResolution, ServiceEntry},
};

/// The service `host` that its declarers make together: the Kubernetes Service if there is one, else the oldest
/// ServiceEntry with the ports and addresses that younger ones of the same resolution add.
pub(super) fn service<'a>(
    mesh: &Mesh,
    host: &Hostname,
    declarers: impl Iterator<Item = &'a ObjectId> + Clone,
) -> Option<MeshService> {
    let declared = declarers.clone().filter_map(|id| mesh.declared_services.get(id));
    if let Some(object) = declared.min_by(|a, b| a.precedence().cmp(&b.precedence())) {
        return Some(of_declared(object));
    }
    let entries = entries(mesh, declarers);
    let (oldest, younger) = entries.split_first()?;
    let mut made = of_entry(host, oldest);
    for entry in younger.iter().filter(|entry| entry.spec.resolution == oldest.spec.resolution) {
        for port in &entry.spec.ports {
            if made.service.port(port.number).is_none() && made.service.ports.len() < PORTS_MAX {
                made.service.ports.push(of_entry_port(port));
            }
        }
        for address in &entry.spec.addresses {
            if !made.service.addresses.contains(address) {
                made.service.addresses.push(*address);
            }
        }
    }
    Some(made)
}

/// The ServiceEntries among `declarers`, oldest first.
pub(super) fn entries<'a, 'm>(
    mesh: &'m Mesh,
    declarers: impl Iterator<Item = &'a ObjectId>,
) -> Vec<&'m Shared<Object<ServiceEntry>>> {
    let mut entries: Vec<_> = declarers.filter_map(|id| mesh.service_entries.get(id)).collect();
    entries.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
    entries
}

/// What the resolution of a ServiceEntry makes of its service.
pub(super) fn resolution(entry: EntryResolution) -> Resolution {
    match entry {
        EntryResolution::None => Resolution::None,
        EntryResolution::Static => Resolution::Static,
        EntryResolution::Dns => Resolution::Dns,
        EntryResolution::DnsRoundRobin => Resolution::DnsRoundRobin,
    }
}

fn of_declared(object: &Object<Service>) -> MeshService {
    MeshService { service: object.spec.clone(), origin: object.id.clone(), created: object.created }
}

fn of_entry(host: &Hostname, entry: &Object<ServiceEntry>) -> MeshService {
    let spec = &entry.spec;
    let registry = if spec.mesh_internal { Registry::InternalEntry } else { Registry::ExternalEntry };
    let service = Service {
        hostname: host.clone(),
        name: host.to_string(),
        namespace: entry.id.namespace.clone(),
        labels: spec.labels.clone(),
        ports: spec.ports.iter().map(of_entry_port).collect(),
        addresses: spec.addresses.clone(),
        resolution: resolution(spec.resolution),
        selector: spec.workload_selector.clone(),
        export_to: spec.export_to.clone(),
        registry,
        node_local: false,
        publish_not_ready: false,
        subject_alt_names: spec.subject_alt_names.clone(),
        traffic_distribution: TrafficDistribution::Any,
    };
    MeshService { service, origin: entry.id.clone(), created: entry.created }
}

fn of_entry_port(port: &EntryPort) -> ServicePort {
    ServicePort {
        number: port.number,
        name: port.name.clone(),
        protocol: port.protocol,
        target: TargetPort::Number(port.target.unwrap_or(port.number)),
    }
}
