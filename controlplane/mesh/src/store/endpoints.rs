//! Where a service answers: its EndpointSlices joined with Pods and Nodes, and what ServiceEntries give or select.

use std::net::IpAddr;

use super::{Mesh, authentication::Authentications, derive::Index, services::entries};
use crate::model::{
    Hostname, Kind, Labels, Namespace, Object, ObjectId, Shared,
    endpoint::{Endpoint, EndpointAddress, EndpointSlice, Health, Locality, SliceEndpoint},
    mesh_service::{ENDPOINTS_OF_PORT_MAX, Endpoints, MeshService},
    peer_authentication::MutualTls,
    service::{Resolution, Service, ServicePort, TargetPort},
    service_entry::{EntryAddress, EntryPort, EntryResolution, ServiceEntry, WorkloadEntry},
    workload::{Pod, labelled_locality, labelled_network},
};

/// A pod with this label and the value `istio` terminates the mesh's mutual TLS.
const TLS_MODE_LABEL: &str = "security.istio.io/tlsMode";

/// Where `service` answers, by port, in the order of addresses, and the ports that have more endpoints than count.
pub(super) fn endpoints<'a>(
    mesh: &Mesh,
    index: &Index,
    service: &MeshService,
    declarers: impl Iterator<Item = &'a ObjectId> + Clone,
) -> (Endpoints, Vec<u16>) {
    let resolved = match &service.service.resolution {
        Resolution::Static | Resolution::Headless | Resolution::Dns | Resolution::DnsRoundRobin => true,
        Resolution::None | Resolution::Alias(_) => false,
    };
    let (mut found, mut crowded) = (Endpoints::default(), Vec::new());
    if !resolved {
        return (found, crowded);
    }
    let slices: Vec<_> = declarers
        .clone()
        .filter(|id| id.kind == Kind::Service)
        .flat_map(|id| index.slices_of(id))
        .filter_map(|id| mesh.endpoint_slices.get(id))
        .collect();
    let entries = entries(mesh, declarers);
    let authentications = mesh.authentications(&service.service.namespace);
    for port in &service.service.ports {
        let mut of_port = Vec::new();
        for slice in &slices {
            add_slice(mesh, service, port, slice, &mut of_port);
        }
        keep_family(service, &mut of_port);
        add_selected(mesh, &service.service, port, &mut of_port);
        for entry in &entries {
            if let Some(entry_port) = entry_port(entry, port) {
                add_entry(mesh, service, entry_port, entry, &mut of_port);
            }
        }
        keep_offered(&authentications, &mut of_port);
        put_in_order(&mut of_port);
        if of_port.len() > ENDPOINTS_OF_PORT_MAX {
            of_port.truncate(ENDPOINTS_OF_PORT_MAX);
            crowded.push(port.number);
        }
        found.0.insert(port.number, of_port);
    }
    (found, crowded)
}

fn add_slice(
    mesh: &Mesh,
    service: &MeshService,
    port: &ServicePort,
    slice: &Object<EndpointSlice>,
    found: &mut Vec<Endpoint>,
) {
    let Some(number) = slice_port(service, port, &slice.spec) else { return };
    for endpoint in &slice.spec.endpoints {
        let health = if endpoint.ready {
            Health::Healthy
        } else if endpoint.terminating && endpoint.serving {
            Health::Draining
        } else if service.service.publish_not_ready {
            Health::Healthy
        } else {
            continue;
        };
        // All addresses of an entry lead to the same pod.
        let Some(ip) = endpoint.addresses.first() else { continue };
        found.push(of_slice(mesh, &slice.id.namespace, endpoint, EndpointAddress::Ip(*ip, number), health));
    }
}

/// The WorkloadEntries that a Kubernetes Service selects. Its Pods come with slices.
fn add_selected(mesh: &Mesh, service: &Service, port: &ServicePort, found: &mut Vec<Endpoint>) {
    let workloads = mesh.workload_entries.in_namespace(&service.namespace);
    for workload in workloads.filter(|workload| service.takes_in(&workload.spec.labels)) {
        let Some(number) = number_at(&workload.spec, port) else { continue };
        let address = entry_address(&workload.spec, number, &service.hostname, false);
        let of = |address| of_workload_entry(&workload.spec, &workload.id.name, &service.namespace, address);
        found.extend(address.map(of));
    }
}

/// Where a WorkloadEntry serves a port of a Kubernetes Service: by the name of the port or of its target, else where Pods
/// do. One that does not know the name of a target does not serve it.
fn number_at(workload: &WorkloadEntry, port: &ServicePort) -> Option<u16> {
    match &port.target {
        TargetPort::Number(number) => Some(workload.ports.get(&port.name).copied().unwrap_or(*number)),
        TargetPort::Named(name) => workload.ports.get(name).copied(),
    }
}

/// A workload with a proxy still takes clear text alone where a PeerAuthentication says so.
fn keep_offered(authentications: &Authentications<'_>, endpoints: &mut [Endpoint]) {
    for endpoint in endpoints.iter_mut().filter(|endpoint| endpoint.mesh_tls) {
        let (EndpointAddress::Ip(_, port) | EndpointAddress::Dns(_, port)) = endpoint.address else { continue };
        endpoint.mesh_tls = authentications.at(&endpoint.labels, port) != MutualTls::Disable;
    }
}

/// The slices of a dual-stack Service hold each pod twice, once in each family: the family of its first address counts.
fn keep_family(service: &MeshService, endpoints: &mut Vec<Endpoint>) {
    let Some(first) = service.service.addresses.first() else { return };
    let of_family = |endpoint: &Endpoint| match endpoint.address {
        EndpointAddress::Ip(ip, _) => ip.is_ipv4() == first.ip.is_ipv4(),
        EndpointAddress::Dns(..) | EndpointAddress::Pipe(_) => false,
    };
    if endpoints.iter().any(of_family) {
        endpoints.retain(of_family);
    }
}

/// Where the endpoints of `slice` serve `port`: by the name of the port, or by there being only one without a name.
fn slice_port(service: &MeshService, port: &ServicePort, slice: &EndpointSlice) -> Option<u16> {
    let named = slice.ports.iter().find(|slice_port| slice_port.name == port.name);
    let only = || match (service.service.ports.len(), slice.ports.as_slice()) {
        (1, [only]) if port.name.is_empty() || only.name.is_empty() => Some(only),
        _ => None,
    };
    let as_it_is = match port.target {
        TargetPort::Number(number) => number,
        TargetPort::Named(_) => port.number,
    };
    named.or_else(only).map(|slice_port| slice_port.port.unwrap_or(as_it_is))
}

fn of_slice(
    mesh: &Mesh,
    namespace: &Namespace,
    endpoint: &SliceEndpoint,
    address: EndpointAddress,
    health: Health,
) -> Endpoint {
    let id = endpoint.pod.as_ref().map(|name| ObjectId::new(Kind::Pod, namespace.clone(), name));
    let pod = id.as_ref().and_then(|id| mesh.pods.get(id));
    let node = endpoint.node.clone().or_else(|| pod.and_then(|pod| pod.spec.node.clone()));
    let hostname = endpoint.hostname.clone();
    let locality = pod.and_then(|pod| labelled_locality(&pod.spec.labels)).unwrap_or_else(|| {
        let stands = node.as_deref().map(|node| mesh.locality_of_node(node)).unwrap_or_default();
        if stands == Locality::default() {
            Locality { zone: endpoint.zone.clone().unwrap_or_default(), ..stands }
        } else {
            stands
        }
    });
    match pod {
        Some(pod) => Endpoint { locality, node, hostname, health, ..of_pod(pod, address) },
        // A pod that is not known (in a directory of files it often is not) still takes requests.
        None => Endpoint { locality, node, hostname, health, ..bare(namespace, address) },
    }
}

fn of_pod(pod: &Object<Pod>, address: EndpointAddress) -> Endpoint {
    let labels = &pod.spec.labels;
    Endpoint {
        labels: labels.clone(),
        network: labelled_network(labels),
        workload: (pod.spec.workload.clone(), pod.id.namespace.to_string()),
        service_account: Some(pod.spec.service_account.clone()).filter(|account| !account.is_empty()),
        mesh_tls: terminates_mesh_tls(labels),
        ..bare(&pod.id.namespace, address)
    }
}

fn bare(namespace: &Namespace, address: EndpointAddress) -> Endpoint {
    Endpoint {
        address,
        labels: Labels::new(),
        weight: 1,
        locality: Locality::default(),
        node: None,
        network: String::new(),
        workload: (String::new(), namespace.to_string()),
        service_account: None,
        health: Health::Healthy,
        mesh_tls: false,
        hostname: None,
    }
}

fn terminates_mesh_tls(labels: &Labels) -> bool {
    labels.get(TLS_MODE_LABEL).is_some_and(|mode| mode == "istio")
}

/// The port of a ServiceEntry that serves a port of the service: the one of that number, else of that name.
fn entry_port<'e>(entry: &'e Object<ServiceEntry>, port: &ServicePort) -> Option<&'e EntryPort> {
    let ports = &entry.spec.ports;
    let by_number = ports.iter().find(|p| p.number == port.number);
    by_number.or_else(|| ports.iter().find(|p| !p.name.is_empty() && p.name == port.name))
}

fn add_entry(
    mesh: &Mesh,
    service: &MeshService,
    port: &EntryPort,
    entry: &Shared<Object<ServiceEntry>>,
    found: &mut Vec<Endpoint>,
) {
    let namespace = &entry.id.namespace;
    let host = &service.service.hostname;
    let by_name = match service.service.resolution {
        Resolution::Dns | Resolution::DnsRoundRobin => true,
        Resolution::Static | Resolution::Headless | Resolution::None | Resolution::Alias(_) => false,
    };
    let mut add = |workload: &WorkloadEntry, name: &str| {
        let number = workload.ports.get(&port.name).copied().or(port.target).unwrap_or(port.number);
        let address = entry_address(workload, number, host, by_name);
        found.extend(address.map(|address| of_workload_entry(workload, name, namespace, address)));
    };
    for workload in &entry.spec.endpoints {
        add(workload, "");
    }
    if let Some(selector) = &entry.spec.workload_selector {
        for workload in mesh.workload_entries.in_namespace(namespace) {
            if selector.selects(&workload.spec.labels) {
                add(&workload.spec, &workload.id.name);
            }
        }
        for pod in mesh.pods.in_namespace(namespace) {
            if selector.selects(&pod.spec.labels) && !pod.spec.ended {
                found.extend(selected_pod(mesh, pod, port));
            }
        }
    } else if entry.spec.endpoints.is_empty() && by_name && !host.is_wildcard() {
        match entry.spec.resolution {
            // A name without endpoints is its own endpoint.
            EntryResolution::Dns | EntryResolution::DnsRoundRobin => {
                let address = EndpointAddress::Dns(host.to_string(), port.target.unwrap_or(port.number));
                found.push(bare(namespace, address));
            }
            EntryResolution::None | EntryResolution::Static => {}
        }
    }
}

fn entry_address(entry: &WorkloadEntry, number: u16, host: &Hostname, by_name: bool) -> Option<EndpointAddress> {
    match &entry.address {
        Some(EntryAddress::Ip(ip)) => Some(EndpointAddress::Ip(*ip, number)),
        Some(EntryAddress::Pipe(path)) => Some(EndpointAddress::Pipe(path.clone())),
        // Envoy resolves names only for services that are resolved by name.
        Some(EntryAddress::Dns(name)) => by_name.then(|| EndpointAddress::Dns(name.to_string(), number)),
        // It is meant to be reached by way of its network, and is not the host itself.
        None if !entry.network.is_empty() => None,
        None => (by_name && !host.is_wildcard()).then(|| EndpointAddress::Dns(host.to_string(), number)),
    }
}

fn of_workload_entry(entry: &WorkloadEntry, name: &str, namespace: &Namespace, address: EndpointAddress) -> Endpoint {
    let locality = labelled_locality(&entry.labels).filter(|_| entry.locality == Locality::default());
    Endpoint {
        labels: entry.labels.clone(),
        weight: entry.weight.max(1),
        locality: locality.unwrap_or_else(|| entry.locality.clone()),
        network: if entry.network.is_empty() { labelled_network(&entry.labels) } else { entry.network.clone() },
        workload: (name.to_owned(), namespace.to_string()),
        service_account: entry.service_account.clone(),
        mesh_tls: terminates_mesh_tls(&entry.labels),
        ..bare(namespace, address)
    }
}

fn selected_pod(mesh: &Mesh, pod: &Object<Pod>, port: &EntryPort) -> Option<Endpoint> {
    let ip: &IpAddr = pod.spec.addresses.first()?;
    let address = EndpointAddress::Ip(*ip, port.target.unwrap_or(port.number));
    let node = pod.spec.node.clone();
    let locality = labelled_locality(&pod.spec.labels)
        .or_else(|| node.as_deref().map(|node| mesh.locality_of_node(node)))
        .unwrap_or_default();
    Some(Endpoint { locality, node, ..of_pod(pod, address) })
}

/// By address; of several with one address the healthiest stays.
fn put_in_order(endpoints: &mut Vec<Endpoint>) {
    endpoints.sort_by(|a, b| (&a.address, a.health).cmp(&(&b.address, b.health)).then_with(|| a.cmp(b)));
    endpoints.dedup_by(|next, kept| next.address == kept.address);
}
