//! The resources that are watched, by their plural names, which are also how logs and metrics name them.

use kube::api::ApiResource;

use crate::source::istio::{self, IstioKind};

pub(super) const CONFIG_MAPS: &str = "configmaps";
pub(super) const ENDPOINT_SLICES: &str = "endpointslices";
pub(super) const NAMESPACES: &str = "namespaces";
pub(super) const NODES: &str = "nodes";
pub(super) const PODS: &str = "pods";
pub(super) const SERVICES: &str = "services";
/// They say which resources of Istio there are, and are not joined with the others.
pub(super) const DEFINITIONS: &str = "customresourcedefinitions";

/// Versions, the best first: the objects are the same in all, and the oldest is not served everywhere any more.
pub(super) const VERSIONS: [&str; 4] = ["v1", "v1beta1", "v1alpha3", "v1alpha1"];

/// The name of the CustomResourceDefinition of a kind.
pub(super) fn definition(kind: &IstioKind) -> String {
    format!("{}.{}", kind.plural, kind.group)
}

/// How the API server is asked for a kind in a version.
pub(super) fn at(kind: &IstioKind, version: &str) -> ApiResource {
    ApiResource {
        group: kind.group.into(),
        version: version.into(),
        api_version: format!("{}/{version}", kind.group),
        kind: kind.name.into(),
        plural: kind.plural.into(),
    }
}

/// The resources whose objects are joined into the mesh. Kinds that are not compiled yet are among them, since an object
/// that does nothing must be said to do nothing.
pub(super) fn joined() -> impl Iterator<Item = &'static str> {
    let core = [CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICES];
    core.into_iter().chain(istio::ALL.iter().map(|kind| kind.plural))
}

/// Every resource that is watched.
pub(super) fn watched() -> impl Iterator<Item = &'static str> {
    joined().chain([DEFINITIONS])
}
