//! A service of the mesh with the object that declared it, and where it answers.

use std::collections::BTreeMap;

use super::{endpoint::Endpoint, object::ObjectId, service::Service};

/// Most endpoints of one port of a service; the first by address stay.
pub const ENDPOINTS_OF_PORT_MAX: usize = 20_000;

/// A service with the object that declared it.
#[derive(Debug, PartialEq)]
pub struct MeshService {
    /// The service.
    pub service: Service,
    /// The object that declared it.
    pub origin: ObjectId,
    /// When that object was created: older ones win.
    pub created: Option<i64>,
}

/// The endpoints of one service, by service port, in a stable order.
#[derive(Debug, Default, PartialEq)]
pub struct Endpoints(pub BTreeMap<u16, Vec<Endpoint>>);
