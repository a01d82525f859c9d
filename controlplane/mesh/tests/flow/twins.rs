//! Services that claim the same: one address and port, or the same Pods. The oldest has it, whatever comes and goes.

use mesh::{
    compile::viewpoint::{InterceptionMode, ProxyDescription, ProxyKind, Viewpoint},
    model::{Change, Labels, Object, Selector, endpoint::Locality, service::Service},
    snapshot::{Snapshot, Snapshots},
    store::Store,
};
use proptest::prelude::*;
use proto::type_url::ResourceType::{Cluster, Endpoint, Listener, Route};

use crate::sample::*;

/// Service `z`, which is older, and `a`: one address and one selector, a port of bytes and one of requests.
fn twin(name: &str, created: i64) -> Object<Service> {
    let mut made = service(&format!("default/{name}")).created(created);
    made.spec.ports.push(port(5432, "tcp-db"));
    made.spec.selector = Some(Selector(labels(&[("app", "db")])));
    made
}

fn elder() -> Change {
    twin("z", 1).set()
}

/// Things that happen to the younger twin, and to the Pods of both.
#[derive(Debug, Clone, Copy)]
enum Step {
    Comes,
    Goes,
    IsLabelled(u8),
    Moves(u8),
    /// The elder is said again, as after a new list.
    ElderIsSaidAgain,
}

fn changes(step: Step) -> Vec<Change> {
    match step {
        Step::Comes => vec![twin("a", 2).set()],
        Step::Goes => vec![twin("a", 2).gone()],
        Step::IsLabelled(value) => {
            let mut labelled = twin("a", 2);
            labelled.spec.labels = labels(&[("round", &value.to_string())]);
            vec![labelled.set()]
        }
        // The controller writes slices for each service by itself.
        Step::Moves(last) => {
            ["a", "z"].map(|name| slice(&format!("default/{name}-x"), name).at(&format!("10.1.0.{last}")).set()).into()
        }
        Step::ElderIsSaidAgain => vec![elder()],
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Comes),
        Just(Step::Goes),
        any::<u8>().prop_map(Step::IsLabelled),
        any::<u8>().prop_map(Step::Moves),
        Just(Step::ElderIsSaidAgain),
    ]
}

fn seen(store: &Store) -> Snapshot {
    let proxy = ProxyDescription {
        kind: ProxyKind::Sidecar,
        namespace: namespace("default"),
        pod: "caller".to_owned(),
        labels: Labels::new(),
        annotations: Labels::new(),
        locality: Locality::default(),
        node: None,
        network: String::new(),
        mode: InterceptionMode::Redirect,
        addresses: vec![ip("10.1.9.9")],
        http_proxy_port: None,
        has_certificates: false,
    };
    let viewpoint = Viewpoint::of(&proxy, store.mesh());
    (*Snapshots::new().get(store.mesh(), &viewpoint)).clone()
}

/// What is made of the address that both claim, and of the elder's own name.
fn of_the_elder(snapshot: &Snapshot) -> Vec<String> {
    let mut found = Vec::new();
    for (kind, is_its) in [
        (Listener, Box::new(|name: &str| name == "10.0.0.1_5432") as Box<dyn Fn(&str) -> bool>),
        (Cluster, Box::new(|name: &str| name.contains("||z."))),
    ] {
        let its = snapshot.of(kind).iter().filter(|resource| is_its(&resource.name));
        found.extend(its.map(|resource| format!("{} {}", resource.name, resource.version)));
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_two_services_with_one_address_the_oldest_is_served_and_no_bytes_flap(
        steps in prop::collection::vec(step(), 1..12),
    ) {
        let mut store = Store::new();
        store.apply(vec![elder()]);
        let first = of_the_elder(&seen(&store));
        prop_assert_eq!(first.len(), 3, "{:?}", first);
        let mut all = vec![elder()];
        for step in steps {
            store.apply(changes(step));
            all.extend(changes(step));
            let snapshot = seen(&store);
            prop_assert_eq!(of_the_elder(&snapshot), first.clone(), "after {:?}", step);
            // Another replica, which is told in one go, has the same bytes.
            let mut other = Store::new();
            other.apply(all.clone());
            prop_assert_eq!(snapshot.digest(), seen(&other).digest());
        }
    }
}

#[test]
fn requests_to_the_address_of_two_services_are_the_oldest_ones() {
    let mut store = Store::new();
    store.apply(vec![twin("a", 2).set(), elder()]);
    let snapshot = seen(&store);
    let routes = snapshot.of(Route);
    let message = routes.iter().find(|route| &*route.name == "80").unwrap().message();
    let configuration =
        <proto::envoy::config::route::v3::RouteConfiguration as prost::Message>::decode(message).unwrap();
    let with_address = configuration.virtual_hosts.iter().filter(|host| host.domains.contains(&"10.0.0.1".to_owned()));
    let names: Vec<_> = with_address.map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["z.default.svc.cluster.local:80"]);
    // Both have the Pods under their own names.
    assert_eq!(snapshot.of(Endpoint).iter().filter(|of| of.name.starts_with("outbound|5432||")).count(), 2);
}
