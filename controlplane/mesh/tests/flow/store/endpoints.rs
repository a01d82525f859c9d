//! Where services answer.

use crate::sample::*;
use mesh::{
    model::{
        Selector,
        endpoint::{Endpoint, EndpointAddress, Health, Locality, SliceEndpoint, SlicePort},
        service::{Address, Resolution, TargetPort},
        service_entry::{EntryAddress, EntryResolution},
    },
    store::{ServiceKey, Store},
};

/// The endpoints of port 80 of `default/web`, or of the one other service there is.
fn endpoints(store: &Store) -> Vec<Endpoint> {
    let service = store.mesh().services().next().unwrap();
    store.mesh().endpoints(&ServiceKey::of(service)).unwrap().0[&80].clone()
}

fn addresses(store: &Store) -> Vec<EndpointAddress> {
    endpoints(store).into_iter().map(|endpoint| endpoint.address).collect()
}

fn at(text: &str, port: u16) -> EndpointAddress {
    EndpointAddress::Ip(ip(text), port)
}

#[test]
fn endpoints_take_labels_account_and_place_from_their_pod() {
    let mut store = Store::new();
    let mut web = pod("default/web-0", &[("app", "web"), ("security.istio.io/tlsMode", "istio")]);
    web.spec.node = Some("n1".to_owned());
    web.spec.service_account = "robot".to_owned();
    store.apply(vec![
        service("default/web").set(),
        slice("default/web-1", "web").with(endpoint_of("10.1.0.1", "web-0")).at("10.1.0.2").set(),
        web.set(),
        node("n1", "r/z/s").set(),
    ]);
    let found = endpoints(&store);
    assert_eq!(found[0].labels["app"], "web");
    assert_eq!((found[0].service_account.as_deref(), found[0].mesh_tls), (Some("robot"), true));
    assert_eq!((found[0].locality.clone(), found[0].node.as_deref()), (Locality::parse("r/z/s"), Some("n1")));
    assert_eq!(found[0].workload, ("web-0".to_owned(), "default".to_owned()));
    assert!(found[1].labels.is_empty(), "an endpoint without a known pod counts, without labels");
}

#[test]
fn a_label_of_the_pod_says_where_it_is_before_the_node_and_the_slice() {
    let mut store = Store::new();
    let in_zone = |pod: &str, address: &str| SliceEndpoint { zone: Some("z9".into()), ..endpoint_of(address, pod) };
    store.apply(vec![
        service("default/web").set(),
        slice("default/web-1", "web").with(in_zone("a", "10.1.0.1")).with(in_zone("b", "10.1.0.2")).set(),
        pod("default/a", &[("istio-locality", "r1.z1.s1")]).set(),
        pod("default/b", &[]).set(),
    ]);
    let localities: Vec<_> = endpoints(&store).into_iter().map(|endpoint| endpoint.locality).collect();
    assert_eq!(localities, [Locality::parse("r1/z1/s1"), Locality::parse("/z9")]);
}

#[test]
fn readiness_counts_as_for_kube_proxy() {
    let with = |ready, serving, terminating| SliceEndpoint { ready, serving, terminating, ..endpoint("10.1.0.1") };
    let health = |endpoint: SliceEndpoint, publish: bool| {
        let mut store = Store::new();
        let mut web = service("default/web");
        web.spec.publish_not_ready = publish;
        store.apply(vec![web.set(), slice("default/web-1", "web").with(endpoint).set()]);
        endpoints(&store).first().map(|endpoint| endpoint.health)
    };
    assert_eq!(health(with(true, true, false), false), Some(Health::Healthy));
    assert_eq!(health(with(false, true, true), false), Some(Health::Draining));
    assert_eq!(health(with(false, false, true), false), None);
    assert_eq!(health(with(false, false, false), false), None);
    assert_eq!(health(with(false, false, false), true), Some(Health::Healthy));
}

#[test]
fn ports_are_joined_by_name_or_by_being_the_only_one() {
    let mut store = Store::new();
    let mut web = service("default/web");
    web.spec.ports = vec![port(81, "other"), port(80, "http")];
    web.spec.ports[1].target = TargetPort::Named("www".to_owned());
    let mut ports = slice("default/web-1", "web").at("10.1.0.1");
    ports.spec.ports = vec![SlicePort { name: "http".into(), port: Some(9000) }];
    store.apply(vec![web.set(), ports.clone().set()]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 9000)]);
    let all = store.mesh().endpoints(&ServiceKey::of(store.mesh().services().next().unwrap())).unwrap().clone();
    assert!(all.0[&81].is_empty(), "the slice does not serve it");

    let mut single = service("default/web");
    single.spec.ports = vec![port(80, "")];
    ports.spec.ports = vec![SlicePort { name: "whatever".into(), port: Some(9001) }];
    store.apply(vec![single.set(), ports.clone().set()]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 9001)]);

    ports.spec.ports = vec![SlicePort { name: String::new(), port: None }];
    store.apply(vec![ports.set()]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 80)], "every port, as it is");
}

#[test]
fn an_address_in_two_slices_is_one_endpoint_and_its_better_health_counts() {
    let mut store = Store::new();
    let going = SliceEndpoint { ready: false, terminating: true, ..endpoint("10.1.0.1") };
    store.apply(vec![
        service("default/web").set(),
        slice("default/web-1", "web").with(going).at("10.1.0.3").set(),
        slice("default/web-2", "web").at("10.1.0.1").at("10.1.0.2").set(),
    ]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 8080), at("10.1.0.2", 8080), at("10.1.0.3", 8080)]);
    assert_eq!(endpoints(&store)[0].health, Health::Healthy);
}

#[test]
fn of_a_service_in_two_families_that_of_its_first_address_counts() {
    let mut store = Store::new();
    let mut web = service("default/web");
    web.spec.addresses = vec![Address::single(ip("fd00::1")), Address::single(ip("10.0.0.1"))];
    let v6 = slice("default/web-6", "web").at("fd00::2");
    store.apply(vec![web.set(), slice("default/web-4", "web").at("10.1.0.1").set(), v6.clone().set()]);
    assert_eq!(addresses(&store), [at("fd00::2", 8080)]);
    store.apply(vec![v6.gone()]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 8080)], "when there is no other");
}

#[test]
fn slices_of_another_namespace_are_of_another_service() {
    let mut store = Store::new();
    store.apply(vec![service("default/web").set(), slice("other/web-1", "web").at("10.1.0.1").set()]);
    assert!(endpoints(&store).is_empty());
}

#[test]
fn a_service_takes_in_the_workload_entries_that_it_selects_beside_its_pods() {
    let mut store = Store::new();
    let vm = |id: &str, address: &str| {
        let mut vm = workload_entry(id, address, &[("app", "web"), ("security.istio.io/tlsMode", "istio")]);
        vm.spec.service_account = Some("robot".to_owned());
        vm
    };
    let mut moved = vm("default/moved", "10.2.0.2");
    moved.spec.ports.insert("http".to_owned(), 9000);
    let mut named = vm("default/named", "10.2.0.3");
    named.spec.address = Some(EntryAddress::Dns(host("vm.example")));
    store.apply(vec![
        service("default/web").set(),
        slice("default/web-1", "web").at("10.1.0.1").set(),
        vm("default/vm", "10.2.0.1").set(),
        moved.set(),
        named.set(),
        vm("other/vm", "10.2.0.4").set(),
        workload_entry("default/else", "10.2.0.5", &[("app", "else")]).set(),
    ]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 8080), at("10.2.0.1", 80), at("10.2.0.2", 9000)]);
    let found = &endpoints(&store)[1];
    assert_eq!((found.service_account.as_deref(), found.mesh_tls), (Some("robot"), true));
    assert_eq!(found.workload, ("vm".to_owned(), "default".to_owned()));
    // A target that it does not know by name it does not serve.
    let mut web = service("default/web");
    web.spec.ports[0].target = TargetPort::Named("www".to_owned());
    let mut www = vm("default/vm", "10.2.0.1");
    www.spec.ports.insert("www".to_owned(), 8008);
    store.apply(vec![web.set(), www.set()]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 8080), at("10.2.0.1", 8008)]);
    // Callers of a headless Service have resolved an address themselves.
    let mut headless = service("default/web");
    headless.spec.resolution = Resolution::Headless;
    store.apply(vec![headless.set()]);
    assert_eq!(addresses(&store), [at("10.1.0.1", 8080)]);
}

#[test]
fn a_workload_entry_touches_the_endpoints_of_services_that_select_it() {
    let mut store = Store::new();
    store.apply(vec![service("default/a").set(), service("default/b").set(), service("other/a").set()]);
    let vm = |app: &str| workload_entry("default/vm", "10.2.0.1", &[("app", app)]);
    let mut touched = |change| {
        let touched = store.apply(vec![change]);
        assert!(touched.only_endpoints());
        touched.endpoints.iter().map(|key| key.host.to_string()).collect::<Vec<_>>()
    };
    let (a, b) = ("a.default.svc.cluster.local", "b.default.svc.cluster.local");
    assert_eq!(touched(vm("a").set()), [a]);
    assert_eq!(touched(vm("b").set()), [a, b]);
    assert_eq!(touched(vm("b").gone()), [b]);
}

#[test]
fn a_named_host_without_endpoints_is_its_own_endpoint() {
    let mut store = Store::new();
    store.apply(vec![entry("default/out", &["a.example"], EntryResolution::Dns).set()]);
    assert_eq!(addresses(&store), [EndpointAddress::Dns("a.example".to_owned(), 80)]);
    store.apply(vec![entry("default/out", &["a.example"], EntryResolution::None).set()]);
    let service = store.mesh().services().next().unwrap();
    assert!(store.mesh().endpoints(&ServiceKey::of(service)).unwrap().0.is_empty());
}

#[test]
fn entries_give_addresses_names_and_sockets_with_ports_of_their_own() {
    let mut store = Store::new();
    let mut out = entry("default/out", &["a.example"], EntryResolution::Static);
    let mut own_port = workload("10.9.0.1", &[]);
    own_port.ports.insert("http".to_owned(), 8081);
    own_port.weight = 5;
    let named = |name: &str| {
        let mut named = workload("10.9.0.1", &[]);
        named.address = Some(EntryAddress::Dns(host(name)));
        named
    };
    let mut socket = workload("10.9.0.1", &[]);
    socket.address = Some(EntryAddress::Pipe("/run/app".to_owned()));
    out.spec.ports[0].target = Some(8080);
    out.spec.endpoints = vec![socket, workload("10.9.0.2", &[]), own_port, named("b.example")];
    store.apply(vec![out.clone().set()]);
    let pipe = EndpointAddress::Pipe("/run/app".to_owned());
    assert_eq!(addresses(&store), [at("10.9.0.1", 8081), at("10.9.0.2", 8080), pipe], "names need DNS");
    assert_eq!(endpoints(&store).iter().map(|e| e.weight).collect::<Vec<_>>(), [5, 1, 1]);
    out.spec.resolution = EntryResolution::Dns;
    out.spec.endpoints = vec![named("b.example")];
    store.apply(vec![out.set()]);
    assert_eq!(addresses(&store), [EndpointAddress::Dns("b.example".to_owned(), 8080)]);
}

#[test]
fn a_workload_selector_picks_pods_and_entries_of_its_namespace_as_they_come_and_go() {
    let mut store = Store::new();
    let mut inside = entry("default/in", &["a.example"], EntryResolution::Static);
    inside.spec.workload_selector = Some(Selector(labels(&[("app", "a")])));
    store.apply(vec![inside.set()]);
    let vm = workload_entry("default/vm", "10.9.0.1", &[("app", "a")]);
    let touched = store.apply(vec![
        vm.clone().set(),
        workload_entry("other/vm", "10.9.0.2", &[("app", "a")]).set(),
        pod("default/a-0", &[("app", "a")]).set(),
        pod("default/b-0", &[("app", "b")]).set(),
    ]);
    assert!(touched.only_endpoints());
    assert_eq!(addresses(&store), [at("10.1.0.1", 80), at("10.9.0.1", 80)]);
    store.apply(vec![pod("default/a-0", &[("app", "b")]).set()]);
    assert_eq!(addresses(&store), [at("10.9.0.1", 80)]);
    store.apply(vec![vm.gone()]);
    assert!(addresses(&store).is_empty());
}
