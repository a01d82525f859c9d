//! What the store makes of changes.

mod endpoints;
mod services;

use crate::sample::*;
use mesh::{
    compile::viewpoint::{InterceptionMode, ProxyDescription, ProxyKind},
    model::{Kind, Labels, Location, ObjectId, endpoint::Locality},
    store::Store,
};

#[test]
fn an_object_that_means_the_same_touches_nothing_but_is_found_where_it_stands_now() {
    let mut store = Store::new();
    let objects = || vec![service("default/web").set(), slice("default/web-1", "web").at("10.1.0.1").set()];
    assert!(!store.apply(objects()).is_nothing());
    let before = store.mesh().services().next().unwrap().clone();
    let id = service("default/web").id;
    let mut moved = service("default/web");
    moved.location = Some(Location { file: "web.yaml".into(), line: 7, column: 1 });
    moved.generation = Some(3);
    let touched = store.apply([vec![moved.set()], objects().split_off(1)].concat());
    assert!(touched.is_nothing(), "{touched:?}");
    assert_eq!(*store.mesh().services().next().unwrap(), before);
    assert_eq!(store.mesh().object_location(&id).unwrap().line, 7);
    assert_eq!(store.mesh().written(&id).unwrap().generation, Some(3));
}

#[test]
fn of_several_changes_of_one_object_in_one_call_only_the_last_is_seen() {
    let mut store = Store::new();
    store.apply(vec![service("default/web").set()]);
    let touched = store.apply(vec![service("default/web").gone(), service("default/web").set()]);
    assert!(touched.is_nothing());
}

#[test]
fn a_slice_touches_endpoints_only() {
    let mut store = Store::new();
    store.apply(vec![service("default/web").set()]);
    let touched = store.apply(vec![slice("default/web-1", "web").at("10.1.0.1").set()]);
    assert!(touched.only_endpoints() && !touched.is_nothing());
    assert_eq!(touched.endpoints.len(), 1);
}

#[test]
fn a_pod_touches_the_services_it_belongs_to_and_nothing_else() {
    let mut store = Store::new();
    let of = |name: &str| slice(&format!("default/{name}-1"), name).with(endpoint_of("10.1.0.1", &format!("{name}-0")));
    store.apply(vec![service("default/a").set(), service("default/b").set(), of("a").set(), of("b").set()]);
    let touched = store.apply(vec![pod("default/a-0", &[("app", "a")]).set()]);
    let hosts: Vec<_> = touched.endpoints.iter().map(|key| key.host.as_str()).collect();
    assert_eq!(hosts, ["a.default.svc.cluster.local"]);
    assert!(touched.only_endpoints());
}

#[test]
fn a_node_touches_only_services_with_endpoints_on_it() {
    let mut store = Store::new();
    let on = |name: &str, node: &str| {
        let mut endpoint = endpoint("10.1.0.1");
        endpoint.node = Some(node.to_owned());
        slice(&format!("default/{name}-1"), name).with(endpoint).set()
    };
    store.apply(vec![service("default/a").set(), service("default/b").set(), on("a", "n1"), on("b", "n2")]);
    let touched = store.apply(vec![node("n1", "r/z").set()]);
    assert_eq!(touched.endpoints.len(), 1);
    assert!(store.apply(vec![node("n3", "").set()]).is_nothing());
}

#[test]
fn the_oldest_mesh_configuration_holds_and_the_built_in_one_returns() {
    let mut store = Store::new();
    let first = mesh_config(|config| config.trust_domain = "one".to_owned());
    let mut second = mesh_config(|config| config.trust_domain = "two".to_owned()).created(9);
    second.id = ObjectId::new(Kind::MeshConfig, namespace("other"), "istio");
    assert!(store.apply(vec![first.clone().set(), second.set()]).config);
    assert_eq!(store.mesh().config().spec.trust_domain, "one");
    store.apply(vec![first.gone()]);
    assert_eq!(store.mesh().config().spec.trust_domain, "two");
    let same_as_built_in = mesh_config(|_| {});
    assert!(store.apply(vec![same_as_built_in.set()]).config);
}

fn proxy(pod: &str, of: Labels) -> ProxyDescription {
    ProxyDescription {
        kind: ProxyKind::Sidecar,
        namespace: namespace("default"),
        pod: pod.to_owned(),
        labels: of,
        annotations: Labels::new(),
        locality: Locality::default(),
        node: None,
        network: String::new(),
        mode: InterceptionMode::Redirect,
        addresses: Vec::new(),
        http_proxy_port: None,
        has_certificates: false,
    }
}

#[test]
fn a_change_tells_which_proxies_may_look_from_elsewhere() {
    let mut store = Store::new();
    let web = proxy("web-0", labels(&[("app", "web")]));
    let touched = store.apply(vec![service("default/web").set()]);
    assert!(touched.may_move(&web, store.mesh()), "`app` is looked at now");
    assert!(!store.apply(vec![service("default/api").set()]).may_move(&web, store.mesh()));
    assert!(!store.apply(vec![service("other/web").set()]).may_move(&web, store.mesh()));
    let touched = store.apply(vec![pod("default/web-0", &[("app", "web2")]).set()]);
    assert!(touched.may_move(&web, store.mesh()));
    assert!(!touched.may_move(&proxy("web-1", Labels::new()), store.mesh()));
}

#[test]
fn what_later_changes_touch_is_added() {
    let mut store = Store::new();
    let mut touched = store.apply(vec![service("default/a").set()]);
    touched.absorb(store.apply(vec![service("default/b").set()]));
    assert_eq!(touched.services.len(), 2);
}

#[test]
fn rules_stand_by_host_in_order_of_age() {
    let mut store = Store::new();
    let of = fqdn("default/web");
    store.apply(vec![
        rule("default/young", &of, &["v2"]).created(20).set(),
        rule("default/old", &of, &["v1"]).created(10).set(),
        rule("default/wide", &host("*.default.svc.cluster.local"), &[]).set(),
    ]);
    let names = |store: &Store| -> Vec<Vec<String>> {
        let default = namespace("default");
        let groups = store.mesh().rules().covering(&default, &of);
        groups.map(|group| group.iter().map(|rule| rule.id.name.to_string()).collect()).collect()
    };
    assert_eq!(names(&store), [vec!["old", "young"], vec!["wide"]]);
    store.apply(vec![rule("default/old", &of, &[]).gone(), rule("default/wide", &of, &[]).gone()]);
    assert_eq!(names(&store), [vec!["young"]]);
}
