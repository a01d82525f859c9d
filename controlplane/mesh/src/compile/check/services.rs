//! Services without endpoints, endpoints without a service, and endpoints that their service cannot use.

use super::Checker;
use crate::{
    model::{
        Kind, Object, ObjectId, Shared, code,
        endpoint::EndpointSlice,
        service::Service,
        service_entry::{EntryAddress, EntryResolution, ServiceEntry},
    },
    store::ServiceKey,
};

impl Checker<'_> {
    /// A ServiceEntry that resolves no names has no use for a WorkloadEntry that gives one.
    pub(super) fn service_entries(&mut self) {
        let entries: Vec<Shared<Object<ServiceEntry>>> = self.mesh.service_entries().iter().cloned().collect();
        for entry in entries.iter().filter(|entry| entry.spec.resolution == EntryResolution::Static) {
            let Some(selector) = &entry.spec.workload_selector else { continue };
            let workloads: Vec<_> = self.mesh.workload_entries().in_namespace(&entry.id.namespace).cloned().collect();
            for workload in workloads.iter().filter(|workload| selector.selects(&workload.spec.labels)) {
                let Some(EntryAddress::Dns(name)) = &workload.spec.address else { continue };
                let reason = format!("{name} is a name, and {} has resolution STATIC", entry.id);
                let remedy = "write an IP address, or use resolution DNS there".to_owned();
                self.say(code::NAME_NOT_RESOLVED, workload, "spec.address", reason, remedy);
            }
        }
    }

    pub(super) fn services(&mut self) {
        let slices: Vec<Shared<Object<EndpointSlice>>> = self.mesh.endpoint_slices().iter().cloned().collect();
        for slice in &slices {
            let service = ObjectId::new(Kind::Service, slice.id.namespace.clone(), &slice.spec.service);
            if self.mesh.declared_services().get(&service).is_none() {
                let reason = format!("there is no {service}, so that nobody asks for its endpoints");
                let field = "metadata.labels[\"kubernetes.io/service-name\"]";
                self.say(
                    code::SLICE_WITHOUT_SERVICE,
                    slice,
                    field,
                    reason,
                    "create the Service, or correct the label".into(),
                );
            }
        }
        // Files that hold no endpoints at all say nothing about which services have some.
        if slices.is_empty() {
            return;
        }
        let services: Vec<Shared<Object<Service>>> = self.mesh.declared_services().iter().cloned().collect();
        for service in services.iter().filter(|service| service.spec.has_eds()) {
            let key = ServiceKey { host: service.spec.hostname.clone(), namespace: service.spec.namespace.clone() };
            let empty = self.mesh.endpoints(&key).is_none_or(|endpoints| endpoints.0.values().all(Vec::is_empty));
            if empty {
                let reason = "no endpoint is ready, so that requests are answered 503".to_owned();
                let remedy = "look at its selector and its pods".to_owned();
                self.say(code::NO_ENDPOINTS, service, "spec.selector", reason, remedy);
            }
        }
    }
}
