//! Sidecars: imports that import nothing.

use super::Checker;
use crate::model::{
    Namespace, Object, Shared, code,
    sidecar::{Import, ImportNamespace, Sidecar},
};

impl Checker<'_> {
    pub(super) fn sidecars(&mut self) {
        let sidecars: Vec<Shared<Object<Sidecar>>> = self.mesh.sidecars().iter().cloned().collect();
        for sidecar in &sidecars {
            self.sidecar(sidecar);
        }
    }

    pub(super) fn sidecar(&mut self, sidecar: &Object<Sidecar>) {
        for import in sidecar.spec.egress.iter().flatten() {
            self.import(sidecar, import);
        }
    }

    fn import(&mut self, sidecar: &Object<Sidecar>, import: &Import) {
        let Import { namespace, host } = import;
        let root = &self.mesh.config().spec.root_namespace;
        let (written, within): (&str, Option<&Namespace>) = match namespace {
            ImportNamespace::None => return,
            ImportNamespace::Any => ("*", None),
            // For the whole mesh `.` is another namespace for each caller.
            ImportNamespace::Own if sidecar.id.namespace == *root => return,
            ImportNamespace::Own => (".", Some(&sidecar.id.namespace)),
            ImportNamespace::Named(namespace) => (namespace.as_str(), Some(namespace)),
        };
        // Everything of one's own namespace is a way to say "little", and no name.
        if host.as_str() == "*" && !matches!(namespace, ImportNamespace::Named(_)) {
            return;
        }
        let matches = match within {
            Some(namespace) => self.mesh.services_in(namespace).any(|service| host.covers(&service.service.hostname)),
            None => self.is_declared(host),
        };
        if matches {
            return;
        }
        let reason = format!("{written}/{host} matches no service");
        let remedy = match self.mesh.services().find(|service| service.service.hostname.covers(host)) {
            Some(wider) if wider.service.hostname != *host => {
                format!("import {written}/{} as a whole", wider.service.hostname)
            }
            Some(elsewhere) => format!("did you mean {}/{host}?", elsewhere.service.namespace),
            None => "declare it, or remove the entry".into(),
        };
        self.say(code::UNKNOWN_IMPORT, sidecar, "spec.egress", reason, remedy);
    }
}
