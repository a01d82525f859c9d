//! The state as a whole: what events lead to which updates.

use std::time::Duration;

use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::api::DynamicObject;
use serde_json::{Value as Json, json};

use super::*;
use crate::source::{
    Settings, istio,
    kube::{
        arrived::Unreadable,
        object::Read,
        resource::{self, ENDPOINT_SLICES, PODS, SERVICES},
        waiting::WAIT_MAX,
    },
};

mod replays;

const RULES: &str = "virtualservices";

fn cluster() -> State {
    State::new([SERVICES, ENDPOINT_SLICES, PODS, RULES].into_iter())
}

fn typed<K: Read>(object: Json) -> Event {
    let object: K = serde_json::from_value(object).unwrap();
    Event::Object(Box::new(Seen::typed(object, &Settings::default())))
}

fn service(name: &str, version: &str, address: &str) -> Event {
    typed::<Service>(json!({
        "metadata": {"name": name, "namespace": "shop", "resourceVersion": version},
        "spec": {"clusterIP": address, "ports": [{"port": 80}]},
    }))
}

fn pod(name: &str) -> Event {
    typed::<Pod>(json!({"metadata": {"name": name, "namespace": "shop", "resourceVersion": "1"}}))
}

fn slice(version: &str, endpoints: &[(&str, &str)]) -> Event {
    slice_called("web-1", version, endpoints)
}

fn slice_called(name: &str, version: &str, endpoints: &[(&str, &str)]) -> Event {
    let endpoints: Vec<Json> = endpoints
        .iter()
        .map(|(address, pod)| {
            json!({"addresses": [address], "targetRef": {"kind": "Pod", "name": pod, "namespace": "shop"}})
        })
        .collect();
    typed::<EndpointSlice>(json!({
        "metadata": {
            "name": name, "namespace": "shop", "resourceVersion": version,
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [{"port": 8080}],
        "endpoints": endpoints,
    }))
}

fn rule(version: &str, route: Json) -> Event {
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "web", "namespace": "shop", "resourceVersion": version, "generation": 3},
        "spec": {"hosts": ["web"], "http": [{"route": [route]}]},
    }))
    .unwrap();
    let kind = resource::at(istio::ALL.iter().find(|kind| kind.plural == RULES).unwrap(), "v1");
    Event::Object(Box::new(Seen::raw(object, &kind, &Settings::default())))
}

fn good() -> Json {
    json!({"destination": {"host": "web"}})
}

fn misprint() -> Json {
    json!({"destinaton": {"host": "web"}})
}

fn gone(name: &str) -> Event {
    gone_at(name, "50")
}

fn gone_at(name: &str, version: &str) -> Event {
    let meta = serde_json::from_value(json!({"name": name, "namespace": "shop"})).unwrap();
    Event::Gone(Key::of(&meta), version.into())
}

fn take(state: &mut State, plural: &'static str, events: impl IntoIterator<Item = Event>) {
    for event in events {
        state.take(Message { plural, event });
    }
}

fn list(state: &mut State, plural: &'static str, objects: impl IntoIterator<Item = Event>) {
    take(state, plural, [Event::ListBegins]);
    take(state, plural, objects);
    take(state, plural, [Event::ListEnds]);
}

/// A cluster of which everything was listed and passed on: one Service.
fn synced(now: Instant) -> State {
    let mut state = cluster();
    list(&mut state, SERVICES, [service("web", "1", "10.0.0.1")]);
    list(&mut state, ENDPOINT_SLICES, []);
    list(&mut state, PODS, []);
    list(&mut state, RULES, []);
    assert_eq!(changes(&mut state, now), ["set Service shop/web"]);
    state
}

/// What is passed on, by name; the list is empty when nothing is.
fn changes(state: &mut State, now: Instant) -> Vec<String> {
    let update = state.update(now);
    update.into_iter().flat_map(|update| update.changes).map(|change| named(&change)).collect()
}

fn named(change: &Change) -> String {
    match change {
        Change::Set(config) => format!("set {}", config.id()),
        Change::SetEndpoints(slice) => {
            let addresses: Vec<_> = slice.spec.endpoints.iter().flat_map(|endpoint| &endpoint.addresses).collect();
            format!("set {} {addresses:?}", slice.id)
        }
        Change::Remove(id) => format!("remove {id}"),
    }
}

#[test]
fn nothing_is_passed_on_before_every_resource_was_listed() {
    let (mut state, now) = (cluster(), Instant::now());
    list(&mut state, SERVICES, [service("web", "1", "10.0.0.1")]);
    list(&mut state, PODS, [pod("web-a")]);
    take(&mut state, ENDPOINT_SLICES, [Event::ListBegins, slice("1", &[("10.1.0.1", "web-a")])]);
    take(&mut state, RULES, [Event::Unserved]);
    assert_eq!(changes(&mut state, now), [""; 0]);
    take(&mut state, ENDPOINT_SLICES, [Event::ListEnds]);
    let whole = ["set Pod shop/web-a", "set Service shop/web", "set EndpointSlice shop/web-1 [10.1.0.1]"];
    assert_eq!(changes(&mut state, now), whole);
}

#[test]
fn an_empty_cluster_is_a_mesh_too() {
    let (mut state, now) = (cluster(), Instant::now());
    for plural in [SERVICES, ENDPOINT_SLICES, PODS] {
        list(&mut state, plural, []);
    }
    assert!(state.update(now).is_none());
    take(&mut state, RULES, [Event::Unserved]);
    assert!(state.update(now).is_some());
    assert!(state.update(now).is_none(), "said once");
}

#[test]
fn what_came_and_went_before_the_first_update_is_the_last_that_is_said() {
    let (mut state, now) = (cluster(), Instant::now());
    list(&mut state, SERVICES, [service("web", "1", "10.0.0.1"), service("old", "1", "10.0.0.2")]);
    take(&mut state, SERVICES, [service("web", "2", "10.0.0.3"), gone("old")]);
    for plural in [ENDPOINT_SLICES, PODS, RULES] {
        list(&mut state, plural, []);
    }
    let update = state.update(now).unwrap();
    assert_eq!(
        update.changes.iter().map(named).collect::<Vec<_>>(),
        ["remove Service shop/old", "set Service shop/web"]
    );
    let Some(Change::Set(config)) = update.changes.last() else { panic!("{:?}", update.changes) };
    let Config::Service(web) = &**config else { panic!("{config:?}") };
    assert_eq!(web.spec.addresses[0].ip.to_string(), "10.0.0.3");
}

#[test]
fn a_change_is_passed_on_at_once_and_several_as_one() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, SERVICES, [service("web", "2", "10.0.0.2"), service("cart", "3", "10.0.0.9"), gone("web")]);
    assert_eq!(changes(&mut state, now), ["set Service shop/cart", "remove Service shop/web"]);
    assert_eq!(changes(&mut state, now), [""; 0]);
}

#[test]
fn a_new_list_changes_what_differs_and_nothing_else() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, SERVICES, [service("cart", "2", "10.0.0.2"), service("old", "3", "10.0.0.3")]);
    assert_eq!(changes(&mut state, now).len(), 2);
    take(&mut state, SERVICES, [Event::ListBegins, service("web", "1", "10.0.0.1")]);
    assert_eq!(changes(&mut state, now), [""; 0], "a list that is coming empties nothing");
    take(&mut state, SERVICES, [service("cart", "9", "10.0.0.4"), Event::ListEnds]);
    assert_eq!(changes(&mut state, now), ["set Service shop/cart", "remove Service shop/old"]);
}

#[test]
fn a_list_that_broke_off_removes_nothing() {
    let now = Instant::now();
    let mut state = synced(now);
    take(
        &mut state,
        SERVICES,
        [Event::ListBegins, Event::ListBegins, service("web", "1", "10.0.0.1"), Event::ListEnds],
    );
    assert!(state.update(now).is_none());
    take(&mut state, SERVICES, [Event::ListBegins, service("cart", "2", "10.0.0.2"), Event::ListBegins]);
    take(&mut state, SERVICES, [service("web", "1", "10.0.0.1"), Event::ListEnds]);
    assert!(state.update(now).is_none(), "what stood only in the half list is not there");
}

#[test]
fn events_of_others_do_not_wait_for_a_list() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, PODS, [Event::ListBegins]);
    take(&mut state, SERVICES, [service("web", "2", "10.0.0.7")]);
    assert_eq!(changes(&mut state, now), ["set Service shop/web"]);
}

#[test]
fn a_bad_form_leaves_the_last_good_one_in_force_and_says_what_is_wrong() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, RULES, [rule("2", good())]);
    assert_eq!(changes(&mut state, now), ["set VirtualService shop/web"]);
    take(&mut state, RULES, [rule("3", misprint())]);
    let update = state.update(now).unwrap();
    assert!(update.changes.is_empty());
    assert!(
        update.problems.iter().any(|problem| problem.to_string()
            == "error: VirtualService shop/web: spec.http[0].route[0].destinaton: unknown field (did you mean spec.http[0].route[0].destination?)"),
        "{:?}",
        update.problems
    );
    // A new list brings the bad form again.
    list(&mut state, RULES, [rule("3", misprint())]);
    assert!(state.update(now).is_none());
    take(&mut state, RULES, [rule("4", good())]);
    let update = state.update(now).unwrap();
    assert_eq!((update.changes.len(), update.problems.len()), (1, 0));
    take(&mut state, RULES, [rule("5", misprint()), gone("web")]);
    assert_eq!(changes(&mut state, now), ["remove VirtualService shop/web"], "deleted, it goes whatever it was like");
}

#[test]
fn with_its_definition_the_objects_of_a_kind_go() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, RULES, [rule("2", good())]);
    assert_eq!(changes(&mut state, now).len(), 1);
    take(&mut state, RULES, [Event::Unserved]);
    assert_eq!(changes(&mut state, now), ["remove VirtualService shop/web"]);
    list(&mut state, RULES, [rule("9", good())]);
    assert_eq!(changes(&mut state, now), ["set VirtualService shop/web"]);
}

#[test]
fn a_slice_waits_for_its_pod_and_what_it_said_before_stays() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, PODS, [pod("a")]);
    take(&mut state, ENDPOINT_SLICES, [slice("2", &[("10.1.0.1", "a")])]);
    assert_eq!(changes(&mut state, now), ["set Pod shop/a", "set EndpointSlice shop/web-1 [10.1.0.1]"]);
    take(&mut state, ENDPOINT_SLICES, [slice("3", &[("10.1.0.1", "a"), ("10.1.0.2", "b")])]);
    assert_eq!(changes(&mut state, now), ["set EndpointSlice shop/web-1 [10.1.0.1]"]);
    assert_eq!(changes(&mut state, now), [""; 0], "said once");
    assert_eq!(state.deadline(), Some(now + WAIT_MAX));
    take(&mut state, PODS, [pod("b")]);
    assert_eq!(changes(&mut state, now), ["set Pod shop/b", "set EndpointSlice shop/web-1 [10.1.0.1, 10.1.0.2]"]);
    assert_eq!(state.deadline(), None);
}

#[test]
fn what_a_waiting_slice_does_not_name_any_more_goes_at_once() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, PODS, [pod("a"), pod("b")]);
    take(&mut state, ENDPOINT_SLICES, [slice("2", &[("10.1.0.1", "a"), ("10.1.0.2", "b")])]);
    assert_eq!(changes(&mut state, now).len(), 3);
    take(&mut state, ENDPOINT_SLICES, [slice("3", &[("10.1.0.2", "b"), ("10.1.0.3", "c"), ("10.1.0.4", "d")])]);
    assert_eq!(changes(&mut state, now), ["set EndpointSlice shop/web-1 [10.1.0.2]"]);
    take(&mut state, PODS, [pod("c")]);
    assert_eq!(changes(&mut state, now), ["set Pod shop/c", "set EndpointSlice shop/web-1 [10.1.0.2, 10.1.0.3]"]);
    // No endpoint that takes requests would be left: those that did are better than none.
    take(&mut state, ENDPOINT_SLICES, [slice("4", &[("10.1.0.4", "d")])]);
    assert_eq!(changes(&mut state, now), [""; 0]);
    take(&mut state, PODS, [pod("d")]);
    assert_eq!(changes(&mut state, now), ["set Pod shop/d", "set EndpointSlice shop/web-1 [10.1.0.4]"]);
}

#[test]
fn an_object_that_cannot_be_read_keeps_its_last_good_form() {
    let now = Instant::now();
    let mut state = synced(now);
    let unreadable = |version: &str| {
        let meta = json!({"name": "web", "namespace": "shop", "resourceVersion": version});
        let meta = serde_json::from_value(meta).unwrap();
        Event::Object(Box::new(Seen::unreadable("Service", Unreadable { meta, reason: "too deep".into() })))
    };
    take(&mut state, SERVICES, [unreadable("2")]);
    let update = state.update(now).unwrap();
    assert!(update.changes.is_empty());
    assert_eq!(
        update.problems[0].to_string(),
        "error: Service shop/web: too deep (look at what the API server gives for it, and apply it anew)"
    );
    list(&mut state, SERVICES, [unreadable("3")]);
    assert_eq!(changes(&mut state, now), [""; 0]);
    take(&mut state, SERVICES, [service("web", "4", "10.0.0.4")]);
    let update = state.update(now).unwrap();
    assert_eq!((update.changes.len(), update.problems.len()), (1, 0));
}

#[test]
fn the_first_update_does_not_wait_for_ever_however_many_slices_come() {
    let (mut state, now) = (cluster(), Instant::now());
    for plural in [SERVICES, ENDPOINT_SLICES, PODS, RULES] {
        list(&mut state, plural, []);
    }
    take(&mut state, ENDPOINT_SLICES, [slice_called("web-1", "1", &[("10.1.0.1", "a")])]);
    assert!(state.update(now).is_none());
    take(&mut state, ENDPOINT_SLICES, [slice_called("web-2", "2", &[("10.1.0.2", "b")])]);
    assert!(state.update(now + WAIT_MAX / 2).is_none());
    take(&mut state, ENDPOINT_SLICES, [slice_called("web-3", "3", &[("10.1.0.3", "c")])]);
    let first = changes(&mut state, now + WAIT_MAX);
    assert_eq!(first.len(), 3, "{first:?}");
}

#[test]
fn a_slice_does_not_wait_for_ever() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, ENDPOINT_SLICES, [slice("2", &[("10.1.0.1", "ghost")])]);
    assert!(state.update(now).is_none());
    take(&mut state, ENDPOINT_SLICES, [slice("3", &[("10.1.0.2", "ghost")])]);
    assert!(state.update(now + Duration::from_secs(3)).is_none());
    let update = state.update(now + WAIT_MAX).unwrap();
    assert_eq!(update.changes.iter().map(named).collect::<Vec<_>>(), ["set EndpointSlice shop/web-1 [10.1.0.2]"]);
    assert_eq!(update.problems.len(), 1);
    let problem = update.problems[0].to_string();
    assert!(problem.contains("EndpointSlice shop/web-1") && problem.contains("Pod shop/ghost"), "{problem}");
    take(&mut state, ENDPOINT_SLICES, [slice("4", &[("10.1.0.3", "ghost")])]);
    assert_eq!(changes(&mut state, now), ["set EndpointSlice shop/web-1 [10.1.0.3]"], "once is enough");
    take(&mut state, PODS, [pod("ghost")]);
    assert!(state.update(now).unwrap().problems.is_empty());
}

#[test]
fn the_first_update_waits_with_its_slices() {
    let (mut state, now) = (cluster(), Instant::now());
    list(&mut state, ENDPOINT_SLICES, [slice("2", &[("10.1.0.1", "late")])]);
    for plural in [SERVICES, PODS, RULES] {
        list(&mut state, plural, []);
    }
    assert!(state.update(now).is_none());
    take(&mut state, PODS, [pod("late")]);
    assert_eq!(changes(&mut state, now), ["set Pod shop/late", "set EndpointSlice shop/web-1 [10.1.0.1]"]);
}

#[test]
fn a_slice_that_goes_while_it_waits_is_forgotten() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, ENDPOINT_SLICES, [slice("2", &[("10.1.0.1", "ghost")])]);
    assert!(state.update(now).is_none());
    take(&mut state, ENDPOINT_SLICES, [gone("web-1")]);
    assert_eq!(changes(&mut state, now), ["remove EndpointSlice shop/web-1"]);
    take(&mut state, PODS, [pod("ghost")]);
    assert_eq!(changes(&mut state, now), ["set Pod shop/ghost"]);
}

#[test]
fn an_endpoint_that_is_going_away_is_not_waited_for() {
    let now = Instant::now();
    let mut state = synced(now);
    let going = |version: &str, conditions: Json| {
        typed::<EndpointSlice>(json!({
            "metadata": {
                "name": "web-1", "namespace": "shop", "resourceVersion": version,
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "endpoints": [{
                "addresses": ["10.1.0.1"], "conditions": conditions,
                "targetRef": {"kind": "Pod", "name": "gone", "namespace": "shop"},
            }],
        }))
    };
    for (version, conditions) in [("2", json!({"ready": false})), ("3", json!({"ready": true, "terminating": true}))] {
        take(&mut state, ENDPOINT_SLICES, [going(version, conditions)]);
        assert_eq!(changes(&mut state, now), ["set EndpointSlice shop/web-1 [10.1.0.1]"]);
    }
}

#[test]
fn how_an_object_stands_comes_with_what_is_wrong_with_that_form() {
    let form = |version: &str, route: Json, conditions: Json| {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": version, "generation": 3},
            "spec": {"hosts": ["web"], "http": [{"route": [route]}]},
            "status": {"conditions": conditions},
        }))
        .unwrap();
        let kind = resource::at(&istio::VIRTUAL_SERVICE, "v1");
        Event::Object(Box::new(Seen::raw(object, &kind, &Settings::default())))
    };
    let mut state = cluster();
    take(&mut state, RULES, [form("1", misprint(), json!([]))]);
    let standings = state.standings().unwrap();
    let standing = &standings["VirtualService shop/web"];
    assert_eq!((standing.problems.len(), standing.conditions.as_deref(), standing.generation), (1, None, 3));
    assert!(state.standings().is_none(), "nothing is new");
    take(&mut state, RULES, [form("2", good(), json!([{"type": "Ready"}]))]);
    let standings = state.standings().unwrap();
    let standing = &standings["VirtualService shop/web"];
    assert_eq!((standing.problems.len(), standing.conditions.as_deref()), (0, Some(r#"[{"type":"Ready"}]"#)));
    assert_eq!(&*standing.resource_version, "2");
    // A list of conditions that is too long is left to those who made it.
    take(&mut state, RULES, [form("3", good(), json!([{"type": "x".repeat(20_000)}]))]);
    assert!(state.standings().unwrap().is_empty());
    take(&mut state, RULES, [form("4", good(), json!([])), gone("web")]);
    assert!(state.standings().unwrap().is_empty());
}
