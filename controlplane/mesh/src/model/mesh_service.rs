//! A service of the mesh with the object that declared it, and where it answers.

use std::collections::{BTreeMap, BTreeSet};

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

/// Who answers for a service: as much as its callers must know before they connect.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Identities {
    /// The namespaces and names of the service accounts of its endpoints.
    pub accounts: BTreeSet<(String, String)>,
    /// The ports at which every endpoint terminates the mesh's mutual TLS, and there is one.
    pub mesh_tls_ports: BTreeSet<u16>,
}

impl Identities {
    /// Those of some endpoints.
    #[must_use]
    pub fn of(endpoints: &Endpoints) -> Self {
        let all = endpoints.0.values().flatten();
        let account = |endpoint: &Endpoint| {
            let account = endpoint.service_account.clone()?;
            Some((endpoint.workload.1.clone(), account))
        };
        let all_terminate = |of_port: &[Endpoint]| !of_port.is_empty() && of_port.iter().all(|one| one.mesh_tls);
        let ports = endpoints.0.iter().filter(|(_, of_port)| all_terminate(of_port));
        Self { accounts: all.filter_map(account).collect(), mesh_tls_ports: ports.map(|(port, _)| *port).collect() }
    }
}
