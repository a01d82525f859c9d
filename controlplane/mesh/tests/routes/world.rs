//! Any mesh as it is seen from one namespace.

use std::net::IpAddr;

use mesh::{
    compile::{
        cluster::InboundInput,
        scope::{Endpoints, MergedRule, MeshService, Scope, ScopedService},
        viewpoint::{Interception, ProxyKind, Viewpoint},
    },
    model::{
        Hostname, Kind, Labels, Object, ObjectId, Shared,
        destination_rule::{
            Algorithm, ConnectionPool, ConsistentHash, HashKey, HashTable, LoadBalancer, TrafficPolicy,
        },
        endpoint::{Endpoint, EndpointAddress, Health, Locality},
        mesh_config::{AccessLogEncoding, MeshConfig, OutboundTrafficPolicy, PathNormalization},
        peer_authentication::{MutualTls, WorkloadTls},
        protocol::Protocol,
        service::{Address, Registry, Resolution, Service, ServicePort, TargetPort, TrafficDistribution},
        sidecar::{Ingress, Sidecar},
        virtual_service::{GatewayName, L4Match, TcpRule, TlsRule, VirtualService},
        visibility::ExportTo,
    },
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
    sample::select,
};

use super::http::{self, HOSTS, Texts};

/// A mesh in values that can be written down again: what is compiled from it must be the same each time.
#[derive(Debug, Clone)]
pub(crate) struct World {
    services: Vec<(Service, Option<HashKey>)>,
    virtual_services: Vec<VirtualService>,
    delegates: Vec<(String, VirtualService)>,
    config: MeshConfig,
    ingress: Vec<Ingress>,
    labels: Labels,
    pub(crate) ipv6_only: bool,
    pub(crate) has_certificates: bool,
    pub(crate) tls: WorkloadTls,
    proxy_port: Option<u16>,
}

fn object<T>(kind: Kind, name: &str, spec: T) -> Object<T> {
    let id = ObjectId::new(kind, http::namespace("default"), name);
    Object { id, created: None, generation: None, location: None, spec }
}

impl World {
    pub(crate) fn scope(&self) -> Scope {
        let config = Shared::new(object(Kind::MeshConfig, "istio", self.config.clone()));
        let mut scope = Scope::empty(http::namespace("default"), config);
        for (service, key) in &self.services {
            let origin = ObjectId::new(Kind::Service, service.namespace.clone(), &service.name);
            let rule = key.clone().map(|key| Shared::new(hashing(key)));
            let mesh_service = Shared::new(MeshService { service: service.clone(), origin, created: None });
            scope.services.insert(service.hostname.clone(), ScopedService { service: mesh_service, rule });
        }
        for (number, spec) in self.virtual_services.iter().enumerate() {
            let name = format!("vs-{number}");
            scope.virtual_services.push(Shared::new(object(Kind::VirtualService, &name, spec.clone())));
        }
        for (name, spec) in &self.delegates {
            let delegate = object(Kind::VirtualService, name, spec.clone());
            scope.delegates.insert(delegate.id.clone(), Shared::new(delegate));
        }
        if !self.ingress.is_empty() {
            let ingress = self.ingress.clone();
            let sidecar = Sidecar { workload_selector: None, egress: None, ingress, outbound_traffic_policy: None };
            scope.sidecar = Some(Shared::new(object(Kind::Sidecar, "own", sidecar)));
        }
        scope
    }

    /// The sidecars and the gRPC client that look at it.
    pub(crate) fn viewpoints(&self) -> Vec<Viewpoint> {
        let loopback = if self.ipv6_only { "::1" } else { "127.0.0.7" };
        let bound = Interception::None(Some(loopback.parse().unwrap()));
        let viewpoint = |kind, interception| Viewpoint {
            kind,
            namespace: http::namespace("default"),
            labels: self.labels.clone(),
            network: String::new(),
            locality: Locality::default(),
            node: None,
            interception,
            http_proxy_port: self.proxy_port,
            ipv6_only: self.ipv6_only,
            has_certificates: self.has_certificates,
        };
        vec![
            viewpoint(ProxyKind::Sidecar, Interception::Redirect),
            viewpoint(ProxyKind::Sidecar, Interception::Tproxy),
            viewpoint(ProxyKind::Sidecar, bound),
            viewpoint(ProxyKind::Grpc, Interception::None(None)),
        ]
    }

    /// The ports of a workload that all services select.
    pub(crate) fn inbound(&self, scope: &Scope, viewpoint: &Viewpoint) -> Vec<InboundInput> {
        let input = |port, services, ingress| InboundInput {
            port,
            services,
            ingress,
            interception: viewpoint.interception,
            ipv6: true,
            config: scope.config.clone(),
        };
        if let Some(sidecar) = &scope.sidecar {
            let entries = sidecar.spec.ingress.iter().enumerate();
            return entries.map(|(place, e)| input(e.port, Vec::new(), Some((sidecar.clone(), place)))).collect();
        }
        let services = scope.services.values();
        services
            .flat_map(|scoped| {
                let ports = scoped.service.service.ports.iter();
                ports.map(|port| input(port.number, vec![(scoped.service.clone(), scoped.rule.clone())], None))
            })
            .collect()
    }

    /// The pods of headless services.
    pub(crate) fn pods(&self) -> Shared<Endpoints> {
        let endpoint = |ip: &str| Endpoint {
            address: EndpointAddress::Ip(ip.parse().unwrap(), 1),
            labels: Labels::new(),
            weight: 1,
            locality: Locality::default(),
            node: None,
            network: String::new(),
            workload: (String::new(), String::new()),
            service_account: None,
            health: Health::Healthy,
            mesh_tls: false,
            hostname: None,
        };
        let pods = || vec![endpoint("10.128.0.1"), endpoint("10.128.0.2"), endpoint("2001:db8:128::1")];
        Shared::new(Endpoints([80, 443, 8080, 9080].into_iter().map(|port| (port, pods())).collect()))
    }
}

fn hashing(key: HashKey) -> MergedRule {
    let hash = ConsistentHash { key, table: HashTable::Ring { size_min: 1024 } };
    let load_balancer = LoadBalancer { algorithm: Algorithm::ConsistentHash(hash), ..LoadBalancer::default() };
    let mut policy = TrafficPolicy::default();
    policy.settings.load_balancer = Some(load_balancer);
    let pool = ConnectionPool { tcp_idle_timeout: Some(std::time::Duration::ZERO), ..ConnectionPool::default() };
    policy.settings.connection_pool = Some(pool);
    let origin = ObjectId::new(Kind::DestinationRule, http::namespace("default"), "hashing");
    MergedRule { policy, policy_origin: Some(origin.clone()), subsets: Vec::new(), origins: vec![origin] }
}

fn hash_key() -> impl Strategy<Value = HashKey> {
    prop_oneof![
        Just(HashKey::SourceIp),
        Just(HashKey::Header("x-user".to_owned())),
        Just(HashKey::QueryParameter("q".to_owned())),
        option::of(http::duration()).prop_map(|ttl| HashKey::Cookie {
            name: "c".to_owned(),
            path: "/".to_owned(),
            ttl,
            attributes: vec![("SameSite".to_owned(), "Lax".to_owned())],
        }),
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![
        Protocol::Http,
        Protocol::Http,
        Protocol::Grpc,
        Protocol::Auto,
        Protocol::Auto,
        Protocol::Tcp,
        Protocol::Mysql,
        Protocol::Tls,
        Protocol::Https,
        Protocol::Udp,
    ])
}

fn address() -> impl Strategy<Value = Address> {
    let ip = select(vec!["10.96.0.1", "10.96.0.2", "127.1.0.1", "127.0.0.7", "2001:db8::1", "::1", "0.0.0.0"]);
    (ip.prop_map(|ip| ip.parse::<IpAddr>().unwrap()), option::weighted(0.3, 0_u8..=32)).prop_map(|(ip, prefix)| {
        let single = Address::single(ip);
        Address { prefix_len: prefix.unwrap_or(single.prefix_len), ..single }
    })
}

fn resolution(host: &Hostname) -> BoxedStrategy<Resolution> {
    match host.as_str() {
        "alias.default.svc.cluster.local" => {
            Just(Resolution::Alias(Hostname::parse("web.default.svc.cluster.local").unwrap())).boxed()
        }
        "ring.default.svc.cluster.local" => Just(Resolution::Alias(host.clone())).boxed(),
        "headless.other.svc.cluster.local" => Just(Resolution::Headless).boxed(),
        _ => select(vec![Resolution::Static, Resolution::Dns, Resolution::None, Resolution::Headless]).boxed(),
    }
}

fn service(host: &'static str) -> impl Strategy<Value = (Service, Option<HashKey>)> {
    let hostname = Hostname::parse(host).unwrap();
    let ports = vec((http::port(), protocol()), 0..4);
    (ports, vec(address(), 0..3), resolution(&hostname), option::of(hash_key())).prop_map(
        move |(ports, addresses, resolution, key)| {
            let port = |(number, protocol): (u16, Protocol)| ServicePort {
                number,
                name: String::new(),
                protocol,
                target: TargetPort::Number(number),
            };
            let in_cluster = host.ends_with(".svc.cluster.local");
            let service = Service {
                hostname: hostname.clone(),
                name: host.split('.').next().unwrap_or_default().to_owned(),
                namespace: http::namespace(host.split('.').nth(1).filter(|_| in_cluster).unwrap_or("default")),
                labels: Labels::new(),
                ports: ports.into_iter().map(port).collect(),
                addresses,
                resolution,
                selector: None,
                export_to: ExportTo::All,
                registry: if in_cluster { Registry::Kubernetes } else { Registry::ExternalEntry },
                node_local: false,
                publish_not_ready: false,
                subject_alt_names: Vec::new(),
                traffic_distribution: TrafficDistribution::Any,
            };
            (service, key)
        },
    )
}

fn l4_match() -> impl Strategy<Value = L4Match> {
    (vec(http::host(), 0..3), vec(address(), 0..2), option::weighted(0.3, http::port()), http::labels()).prop_map(
        |(sni_hosts, destination_subnets, port, source_labels)| L4Match {
            sni_hosts,
            destination_subnets,
            port,
            source_labels,
            source_namespace: None,
            gateways: Vec::new(),
        },
    )
}

fn virtual_service(texts: Texts) -> impl Strategy<Value = VirtualService> {
    let route = || vec((http::destination(), http::weight()), 0..3);
    let tls = (vec(l4_match(), 1..3), route()).prop_map(|(matches, route)| TlsRule { matches, route });
    let tcp = (vec(l4_match(), 0..3), route()).prop_map(|(matches, route)| TcpRule { matches, route });
    (vec(http::host(), 1..3), vec(http::rule(texts), 0..4), vec(tls, 0..3), vec(tcp, 0..3)).prop_map(
        |(hosts, http, tls, tcp)| VirtualService {
            hosts,
            gateways: vec![GatewayName::Mesh],
            export_to: ExportTo::All,
            http,
            tls,
            tcp,
        },
    )
}

fn config(texts: Texts) -> impl Strategy<Value = MeshConfig> {
    let policy = select(vec![OutboundTrafficPolicy::AllowAny, OutboundTrafficPolicy::RegistryOnly]);
    let paths = select(vec![
        PathNormalization::None,
        PathNormalization::Base,
        PathNormalization::MergeSlashes,
        PathNormalization::DecodeAndMergeSlashes,
    ]);
    let format = prop_oneof![
        Just(String::new()),
        Just("%PROTOCOL% 100% %NOSUCH%".to_owned()),
        Just(r#"{"a": "%REQ(x)%", "b": ["%", 1, null]}"#.to_owned()),
        http::text(texts)
    ];
    let encoding = select(vec![AccessLogEncoding::Text, AccessLogEncoding::Json]);
    let log = (any::<bool>(), format, encoding);
    (policy, paths, log, option::of(http::retries()), http::duration()).prop_map(
        |(outbound_traffic_policy, path_normalization, (logs, format, encoding), retries, detection)| MeshConfig {
            outbound_traffic_policy,
            path_normalization,
            access_log_file: if logs { "/dev/null".to_owned() } else { String::new() },
            access_log_format: format,
            access_log_encoding: encoding,
            default_http_retry_policy: retries,
            protocol_detection_timeout: detection,
            ..MeshConfig::default()
        },
    )
}

fn ingress() -> impl Strategy<Value = Ingress> {
    let bind = option::of(select(vec!["127.0.0.7", "127.0.0.8"]).prop_map(|ip| ip.parse().unwrap()));
    (http::port(), protocol(), bind).prop_map(|(port, protocol, bind)| Ingress {
        port,
        name: String::new(),
        protocol,
        bind,
        default_endpoint: None,
    })
}

fn tls() -> impl Strategy<Value = WorkloadTls> {
    let mode = || select(vec![MutualTls::Disable, MutualTls::Permissive, MutualTls::Strict]);
    (mode(), btree_map(http::port(), mode(), 0..3)).prop_map(|(mode, ports)| WorkloadTls {
        mode,
        ports,
        origins: Vec::new(),
    })
}

pub(crate) fn world(texts: Texts) -> impl Strategy<Value = World> {
    let services: Vec<_> = HOSTS.iter().map(|host| option::of(service(host))).collect();
    let delegate = || vec(http::rule(texts), 0..3);
    (
        services,
        vec(virtual_service(texts), 0..5),
        (delegate(), delegate()),
        config(texts),
        (vec(ingress(), 0..3), any::<bool>()),
        http::labels(),
        (any::<[bool; 2]>(), option::of(select(vec![15080, 80])), tls()),
    )
        .prop_map(|(services, virtual_services, delegates, config, (ingress, own), labels, proxy)| {
            let ([ipv6_only, has_certificates], proxy_port, tls) = proxy;
            let delegate = |http| VirtualService {
                hosts: Vec::new(),
                gateways: Vec::new(),
                export_to: ExportTo::All,
                http,
                tls: Vec::new(),
                tcp: Vec::new(),
            };
            World {
                services: services.into_iter().flatten().collect(),
                virtual_services,
                delegates: vec![
                    ("leaf".to_owned(), delegate(delegates.0)),
                    ("nested".to_owned(), delegate(delegates.1)),
                ],
                config,
                ingress: if own { ingress } else { Vec::new() },
                labels,
                ipv6_only,
                has_certificates,
                tls,
                proxy_port,
            }
        })
}
