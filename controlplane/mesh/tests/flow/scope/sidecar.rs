//! Which Sidecar applies, and what it imports.

use super::*;
use crate::sample::*;
use mesh::model::{
    Selector,
    mesh_config::OutboundTrafficPolicy,
    service_entry::EntryResolution,
    virtual_service::{Millionths, Mirror},
};

fn applied(store: &Store, of: &str, pairs: &[(&str, &str)]) -> Option<String> {
    scope_of(store, of, pairs).sidecar.map(|sidecar| sidecar.id.name.to_string())
}

#[test]
fn the_sidecar_of_the_workload_applies_before_that_of_the_namespace_before_that_of_the_mesh() {
    let mut store = mesh(vec![sidecar("istio-system/mesh", &[]).set(), sidecar("front/all", &[]).created(10).set()]);
    assert_eq!(applied(&store, "front", &[]).as_deref(), Some("all"));
    assert_eq!(applied(&store, "back", &[]).as_deref(), Some("mesh"));
    let mut own = sidecar("front/own", &[]).created(20);
    own.spec.workload_selector = Some(Selector(labels(&[("app", "web")])));
    store.apply(vec![own.set(), sidecar("front/older", &[]).created(5).set()]);
    assert_eq!(applied(&store, "front", &[("app", "web")]).as_deref(), Some("own"));
    assert_eq!(applied(&store, "front", &[("app", "api")]).as_deref(), Some("older"));
    assert_eq!(applied(&store, "back", &[("app", "web")]).as_deref(), Some("mesh"));
}

#[test]
fn a_gateway_has_no_sidecar() {
    let store = mesh(vec![sidecar("front/all", &["./*"]).set(), service("back/web").set()]);
    let mut viewpoint = from(store.mesh(), "front", Labels::new());
    viewpoint.kind = ProxyKind::Router;
    assert_eq!(ScopeKey::of(&viewpoint, store.mesh()).sidecar, None);
}

#[test]
fn imports_name_namespaces_and_hosts() {
    let seen = |imports: &[&str]| -> Vec<String> {
        let mut changes: Vec<_> = ["front/a", "back/a", "back/b", "other/c"].map(|id| service(id).set()).into();
        changes.push(sidecar("front/only", imports).set());
        let store = mesh(changes);
        hosts(&scope(&store, "front")).iter().map(|host| host.replace(".svc.cluster.local", "")).collect()
    };
    assert_eq!(seen(&["./*"]), ["a.front"]);
    assert_eq!(seen(&["back/*"]), ["a.back", "b.back"]);
    assert_eq!(seen(&["back/b.back.svc.cluster.local", "~/*"]), ["b.back"]);
    assert_eq!(seen(&["front/b.back.svc.cluster.local"]), Vec::<String>::new());
    assert_eq!(seen(&["*/*.back.svc.cluster.local", "./*"]), ["a.back", "a.front", "b.back"]);
    assert_eq!(seen(&["*/c.other.svc.cluster.local"]), ["c.other"]);
    assert_eq!(seen(&["~/*"]), Vec::<String>::new());
    assert_eq!(seen(&["*/*"]).len(), 4);
}

#[test]
fn the_own_namespace_of_a_sidecar_for_the_mesh_is_the_callers() {
    let store = mesh(vec![
        sidecar("istio-system/mesh", &["./*"]).set(),
        service("front/a").set(),
        service("istio-system/b").set(),
    ]);
    assert_eq!(hosts(&scope(&store, "front")), ["a.front.svc.cluster.local"]);
}

#[test]
fn an_import_of_one_name_is_not_one_of_a_wildcard_that_covers_it() {
    let store = mesh(vec![
        sidecar("front/only", &["*/a.ext.example"]).set(),
        entry("back/wild", &["*.ext.example"], EntryResolution::None).set(),
    ]);
    assert!(hosts(&scope(&store, "front")).is_empty());
}

#[test]
fn what_an_imported_virtual_service_sends_to_needs_no_import() {
    let (a, b, c) = (fqdn("back/a"), fqdn("other/b"), fqdn("other/c"));
    let mut split = route("back/split", &a, &b);
    split.spec.http[0].mirrors = vec![Mirror { destination: destination(&c, None).destination, share: Millionths(1) }];
    let mut store = mesh(vec![
        service("back/a").set(),
        service("other/b").set(),
        service("other/c").set(),
        service("other/d").set(),
        sidecar("front/only", &["back/*"]).set(),
        split.clone().set(),
    ]);
    let of = |ids: &[&str]| ids.iter().map(|id| fqdn(id).to_string()).collect::<Vec<_>>();
    assert_eq!(hosts(&scope(&store, "front")), of(&["back/a", "other/b", "other/c"]));
    store.apply(vec![split.gone()]);
    assert_eq!(hosts(&scope(&store, "front")), of(&["back/a"]));
}

#[test]
fn a_virtual_service_is_imported_by_its_hosts_and_either_may_be_the_wider() {
    let store = mesh(vec![
        sidecar("front/only", &["*/a.ext.example"]).set(),
        route("back/wild", &host("*.ext.example"), &host("a.ext.example")).set(),
        route("back/exact", &host("a.ext.example"), &host("a.ext.example")).set(),
        route("back/other", &host("b.ext.example"), &host("b.ext.example")).set(),
    ]);
    assert_eq!(routes(&scope(&store, "front")), ["exact", "wild"]);
}

#[test]
fn a_sidecar_may_say_what_happens_to_unknown_hosts() {
    let mut strict = sidecar("front/strict", &[]);
    strict.spec.outbound_traffic_policy = Some(OutboundTrafficPolicy::RegistryOnly);
    let store = mesh(vec![strict.set()]);
    assert_eq!(scope(&store, "front").outbound_policy, OutboundTrafficPolicy::RegistryOnly);
    assert_eq!(scope(&store, "back").outbound_policy, OutboundTrafficPolicy::AllowAny);
}
