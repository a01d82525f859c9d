//! The mesh as it stands: one owner takes changes in, everyone else reads.
//!
//! [`Store::apply`] is the only way in. It keeps the memory of all that a change leaves as it was, brings the derived
//! values (services, endpoints, rules by host) up to date, and says in a [`Touched`] what there is to compile again.

mod authentication;
mod derive;
mod endpoints;
mod mentions;
mod mesh;
mod objects;
mod rules;
mod services;
mod settle;
mod touched;

pub use self::mesh::{Mesh, ServiceKey, Written};
pub use authentication::Authentications;
pub use objects::{OBJECTS_MAX, Objects};
pub use rules::{RuleGroup, Rules};
pub use touched::Touched;

use std::collections::BTreeMap;

use derive::{Dirty, Index};
use objects::Placed;

use crate::model::{Change, Config, Kind, Object, ObjectId, endpoint::EndpointSlice};

/// Most objects that are remembered by name to have been left out for want of room.
const LEFT_OUT_MAX: usize = 1_000;

/// The owner of the mesh.
#[derive(Debug, Default)]
pub struct Store {
    mesh: Mesh,
    index: Index,
}

impl Store {
    /// A store of an empty mesh.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same with at most so many objects of one kind, in place of [`OBJECTS_MAX`].
    #[must_use]
    pub fn with_objects_max(mut self, objects_max: usize) -> Self {
        self.mesh.objects_max = objects_max;
        self
    }

    /// The mesh as it stands.
    #[must_use]
    pub fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    /// Takes changes in as one: nothing between them is ever seen. Of several changes of one object the last counts.
    pub fn apply(&mut self, changes: Vec<Change>) -> Touched {
        let mut dirty = Dirty::default();
        for change in last_of_each(changes).into_values() {
            match change {
                Change::Set(config) => self.set(*config, &mut dirty),
                Change::SetEndpoints(slice) => self.set_slice(*slice, &mut dirty),
                Change::Remove(id) => self.remove(&id, &mut dirty),
            }
        }
        self.settle(dirty)
    }

    fn set(&mut self, config: Config, dirty: &mut Dirty) {
        self.mesh.write_down(&config);
        macro_rules! place {
            ($objects:ident, $object:expr, $note:ident) => {{
                let id = $object.id.clone();
                match self.mesh.$objects.place($object, self.mesh.objects_max) {
                    Placed::Same => {}
                    Placed::Refused => self.leave_out(id, dirty),
                    Placed::Changed { before, after } => {
                        self.let_in(&id, dirty);
                        self.$note(before.as_deref(), Some(&*after), dirty);
                    }
                }
            }};
        }
        match config {
            Config::MeshConfig(object) => place!(mesh_configs, object, note_config),
            Config::Namespace(object) => place!(namespaces, object, note_inert),
            Config::Node(object) => place!(nodes, object, note_node),
            Config::ServiceAccount(object) => place!(service_accounts, object, note_inert),
            Config::Pod(object) => place!(pods, object, note_pod),
            Config::Service(object) => place!(declared_services, object, note_service),
            Config::ServiceEntry(object) => place!(service_entries, object, note_service_entry),
            Config::WorkloadEntry(object) => place!(workload_entries, object, note_workload_entry),
            Config::VirtualService(object) => place!(virtual_services, object, note_virtual_service),
            Config::DestinationRule(object) => place!(destination_rules, object, note_rule),
            Config::Sidecar(object) => place!(sidecars, object, note_sidecar),
            Config::PeerAuthentication(object) => place!(peer_authentications, object, note_peer_authentication),
        }
    }

    fn set_slice(&mut self, slice: Object<EndpointSlice>, dirty: &mut Dirty) {
        self.mesh.write_down_object(&slice);
        let id = slice.id.clone();
        match self.mesh.endpoint_slices.place(slice, self.mesh.objects_max) {
            Placed::Same => {}
            Placed::Refused => self.leave_out(id, dirty),
            Placed::Changed { before, after } => {
                self.let_in(&id, dirty);
                self.note_slice(before.as_deref(), Some(&*after), dirty);
            }
        }
    }

    fn leave_out(&mut self, id: ObjectId, dirty: &mut Dirty) {
        if self.mesh.left_out.len() < LEFT_OUT_MAX {
            dirty.touched.left_out |= self.mesh.left_out.insert(id).is_none();
        }
    }

    fn let_in(&mut self, id: &ObjectId, dirty: &mut Dirty) {
        dirty.touched.left_out |= self.mesh.left_out.remove(id).is_some();
    }

    fn remove(&mut self, id: &ObjectId, dirty: &mut Dirty) {
        self.mesh.strike_out(id);
        self.let_in(id, dirty);
        macro_rules! take {
            ($objects:ident, $note:ident) => {
                if let Some(before) = self.mesh.$objects.take(id) {
                    self.$note(Some(&*before), None, dirty);
                }
            };
        }
        match id.kind {
            Kind::MeshConfig => take!(mesh_configs, note_config),
            Kind::Namespace => take!(namespaces, note_inert),
            Kind::Node => take!(nodes, note_node),
            Kind::ServiceAccount => take!(service_accounts, note_inert),
            Kind::Pod => take!(pods, note_pod),
            Kind::Service => take!(declared_services, note_service),
            Kind::EndpointSlice => take!(endpoint_slices, note_slice),
            Kind::ServiceEntry => take!(service_entries, note_service_entry),
            Kind::WorkloadEntry => take!(workload_entries, note_workload_entry),
            Kind::VirtualService => take!(virtual_services, note_virtual_service),
            Kind::DestinationRule => take!(destination_rules, note_rule),
            Kind::Sidecar => take!(sidecars, note_sidecar),
            Kind::PeerAuthentication => take!(peer_authentications, note_peer_authentication),
        }
    }
}

fn last_of_each(changes: Vec<Change>) -> BTreeMap<ObjectId, Change> {
    let mut last = BTreeMap::new();
    for change in changes {
        let id = match &change {
            Change::Set(config) => config.id().clone(),
            Change::SetEndpoints(slice) => slice.id.clone(),
            Change::Remove(id) => id.clone(),
        };
        last.insert(id, change);
    }
    last
}
