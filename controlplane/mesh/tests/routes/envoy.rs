//! The real Envoy takes every listener and route: `--mode validate`, with routes put into listeners of their own.

use mesh::compile::viewpoint::{ProxyKind, Viewpoint};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use prost::Message;
use proto::{
    envoy::{
        config::{
            bootstrap::v3::bootstrap::StaticResources,
            core::v3::{
                Address, HeaderValue, HeaderValueOption, SocketAddress, address, socket_address::PortSpecifier,
            },
            listener::v3::{Filter, FilterChain, Listener, filter},
            route::v3::RouteConfiguration,
        },
        extensions::filters::{
            http::router::v3::Router,
            network::http_connection_manager::v3::{
                HttpConnectionManager, HttpFilter, http_connection_manager::RouteSpecifier, http_filter,
            },
        },
    },
    pack,
};

use super::{
    http::Texts,
    oracle::{self, Oracle},
    properties::{listeners, routes},
    world::{World, world},
};

/// Meshes that are tried; each is looked at by three sidecars and a gRPC client.
const WORLDS: usize = 30;
/// What Envoy must have been shown for its consent to mean anything.
const FEATURES: [&str; 34] = [
    "redirect",
    "path_redirect",
    "scheme_redirect",
    "direct_response",
    "weighted_clusters",
    "request_mirror_policies",
    "hash_policy",
    "safe_regex",
    "path",
    "case_sensitive",
    "invert_match",
    "present_match",
    "query_parameters",
    "regex_rewrite",
    "prefix_rewrite",
    "host_rewrite_literal",
    "retry_priority",
    "retry_back_off",
    "retriable_status_codes",
    "request_headers_to_add",
    "request_headers_to_remove",
    "response_headers_to_add",
    "envoy.filters.http.fault",
    "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
    "server_names",
    "prefix_ranges",
    "application_protocols",
    "default_filter_chain",
    "filter_disabled",
    "transparent",
    "merge_slashes",
    "access_log",
    "idle_timeout",
    "mainsheet",
];
/// Where the listeners stand that hold routes; no mesh has the address.
const ROUTES_AT: &str = "192.0.2.1";

/// The listeners, made static.
fn held(listeners: &[Listener]) -> StaticResources {
    StaticResources { listeners: listeners.to_vec(), ..StaticResources::default() }
}

/// A listener that holds a route configuration, so that Envoy looks at it.
fn holding(number: u16, routes: RouteConfiguration) -> Listener {
    let router = HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(pack::any(&Router::default()))),
        ..HttpFilter::default()
    };
    let manager = HttpConnectionManager {
        stat_prefix: "routes".to_owned(),
        route_specifier: Some(RouteSpecifier::RouteConfig(routes)),
        http_filters: vec![router],
        ..HttpConnectionManager::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack::any(&manager))),
    };
    let socket = SocketAddress {
        address: ROUTES_AT.to_owned(),
        port_specifier: Some(PortSpecifier::PortValue(u32::from(number))),
        ..SocketAddress::default()
    };
    Listener {
        name: format!("routes {number}"),
        address: Some(Address { address: Some(address::Address::SocketAddress(socket)) }),
        filter_chains: vec![FilterChain { filters: vec![filter], ..FilterChain::default() }],
        ..Listener::default()
    }
}

/// All that one viewpoint is sent, as listeners.
fn sent(world: &World, viewpoint: &Viewpoint) -> Vec<Listener> {
    let held = routes(world, viewpoint).into_values().zip(1..).map(|((head, hosts), number)| {
        let mut configuration = RouteConfiguration::decode(head.as_slice()).unwrap();
        configuration.virtual_hosts = hosts.into_iter().map(|host| host.message).collect();
        holding(number, RouteConfiguration { validate_clusters: Some(false), ..configuration })
    });
    let held: Vec<Listener> = held.collect();
    match viewpoint.kind {
        // An API listener is for gRPC clients only.
        ProxyKind::Grpc => held,
        ProxyKind::Sidecar | ProxyKind::Router => {
            listeners(world, viewpoint).into_iter().map(|compiled| compiled.message).chain(held).collect()
        }
    }
}

#[test]
fn envoy_takes_the_listeners_and_routes_of_any_mesh() {
    let Some(oracle) = Oracle::find("any_mesh") else { return };
    let mut runner = TestRunner::deterministic();
    // Not every machine that runs the tests knows IPv6, and Envoy refuses its addresses there.
    let strategy = world(Texts::Read).prop_filter("IPv4", |world| !world.ipv6_only);
    let mut unseen = FEATURES.to_vec();
    for _ in 0..WORLDS {
        let world = strategy.new_tree(&mut runner).unwrap().current();
        for viewpoint in world.viewpoints() {
            let listeners = sent(&world, &viewpoint);
            oracle.accepts(&listeners, held);
            let json = oracle::bootstrap(held(&listeners));
            unseen.retain(|feature| !json.contains(&format!("\"{feature}\"")));
        }
    }
    assert!(unseen.is_empty(), "no mesh among those had {unseen:?}");
}

/// The table of format commands that the compiler leaves as they are, from its source, with arguments that each takes.
fn commands() -> Vec<String> {
    let source = include_str!("../../src/compile/route/format.rs");
    let entry = |line: &str| {
        let (name, takes) = line.trim().strip_prefix("(\"")?.split_once("\", Takes::")?;
        let arguments = match takes.trim_end_matches("),") {
            "Header" => vec!["(x-a)", "(X-A?:PATH)", "(x-a):10"],
            "Keys" => vec!["(a)", "(a:b:c)"],
            "Metadata" => vec![
                "(ROUTE:a:b)",
                "(DYNAMIC:a)",
                "(CLUSTER:a)",
                "(UPSTREAM_HOST:a)",
                "(LISTENER:a)",
                "(VIRTUAL_HOST:a)",
            ],
            "MaybeTime" => vec!["", "(%Y-%m-%dT%H:%M:%S.%3fZ)", "(%s)", "(%f)", "(%b %e %H:%M:%S %Y)"],
            "Variable" => vec!["(HOME)"],
            _ => vec![""],
        };
        Some(arguments.into_iter().map(|arguments| format!("%{name}{arguments}%")).collect::<Vec<_>>())
    };
    source.lines().filter_map(entry).flatten().collect()
}

#[test]
fn envoy_knows_every_command_that_is_left_as_it_is() {
    let Some(oracle) = Oracle::find("commands") else { return };
    let commands = commands();
    assert!(commands.len() > 80, "the table was not found");
    let add = |value: String| HeaderValueOption {
        header: Some(HeaderValue { key: "x-a".to_owned(), value, ..HeaderValue::default() }),
        ..HeaderValueOption::default()
    };
    let listeners = commands.into_iter().zip(1..).map(|(command, number)| {
        let configuration =
            RouteConfiguration { request_headers_to_add: vec![add(command)], ..RouteConfiguration::default() };
        holding(number, configuration)
    });
    oracle.accepts(&listeners.collect::<Vec<_>>(), held);
    let unknown = RouteConfiguration {
        request_headers_to_add: vec![add("%NOSUCH%".to_owned())],
        ..RouteConfiguration::default()
    };
    assert!(oracle.judge(held(&[holding(1, unknown)])).is_err(), "what the compiler mends is nothing that Envoy takes");
}
