//! The mesh as JSON: services, endpoints and objects, with the field names of Istio's debug pages where it has them.

use mesh::{
    model::{ObjectId, Shared, endpoint::EndpointAddress, endpoint::Health, service::Registry, service::Resolution},
    store::{Mesh, Objects, ServiceKey},
};
use serde_json::{Value, json};

use super::sight::Sight;

/// The services of the mesh.
pub(super) fn services(mesh: &Mesh, sight: &Sight) -> Value {
    let one = |service: &mesh::compile::scope::MeshService| {
        let of = &service.service;
        let ports = of.ports.iter().map(|port| {
            json!({"name": port.name, "port": port.number, "protocol": format!("{:?}", port.protocol).to_uppercase()})
        });
        json!({
            "Attributes": {
                "ServiceRegistry": match of.registry {
                    Registry::Kubernetes => "Kubernetes",
                    Registry::InternalEntry | Registry::ExternalEntry => "External",
                },
                "Name": of.name,
                "Namespace": of.namespace.as_str(),
                "Labels": of.labels,
            },
            "hostname": of.hostname.as_str(),
            "addresses": of.addresses.iter().map(|address| address.ip.to_string()).collect::<Vec<_>>(),
            "ports": ports.collect::<Vec<_>>(),
            "Resolution": match of.resolution {
                Resolution::Static => "ClientSideLB",
                Resolution::Headless | Resolution::None => "Passthrough",
                Resolution::Dns => "DNS",
                Resolution::DnsRoundRobin => "DNSRoundRobin",
                Resolution::Alias(_) => "Alias",
            },
            "MeshExternal": of.registry == Registry::ExternalEntry,
            "declaredBy": place(mesh, &service.origin),
        })
    };
    seen(mesh, sight).map(|service| one(service)).collect()
}

/// The endpoints of each service, by port.
pub(super) fn endpoints(mesh: &Mesh, sight: &Sight) -> Value {
    let of_service = |service: &mesh::compile::scope::MeshService| {
        let endpoints = mesh.endpoints(&ServiceKey::of(service))?;
        let list = endpoints.0.iter().flat_map(|(port, list)| list.iter().map(move |endpoint| (port, endpoint)));
        let list = list.map(|(port, endpoint)| {
            json!({
                "servicePort": port,
                "address": match &endpoint.address {
                    EndpointAddress::Ip(ip, port) => format!("{ip}:{port}"),
                    EndpointAddress::Dns(name, port) => format!("{name}:{port}"),
                    EndpointAddress::Pipe(path) => path.clone(),
                },
                "labels": endpoint.labels,
                "weight": endpoint.weight,
                "health": match endpoint.health {
                    Health::Healthy => "healthy",
                    Health::Draining => "draining",
                    Health::Unhealthy => "unhealthy",
                },
                "workload": endpoint.workload.0,
            })
        });
        let list: Vec<Value> = list.collect();
        Some(json!({
            "service": service.service.hostname.as_str(),
            "namespace": service.service.namespace.as_str(),
            "endpoints": list,
        }))
    };
    seen(mesh, sight).filter_map(|service| of_service(service)).collect()
}

/// The objects that are in force.
pub(super) fn objects(mesh: &Mesh, sight: &Sight) -> Value {
    fn ids<T>(objects: &Objects<T>) -> impl Iterator<Item = &ObjectId> {
        objects.iter().map(|object| &object.id)
    }
    let all = ids(mesh.namespaces())
        .chain(ids(mesh.nodes()))
        .chain(ids(mesh.declared_services()))
        .chain(ids(mesh.endpoint_slices()))
        .chain(ids(mesh.pods()))
        .chain(ids(mesh.service_entries()))
        .chain(ids(mesh.workload_entries()))
        .chain(ids(mesh.virtual_services()))
        .chain(ids(mesh.destination_rules()))
        .chain(ids(mesh.sidecars()))
        .chain(ids(mesh.peer_authentications()));
    all.filter(|id| sight.has(id.namespace.as_str())).map(|id| place(mesh, id)).collect()
}

fn seen<'a>(mesh: &'a Mesh, sight: &Sight) -> impl Iterator<Item = &'a Shared<mesh::compile::scope::MeshService>> {
    mesh.services().filter(|service| sight.has(service.service.namespace.as_str()))
}

fn place(mesh: &Mesh, id: &ObjectId) -> Value {
    let written = mesh.written(id);
    json!({
        "kind": id.kind.as_str(),
        "namespace": id.namespace.as_str(),
        "name": &*id.name,
        "location": written.and_then(|written| written.location.as_ref()).map(ToString::to_string),
        "generation": written.and_then(|written| written.generation),
    })
}
