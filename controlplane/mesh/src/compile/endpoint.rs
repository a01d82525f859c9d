//! Load assignments: where the clusters of a service find their endpoints.

use proto::envoy::config::endpoint::v3::ClusterLoadAssignment;

use super::{
    Compiled,
    scope::{Endpoints, MergedRule, MeshService},
};
use crate::model::{Labels, Object, Shared, endpoint::Locality, mesh_config::MeshConfig};

/// What the load assignments of one service depend on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AssignmentInput {
    /// The service.
    pub service: Shared<MeshService>,
    /// The rule that holds for it.
    pub rule: Option<Shared<MergedRule>>,
    /// Its endpoints.
    pub endpoints: Shared<Endpoints>,
    /// Where the caller is, only when [`depends_on_place`] says that it counts.
    pub place: Option<Place>,
    /// The mesh's configuration.
    pub config: Shared<Object<MeshConfig>>,
}

/// Where a caller is.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Region, zone, subzone.
    pub locality: Locality,
    /// The node.
    pub node: Option<String>,
    /// The network.
    pub network: String,
    /// The caller's labels, for `failoverPriority`.
    pub labels: Labels,
}

/// Whether the place of the caller makes a difference for a service.
#[must_use]
pub fn depends_on_place(service: &MeshService, rule: Option<&MergedRule>, config: &MeshConfig) -> bool {
    let _ = (service, rule, config);
    false
}

/// The load assignments of a service: one for each EDS cluster that [`super::cluster::outbound`] makes, by the same names.
#[must_use]
pub fn assignments(input: &AssignmentInput) -> Vec<Compiled<ClusterLoadAssignment>> {
    let _ = input;
    Vec::new()
}
