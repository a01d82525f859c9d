//! Which scope a proxy has: its namespace, the Sidecar that applies to it, and the rules that select its workload.

use crate::{
    compile::viewpoint::{ProxyKind, Viewpoint},
    model::{Namespace, Object, ObjectId, Shared, sidecar::Sidecar},
    store::Mesh,
};

/// What a scope is made for. Viewpoints with equal keys share one scope.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScopeKey {
    /// The namespace of the callers.
    pub namespace: Namespace,
    /// The Sidecar that applies to them.
    pub sidecar: Option<ObjectId>,
    /// The DestinationRules with a `workloadSelector` that select them, in the order of names.
    pub rules: Vec<ObjectId>,
}

impl ScopeKey {
    /// The scope of a viewpoint.
    #[must_use]
    pub fn of(viewpoint: &Viewpoint, mesh: &Mesh) -> Self {
        let rules = mesh.rules().selecting(&viewpoint.namespace);
        Self {
            namespace: viewpoint.namespace.clone(),
            sidecar: sidecar(viewpoint, mesh).map(|sidecar| sidecar.id.clone()),
            rules: rules
                .filter(|rule| rule.spec.workload_selector.as_ref().is_some_and(|s| s.selects(&viewpoint.labels)))
                .map(|rule| rule.id.clone())
                .collect(),
        }
    }
}

/// The Sidecar that applies: one that selects the workload, else one for the whole namespace, else the one for the
/// whole mesh in the root namespace; the oldest of each. Proxies on their own have none.
fn sidecar<'m>(viewpoint: &Viewpoint, mesh: &'m Mesh) -> Option<&'m Shared<Object<Sidecar>>> {
    match viewpoint.kind {
        ProxyKind::Sidecar | ProxyKind::Grpc => {}
        ProxyKind::Router => return None,
    }
    let own = || mesh.sidecars().in_namespace(&viewpoint.namespace);
    let selecting = own().filter(|sidecar| {
        let selector = sidecar.spec.workload_selector.as_ref();
        selector.is_some_and(|selector| !selector.is_empty() && selector.selects(&viewpoint.labels))
    });
    let root = &mesh.config().spec.root_namespace;
    oldest(selecting)
        .or_else(|| oldest(own().filter(|sidecar| is_for_all(sidecar))))
        .or_else(|| oldest(mesh.sidecars().in_namespace(root).filter(|sidecar| is_for_all(sidecar))))
}

fn is_for_all(sidecar: &Object<Sidecar>) -> bool {
    sidecar.spec.workload_selector.as_ref().is_none_or(crate::model::Selector::is_empty)
}

fn oldest<'m>(sidecars: impl Iterator<Item = &'m Shared<Object<Sidecar>>>) -> Option<&'m Shared<Object<Sidecar>>> {
    sidecars.min_by(|a, b| a.precedence().cmp(&b.precedence()))
}
