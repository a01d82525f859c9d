//! PeerAuthentication: whether workloads take connections without mutual TLS.

use std::collections::BTreeMap;

use super::{
    name::Selector,
    object::{Object, ObjectId},
};

/// What workloads demand of those who connect to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerAuthentication {
    /// The workloads that it is for; all of the namespace, or of the mesh, when it selects none.
    pub selector: Option<Selector>,
    /// For all ports; `None` leaves it to what is above.
    pub mode: Option<MutualTls>,
    /// For single ports of the workload; `None` leaves it to `mode` and what is above.
    pub ports: BTreeMap<u16, Option<MutualTls>>,
}

impl Object<PeerAuthentication> {
    /// The workloads that it selects; `None` when it is for a whole namespace or mesh.
    #[must_use]
    pub fn selector(&self) -> Option<&Selector> {
        self.spec.selector.as_ref().filter(|selector| !selector.is_empty())
    }
}

/// Whether a port takes mutual TLS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MutualTls {
    /// `DISABLE`: it does not offer it.
    Disable,
    /// `PERMISSIVE`: it offers it, and takes clear text too.
    #[default]
    Permissive,
    /// `STRICT`: it takes nothing else.
    Strict,
}

/// What holds at the ports of one workload.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WorkloadTls {
    /// At all ports but these:
    pub mode: MutualTls,
    /// At single ports.
    pub ports: BTreeMap<u16, MutualTls>,
    /// The objects that say so, the narrowest first.
    pub origins: Vec<ObjectId>,
}

impl WorkloadTls {
    /// What holds where nobody can show a certificate.
    #[must_use]
    pub fn disabled() -> Self {
        Self { mode: MutualTls::Disable, ports: BTreeMap::new(), origins: Vec::new() }
    }

    /// What holds at a port.
    #[must_use]
    pub fn at(&self, port: u16) -> MutualTls {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}
