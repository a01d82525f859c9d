//! Which services the objects of a namespace make.

use crate::sample::*;
use mesh::{
    model::{
        protocol::Protocol,
        service::{Address, Registry},
        service_entry::{EntryPort, EntryResolution},
    },
    store::{ServiceKey, Store},
};

fn key(of: &str, in_namespace: &str) -> ServiceKey {
    ServiceKey { host: fqdn(of), namespace: namespace(in_namespace) }
}

#[test]
fn a_service_entry_is_one_service_for_each_host() {
    let mut store = Store::new();
    store.apply(vec![entry("default/out", &["a.example", "b.example"], EntryResolution::Dns).set()]);
    let hosts: Vec<_> = store.mesh().services().map(|s| s.service.hostname.to_string()).collect();
    assert_eq!(hosts, ["a.example", "b.example"]);
    let touched = store.apply(vec![entry("default/out", &["b.example"], EntryResolution::Dns).set()]);
    assert_eq!(touched.services.into_iter().collect::<Vec<_>>(), [key("a.example", "default")]);
}

#[test]
fn entries_of_one_namespace_join_their_ports_and_the_oldest_decides_the_rest() {
    let mut store = Store::new();
    let mut young = entry("default/young", &["a.example"], EntryResolution::Dns).created(20);
    young.spec.ports = vec![EntryPort { number: 443, name: "tls".into(), protocol: Protocol::Tls, target: None }];
    young.spec.addresses = vec![Address::single(ip("240.0.0.1"))];
    young.spec.mesh_internal = true;
    store.apply(vec![young.set(), entry("default/old", &["a.example"], EntryResolution::Dns).created(10).set()]);
    let service = store.mesh().service(&key("a.example", "default")).unwrap();
    let ports: Vec<_> = service.service.ports.iter().map(|port| port.number).collect();
    assert_eq!((ports.as_slice(), &*service.origin.name), ([80, 443].as_slice(), "old"));
    assert_eq!((service.service.addresses.len(), service.service.registry), (1, Registry::ExternalEntry));
}

#[test]
fn an_entry_for_the_host_of_a_kubernetes_service_adds_endpoints_to_it() {
    let mut store = Store::new();
    let mut vm = entry("default/vm", &["web.default.svc.cluster.local"], EntryResolution::Static).created(-5);
    vm.spec.endpoints = vec![workload("10.9.0.9", &[])];
    store.apply(vec![
        service("default/web").set(),
        slice("default/web-1", "web").at("10.1.0.1").set(),
        vm.clone().set(),
    ]);
    let found = key("default/web", "default");
    let declared = store.mesh().service(&found).unwrap();
    assert_eq!(declared.service.registry, Registry::Kubernetes);
    assert_eq!(store.mesh().endpoints(&found).unwrap().0[&80].len(), 2);
    let touched = store.apply(vec![vm.gone()]);
    assert!(touched.only_endpoints(), "{touched:?}");
    assert_eq!(store.mesh().endpoints(&found).unwrap().0[&80].len(), 1);
}

#[test]
fn one_host_in_two_namespaces_is_two_services() {
    let mut store = Store::new();
    let of = |id| entry(id, &["a.example"], EntryResolution::Static).set();
    store.apply(vec![of("one/a"), of("two/a")]);
    let namespaces: Vec<_> =
        store.mesh().declarations(&host("a.example")).map(|s| s.service.namespace.to_string()).collect();
    assert_eq!(namespaces, ["one", "two"]);
    assert_eq!(store.mesh().services_in(&namespace("two")).count(), 1);
    assert_eq!(store.mesh().services_in(&namespace("tw")).count(), 0);
}

#[test]
fn a_service_that_goes_takes_its_endpoints_along() {
    let mut store = Store::new();
    let changes = vec![service("default/web").set(), slice("default/web-1", "web").at("10.1.0.1").set()];
    store.apply(changes);
    let touched = store.apply(vec![service("default/web").gone()]);
    assert_eq!((touched.services.len(), store.mesh().service_count()), (1, 0));
    assert!(store.mesh().endpoints(&key("default/web", "default")).is_none());
    store.apply(vec![service("default/web").set()]);
    assert_eq!(store.mesh().endpoints(&key("default/web", "default")).unwrap().0[&80].len(), 1);
}
