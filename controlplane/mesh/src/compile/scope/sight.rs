//! What the callers of a scope see of the mesh: what is exported to them and what their Sidecar imports.

use std::collections::BTreeSet;

use super::{MeshService, ScopeKey};
use crate::{
    model::{
        Hostname, Namespace, Object, Shared,
        service::Registry,
        sidecar::{Import, ImportNamespace, Sidecar},
        virtual_service::VirtualService,
    },
    store::Mesh,
};

/// The eyes of a scope. Each answer depends on the mesh and the one thing asked about, so that a scope can be brought up
/// to date thing by thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sight<'m> {
    pub(super) mesh: &'m Mesh,
    pub(super) key: &'m ScopeKey,
    pub(super) sidecar: Option<&'m Shared<Object<Sidecar>>>,
}

impl<'m> Sight<'m> {
    pub(super) fn new(mesh: &'m Mesh, key: &'m ScopeKey) -> Self {
        let sidecar = key.sidecar.as_ref().and_then(|id| mesh.sidecars().get(id));
        Self { mesh, key, sidecar }
    }

    /// The imports, when there are limits to what is imported.
    pub(super) fn imports(&self) -> Option<&'m [Import]> {
        self.sidecar.and_then(|sidecar| sidecar.spec.egress.as_deref())
    }

    /// The service that `host` stands for, if it is seen. `implied`: a virtual service sends there, so that it need not
    /// be imported.
    pub(super) fn service(&self, host: &Hostname, implied: bool) -> Option<&'m Shared<MeshService>> {
        let mut best: Option<(Rank<'_>, &Shared<MeshService>)> = None;
        for candidate in self.mesh.declarations(host) {
            let imported = self.imports_host(&candidate.service.namespace, host);
            if !self.exported(candidate) || !(imported || implied) {
                continue;
            }
            let rank = self.rank(candidate, imported);
            if best.as_ref().is_none_or(|(so_far, _)| rank < *so_far) {
                best = Some((rank, candidate));
            }
        }
        best.map(|(_, service)| service)
    }

    /// Every host that may be seen, without what virtual services imply.
    pub(super) fn hosts(&self) -> BTreeSet<Hostname> {
        let all = || self.mesh.services().map(|service| &service.service.hostname);
        let Some(imports) = self.imports() else { return all().cloned().collect() };
        let mut hosts = BTreeSet::new();
        for import in imports {
            let namespace = match &import.namespace {
                ImportNamespace::None => continue,
                _ if !import.host.is_wildcard() => {
                    hosts.insert(import.host.clone());
                    continue;
                }
                ImportNamespace::Any => {
                    hosts.extend(all().filter(|host| import.host.covers(host)).cloned());
                    continue;
                }
                ImportNamespace::Own => &self.key.namespace,
                ImportNamespace::Named(namespace) => namespace,
            };
            let declared = self.mesh.services_in(namespace).map(|service| &service.service.hostname);
            hosts.extend(declared.filter(|host| import.host.covers(host)).cloned());
        }
        hosts
    }

    /// Whether a virtual service holds for the callers.
    pub(super) fn sees(&self, virtual_service: &Object<VirtualService>) -> bool {
        let spec = &virtual_service.spec;
        let namespace = &virtual_service.id.namespace;
        spec.in_mesh()
            && !spec.hosts.is_empty()
            && self.exports_virtual_service(virtual_service, &self.key.namespace)
            && self.imports().is_none_or(|imports| {
                // Either may be the wider one: importing `a.example` brings in routes for `*.example`.
                let covers =
                    |import: &Import| spec.hosts.iter().any(|h| import.host.covers(h) || h.covers(&import.host));
                imports.iter().any(|import| self.imports_from(import, namespace) && covers(import))
            })
    }

    /// Whether a virtual service may be used from `namespace`, as a route of its own or as a delegate.
    pub(super) fn exports_virtual_service(&self, object: &Object<VirtualService>, namespace: &Namespace) -> bool {
        let default = self.mesh.config().spec.default_virtual_service_export_to;
        object.spec.export_to.visible_from(namespace, &object.id.namespace, default)
    }

    fn exported(&self, service: &MeshService) -> bool {
        let default = self.mesh.config().spec.default_service_export_to;
        service.service.export_to.visible_from(&self.key.namespace, &service.service.namespace, default)
    }

    fn imports_host(&self, namespace: &Namespace, host: &Hostname) -> bool {
        self.imports().is_none_or(|imports| {
            imports.iter().any(|import| import.host.covers(host) && self.imports_from(import, namespace))
        })
    }

    fn imports_from(&self, import: &Import, namespace: &Namespace) -> bool {
        match &import.namespace {
            ImportNamespace::Any => true,
            // Of a Sidecar for the whole mesh, too, it is the caller's namespace.
            ImportNamespace::Own => *namespace == self.key.namespace,
            ImportNamespace::None => false,
            ImportNamespace::Named(named) => named == namespace,
        }
    }

    /// Of several services with one name the least rank wins: imported ones, Kubernetes Services, those of the caller's
    /// own namespace, the oldest.
    fn rank(&self, service: &'m MeshService, imported: bool) -> Rank<'m> {
        let kubernetes = match service.service.registry {
            Registry::Kubernetes => true,
            Registry::InternalEntry | Registry::ExternalEntry => false,
        };
        let namespace = &service.service.namespace;
        let age = service.created.unwrap_or(i64::MIN);
        (!imported, !kubernetes, *namespace != self.key.namespace, age, namespace.as_str())
    }
}

type Rank<'m> = (bool, bool, bool, i64, &'m str);
