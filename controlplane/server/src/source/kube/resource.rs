//! The resources that are watched, by their plural names, which are also how logs and metrics name them.

use kube::api::ApiResource;

pub(super) const CONFIG_MAPS: &str = "configmaps";
pub(super) const ENDPOINT_SLICES: &str = "endpointslices";
pub(super) const NAMESPACES: &str = "namespaces";
pub(super) const NODES: &str = "nodes";
pub(super) const PODS: &str = "pods";
pub(super) const SERVICES: &str = "services";
/// They say which resources of Istio there are, and are not joined with the others.
pub(super) const DEFINITIONS: &str = "customresourcedefinitions";

/// A resource that a CustomResourceDefinition of Istio brings.
#[derive(Debug)]
pub(super) struct Istio {
    group: &'static str,
    pub(super) plural: &'static str,
    kind: &'static str,
}

/// Versions, the best first: the objects are the same in all, and the oldest is not served everywhere any more.
pub(super) const VERSIONS: [&str; 4] = ["v1", "v1beta1", "v1alpha3", "v1alpha1"];

const fn istio(group: &'static str, plural: &'static str, kind: &'static str) -> Istio {
    Istio { group, plural, kind }
}

/// Those that are not compiled yet are here too, since an object that does nothing must be said to do nothing.
pub(super) const ISTIO: [Istio; 14] = [
    istio("networking.istio.io", "destinationrules", "DestinationRule"),
    istio("networking.istio.io", "envoyfilters", "EnvoyFilter"),
    istio("networking.istio.io", "gateways", "Gateway"),
    istio("networking.istio.io", "proxyconfigs", "ProxyConfig"),
    istio("networking.istio.io", "serviceentries", "ServiceEntry"),
    istio("networking.istio.io", "sidecars", "Sidecar"),
    istio("networking.istio.io", "virtualservices", "VirtualService"),
    istio("networking.istio.io", "workloadentries", "WorkloadEntry"),
    istio("networking.istio.io", "workloadgroups", "WorkloadGroup"),
    istio("security.istio.io", "authorizationpolicies", "AuthorizationPolicy"),
    istio("security.istio.io", "peerauthentications", "PeerAuthentication"),
    istio("security.istio.io", "requestauthentications", "RequestAuthentication"),
    istio("telemetry.istio.io", "telemetries", "Telemetry"),
    istio("extensions.istio.io", "wasmplugins", "WasmPlugin"),
];

impl Istio {
    /// The name of its CustomResourceDefinition.
    pub(super) fn definition(&self) -> String {
        format!("{}.{}", self.plural, self.group)
    }

    /// How the API server is asked for it in a version.
    pub(super) fn at(&self, version: &str) -> ApiResource {
        ApiResource {
            group: self.group.into(),
            version: version.into(),
            api_version: format!("{}/{version}", self.group),
            kind: self.kind.into(),
            plural: self.plural.into(),
        }
    }
}

/// The resources whose objects are joined into the mesh.
pub(super) fn joined() -> impl Iterator<Item = &'static str> {
    let core = [CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICES];
    core.into_iter().chain(ISTIO.iter().map(|resource| resource.plural))
}

/// Every resource that is watched.
pub(super) fn watched() -> impl Iterator<Item = &'static str> {
    joined().chain([DEFINITIONS])
}
