//! A small world of objects, each of which can be absent or one of a few variants; random walks through it are the
//! inputs of the property tests.

use std::collections::BTreeMap;

use mesh::{
    compile::viewpoint::{InterceptionMode, ProxyDescription, ProxyKind},
    model::{
        Change, Hostname, Labels, Object, Selector,
        destination_rule::{ClientTls, ClientTlsMode, DestinationRule, LoadBalancer, LocalityLb, OutlierDetection},
        endpoint::{Locality, SliceEndpoint},
        mesh_config::OutboundTrafficPolicy,
        peer_authentication::{MutualTls, PeerAuthentication},
        protocol::Protocol,
        service::{Resolution, Service, TargetPort, TrafficDistribution},
        service_entry::EntryResolution,
        sidecar::{Ingress, Sidecar},
        virtual_service::{HttpAction, HttpRule, VirtualService},
        visibility::{DefaultExport, ExportTo},
    },
};

use crate::sample::*;

/// How many objects there can be.
pub(crate) const SLOTS: usize = 38;
/// How many variants each has; 0 is absence.
pub(crate) const VARIANTS: usize = 6;

/// Which variant each object is; those not in the map are absent.
pub(crate) type World = BTreeMap<usize, usize>;

/// The change that makes an object one of its variants.
pub(crate) fn change(slot: usize, variant: usize) -> Change {
    if variant == 0 {
        return match made(slot, 1) {
            Change::Set(config) => Change::Remove(config.id().clone()),
            Change::SetEndpoints(slice) => Change::Remove(slice.id.clone()),
            removal @ Change::Remove(_) => removal,
        };
    }
    made(slot, variant)
}

/// The changes that make an empty mesh this world.
pub(crate) fn changes(world: &World) -> Vec<Change> {
    world.iter().filter(|(_, variant)| **variant > 0).map(|(slot, variant)| made(*slot, *variant)).collect()
}

/// The proxies that look at it.
pub(crate) fn proxies() -> Vec<ProxyDescription> {
    let proxy = |of: &str, pod: &str, pairs: &[(&str, &str)], mode| ProxyDescription {
        kind: ProxyKind::Sidecar,
        namespace: namespace(of),
        pod: pod.to_owned(),
        labels: labels(pairs),
        annotations: Labels::new(),
        locality: Locality::parse("r0/z0"),
        node: Some("n0".to_owned()),
        network: String::new(),
        mode,
        addresses: vec![ip("127.0.0.7")],
        http_proxy_port: None,
        has_certificates: false,
    };
    let mut gateway = proxy("a", "edge", &[], InterceptionMode::Redirect);
    gateway.kind = ProxyKind::Router;
    let mut grpc = proxy("b", "client", &[("app", "s1")], InterceptionMode::None);
    grpc.kind = ProxyKind::Grpc;
    let mut explicit = proxy("b", "", &[("app", "s1"), ("tier", "x")], InterceptionMode::None);
    explicit.http_proxy_port = Some(15080);
    let identified = |proxy: ProxyDescription| ProxyDescription { has_certificates: true, ..proxy };
    vec![
        identified(proxy("a", "p0", &[], InterceptionMode::Redirect)),
        identified(proxy("b", "", &[("app", "s1"), ("tier", "x")], InterceptionMode::None)),
        identified(proxy("c", "", &[], InterceptionMode::Tproxy)),
        proxy("a", "p0", &[], InterceptionMode::Redirect),
        proxy("a", "p1", &[("app", "s1")], InterceptionMode::Redirect),
        proxy("b", "p2", &[("app", "s0"), ("version", "v1")], InterceptionMode::Tproxy),
        proxy("c", "none", &[("version", "v2")], InterceptionMode::Redirect),
        explicit,
        gateway,
        grpc,
    ]
}

fn made(slot: usize, variant: usize) -> Change {
    match slot {
        0 => declared("a/s0", variant).set(),
        1 => declared("a/s1", variant + 1).set(),
        2 => declared("a/s2", variant + 2).set(),
        3 => declared("b/s0", variant + 3).set(),
        4 => declared("b/s1", variant + 4).set(),
        5..=9 => {
            let (of, name) = [("a", "s0"), ("a", "s1"), ("a", "s2"), ("b", "s0"), ("b", "s1")][slot - 5];
            endpoints(&format!("{of}/{name}-x"), name, variant).set()
        }
        10 => endpoints("a/s0-y", "s0", variant + 1).set(),
        11..=14 => running(["a/p0", "a/p1", "b/p2", "b/p3"][slot - 11], variant).set(),
        15 => node("n0", ["", "r0/z0", "r0/z1", "r1/z2", "r0", ""][variant]).set(),
        16 => node("n1", ["", "r1/z2", "r0/z0", "r0/z1", "r0", ""][variant]).set(),
        17 => outside("a/e0", &["x.example"], variant).created(5).set(),
        18 => outside("b/e1", &["x.example", "*.y.example"], variant + 1).created(3).set(),
        19 => outside("a/e2", &["s0.a.svc.cluster.local"], variant + 2).set(),
        20 => machine("a/w0", variant).set(),
        21 => routed("a/v0", &fqdn("a/s0"), variant).created(5).set(),
        22 => routed("b/v1", &fqdn("a/s0"), variant + 1).created(4).set(),
        23 => routed("b/v2", &host("x.example"), variant + 2).set(),
        24 => delegate("b/v3", variant).set(),
        25 => ruled("a/r0", &fqdn("a/s0"), variant).created(5).set(),
        26 => ruled("a/r1", &host("*.a.svc.cluster.local"), variant + 1).set(),
        27 => ruled("b/r2", &fqdn("a/s0"), variant + 2).set(),
        28 => ruled("istio-system/r3", &host("*"), variant + 3).set(),
        29 => ruled("a/r4", &fqdn("a/s0"), variant + 4).created(4).set(),
        30 => limited("a/c0", variant).set(),
        31 => limited("b/c1", variant + 1).set(),
        32 => limited("istio-system/c2", variant + 2).set(),
        33 => limited("a/c3", variant + 3).created(-1).set(),
        34 => demanding("a/d0", variant).set(),
        35 => demanding("b/d1", variant + 1).set(),
        36 => demanding("istio-system/d2", variant + 2).set(),
        _ => mesh_config(|config| match variant {
            1 => config.default_service_export_to = DefaultExport::Own,
            2 => config.outbound_traffic_policy = OutboundTrafficPolicy::RegistryOnly,
            3 => config.locality_lb.failover_priority = vec!["tier".to_owned()],
            4 => config.locality_lb.enabled = Some(false),
            5 => config.root_namespace = namespace("b"),
            _ => {}
        })
        .set(),
    }
}

fn declared(id: &str, variant: usize) -> Object<Service> {
    let mut made = service(id);
    match variant % VARIANTS {
        0 => {}
        1 => made.spec.ports.push(port(7070, "tcp-x")),
        2 => made.spec.ports[0].target = TargetPort::Named("www".to_owned()),
        3 => {
            made.spec.resolution = Resolution::Headless;
            made.spec.addresses.clear();
        }
        4 => {
            made.spec.node_local = true;
            made.spec.export_to = ExportTo::Namespaces(vec![made.id.namespace.clone()]);
        }
        _ => made.spec.traffic_distribution = TrafficDistribution::SameZone,
    }
    made
}

fn endpoints(id: &str, of: &str, variant: usize) -> Object<mesh::model::endpoint::EndpointSlice> {
    let on = |node: &str, endpoint: SliceEndpoint| SliceEndpoint { node: Some(node.to_owned()), ..endpoint };
    let made = slice(id, of);
    match variant % VARIANTS {
        0 => made,
        1 => made.with(endpoint_of("10.1.0.1", "p0")),
        2 => made.with(endpoint_of("10.1.0.1", "p0")).with(on("n1", endpoint_of("10.1.0.2", "p1"))),
        3 => made.with(SliceEndpoint { ready: false, terminating: true, ..endpoint("10.1.0.3") }).at("10.1.0.4"),
        4 => made.with(on("n0", endpoint_of("10.1.0.5", "p2"))).with(endpoint_of("10.1.0.6", "p3")),
        _ => made.at("10.1.0.7").at("fd00::7"),
    }
}

fn running(id: &str, variant: usize) -> Object<mesh::model::workload::Pod> {
    let version = ["v1", "v2"][variant % 2];
    let mut made = pod(id, &[("app", ["s0", "s1", "e"][variant % 3]), ("version", version), ("tier", "x")]);
    made.spec.node = Some(["n0", "n1"][variant % 2].to_owned());
    made.spec.service_account = ["x", "y"][variant / 3].to_owned();
    if variant != 3 {
        made.spec.labels.insert("security.istio.io/tlsMode".to_owned(), "istio".to_owned());
    }
    if variant > 2 {
        made.spec.named_ports.insert("www".to_owned(), 8000 + variant as u16);
    }
    made
}

fn machine(id: &str, variant: usize) -> Object<mesh::model::service_entry::WorkloadEntry> {
    let mut made = workload_entry(id, "10.9.0.1", &[("app", ["", "s0", "s1", "s2", "e", "s0"][variant])]);
    if variant % 2 == 1 {
        made.spec.ports.insert("www".to_owned(), 8000 + variant as u16);
    }
    made
}

fn outside(id: &str, hosts: &[&str], variant: usize) -> Object<mesh::model::service_entry::ServiceEntry> {
    let resolution = match variant % VARIANTS {
        0 | 1 => EntryResolution::Static,
        2 => EntryResolution::Dns,
        3 => EntryResolution::DnsRoundRobin,
        4 => EntryResolution::None,
        _ => EntryResolution::Static,
    };
    let mut made = entry(id, hosts, resolution);
    match variant % VARIANTS {
        0 => made.spec.workload_selector = Some(Selector(labels(&[("app", "s0")]))),
        1 => made.spec.endpoints = vec![workload("10.9.1.1", &[("version", "v1")]), workload("10.9.1.2", &[])],
        5 => made.spec.workload_selector = Some(Selector(labels(&[("app", "e")]))),
        _ => {}
    }
    made
}

fn routed(id: &str, of: &Hostname, variant: usize) -> Object<VirtualService> {
    let mut made = route(id, of, &fqdn(["a/s0", "a/s1", "b/s0"][variant % 3]));
    match variant % VARIANTS {
        0 => made.spec.export_to = ExportTo::Namespaces(vec![made.id.namespace.clone()]),
        1 => made = made.for_callers(&[("version", "v1")], &fqdn("b/s1")),
        2 => made.spec.hosts.push(host("*.y.example")),
        3 => {
            let action = HttpAction::Delegate { name: "v3".to_owned(), namespace: namespace("b") };
            made.spec.http = vec![HttpRule { action, ..HttpRule::default() }];
        }
        4 => made.spec.http[0].action = HttpAction::Route(vec![destination(&fqdn("a/s0"), Some("v1"))]),
        _ => {}
    }
    made
}

fn delegate(id: &str, variant: usize) -> Object<VirtualService> {
    let mut made = route(id, &fqdn("a/s0"), &fqdn(["a/s1", "b/s1"][variant % 2]));
    if variant < 4 {
        made.spec.hosts.clear();
    }
    if variant == 3 {
        made.spec.export_to = ExportTo::None;
    }
    made
}

fn ruled(id: &str, of: &Hostname, variant: usize) -> Object<DestinationRule> {
    let mut made = rule(id, of, &[]);
    match variant % VARIANTS {
        0 => made = rule(id, of, &["v1", "v2"]),
        1 => made.spec.policy.settings.outlier_detection = Some(OutlierDetection::default()),
        2 => {
            made = rule(id, of, &["v1"]);
            made.spec.workload_selector = Some(Selector(labels(&[("app", "s0")])));
        }
        3 => made.spec.export_to = ExportTo::Namespaces(vec![made.id.namespace.clone()]),
        4 => {
            let locality = LocalityLb { failover_priority: vec!["version".to_owned()], ..LocalityLb::default() };
            let balancer = LoadBalancer { locality: Some(locality), ..LoadBalancer::default() };
            made.spec.policy.settings.load_balancer = Some(balancer);
            made.spec.policy.settings.outlier_detection = Some(OutlierDetection::default());
        }
        _ => {
            made.spec.policy.settings.tls = Some(ClientTls {
                mode: ClientTlsMode::Simple,
                sni: None,
                subject_alt_names: Vec::new(),
                client_certificate: None,
                private_key: None,
                ca_certificates: None,
                insecure_skip_verify: false,
            });
        }
    }
    made
}

fn demanding(id: &str, variant: usize) -> Object<PeerAuthentication> {
    let (selected, mode, ports): (&[(&str, &str)], _, &[_]) = match variant % VARIANTS {
        0 => (&[("app", "s0")], Some(MutualTls::Strict), &[(8080, Some(MutualTls::Disable)), (8003, None)]),
        1 => (&[], Some(MutualTls::Disable), &[]),
        2 => (&[], Some(MutualTls::Strict), &[]),
        3 => (&[], None, &[]),
        4 => (&[("app", "s1")], Some(MutualTls::Disable), &[]),
        _ => (&[("version", "v1")], None, &[(8080, Some(MutualTls::Strict)), (7070, Some(MutualTls::Disable))]),
    };
    peer_authentication(id, selected, mode, ports)
}

fn limited(id: &str, variant: usize) -> Object<Sidecar> {
    let imports: [&[&str]; VARIANTS] = [
        &[],
        &["./*"],
        &["a/*", "~/*"],
        &["*/s0.a.svc.cluster.local", "b/*.example"],
        &["*/*"],
        &["./*", "*/x.example"],
    ];
    let mut made = sidecar(id, imports[variant % VARIANTS]);
    match variant % VARIANTS {
        3 => made.spec.workload_selector = Some(Selector(labels(&[("app", "s0")]))),
        4 => made.spec.outbound_traffic_policy = Some(OutboundTrafficPolicy::RegistryOnly),
        5 => {
            made.spec.ingress = vec![Ingress {
                port: 9080,
                name: "http".to_owned(),
                protocol: Protocol::Http,
                bind: None,
                default_endpoint: None,
            }];
        }
        _ => {}
    }
    made
}
