//! Which PeerAuthentications hold for a workload.

use super::Mesh;
use crate::model::{
    Labels, Namespace, Object, ObjectId, Shared,
    peer_authentication::{MutualTls, PeerAuthentication, WorkloadTls},
};

/// The PeerAuthentications that can hold for the workloads of one namespace.
#[derive(Debug, Default)]
pub struct Authentications<'m> {
    /// Those that select workloads, oldest first.
    selecting: Vec<&'m Shared<Object<PeerAuthentication>>>,
    /// The one for the namespace, then the one for the mesh.
    general: Vec<&'m Shared<Object<PeerAuthentication>>>,
}

impl Mesh {
    /// The PeerAuthentications that can hold for the workloads of `namespace`. Of several for the same workloads the
    /// oldest counts alone. One of the root namespace is for the whole mesh, and does nothing when it selects workloads.
    #[must_use]
    pub fn authentications(&self, namespace: &Namespace) -> Authentications<'_> {
        let root = &self.config.spec.root_namespace;
        let in_namespace = |namespace| self.peer_authentications.in_namespace(namespace);
        let oldest = |namespace| {
            let general = in_namespace(namespace).filter(|object| object.selector().is_none());
            general.min_by(|a, b| a.precedence().cmp(&b.precedence()))
        };
        let of_root = oldest(root);
        if namespace == root {
            return Authentications { selecting: Vec::new(), general: of_root.into_iter().collect() };
        }
        let mut selecting: Vec<_> = in_namespace(namespace).filter(|object| object.selector().is_some()).collect();
        selecting.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        Authentications { selecting, general: oldest(namespace).into_iter().chain(of_root).collect() }
    }
}

impl<'m> Authentications<'m> {
    /// What holds for a workload with these labels.
    #[must_use]
    pub fn of(&self, labels: &Labels) -> WorkloadTls {
        let own = self.selecting(labels);
        let ports = own.iter().flat_map(|object| &object.spec.ports);
        let of_all = self.of_all_ports(own);
        let mode = of_all.and_then(|object| object.spec.mode).unwrap_or_default();
        let of_ports = own.filter(|object| !object.spec.ports.is_empty()).map(|object| object.id.clone());
        let mut origins: Vec<ObjectId> = of_ports.into_iter().chain(of_all.map(|object| object.id.clone())).collect();
        origins.dedup();
        WorkloadTls { mode, ports: ports.map(|(port, of_port)| (*port, of_port.unwrap_or(mode))).collect(), origins }
    }

    /// What holds at one port of a workload with these labels.
    #[must_use]
    pub fn at(&self, labels: &Labels, port: u16) -> MutualTls {
        let own = self.selecting(labels);
        let of_port = own.and_then(|object| object.spec.ports.get(&port).copied().flatten());
        let of_all = || self.of_all_ports(own).and_then(|object| object.spec.mode);
        of_port.or_else(of_all).unwrap_or_default()
    }

    fn selecting(&self, labels: &Labels) -> Option<&'m Shared<Object<PeerAuthentication>>> {
        let selects =
            |object: &&&'m Shared<Object<PeerAuthentication>>| object.selector().is_some_and(|s| s.selects(labels));
        self.selecting.iter().find(selects).copied()
    }

    /// The narrowest that says something for all ports.
    fn of_all_ports(
        &self,
        own: Option<&'m Shared<Object<PeerAuthentication>>>,
    ) -> Option<&'m Shared<Object<PeerAuthentication>>> {
        own.into_iter().chain(self.general.iter().copied()).find(|object| object.spec.mode.is_some())
    }
}
