//! What is seen from where, and which of several objects counts.

mod precedence;
mod sidecar;

use crate::sample::*;
use mesh::{
    compile::{
        scope::{BuiltScope, Scope, ScopeKey, merge},
        viewpoint::{InterceptionMode, ProxyDescription, ProxyKind, Viewpoint},
    },
    model::{Change, Hostname, Labels, Shared, endpoint::Locality},
    store::{Mesh, Store},
};

/// A store of these objects.
fn mesh(changes: Vec<Change>) -> Store {
    let mut store = Store::new();
    store.apply(changes);
    store
}

/// From where a sidecar in a namespace looks, beside a workload with these labels.
fn from(mesh: &Mesh, of: &str, labels: Labels) -> Viewpoint {
    let proxy = ProxyDescription {
        kind: ProxyKind::Sidecar,
        namespace: namespace(of),
        pod: String::new(),
        labels,
        annotations: Labels::new(),
        locality: Locality::default(),
        node: None,
        network: String::new(),
        mode: InterceptionMode::Redirect,
        addresses: Vec::new(),
        http_proxy_port: None,
        has_certificates: false,
    };
    Viewpoint::of(&proxy, mesh)
}

/// The scope of a sidecar in a namespace.
fn scope(store: &Store, of: &str) -> Scope {
    scope_of(store, of, &[])
}

fn scope_of(store: &Store, of: &str, pairs: &[(&str, &str)]) -> Scope {
    let key = ScopeKey::of(&from(store.mesh(), of, labels(pairs)), store.mesh());
    let built = BuiltScope::new(store.mesh(), &key, &mut |rules| Shared::new(merge(&rules)));
    (*built.scope).clone()
}

fn hosts(scope: &Scope) -> Vec<&str> {
    scope.services.keys().map(Hostname::as_str).collect()
}

fn routes(scope: &Scope) -> Vec<&str> {
    scope.virtual_services.iter().map(|vs| &*vs.id.name).collect()
}

/// The subsets of the rule in force for a host, and the rules that it comes from.
fn ruled(scope: &Scope, of: &Hostname) -> (Vec<String>, Vec<String>) {
    let rule = scope.service(of).unwrap().rule.as_ref();
    let subsets = rule.into_iter().flat_map(|rule| &rule.subsets).map(|(subset, _)| subset.name.clone());
    let origins = rule.into_iter().flat_map(|rule| &rule.origins).map(|id| id.name.to_string());
    (subsets.collect(), origins.collect())
}
