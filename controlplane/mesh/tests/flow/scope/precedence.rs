//! Visibility, conflicts of names, and which rules and routes are in force.

use super::*;
use crate::sample::*;
use mesh::model::{
    Kind, ObjectId, Selector,
    destination_rule::{OutlierDetection, PortPolicy},
    service_entry::EntryResolution,
    virtual_service::{GatewayName, HttpAction, HttpRule},
    visibility::{DefaultExport, ExportTo},
};

#[test]
fn a_service_is_seen_where_it_is_exported_to() {
    let exported = |name: &str, export_to: ExportTo| {
        let mut exported = service(&format!("back/{name}"));
        exported.spec.export_to = export_to;
        exported.set()
    };
    let store = mesh(vec![
        exported("all", ExportTo::All),
        exported("none", ExportTo::None),
        exported("front", ExportTo::Namespaces(vec![namespace("front")])),
        exported("own", ExportTo::Namespaces(vec![namespace("back")])),
        exported("unsaid", ExportTo::Default),
    ]);
    let of = |name: &str| format!("{name}.back.svc.cluster.local");
    assert_eq!(hosts(&scope(&store, "front")), [of("all"), of("front"), of("unsaid")]);
    assert_eq!(hosts(&scope(&store, "back")), [of("all"), of("own"), of("unsaid")]);
}

#[test]
fn the_mesh_says_who_sees_what_says_nothing() {
    let mut store = mesh(vec![
        service("back/web").set(),
        rule("back/web", &fqdn("back/web"), &["v1"]).set(),
        route("back/web", &fqdn("back/web"), &fqdn("back/web")).set(),
    ]);
    store.apply(vec![mesh_config(|config| config.default_service_export_to = DefaultExport::Own).set()]);
    assert!(hosts(&scope(&store, "front")).is_empty());
    store.apply(vec![
        mesh_config(|config| {
            config.default_destination_rule_export_to = DefaultExport::Own;
            config.default_virtual_service_export_to = DefaultExport::Own;
        })
        .set(),
    ]);
    let seen = scope(&store, "front");
    assert_eq!((routes(&seen).len(), ruled(&seen, &fqdn("back/web")).1.len()), (0, 0));
    assert_eq!(routes(&scope(&store, "back")), ["web"]);
}

#[test]
fn of_one_host_a_kubernetes_service_counts_before_the_callers_own_entry_before_the_oldest() {
    let of = "web.back.svc.cluster.local";
    let own = entry("front/a", &[of, "a.example"], EntryResolution::Static).created(30);
    let old = entry("other/a", &[of, "a.example"], EntryResolution::Static).created(10);
    let store = mesh(vec![service("back/web").created(99).set(), own.set(), old.clone().set()]);
    let namespace_of = |store: &Store, from: &str, name: &str| {
        scope(store, from).service(&host(name)).unwrap().service.service.namespace.to_string()
    };
    assert_eq!(namespace_of(&store, "front", of), "back");
    assert_eq!(namespace_of(&store, "front", "a.example"), "front");
    assert_eq!(namespace_of(&store, "third", "a.example"), "other");
    let mut hidden = old;
    hidden.spec.export_to = ExportTo::Namespaces(vec![namespace("other")]);
    let store = mesh(vec![hidden.set(), entry("front/a", &["a.example"], EntryResolution::Static).created(30).set()]);
    assert_eq!(namespace_of(&store, "third", "a.example"), "front", "for those who do not see the oldest");
}

#[test]
fn rules_are_looked_for_at_the_caller_then_at_the_service_then_at_the_root() {
    let web = fqdn("back/web");
    let at = |namespace: &str| rule(&format!("{namespace}/of-{namespace}"), &web, &[namespace]);
    let mut store = mesh(vec![service("back/web").set(), at("elsewhere").set()]);
    let found = |store: &Store, from: &str| ruled(&scope(store, from), &web).0;
    assert!(found(&store, "front").is_empty(), "a rule of any other namespace is not applied");
    store.apply(vec![at("istio-system").set()]);
    assert_eq!(found(&store, "front"), ["istio-system"]);
    store.apply(vec![at("back").set()]);
    assert_eq!(found(&store, "front"), ["back"]);
    store.apply(vec![at("front").set()]);
    assert_eq!((found(&store, "front"), found(&store, "back")), (vec!["front".into()], vec!["back".into()]));
}

#[test]
fn a_rule_that_is_not_exported_does_not_stand_in_the_way_of_the_next() {
    let web = fqdn("back/web");
    let mut hidden = rule("back/hidden", &web, &["hidden"]);
    hidden.spec.export_to = ExportTo::Namespaces(vec![namespace("back")]);
    let store = mesh(vec![service("back/web").set(), hidden.set(), rule("istio-system/root", &web, &["root"]).set()]);
    assert_eq!(ruled(&scope(&store, "front"), &web).0, ["root"]);
    assert_eq!(ruled(&scope(&store, "back"), &web).0, ["hidden"]);
}

#[test]
fn rules_for_one_host_join_their_subsets_and_the_older_wins() {
    let web = fqdn("back/web");
    let outlier = PortPolicy { outlier_detection: Some(OutlierDetection::default()), ..PortPolicy::default() };
    let mut young = rule("back/young", &web, &["v1", "v2"]).created(20);
    young.spec.policy.settings = outlier.clone();
    let mut old = rule("back/old", &web, &["v1"]).created(10);
    old.spec.subsets[0].labels = labels(&[("version", "old")]);
    let store = mesh(vec![service("back/web").set(), young.set(), old.set()]);
    let seen = scope(&store, "front");
    let merged = seen.service(&web).unwrap().rule.as_ref().unwrap();
    assert_eq!(ruled(&seen, &web), (vec!["v1".into(), "v2".into()], vec!["old".into(), "young".into()]));
    assert_eq!(merged.subsets[0].0.labels["version"], "old");
    assert_eq!(merged.policy.settings, outlier, "the first that has a policy");
    assert_eq!(merged.policy_origin.as_ref().map(|id| &*id.name), Some("young"));
    assert_eq!(merged.shown(Some("v1")).map(|id| &*id.name), Some("old"));
    assert_eq!(merged.shown(None).map(|id| &*id.name), Some("young"));
}

#[test]
fn an_exact_host_beats_a_wildcard_wholly_and_a_longer_wildcard_a_shorter_one() {
    let web = fqdn("back/web");
    let mut store = mesh(vec![
        service("back/web").set(),
        rule("back/any", &host("*"), &["any"]).set(),
        rule("back/wide", &host("*.svc.cluster.local"), &["wide"]).set(),
        rule("back/near", &host("*.back.svc.cluster.local"), &["near"]).set(),
    ]);
    assert_eq!(ruled(&scope(&store, "front"), &web).0, ["near"]);
    store.apply(vec![rule("back/exact", &web, &[]).set()]);
    assert_eq!(ruled(&scope(&store, "front"), &web), (vec![], vec!["exact".into()]));
}

#[test]
fn a_rule_that_selects_workloads_holds_for_those_alone_and_before_the_others() {
    let web = fqdn("back/web");
    let mut chosen = rule("front/chosen", &web, &["chosen"]);
    chosen.spec.workload_selector = Some(Selector(labels(&[("app", "gate")])));
    let store = mesh(vec![service("back/web").set(), chosen.set(), rule("front/all", &web, &["all"]).set()]);
    assert_eq!(ruled(&scope_of(&store, "front", &[("app", "gate")]), &web).0, ["chosen"]);
    assert_eq!(ruled(&scope_of(&store, "front", &[("app", "shop")]), &web).0, ["all"]);
    assert!(ruled(&scope_of(&store, "back", &[("app", "gate")]), &web).0.is_empty());
}

#[test]
fn of_two_virtual_services_for_one_host_the_older_counts_whatever_its_namespace() {
    let web = fqdn("back/web");
    let store = mesh(vec![
        service("back/web").set(),
        route("front/young", &web, &web).created(20).set(),
        route("other/old", &web, &web).created(10).set(),
        route("other/wild", &host("*.back.svc.cluster.local"), &web).created(1).set(),
        route("other/wilder", &host("*"), &web).created(1).set(),
    ]);
    let seen = scope(&store, "front");
    let of = |name: &str| seen.virtual_service(&host(name)).map(|vs| vs.id.name.to_string());
    assert_eq!(of("web.back.svc.cluster.local").as_deref(), Some("old"));
    assert_eq!(of("api.back.svc.cluster.local").as_deref(), Some("wild"));
    assert_eq!(of("a.example").as_deref(), Some("wilder"));
    assert_eq!(of("*.back.svc.cluster.local").as_deref(), Some("wild"));
}

#[test]
fn virtual_services_of_gateways_and_hidden_ones_are_not_seen() {
    let web = fqdn("back/web");
    let mut gateway = route("back/gateway", &web, &web);
    gateway.spec.gateways = vec![GatewayName::Gateway(namespace("back"), "edge".to_owned())];
    let mut hidden = route("back/hidden", &web, &web);
    hidden.spec.export_to = ExportTo::None;
    let store = mesh(vec![gateway.set(), hidden.set(), route("back/seen", &web, &web).set()]);
    assert_eq!(routes(&scope(&store, "front")), ["seen"]);
}

#[test]
fn delegates_are_found_where_they_are_exported_to_the_root() {
    let web = fqdn("back/web");
    let delegating = |name: &str| {
        let mut root = route("front/root", &web, &web);
        let action = HttpAction::Delegate { name: name.to_owned(), namespace: namespace("back") };
        root.spec.http = vec![HttpRule { action, ..HttpRule::default() }];
        root.set()
    };
    let delegate = |name: &str, export_to: ExportTo| {
        let mut delegate = route(&format!("back/{name}"), &web, &web);
        delegate.spec.hosts.clear();
        delegate.spec.export_to = export_to;
        delegate.set()
    };
    let mut store = mesh(vec![
        delegating("open"),
        delegate("open", ExportTo::All),
        delegate("closed", ExportTo::Namespaces(vec![namespace("back")])),
    ]);
    let found = |store: &Store| scope(store, "third").delegates.into_keys().collect::<Vec<_>>();
    assert_eq!(found(&store), [ObjectId::new(Kind::VirtualService, namespace("back"), "open")]);
    assert_eq!(routes(&scope(&store, "third")), ["root"], "a delegate is no route of its own");
    store.apply(vec![delegating("closed")]);
    assert!(found(&store).is_empty());
}
