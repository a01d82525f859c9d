//! What is left out of the mesh because there is too much of it.

use super::Checker;
use crate::{
    model::{
        Object, ObjectId, code, mesh_service::ENDPOINTS_OF_PORT_MAX, service::PORTS_MAX, service_entry::ServiceEntry,
    },
    store::ServiceKey,
};

impl Checker<'_> {
    pub(super) fn limits(&mut self) {
        let mesh = self.mesh;
        mesh.left_out().for_each(|object| self.one_too_many(object));
        for service in mesh.services() {
            for port in mesh.crowded_ports(&ServiceKey::of(service)) {
                let host = &service.service.hostname;
                let reason = format!(
                    "port {port} of {host} has more than {ENDPOINTS_OF_PORT_MAX} endpoints; those with the greatest \
                     addresses get no requests"
                );
                let remedy = "spread its pods over several services".to_owned();
                self.say_of(code::ENDPOINTS_LEFT_OUT, &service.origin, "spec.ports", reason, remedy);
            }
        }
        mesh.service_entries().iter().for_each(|entry| self.ports_left_out(entry));
    }

    fn one_too_many(&mut self, object: &ObjectId) {
        let (kind, max) = (object.kind.as_str(), self.mesh.objects_max());
        let reason = format!("there are {max} objects of kind {kind}, which is the limit, and this one is left out");
        let remedy = format!("remove objects of kind {kind}, then change this one or restart the control plane");
        self.say_of(code::TOO_MANY_OBJECTS, object, "", reason, remedy);
    }

    /// Ports for which the older entries of the same host left no room.
    fn ports_left_out(&mut self, entry: &Object<ServiceEntry>) {
        let mesh = self.mesh;
        for host in &entry.spec.hosts {
            let key = ServiceKey { host: host.clone(), namespace: entry.id.namespace.clone() };
            let Some(service) = mesh.service(&key) else { continue };
            let has_place = |number| service.service.ports.len() < PORTS_MAX || service.service.port(number).is_some();
            if let Some(place) = entry.spec.ports.iter().position(|port| !has_place(port.number)) {
                let reason =
                    format!("{host} has {PORTS_MAX} ports, which is the limit; this one and others are left out");
                let remedy = "give the ports to another host".to_owned();
                self.say(code::PORTS_LEFT_OUT, entry, &format!("spec.ports[{place}]"), reason, remedy);
            }
        }
    }
}
