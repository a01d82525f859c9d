//! EndpointSlice of Kubernetes.

use std::net::IpAddr;

use k8s_openapi::api::{core::v1::ObjectReference, discovery::v1 as k8s};
use mesh::model::{
    code,
    endpoint::{EndpointSlice, SLICE_ENDPOINTS_MAX, SliceEndpoint, SlicePort},
};

use super::Conversion;
use crate::source::path::Path;

/// The label that names the Service of a slice.
const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// Most ports of one slice, as Kubernetes has it.
const PORTS_MAX: usize = 20_000;

impl Conversion<'_> {
    /// Converts a slice; `None` when it belongs to no Service.
    pub fn endpoint_slice(&mut self, slice: k8s::EndpointSlice, path: Path<'_>) -> Option<EndpointSlice> {
        let k8s::EndpointSlice { address_type, endpoints, metadata: _, ports } = slice;
        let service = self.metadata.labels.get(SERVICE_NAME).filter(|name| !name.is_empty()).cloned();
        let Some(service) = service else {
            let metadata = path.field("metadata");
            self.error(
                code::SLICE_WITHOUT_SERVICE,
                metadata.field("labels"),
                format!("without the label {SERVICE_NAME} its endpoints belong to no Service"),
                format!("add {SERVICE_NAME}"),
            );
            return None;
        };
        if !matches!(address_type.as_str(), "IPv4" | "IPv6") {
            let reason = format!("endpoints of type {address_type} are not supported");
            self.error(code::OBJECT_NOT_SUPPORTED, path.field("addressType"), reason, "use IPv4 or IPv6");
            return None;
        }
        let endpoints = endpoints.unwrap_or_default();
        let (ports, ports_path) = (ports.unwrap_or_default(), path.field("ports"));
        let endpoints_path = path.field("endpoints");
        self.limit(endpoints.len(), SLICE_ENDPOINTS_MAX, endpoints_path);
        self.limit(ports.len(), PORTS_MAX, ports_path);
        Some(EndpointSlice {
            service,
            ports: ports
                .into_iter()
                .enumerate()
                .filter_map(|(place, port)| self.slice_port(port, ports_path.index(place)))
                .collect(),
            endpoints: endpoints
                .into_iter()
                .enumerate()
                .map(|(place, endpoint)| self.slice_endpoint(endpoint, endpoints_path.index(place)))
                .collect(),
        })
    }

    fn slice_port(&mut self, port: k8s::EndpointPort, path: Path<'_>) -> Option<SlicePort> {
        let k8s::EndpointPort { app_protocol: _, name, port, protocol } = port;
        let number = match port {
            Some(number) => Some(self.port(number, path.field("port"))?),
            None => None,
        };
        // A name may stand for TCP, UDP and SCTP at once; the proxy handles only the first.
        (matches!(protocol.as_deref(), None | Some("" | "TCP")))
            .then(|| SlicePort { name: name.unwrap_or_default(), port: number })
    }

    fn slice_endpoint(&mut self, endpoint: k8s::Endpoint, path: Path<'_>) -> SliceEndpoint {
        let k8s::Endpoint {
            addresses,
            conditions,
            deprecated_topology: _,
            hints: _,
            hostname,
            node_name,
            target_ref,
            zone,
        } = endpoint;
        let conditions = conditions.unwrap_or_default();
        // As Kubernetes has it: what is not said of readiness counts as ready.
        let ready = conditions.ready.unwrap_or(true);
        let addresses_path = path.field("addresses");
        let pod = target_ref
            .filter(|target| target.kind.as_deref() == Some("Pod"))
            .and_then(|target| self.own_pod(target, path.field("targetRef")));
        let mut parsed = Vec::new();
        for (place, text) in addresses.into_iter().enumerate() {
            match text.parse::<IpAddr>() {
                Ok(ip) => parsed.push(ip),
                Err(_) => {
                    let reason = format!("{text:?} is not an address");
                    self.error(code::BAD_ADDRESS, addresses_path.index(place), reason, "write it like 10.0.0.1");
                }
            }
        }
        SliceEndpoint {
            addresses: parsed,
            ready,
            serving: conditions.serving.unwrap_or(ready),
            terminating: conditions.terminating.unwrap_or(false),
            hostname,
            node: node_name,
            zone,
            pod,
        }
    }

    /// The name of a Pod in the slice's own namespace.
    fn own_pod(&mut self, target: ObjectReference, path: Path<'_>) -> Option<String> {
        let metadata = self.metadata;
        let own = metadata.namespace.as_str();
        match target.namespace.filter(|namespace| !namespace.is_empty() && namespace != own) {
            None => target.name,
            Some(other) => {
                let reason = format!(
                    "the Pod is in namespace {other:?} and the slice in {own:?}: the endpoint has no labels and no identity"
                );
                let remedy = format!("name a Pod of namespace {own}");
                self.error(code::FOREIGN_POD, path.field("namespace"), reason, remedy);
                None
            }
        }
    }
}
