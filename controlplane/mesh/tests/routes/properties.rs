//! What holds for every mesh.

use std::collections::{BTreeMap, BTreeSet};

use mesh::compile::{
    Compiled,
    listener::{self},
    route,
    viewpoint::{ProxyKind, Viewpoint},
};
use proptest::prelude::*;
use prost::{Message, Name};
use proto::{
    envoy::config::{listener::v3::Listener, route::v3::VirtualHost},
    text,
};
use serde_json::Value;

use super::{
    http::Texts,
    world::{World, world},
};

/// Longest name or prefix of statistics.
const STAT_LEN_MAX: usize = 256;

/// The virtual hosts of each route configuration.
pub(crate) fn routes(world: &World, viewpoint: &Viewpoint) -> BTreeMap<String, (Vec<u8>, Vec<Compiled<VirtualHost>>)> {
    let plans = route::plan(&world.scope(), viewpoint).into_iter();
    plans
        .map(|plan| {
            let hosts = plan.hosts.iter().map(route::virtual_host).collect();
            (plan.name.to_string(), (plan.head.to_vec(), hosts))
        })
        .collect()
}

/// The outbound and inbound listeners.
pub(crate) fn listeners(world: &World, viewpoint: &Viewpoint) -> Vec<Compiled<Listener>> {
    let scope = world.scope();
    let pods = world.pods();
    let outbound = listener::plan_outbound(&scope, viewpoint, &|_| Some(pods.clone()));
    let inbound = listener::plan_inbound(&scope, viewpoint, &world.inbound(&scope, viewpoint), &world.tls);
    let outbound = outbound.iter().filter_map(listener::outbound);
    outbound.chain(inbound.iter().filter_map(listener::inbound)).collect()
}

fn json<M: Message + Name>(message: &M) -> Value {
    text::to_json(&M::type_url(), &message.encode_to_vec().into()).unwrap()
}

/// Every name of a cluster, wherever Envoy's API has one.
fn clusters(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("cluster", Value::String(name)) => {
                        found.insert(name.clone());
                    }
                    ("clusters", Value::Array(weighted)) => {
                        found.extend(weighted.iter().filter_map(|w| w["name"].as_str()).map(str::to_owned));
                    }
                    ("metadata" | "access_log", _) => {}
                    (_, value) => clusters(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| clusters(value, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn all_clusters(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    clusters(value, &mut found);
    found
}

fn set(names: &[std::sync::Arc<str>]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_is_too_wild_or_too_long(world in world(Texts::Wild)) {
        for viewpoint in world.viewpoints() {
            listeners(&world, &viewpoint);
            for (_, hosts) in routes(&world, &viewpoint).into_values() {
                for route in hosts.into_iter().flat_map(|host| host.message.routes) {
                    let operation = route.decorator.map(|decorator| decorator.operation).unwrap_or_default();
                    prop_assert!([route.name, route.stat_prefix, operation].iter().all(|t| t.len() <= STAT_LEN_MAX));
                }
            }
        }
    }

    #[test]
    fn no_two_virtual_hosts_of_a_route_configuration_share_a_domain(world in world(Texts::Read)) {
        for viewpoint in world.viewpoints() {
            for (name, (_, hosts)) in routes(&world, &viewpoint) {
                let mut domains = BTreeSet::new();
                let mut names = BTreeSet::new();
                for host in hosts {
                    prop_assert!(!host.message.domains.is_empty(), "{} of {name} has no domain", host.name);
                    prop_assert!(names.insert(host.name.clone()), "{} twice in {name}", host.name);
                    for domain in host.message.domains {
                        prop_assert!(domains.insert(domain.to_ascii_lowercase()), "{domain} twice in {name}");
                    }
                }
            }
        }
    }

    #[test]
    fn no_two_listeners_share_a_name_or_an_address(world in world(Texts::Read)) {
        for viewpoint in world.viewpoints() {
            let mut names = BTreeSet::new();
            let mut addresses = BTreeSet::new();
            for listener in listeners(&world, &viewpoint) {
                prop_assert!(names.insert(listener.name.clone()), "{} twice", listener.name);
                if let Some(address) = &listener.message.address {
                    prop_assert!(addresses.insert(format!("{address:?}")), "{address:?} twice");
                }
            }
        }
    }

    #[test]
    fn listeners_ask_only_for_route_configurations_that_there_are(world in world(Texts::Read)) {
        for viewpoint in world.viewpoints() {
            let routes = routes(&world, &viewpoint);
            for listener in listeners(&world, &viewpoint) {
                for route in &listener.references.routes {
                    prop_assert!(routes.contains_key(&**route), "{} asks for {route}", listener.name);
                }
            }
        }
    }

    #[test]
    fn references_name_every_cluster(world in world(Texts::Read)) {
        for viewpoint in world.viewpoints() {
            for listener in listeners(&world, &viewpoint) {
                prop_assert_eq!(all_clusters(&json(&listener.message)), set(&listener.references.clusters));
                prop_assert!(!listener.provenance.is_empty());
            }
            for host in routes(&world, &viewpoint).into_values().flat_map(|(_, hosts)| hosts) {
                prop_assert_eq!(all_clusters(&json(&host.message)), set(&host.references.clusters));
            }
        }
    }

    #[test]
    fn equal_meshes_give_equal_bytes(world in world(Texts::Read)) {
        let again = world.clone();
        for viewpoint in world.viewpoints() {
            let bytes = |world: &World| {
                let listeners = listeners(world, &viewpoint).into_iter().map(|l| l.message.encode_to_vec());
                let routes = routes(world, &viewpoint).into_values().flat_map(|(head, hosts)| {
                    std::iter::once(head).chain(hosts.into_iter().map(|host| host.message.encode_to_vec()))
                });
                listeners.chain(routes).collect::<Vec<_>>()
            };
            prop_assert_eq!(bytes(&world), bytes(&again));
        }
    }

    #[test]
    fn a_grpc_client_gets_nothing_that_it_does_not_understand(world in world(Texts::Read)) {
        for viewpoint in world.viewpoints().into_iter().filter(|v| v.kind == ProxyKind::Grpc) {
            for host in routes(&world, &viewpoint).into_values().flat_map(|(_, hosts)| hosts) {
                for route in host.message.routes {
                    prop_assert!(route.typed_per_filter_config.is_empty() && route.metadata.is_none());
                    prop_assert!(route.r#match.is_some_and(|m| m.query_parameters.is_empty()));
                }
            }
        }
    }
}
