//! PeerAuthentications: those that hold for nobody, because another does or nothing can be selected.

use super::Checker;
use crate::model::{Object, Shared, code, peer_authentication::PeerAuthentication};

impl Checker<'_> {
    pub(super) fn peer_authentications(&mut self) {
        let all: Vec<Shared<Object<PeerAuthentication>>> = self.mesh.peer_authentications().iter().cloned().collect();
        for object in &all {
            self.peer_authentication(object);
        }
    }

    pub(super) fn peer_authentication(&mut self, object: &Object<PeerAuthentication>) {
        let namespace = &object.id.namespace;
        let selector = object.selector();
        if selector.is_some() && *namespace == self.mesh.config().spec.root_namespace {
            let reason = format!("selects workloads in {namespace}, whose PeerAuthentications are for the whole mesh");
            let remedy = "put it into the namespace of the workloads, or remove the selector";
            return self.say(code::AUTHENTICATION_NOT_APPLIED, object, "spec.selector", reason, remedy.into());
        }
        let others = self.mesh.peer_authentications().in_namespace(namespace);
        let older = others
            .filter(|other| other.selector() == selector && other.precedence() < object.precedence())
            .min_by(|a, b| a.precedence().cmp(&b.precedence()));
        if let Some(older) = older {
            let reason = format!("{} is older and for the same workloads, so that nothing of this one holds", older.id);
            let remedy = "put what both say into one, and remove the other".into();
            self.say(code::AUTHENTICATION_NOT_APPLIED, object, "spec.selector", reason, remedy);
        }
    }
}
