//! What there is too much of is left out, and that is said.

use mesh::{
    compile::check::check,
    model::{
        Change, mesh_service::ENDPOINTS_OF_PORT_MAX, protocol::Protocol, service::PORTS_MAX, service_entry::EntryPort,
        service_entry::EntryResolution,
    },
    store::{ServiceKey, Store},
};

use crate::sample::*;

/// What is said of limits.
fn said(store: &Store) -> Vec<String> {
    let limits = ["MS0110", "MS0521", "MS0522"];
    let of_limits = check(store.mesh()).into_iter().filter(|problem| limits.contains(&problem.code));
    of_limits.map(|problem| format!("{} {problem}", problem.code)).collect()
}

#[test]
fn an_object_too_many_is_left_out_by_name_until_there_is_room() {
    let mut store = Store::new().with_objects_max(2);
    store.apply(vec![service("default/a").set(), service("default/b").set()]);
    assert_eq!(said(&store), [""; 0]);
    let touched = store.apply(vec![service("default/c").set()]);
    assert!(!touched.is_nothing() && !touched.changes_resources(), "{touched:?}");
    assert_eq!(
        said(&store),
        [
            "MS0110 error: Service default/c: there are 2 objects of kind Service, which is the limit, and this one is left \
          out (remove objects of kind Service, then change this one or restart the control plane)"
        ]
    );
    // What is held goes on to change, and other kinds have room of their own.
    let mut wider = service("default/a");
    wider.spec.ports.push(port(81, "more"));
    store.apply(vec![wider.set(), pod("default/p", &[]).set()]);
    let key = ServiceKey { host: fqdn("default/a"), namespace: namespace("default") };
    assert_eq!(store.mesh().service(&key).unwrap().service.ports.len(), 2);
    store.apply(vec![service("default/b").gone(), service("default/c").set()]);
    assert_eq!(said(&store), [""; 0]);
    assert_eq!(store.mesh().service_count(), 2);
    // One that goes before it was let in is not missed any more.
    store.apply(vec![service("default/d").set()]);
    store.apply(vec![service("default/d").gone()]);
    assert_eq!(said(&store), [""; 0]);
}

/// Slices of so many endpoints together.
fn slices(endpoints: usize) -> Vec<Change> {
    let of =
        |number: usize| (0..endpoints.saturating_sub(number * 1_000).min(1_000)).map(move |at| number * 1_000 + at);
    (0..endpoints.div_ceil(1_000))
        .map(|number| {
            let mut made = slice(&format!("default/web-{number}"), "web");
            for at in of(number) {
                made = made.at(&format!("10.{}.{}.{}", 1 + at / 62_500, at / 250 % 250, at % 250));
            }
            made.set()
        })
        .collect()
}

#[test]
fn endpoints_beyond_the_limit_are_left_out_and_the_service_is_named() {
    let mut store = Store::new();
    store.apply([vec![service("default/web").set()], slices(ENDPOINTS_OF_PORT_MAX)].concat());
    assert_eq!(said(&store), [""; 0]);
    // The first by address stay, so that nothing but the problem is new.
    let touched = store.apply(vec![slice("default/web-z", "web").at("10.99.0.1").set()]);
    assert!(!touched.is_nothing() && !touched.changes_resources(), "{touched:?}");
    let all = said(&store);
    assert!(
        all.len() == 1
            && all[0].starts_with(
                "MS0521 warning: Service default/web: spec.ports: port 80 of web.default.svc.cluster.local"
            )
            && all[0].contains("more than 20000 endpoints"),
        "{all:?}"
    );
    store.apply(vec![slice("default/web-z", "web").gone()]);
    assert_eq!(said(&store), [""; 0]);
}

#[test]
fn ports_that_older_entries_leave_no_room_for_are_said() {
    let with_ports = |id: &str, first: u16, count: usize| {
        let mut made = entry(id, &["x.example"], EntryResolution::Static);
        let port = |number| EntryPort { number, name: format!("p{number}"), protocol: Protocol::Tcp, target: None };
        made.spec.ports = (first..).take(count).map(port).collect();
        made
    };
    let mut store = Store::new();
    store.apply(vec![with_ports("default/old", 1_000, PORTS_MAX - 1).created(1).set()]);
    store.apply(vec![with_ports("default/young", 2_000, 1).created(2).set()]);
    assert_eq!(said(&store), [""; 0]);
    store.apply(vec![with_ports("default/young", 2_000, 2).created(2).set()]);
    let all = said(&store);
    assert!(
        all.len() == 1
            && all[0].starts_with("MS0522 warning: ServiceEntry default/young: spec.ports[1]: x.example has 256"),
        "{all:?}"
    );
}
