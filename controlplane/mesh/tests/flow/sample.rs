//! Objects for tests, built like prose.

use std::net::IpAddr;

use mesh::model::{
    Change, Config, Hostname, Kind, Labels, Namespace, Object, ObjectId, Selector,
    destination_rule::{DestinationRule, Subset, TrafficPolicy},
    endpoint::{EndpointSlice, Locality, SliceEndpoint, SlicePort},
    mesh_config::MeshConfig,
    peer_authentication::{MutualTls, PeerAuthentication},
    protocol::Protocol,
    service::{Address, Registry, Resolution, Service, ServicePort, TargetPort, TrafficDistribution},
    service_entry::{EntryAddress, EntryPort, EntryResolution, ServiceEntry, WorkloadEntry},
    sidecar::{Import, ImportNamespace, Sidecar},
    virtual_service::{
        Destination, GatewayName, HeaderChanges, HttpAction, HttpDestination, HttpMatch, HttpRule, VirtualService,
    },
    visibility::ExportTo,
    workload::{Node, Pod},
};

pub(crate) fn namespace(text: &str) -> Namespace {
    Namespace::parse(text).unwrap()
}

pub(crate) fn host(text: &str) -> Hostname {
    Hostname::parse(text).unwrap()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `name.namespace.svc.cluster.local` of `namespace/name`, or the text itself.
pub(crate) fn fqdn(text: &str) -> Hostname {
    match text.split_once('/') {
        Some((namespace, name)) => host(&format!("{name}.{namespace}.svc.cluster.local")),
        None => host(text),
    }
}

/// An object `namespace/name`; `namespace` alone stands before the slash even where it is empty.
pub(crate) fn object<T>(kind: Kind, id: &str, spec: T) -> Object<T> {
    let (of, name) = id.split_once('/').unwrap();
    let of = if of.is_empty() { Namespace::none() } else { namespace(of) };
    Object { id: ObjectId::new(kind, of, name), created: Some(0), generation: None, location: None, spec }
}

/// What an object is made to be before it becomes a change.
pub(crate) trait Sample: Sized {
    /// When it was created.
    fn created(self, at: i64) -> Self;
    /// As a change.
    fn set(self) -> Change;
    /// Its removal.
    fn gone(self) -> Change;
}

macro_rules! sample {
    ($spec:ty, $config:ident) => {
        impl Sample for Object<$spec> {
            fn created(mut self, at: i64) -> Self {
                self.created = Some(at);
                self
            }
            fn set(self) -> Change {
                Change::Set(Box::new(Config::$config(self)))
            }
            fn gone(self) -> Change {
                Change::Remove(self.id)
            }
        }
    };
}

sample!(MeshConfig, MeshConfig);
sample!(PeerAuthentication, PeerAuthentication);
sample!(Node, Node);
sample!(Pod, Pod);
sample!(Service, Service);
sample!(ServiceEntry, ServiceEntry);
sample!(WorkloadEntry, WorkloadEntry);
sample!(VirtualService, VirtualService);
sample!(DestinationRule, DestinationRule);
sample!(Sidecar, Sidecar);

impl Sample for Object<EndpointSlice> {
    fn created(mut self, at: i64) -> Self {
        self.created = Some(at);
        self
    }
    fn set(self) -> Change {
        Change::SetEndpoints(Box::new(self))
    }
    fn gone(self) -> Change {
        Change::Remove(self.id)
    }
}

/// A Service `namespace/name` that selects `app: name`, with the port 80 named `http` and a target of the same number.
pub(crate) fn service(id: &str) -> Object<Service> {
    let (of, name) = id.split_once('/').unwrap();
    object(
        Kind::Service,
        id,
        Service {
            hostname: fqdn(id),
            name: name.to_owned(),
            namespace: namespace(of),
            labels: Labels::new(),
            ports: vec![port(80, "http")],
            addresses: vec![Address::single(ip("10.0.0.1"))],
            resolution: Resolution::Static,
            selector: Some(Selector(labels(&[("app", name)]))),
            export_to: ExportTo::Default,
            registry: Registry::Kubernetes,
            node_local: false,
            publish_not_ready: false,
            subject_alt_names: Vec::new(),
            traffic_distribution: TrafficDistribution::Any,
        },
    )
}

pub(crate) fn port(number: u16, name: &str) -> ServicePort {
    ServicePort {
        number,
        name: name.to_owned(),
        protocol: Protocol::of_service_port("TCP", None, name, number),
        target: TargetPort::Number(number),
    }
}

/// The slice `namespace/name` of a Service: port 80 of the Service at 8080, no endpoints yet.
pub(crate) fn slice(id: &str, service: &str) -> Object<EndpointSlice> {
    let ports = vec![SlicePort { name: "http".to_owned(), port: Some(8080) }];
    object(Kind::EndpointSlice, id, EndpointSlice { service: service.to_owned(), ports, endpoints: Vec::new() })
}

/// What a slice is made to hold.
pub(crate) trait Slice: Sized {
    /// With an endpoint.
    fn with(self, endpoint: SliceEndpoint) -> Self;

    /// With a ready endpoint at an address.
    fn at(self, address: &str) -> Self {
        self.with(endpoint(address))
    }
}

impl Slice for Object<EndpointSlice> {
    fn with(mut self, endpoint: SliceEndpoint) -> Self {
        self.spec.endpoints.push(endpoint);
        self
    }
}

pub(crate) fn endpoint(address: &str) -> SliceEndpoint {
    SliceEndpoint {
        addresses: vec![ip(address)],
        ready: true,
        serving: true,
        terminating: false,
        hostname: None,
        node: None,
        zone: None,
        pod: None,
    }
}

/// A ready endpoint of a Pod in the namespace of its slice.
pub(crate) fn endpoint_of(address: &str, pod: &str) -> SliceEndpoint {
    SliceEndpoint { pod: Some(pod.to_owned()), ..endpoint(address) }
}

pub(crate) fn pod(id: &str, pairs: &[(&str, &str)]) -> Object<Pod> {
    let (_, name) = id.split_once('/').unwrap();
    let spec = Pod {
        labels: labels(pairs),
        service_account: "default".to_owned(),
        workload: name.to_owned(),
        addresses: vec![ip("10.1.0.1")],
        ..Pod::default()
    };
    object(Kind::Pod, id, spec)
}

pub(crate) fn node(name: &str, locality: &str) -> Object<Node> {
    object(Kind::Node, &format!("/{name}"), Node { locality: Locality::parse(locality) })
}

/// A ServiceEntry `namespace/name` for hosts, with the port 80 named `http`.
pub(crate) fn entry(id: &str, hosts: &[&str], resolution: EntryResolution) -> Object<ServiceEntry> {
    let port = EntryPort { number: 80, name: "http".to_owned(), protocol: Protocol::Http, target: None };
    let spec = ServiceEntry {
        hosts: hosts.iter().map(|text| host(text)).collect(),
        addresses: Vec::new(),
        ports: vec![port],
        mesh_internal: false,
        resolution,
        endpoints: Vec::new(),
        workload_selector: None,
        export_to: ExportTo::Default,
        subject_alt_names: Vec::new(),
        labels: Labels::new(),
    };
    object(Kind::ServiceEntry, id, spec)
}

pub(crate) fn workload(address: &str, pairs: &[(&str, &str)]) -> WorkloadEntry {
    WorkloadEntry {
        address: Some(EntryAddress::Ip(ip(address))),
        ports: [].into(),
        labels: labels(pairs),
        network: String::new(),
        locality: Locality::default(),
        weight: 0,
        service_account: None,
    }
}

pub(crate) fn workload_entry(id: &str, address: &str, pairs: &[(&str, &str)]) -> Object<WorkloadEntry> {
    object(Kind::WorkloadEntry, id, workload(address, pairs))
}

/// A VirtualService of the mesh for one host that sends everything to `to`.
pub(crate) fn route(id: &str, of: &Hostname, to: &Hostname) -> Object<VirtualService> {
    let rule = HttpRule { action: HttpAction::Route(vec![destination(to, None)]), ..HttpRule::default() };
    let spec = VirtualService {
        hosts: vec![of.clone()],
        gateways: vec![GatewayName::Mesh],
        export_to: ExportTo::Default,
        http: vec![rule],
        tls: Vec::new(),
        tcp: Vec::new(),
    };
    object(Kind::VirtualService, id, spec)
}

/// What a route is made to do.
pub(crate) trait Route {
    /// With a first rule only for callers that have a label.
    fn for_callers(self, pairs: &[(&str, &str)], to: &Hostname) -> Self;
}

impl Route for Object<VirtualService> {
    fn for_callers(mut self, pairs: &[(&str, &str)], to: &Hostname) -> Self {
        let matches = vec![HttpMatch { source_labels: labels(pairs), ..HttpMatch::default() }];
        let action = HttpAction::Route(vec![destination(to, None)]);
        self.spec.http.insert(0, HttpRule { matches, action, ..HttpRule::default() });
        self
    }
}

pub(crate) fn destination(to: &Hostname, subset: Option<&str>) -> HttpDestination {
    let destination = Destination { host: to.clone(), subset: subset.map(str::to_owned), port: None };
    HttpDestination { destination, weight: 0, headers: HeaderChanges::default() }
}

/// A DestinationRule for one host with subsets by `version`.
pub(crate) fn rule(id: &str, of: &Hostname, subsets: &[&str]) -> Object<DestinationRule> {
    let subset = |name: &&str| Subset {
        name: (*name).to_owned(),
        labels: labels(&[("version", name)]),
        policy: TrafficPolicy::default(),
    };
    let spec = DestinationRule {
        host: of.clone(),
        policy: TrafficPolicy::default(),
        subsets: subsets.iter().map(subset).collect(),
        export_to: ExportTo::Default,
        workload_selector: None,
    };
    object(Kind::DestinationRule, id, spec)
}

/// A Sidecar that imports `namespace/host` each; of nothing, everything.
pub(crate) fn sidecar(id: &str, imports: &[&str]) -> Object<Sidecar> {
    let import = |text: &&str| {
        let (of, name) = text.split_once('/').unwrap();
        let of = match of {
            "*" => ImportNamespace::Any,
            "." => ImportNamespace::Own,
            "~" => ImportNamespace::None,
            named => ImportNamespace::Named(namespace(named)),
        };
        Import { namespace: of, host: host(name) }
    };
    let egress = (!imports.is_empty()).then(|| imports.iter().map(import).collect());
    let spec = Sidecar { workload_selector: None, egress, ingress: Vec::new(), outbound_traffic_policy: None };
    object(Kind::Sidecar, id, spec)
}

/// A PeerAuthentication for the workloads with some labels, or for all.
pub(crate) fn peer_authentication(
    id: &str,
    selected: &[(&str, &str)],
    mode: Option<MutualTls>,
    ports: &[(u16, Option<MutualTls>)],
) -> Object<PeerAuthentication> {
    let selector = (!selected.is_empty()).then(|| Selector(labels(selected)));
    let spec = PeerAuthentication { selector, mode, ports: ports.iter().copied().collect() };
    object(Kind::PeerAuthentication, id, spec)
}

pub(crate) fn mesh_config(change: impl FnOnce(&mut MeshConfig)) -> Object<MeshConfig> {
    let mut spec = MeshConfig::default();
    change(&mut spec);
    object(Kind::MeshConfig, "istio-system/istio", spec)
}
