//! From a changed object to what has to be derived again: which object has a part in which.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ServiceKey, Store, Touched,
    mentions::{Mentioning, Step},
};
use crate::model::{
    Hostname, Kind, Labels, Namespace, Object, ObjectId, Shared,
    destination_rule::DestinationRule,
    endpoint::EndpointSlice,
    mesh_config::MeshConfig,
    peer_authentication::PeerAuthentication,
    service::Service,
    service_entry::{ServiceEntry, WorkloadEntry},
    sidecar::Sidecar,
    virtual_service::VirtualService,
    workload::{Node, Pod},
};

/// What must be derived again, collected over all changes of one call.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// Services of which some declaring object changed.
    pub(super) services: BTreeSet<ServiceKey>,
    /// Services of which some endpoint may have changed.
    pub(super) endpoints: BTreeSet<ServiceKey>,
    /// What came of it so far.
    pub(super) touched: Touched,
}

/// Which object has a part in which.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The objects that declare a service.
    declarers: BTreeMap<ServiceKey, BTreeSet<ObjectId>>,
    /// The slices of a Kubernetes Service, by its object.
    slices: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
    /// The slices that name a Pod.
    slices_of_pod: BTreeMap<ObjectId, BTreeSet<ObjectId>>,
}

impl Index {
    /// The objects that declare a service.
    pub(super) fn declarers_of(&self, key: &ServiceKey) -> impl Iterator<Item = &ObjectId> + Clone {
        self.declarers.get(key).into_iter().flatten()
    }

    /// The slices of a Kubernetes Service, by name.
    pub(super) fn slices_of(&self, service: &ObjectId) -> impl Iterator<Item = &ObjectId> {
        self.slices.get(service).into_iter().flatten()
    }
}

/// Notes: what each kind of object has a part in. `before` is what was there, `after` what is.
impl Store {
    pub(super) fn note_inert<T>(&mut self, _: Option<&Object<T>>, _: Option<&Object<T>>, _: &mut Dirty) {
        // Nothing is compiled from it.
    }

    pub(super) fn note_config(
        &mut self,
        _: Option<&Object<MeshConfig>>,
        _: Option<&Object<MeshConfig>>,
        dirty: &mut Dirty,
    ) {
        let oldest = self.mesh.mesh_configs.iter().min_by(|a, b| a.precedence().cmp(&b.precedence())).cloned();
        let effective = oldest.unwrap_or_else(|| Shared::new(Object::built_in()));
        if !effective.means_the_same(&self.mesh.config) {
            let old = std::mem::replace(&mut self.mesh.config, effective.clone());
            if old.spec.root_namespace != effective.spec.root_namespace {
                self.note_endpoints_of(&effective.spec.root_namespace, dirty);
            }
            self.count_mentions(&effective, Step::Comes, dirty);
            self.count_mentions(&old, Step::Goes, dirty);
            dirty.touched.config = true;
        }
    }

    pub(super) fn note_node(&mut self, before: Option<&Object<Node>>, after: Option<&Object<Node>>, dirty: &mut Dirty) {
        let locality = |node: Option<&Object<Node>>| node.map(|node| node.spec.locality.clone()).unwrap_or_default();
        if let Some(node) = after.or(before)
            && locality(before) != locality(after)
        {
            dirty.touched.nodes.insert(node.id.name.to_string());
        }
    }

    pub(super) fn note_pod(&mut self, before: Option<&Object<Pod>>, after: Option<&Object<Pod>>, dirty: &mut Dirty) {
        let Some(pod) = after.or(before) else { return };
        for slice in self.index.slices_of_pod.get(&pod.id).into_iter().flatten() {
            if let Some(slice) = self.mesh.endpoint_slices.get(slice) {
                dirty.endpoints.extend(self.key_of_slice(slice));
            }
        }
        let seen_before = before.map(|pod| (&pod.spec.labels, &pod.spec.named_ports, pod.spec.ended));
        let seen_after = after.map(|pod| (&pod.spec.labels, &pod.spec.named_ports, pod.spec.ended));
        for pod in before.into_iter().chain(after) {
            self.note_member(&pod.id.namespace, &pod.spec.labels, dirty);
            if seen_before != seen_after && !pod.spec.named_ports.is_empty() {
                dirty.touched.workloads.insert((pod.id.namespace.clone(), pod.spec.labels.clone()));
            }
        }
        let place_before = before.map(|pod| (&pod.spec.labels, &pod.spec.node));
        if place_before != after.map(|pod| (&pod.spec.labels, &pod.spec.node)) {
            dirty.touched.pods.insert(pod.id.clone());
        }
    }

    pub(super) fn note_service(
        &mut self,
        before: Option<&Object<Service>>,
        after: Option<&Object<Service>>,
        dirty: &mut Dirty,
    ) {
        let hosts = |object: &Object<Service>| vec![object.spec.hostname.clone()];
        self.note_declarer(before, after, hosts, dirty);
        self.note_mentions(before, after, dirty);
    }

    pub(super) fn note_slice(
        &mut self,
        before: Option<&Object<EndpointSlice>>,
        after: Option<&Object<EndpointSlice>>,
        dirty: &mut Dirty,
    ) {
        if let Some(slice) = before {
            remove_from(&mut self.index.slices, &service_of_slice(slice), &slice.id);
            for pod in pods_of_slice(slice) {
                remove_from(&mut self.index.slices_of_pod, &pod, &slice.id);
            }
        }
        if let Some(slice) = after {
            self.index.slices.entry(service_of_slice(slice)).or_default().insert(slice.id.clone());
            for pod in pods_of_slice(slice) {
                self.index.slices_of_pod.entry(pod).or_default().insert(slice.id.clone());
            }
        }
        for slice in before.into_iter().chain(after) {
            dirty.endpoints.extend(self.key_of_slice(slice));
        }
    }

    pub(super) fn note_service_entry(
        &mut self,
        before: Option<&Object<ServiceEntry>>,
        after: Option<&Object<ServiceEntry>>,
        dirty: &mut Dirty,
    ) {
        self.note_declarer(before, after, |object| object.spec.hosts.clone(), dirty);
        self.note_mentions(before, after, dirty);
    }

    pub(super) fn note_workload_entry(
        &mut self,
        before: Option<&Object<WorkloadEntry>>,
        after: Option<&Object<WorkloadEntry>>,
        dirty: &mut Dirty,
    ) {
        for entry in before.into_iter().chain(after) {
            let (namespace, labels) = (&entry.id.namespace, &entry.spec.labels);
            self.note_member(namespace, labels, dirty);
            let services = self.mesh.declared_services.in_namespace(namespace);
            let selecting = services.filter(|service| service.spec.takes_in(labels));
            dirty.endpoints.extend(
                selecting
                    .map(|service| ServiceKey { host: service.spec.hostname.clone(), namespace: namespace.clone() }),
            );
        }
    }

    pub(super) fn note_virtual_service(
        &mut self,
        before: Option<&Object<VirtualService>>,
        after: Option<&Object<VirtualService>>,
        dirty: &mut Dirty,
    ) {
        self.note_mentions(before, after, dirty);
        dirty.touched.virtual_services.extend(after.or(before).map(|object| object.id.clone()));
    }

    pub(super) fn note_rule(
        &mut self,
        before: Option<&Object<DestinationRule>>,
        after: Option<&Object<DestinationRule>>,
        dirty: &mut Dirty,
    ) {
        self.note_mentions(before, after, dirty);
        if let Some(rule) = before {
            self.mesh.rules.remove(rule);
        }
        if let Some(rule) = after.and_then(|rule| self.mesh.destination_rules.get(&rule.id)) {
            self.mesh.rules.insert(rule);
        }
        for rule in before.into_iter().chain(after) {
            dirty.touched.rules.insert((rule.id.namespace.clone(), rule.spec.host.clone()));
        }
    }

    pub(super) fn note_sidecar(
        &mut self,
        before: Option<&Object<Sidecar>>,
        after: Option<&Object<Sidecar>>,
        dirty: &mut Dirty,
    ) {
        self.note_mentions(before, after, dirty);
        dirty.touched.sidecars.extend(after.or(before).map(|object| object.id.namespace.clone()));
    }

    pub(super) fn note_peer_authentication(
        &mut self,
        before: Option<&Object<PeerAuthentication>>,
        after: Option<&Object<PeerAuthentication>>,
        dirty: &mut Dirty,
    ) {
        self.note_mentions(before, after, dirty);
        if let Some(object) = after.or(before) {
            self.note_endpoints_of(&object.id.namespace, dirty);
            dirty.touched.peer_authentications.insert(object.id.namespace.clone());
        }
    }

    /// The endpoints of a namespace may speak in another way now; those of the root namespace stand for all.
    fn note_endpoints_of(&self, namespace: &Namespace, dirty: &mut Dirty) {
        if *namespace == self.mesh.config.spec.root_namespace {
            dirty.endpoints.extend(self.mesh.services.keys().cloned());
        } else {
            dirty.endpoints.extend(self.mesh.services_in(namespace).map(|service| ServiceKey::of(service)));
        }
    }

    fn note_declarer<T>(
        &mut self,
        before: Option<&Object<T>>,
        after: Option<&Object<T>>,
        hosts: impl Fn(&Object<T>) -> Vec<Hostname>,
        dirty: &mut Dirty,
    ) {
        let keys = |object: &Object<T>| {
            let namespace = object.id.namespace.clone();
            hosts(object).into_iter().map(move |host| ServiceKey { host, namespace: namespace.clone() })
        };
        if let Some(object) = before {
            for key in keys(object) {
                remove_from(&mut self.index.declarers, &key, &object.id);
                dirty.services.insert(key);
            }
        }
        if let Some(object) = after {
            for key in keys(object) {
                self.index.declarers.entry(key.clone()).or_default().insert(object.id.clone());
                dirty.services.insert(key);
            }
        }
    }

    /// A workload with these labels may be an endpoint of the ServiceEntries that select it.
    fn note_member(&self, namespace: &Namespace, labels: &Labels, dirty: &mut Dirty) {
        for entry in self.mesh.service_entries.in_namespace(namespace) {
            if entry.spec.workload_selector.as_ref().is_some_and(|selector| selector.selects(labels)) {
                let keys = entry.spec.hosts.iter().cloned();
                dirty.endpoints.extend(keys.map(|host| ServiceKey { host, namespace: namespace.clone() }));
            }
        }
    }

    fn note_mentions<T: Mentioning>(
        &mut self,
        before: Option<&Object<T>>,
        after: Option<&Object<T>>,
        dirty: &mut Dirty,
    ) {
        // What comes is counted before what goes, so that a mention in both does not pass through zero.
        if let Some(object) = after {
            self.count_mentions(object, Step::Comes, dirty);
        }
        if let Some(object) = before {
            self.count_mentions(object, Step::Goes, dirty);
        }
    }

    fn count_mentions<T: Mentioning>(&mut self, object: &Object<T>, step: Step, dirty: &mut Dirty) {
        let differs = self.mesh.mentions.count(&object.id.namespace, object.spec.mentioned(), step);
        dirty.touched.reductions.extend(differs);
    }

    fn key_of_slice(&self, slice: &Object<EndpointSlice>) -> Option<ServiceKey> {
        let service = self.mesh.declared_services.get(&service_of_slice(slice))?;
        Some(ServiceKey { host: service.spec.hostname.clone(), namespace: slice.id.namespace.clone() })
    }
}

fn service_of_slice(slice: &Object<EndpointSlice>) -> ObjectId {
    ObjectId::new(Kind::Service, slice.id.namespace.clone(), &slice.spec.service)
}

fn pods_of_slice(slice: &Object<EndpointSlice>) -> impl Iterator<Item = ObjectId> {
    let named = slice.spec.endpoints.iter().filter_map(|endpoint| endpoint.pod.as_ref());
    named.map(|name| ObjectId::new(Kind::Pod, slice.id.namespace.clone(), name))
}

fn remove_from<K: Ord, V: Ord>(index: &mut BTreeMap<K, BTreeSet<V>>, key: &K, value: &V) {
    if let Some(values) = index.get_mut(key) {
        values.remove(value);
        if values.is_empty() {
            index.remove(key);
        }
    }
}
