//! Any service, any rule, any endpoints: also with values that no sane author writes, since the compiler takes them too.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use mesh::{
    compile::{
        cluster::OutboundInput,
        endpoint::{AssignmentInput, Place},
        scope::{Endpoints, MergedRule, MeshService},
    },
    model::{
        Hostname, Kind, Labels, Namespace, Object, ObjectId, Shared,
        destination_rule::{
            Algorithm, ClientTls, ClientTlsMode, ConnectionPool, ConsistentHash, HashKey, HashTable, LoadBalancer,
            LocalityLb, OutlierDetection, PortPolicy, Subset, TcpKeepalive, TrafficPolicy, Warmup,
        },
        endpoint::{Endpoint, EndpointAddress, Health, Locality},
        mesh_config::MeshConfig,
        mesh_service::Identities,
        protocol::Protocol,
        service::{Registry, Resolution, Service, ServicePort, TargetPort, TrafficDistribution},
        visibility::ExportTo,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

/// Files that exist, for TLS settings that name some.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files {
    /// A certificate that is its own authority.
    pub(crate) certificate: Option<String>,
    /// Its key.
    pub(crate) key: Option<String>,
    /// Whether the system has a file of authorities where we expect it.
    pub(crate) system_roots: bool,
}

/// What one compilation starts from.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) service: Service,
    pub(crate) rule: Option<(TrafficPolicy, Vec<Subset>)>,
    pub(crate) endpoints: Vec<(u16, Vec<Endpoint>)>,
    pub(crate) mesh: MeshConfig,
    pub(crate) place: Option<Place>,
    pub(crate) for_grpc: bool,
    pub(crate) captured: bool,
    pub(crate) has_certificates: bool,
}

impl World {
    pub(crate) fn outbound(&self) -> OutboundInput {
        OutboundInput {
            service: self.service(),
            rule: self.rule(),
            endpoints: Some(self.endpoints()),
            config: self.config(),
            for_grpc: self.for_grpc,
            captured: self.captured,
            identities: self.has_certificates.then(|| Shared::new(Identities::of(&self.endpoints()))),
        }
    }

    pub(crate) fn assignments(&self) -> AssignmentInput {
        AssignmentInput {
            service: self.service(),
            rule: self.rule(),
            endpoints: self.endpoints(),
            place: self.place.clone(),
            config: self.config(),
        }
    }

    fn service(&self) -> Shared<MeshService> {
        let origin = ObjectId::new(Kind::Service, namespace(), &self.service.name);
        Shared::new(MeshService { service: self.service.clone(), origin, created: None })
    }

    fn rule(&self) -> Option<Shared<MergedRule>> {
        let (policy, subsets) = self.rule.clone()?;
        let origin = ObjectId::new(Kind::DestinationRule, namespace(), "rule");
        let subsets = subsets.into_iter().map(|subset| (subset, origin.clone())).collect();
        Some(Shared::new(MergedRule { policy, policy_origin: Some(origin.clone()), subsets, origins: vec![origin] }))
    }

    fn endpoints(&self) -> Shared<Endpoints> {
        Shared::new(Endpoints(BTreeMap::from_iter(self.endpoints.iter().cloned())))
    }

    pub(crate) fn config(&self) -> Shared<Object<MeshConfig>> {
        let id = ObjectId::new(Kind::MeshConfig, namespace(), "istio");
        Shared::new(Object { id, created: None, generation: None, location: None, spec: self.mesh.clone() })
    }
}

fn namespace() -> Namespace {
    Namespace::parse("default").unwrap()
}

/// Any world, with TLS settings that name these files.
pub(crate) fn world(files: Files) -> BoxedStrategy<World> {
    let shape = (service(), option::of(rule(files)), endpoints());
    (shape, mesh_config(), option::of(place()), any::<[bool; 3]>())
        .prop_map(|((service, rule, endpoints), mesh, place, [for_grpc, captured, has_certificates])| World {
            service,
            rule,
            endpoints,
            mesh,
            place,
            for_grpc,
            captured,
            has_certificates,
        })
        .boxed()
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        select(vec![Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(900), Duration::MAX]),
        any::<u32>().prop_map(|ms| Duration::from_millis(ms.into())),
    ]
}

fn number() -> impl Strategy<Value = Option<u32>> {
    option::of(prop_oneof![select(vec![0, 1, 100, u32::MAX]), any::<u32>()])
}

fn float() -> impl Strategy<Value = Option<f64>> {
    option::of(select(vec![f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 0.5, 1.5, 1e300]))
}

const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];
const LOCALITIES: [&str; 5] = ["", "us/a/1", "us/a/2", "us/b", "eu/c"];

fn locality_pattern() -> impl Strategy<Value = String> {
    select(vec!["*", "us/*", "us/a/*", "us/a/1", "eu", "nowhere/*"]).prop_map(str::to_owned)
}

fn service() -> BoxedStrategy<Service> {
    let resolution = select(vec![
        Resolution::Static,
        Resolution::Static,
        Resolution::Headless,
        Resolution::None,
        Resolution::Dns,
        Resolution::DnsRoundRobin,
        Resolution::Alias(Hostname::parse("other.example.com").unwrap()),
    ]);
    let host = select(vec!["a.default.svc.cluster.local", "*.example.com", "api.example.com"]);
    let distribution =
        select(vec![TrafficDistribution::Any, TrafficDistribution::SameZone, TrafficDistribution::SameNode]);
    let registry = select(vec![Registry::Kubernetes, Registry::InternalEntry, Registry::ExternalEntry]);
    let names = vec(select(vec!["spiffe://a/ns/b/sa/c", "a.example.com", "192.0.2.1"]), 0..2);
    (resolution, host, ports(), distribution, registry, any::<bool>(), names)
        .prop_map(|(resolution, host, ports, traffic_distribution, registry, node_local, names)| Service {
            hostname: Hostname::parse(host).unwrap(),
            name: "a".to_owned(),
            namespace: namespace(),
            labels: Labels::new(),
            ports,
            addresses: Vec::new(),
            resolution,
            selector: None,
            export_to: ExportTo::Default,
            registry,
            node_local,
            publish_not_ready: false,
            subject_alt_names: names.into_iter().map(str::to_owned).collect(),
            traffic_distribution,
        })
        .boxed()
}

fn ports() -> BoxedStrategy<Vec<ServicePort>> {
    let protocol = select(vec![
        Protocol::Http,
        Protocol::Http2,
        Protocol::Grpc,
        Protocol::GrpcWeb,
        Protocol::Https,
        Protocol::Tls,
        Protocol::Tcp,
        Protocol::Mongo,
        Protocol::Redis,
        Protocol::Mysql,
        Protocol::Udp,
        Protocol::Auto,
    ]);
    let target = prop_oneof![(1..=u16::MAX).prop_map(TargetPort::Number), Just(TargetPort::Named("web".to_owned())),];
    vec((protocol, target), 1..4)
        .prop_map(|ports| {
            let numbered = (80_u16..).zip(ports);
            numbered
                .map(|(number, (protocol, target))| ServicePort { number, name: String::new(), protocol, target })
                .collect()
        })
        .boxed()
}

fn rule(files: Files) -> BoxedStrategy<(TrafficPolicy, Vec<Subset>)> {
    let labels = option::of(select(VERSIONS.to_vec()));
    let subset = (labels, traffic_policy(files.clone()));
    (traffic_policy(files), vec(subset, 0..3))
        .prop_map(|(policy, subsets)| {
            let named = VERSIONS.iter().zip(subsets).map(|(name, (version, policy))| {
                let labels = version.map(|version| ("version".to_owned(), version.to_owned())).into_iter().collect();
                Subset { name: (*name).to_owned(), labels, policy }
            });
            (policy, named.collect())
        })
        .boxed()
}

fn traffic_policy(files: Files) -> BoxedStrategy<TrafficPolicy> {
    let at_port = option::of((80_u16..83, port_policy(files.clone())));
    (port_policy(files), at_port)
        .prop_map(|(settings, at_port)| TrafficPolicy { settings, ports: at_port.into_iter().collect() })
        .boxed()
}

fn port_policy(files: Files) -> BoxedStrategy<PortPolicy> {
    let blocks = (option::of(load_balancer()), option::of(pool()), option::of(outlier()), option::of(tls(files)));
    blocks
        .prop_map(|(load_balancer, connection_pool, outlier_detection, tls)| PortPolicy {
            load_balancer,
            connection_pool,
            outlier_detection,
            tls,
        })
        .boxed()
}

fn load_balancer() -> BoxedStrategy<LoadBalancer> {
    let size = || select(vec![0, 1, 1024, 65_537, 65_538, u64::MAX]);
    let hash = |table| Algorithm::ConsistentHash(ConsistentHash { key: HashKey::SourceIp, table });
    let algorithm = prop_oneof![
        select(vec![
            Algorithm::Default,
            Algorithm::RoundRobin,
            Algorithm::LeastRequest,
            Algorithm::Random,
            Algorithm::Passthrough
        ]),
        size().prop_map(move |size_min| hash(HashTable::Ring { size_min })),
        option::of(size()).prop_map(move |size| hash(HashTable::Maglev { size })),
    ];
    let warmup = (duration(), float(), float()).prop_map(|(duration, minimum_percent, aggression)| Warmup {
        duration,
        minimum_percent,
        aggression,
    });
    (algorithm, option::of(locality_lb()), option::of(warmup))
        .prop_map(|(algorithm, locality, warmup)| LoadBalancer { algorithm, locality, warmup })
        .boxed()
}

fn locality_lb() -> BoxedStrategy<LocalityLb> {
    let shares = vec((locality_pattern(), select(vec![0, 1, 33, 100, u32::MAX])), 0..4);
    let failover = vec(select(vec![("us", "eu"), ("eu", "us")]), 0..2);
    let priority = vec(select(vec!["version", "version=v2", "topology.kubernetes.io/zone", "none"]), 0..4);
    (option::of(any::<bool>()), vec((locality_pattern(), shares), 0..2), failover, priority)
        .prop_map(|(enabled, distribute, failover, priority)| LocalityLb {
            enabled,
            distribute,
            failover: failover.into_iter().map(|(from, to)| (from.to_owned(), to.to_owned())).collect(),
            failover_priority: priority.into_iter().map(str::to_owned).collect(),
        })
        .boxed()
}

fn keepalive() -> BoxedStrategy<TcpKeepalive> {
    (number(), option::of(duration()), option::of(duration()))
        .prop_map(|(probes, time, interval)| TcpKeepalive { probes, time, interval })
        .boxed()
}

fn pool() -> BoxedStrategy<ConnectionPool> {
    let limits = (number(), number(), number(), number(), number(), number());
    let times = (option::of(duration()), option::of(duration()), option::of(duration()), option::of(duration()));
    (limits, times, option::of(keepalive()), option::of(any::<bool>()), any::<bool>())
        .prop_map(|(limits, times, tcp_keepalive, h2_upgrade, use_client_protocol)| ConnectionPool {
            max_connections: limits.0,
            connect_timeout: times.0,
            tcp_keepalive,
            max_connection_duration: times.1,
            tcp_idle_timeout: times.2,
            http1_max_pending_requests: limits.1,
            http2_max_requests: limits.2,
            max_requests_per_connection: limits.3,
            max_retries: limits.4,
            http_idle_timeout: times.3,
            h2_upgrade,
            use_client_protocol,
            max_concurrent_streams: limits.5,
        })
        .boxed()
}

fn outlier() -> BoxedStrategy<OutlierDetection> {
    let counts = (number(), number(), number(), number(), number());
    (counts, any::<bool>(), option::of(duration()), option::of(duration()))
        .prop_map(|(counts, split_local_origin, interval, base_ejection_time)| OutlierDetection {
            consecutive_5xx: counts.0,
            consecutive_gateway_errors: counts.1,
            consecutive_local_origin_failures: counts.2,
            split_local_origin,
            interval,
            base_ejection_time,
            max_ejection_percent: counts.3,
            min_health_percent: counts.4,
        })
        .boxed()
}

fn tls(files: Files) -> BoxedStrategy<ClientTls> {
    let mut modes = vec![ClientTlsMode::Disable, ClientTlsMode::IstioMutual];
    if files.certificate.is_some() {
        modes.extend([ClientTlsMode::Simple, ClientTlsMode::Mutual]);
    }
    let sni = select(vec![None, Some("api.example.com".to_owned()), Some(String::new())]);
    let names = vec(select(vec!["a.example.com", "spiffe://a/b", "2001:db8::1"]), 0..2);
    (select(modes), sni, names, any::<bool>(), any::<bool>())
        .prop_map(move |(mode, sni, names, own_authority, insecure_skip_verify)| ClientTls {
            mode,
            sni,
            subject_alt_names: names.into_iter().map(str::to_owned).collect(),
            client_certificate: files.certificate.clone(),
            private_key: files.key.clone(),
            ca_certificates: files.certificate.clone().filter(|_| own_authority || !files.system_roots),
            insecure_skip_verify,
        })
        .boxed()
}

fn endpoints() -> BoxedStrategy<Vec<(u16, Vec<Endpoint>)>> {
    vec(vec(endpoint(), 0..6), 3).prop_map(|lists| (80_u16..).zip(lists).collect()).boxed()
}

fn endpoint() -> BoxedStrategy<Endpoint> {
    let ip = select(vec!["10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::1"]);
    let address = prop_oneof![
        8 => ip.prop_map(|ip| EndpointAddress::Ip(ip.parse::<IpAddr>().unwrap(), 8080)),
        1 => Just(EndpointAddress::Dns("x.example.com".to_owned(), 8080)),
        1 => Just(EndpointAddress::Pipe("/run/x".to_owned())),
    ];
    let node = option::of(select(vec!["n1".to_owned(), "n2".to_owned()]));
    let health = select(vec![Health::Healthy, Health::Healthy, Health::Draining, Health::Unhealthy]);
    let weight = select(vec![0, 1, 1, 7, u32::MAX]);
    let place = (select(LOCALITIES.to_vec()), node);
    (address, select(VERSIONS.to_vec()), weight, place, health, any::<bool>())
        .prop_map(|(address, version, weight, (locality, node), health, mesh_tls)| Endpoint {
            address,
            labels: Labels::from([("version".to_owned(), version.to_owned())]),
            weight,
            locality: Locality::parse(locality),
            node,
            network: String::new(),
            workload: (version.to_owned(), "default".to_owned()),
            service_account: None,
            health,
            mesh_tls,
            hostname: None,
        })
        .boxed()
}

fn place() -> BoxedStrategy<Place> {
    let node = option::of(Just("n1".to_owned()));
    (select(LOCALITIES.to_vec()), node)
        .prop_map(|(locality, node)| Place {
            locality: Locality::parse(locality),
            node,
            network: String::new(),
            labels: Labels::from([("version".to_owned(), "v1".to_owned())]),
        })
        .boxed()
}

fn mesh_config() -> BoxedStrategy<MeshConfig> {
    (duration(), duration(), option::of(keepalive()), any::<bool>(), locality_lb())
        .prop_map(|(connect_timeout, dns_refresh_rate, tcp_keepalive, h2_upgrade, locality_lb)| MeshConfig {
            connect_timeout,
            dns_refresh_rate,
            tcp_keepalive,
            h2_upgrade,
            locality_lb,
            ..MeshConfig::default()
        })
        .boxed()
}
