//! What became dirty is derived again and compared with what was: equal values keep their memory and touch nothing.

use super::{ServiceKey, Store, Touched, derive::Dirty, endpoints::endpoints, mesh::ServiceState, services::service};
use crate::model::{
    Shared,
    mesh_service::{Endpoints, Identities},
};

impl Store {
    /// Brings the derived values up to date.
    pub(super) fn settle(&mut self, mut dirty: Dirty) -> Touched {
        for key in std::mem::take(&mut dirty.services) {
            if self.settle_service(&key) {
                dirty.touched.services.insert(key.clone());
            }
            // Even a service that stays as it is may get other endpoints from the objects that declare it.
            dirty.endpoints.insert(key);
        }
        self.find_moved(&mut dirty);
        for key in std::mem::take(&mut dirty.endpoints) {
            self.settle_endpoints(key, &mut dirty.touched);
        }
        dirty.touched
    }

    /// Makes a service again; tells whether it differs.
    fn settle_service(&mut self, key: &ServiceKey) -> bool {
        let made = service(&self.mesh, &key.host, self.index.declarers_of(key));
        let held = self.mesh.services.get(key);
        match (made, held) {
            (None, None) => return false,
            (Some(made), Some(held)) if made == *held.service => return false,
            (None, Some(_)) => {
                self.mesh.services.remove(key);
                self.mesh.services_by_namespace.remove(&(key.namespace.clone(), key.host.clone()));
            }
            (Some(made), held) => {
                let state = match held {
                    Some(held) => ServiceState { service: Shared::new(made), ..held.clone() },
                    None => ServiceState {
                        service: Shared::new(made),
                        endpoints: Shared::new(Endpoints::default()),
                        identities: Shared::new(Identities::default()),
                        crowded: Vec::new(),
                    },
                };
                self.mesh.services.insert(key.clone(), state);
                self.mesh.services_by_namespace.insert((key.namespace.clone(), key.host.clone()));
            }
        }
        true
    }

    /// Makes the endpoints of a service again.
    fn settle_endpoints(&mut self, key: ServiceKey, touched: &mut Touched) {
        let Some(held) = self.mesh.services.get(&key) else { return };
        let (made, crowded) = endpoints(&self.mesh, &self.index, &held.service, self.index.declarers_of(&key));
        let differs = made != *held.endpoints;
        if !differs && crowded == held.crowded {
            return;
        }
        touched.left_out |= crowded != held.crowded;
        // Endpoints come and go all the time, accounts hardly ever: what stays equal makes no cluster anew.
        let identities = Identities::of(&made);
        let identities = if identities == *held.identities { held.identities.clone() } else { Shared::new(identities) };
        let endpoints = if differs { Shared::new(made) } else { held.endpoints.clone() };
        let state = ServiceState { service: held.service.clone(), endpoints, identities, crowded };
        self.mesh.services.insert(key.clone(), state);
        if differs {
            touched.endpoints.insert(key);
        }
    }

    /// Marks the services that have endpoints on nodes which stand elsewhere now.
    fn find_moved(&self, dirty: &mut Dirty) {
        if dirty.touched.nodes.is_empty() {
            return;
        }
        for (key, state) in &self.mesh.services {
            let mut nodes = state.endpoints.0.values().flatten().filter_map(|endpoint| endpoint.node.as_ref());
            if nodes.any(|node| dirty.touched.nodes.contains(node)) {
                dirty.endpoints.insert(key.clone());
            }
        }
    }
}
