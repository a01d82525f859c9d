//! One endpoint as Envoy takes it: address, health, weight and metadata.

use std::collections::BTreeMap;

use proto::{
    envoy::config::{
        core::v3::{Address, HealthStatus, Metadata, Pipe, SocketAddress, address, socket_address::PortSpecifier},
        endpoint::v3::{self, LbEndpoint, lb_endpoint::HostIdentifier},
    },
    google::protobuf::{Struct, Value},
};

use crate::model::{
    Labels,
    endpoint::{Endpoint, EndpointAddress, Health},
};

/// The cluster that endpoints are said to be in, for telemetry: Istio's name for the only one.
const CLUSTER_ID: &str = "Kubernetes";

/// An endpoint with the weight and health that it has in this assignment.
pub(super) fn lb_endpoint(endpoint: &Endpoint, weight: u32, health: Health) -> LbEndpoint {
    let status = match health {
        Health::Healthy => HealthStatus::Healthy,
        Health::Draining => HealthStatus::Draining,
        Health::Unhealthy => HealthStatus::Unhealthy,
    };
    LbEndpoint {
        health_status: status.into(),
        metadata: metadata(endpoint),
        load_balancing_weight: Some(weight),
        host_identifier: Some(HostIdentifier::Endpoint(at(&endpoint.address))),
    }
}

/// An endpoint that is nothing but an address.
pub(super) fn at(address: &EndpointAddress) -> v3::Endpoint {
    v3::Endpoint { address: Some(to_proto(address)), ..v3::Endpoint::default() }
}

fn to_proto(address: &EndpointAddress) -> Address {
    let socket = |host: String, port: u16| {
        address::Address::SocketAddress(SocketAddress {
            address: host,
            port_specifier: Some(PortSpecifier::PortValue(u32::from(port))),
            ..SocketAddress::default()
        })
    };
    let address = match address {
        EndpointAddress::Ip(ip, port) => socket(ip.to_string(), *port),
        EndpointAddress::Dns(name, port) => socket(name.clone(), *port),
        EndpointAddress::Pipe(path) => address::Address::Pipe(Pipe { path: path.clone(), mode: 0 }),
    };
    Address { address: Some(address) }
}

/// Which workload answers, for telemetry, and whether it terminates the mesh's mutual TLS.
fn metadata(endpoint: &Endpoint) -> Option<Metadata> {
    let one = |key: &str, value: Value| Struct { fields: BTreeMap::from([(key.to_owned(), value)]) };
    let mut filter_metadata = BTreeMap::new();
    if endpoint.mesh_tls {
        filter_metadata.insert("envoy.transport_socket_match".to_owned(), one("tlsMode", Value::from("istio")));
    }
    if !endpoint.workload.0.is_empty() {
        filter_metadata.insert("istio".to_owned(), one("workload", Value::from(workload(endpoint))));
    }
    (!filter_metadata.is_empty()).then(|| Metadata { filter_metadata, typed_filter_metadata: BTreeMap::new() })
}

/// `workload;namespace;canonical name;canonical revision;cluster`, the short form that Istio's telemetry reads.
fn workload(endpoint: &Endpoint) -> String {
    let (workload, namespace) = &endpoint.workload;
    let label = |keys: [&str; 3]| first_label(&endpoint.labels, keys);
    let name = label(["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]).unwrap_or(workload);
    let revision = label(["service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"]);
    // A pod that says nothing is the latest of itself; what has no labels is no pod.
    let revision = revision.unwrap_or(if endpoint.labels.is_empty() { "" } else { "latest" });
    format!("{workload};{namespace};{name};{revision};{CLUSTER_ID}")
}

fn first_label<'a>(labels: &'a Labels, keys: [&str; 3]) -> Option<&'a str> {
    keys.iter().find_map(|key| labels.get(*key)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::cluster::fixture;

    #[test]
    fn metadata_names_the_workload_in_istios_short_form() {
        let mut endpoint = fixture::endpoint("10.0.0.1", 9080);
        endpoint.workload = ("reviews-v1".into(), "default".into());
        assert_eq!(workload(&endpoint), "reviews-v1;default;reviews-v1;;Kubernetes");
        endpoint.labels.insert("app".into(), "reviews".into());
        assert_eq!(workload(&endpoint), "reviews-v1;default;reviews;latest;Kubernetes");
        endpoint.labels.insert("version".into(), "v1".into());
        assert_eq!(workload(&endpoint), "reviews-v1;default;reviews;v1;Kubernetes");
        endpoint.labels.insert("service.istio.io/canonical-name".into(), "r".into());
        assert_eq!(workload(&endpoint), "reviews-v1;default;r;v1;Kubernetes");
    }

    #[test]
    fn only_an_endpoint_that_terminates_mutual_tls_is_marked_so() {
        let mut endpoint = fixture::endpoint("10.0.0.1", 9080);
        let marked = |e: &Endpoint| metadata(e).unwrap().filter_metadata.contains_key("envoy.transport_socket_match");
        assert!(!marked(&endpoint));
        endpoint.mesh_tls = true;
        assert!(marked(&endpoint));
    }

    #[test]
    fn health_goes_to_envoy_as_it_knows_it() {
        let endpoint = fixture::endpoint("10.0.0.1", 9080);
        let status = |health| lb_endpoint(&endpoint, 1, health).health_status();
        assert_eq!(status(Health::Healthy), HealthStatus::Healthy);
        assert_eq!(status(Health::Draining), HealthStatus::Draining);
        assert_eq!(status(Health::Unhealthy), HealthStatus::Unhealthy);
    }
}
