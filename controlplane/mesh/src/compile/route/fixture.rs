//! Model values that the tests of routes and listeners start from.

use std::net::IpAddr;

use crate::{
    compile::{
        cluster::fixture as cluster,
        scope::{MergedRule, MeshService, Scope, ScopedService},
        viewpoint::{Interception, ProxyKind, Viewpoint},
    },
    model::{
        Hostname, Kind, Labels, Namespace, Object, ObjectId, Shared,
        destination_rule::{Algorithm, ConsistentHash, HashKey, HashTable, LoadBalancer, PortPolicy},
        endpoint::Locality,
        mesh_config::{MeshConfig, OutboundTrafficPolicy},
        protocol::Protocol,
        service::{Address, Registry, Resolution, Service, ServicePort, TargetPort},
        virtual_service::{
            Destination, GatewayName, HeaderChanges, HttpAction, HttpDestination, HttpMatch, HttpRule, TcpRule,
            TlsRule, VirtualService,
        },
        visibility::ExportTo,
    },
};

pub(crate) fn namespace(name: &str) -> Namespace {
    Namespace::parse(name).unwrap()
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A short name is one of `default`.
pub(crate) fn host(name: &str) -> Hostname {
    let full =
        if name.contains('.') || name == "*" { name.to_owned() } else { format!("{name}.default.svc.cluster.local") };
    Hostname::parse(&full).unwrap()
}

/// A sidecar in `default` whose traffic is redirected.
pub(crate) fn sidecar() -> Viewpoint {
    Viewpoint {
        kind: ProxyKind::Sidecar,
        namespace: namespace("default"),
        labels: Labels::new(),
        network: String::new(),
        locality: Locality::default(),
        node: None,
        interception: Interception::Redirect,
        http_proxy_port: None,
        ipv6_only: false,
        has_certificates: false,
    }
}

/// A sidecar whose traffic is not captured, and which binds this address.
pub(crate) fn bound(address: &str) -> Viewpoint {
    Viewpoint { interception: Interception::None(Some(address.parse().unwrap())), ..sidecar() }
}

pub(crate) fn object<T>(kind: Kind, name: &str, spec: T) -> Object<T> {
    let id = ObjectId::new(kind, namespace("default"), name);
    Object { id, created: None, generation: None, location: None, spec }
}

/// A service that is being written down.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) service: Service,
    pub(crate) created: Option<i64>,
    rule: Option<MergedRule>,
}

/// A Kubernetes Service of `default`, without ports and addresses.
pub(crate) fn service(name: &str) -> Written {
    let service = Service { hostname: host(name), ports: Vec::new(), ..cluster::service(name).service };
    Written { service, created: None, rule: None }
}

/// A ServiceEntry for a host outside the mesh.
pub(crate) fn entry(name: &str) -> Written {
    let mut written = service(name);
    written.service.registry = Registry::ExternalEntry;
    written.service.resolution = Resolution::Dns;
    written
}

/// An `ExternalName` Service.
pub(crate) fn alias(name: &str, target: &str) -> Written {
    let mut written = service(name);
    written.service.resolution = Resolution::Alias(host(target));
    written
}

impl Written {
    /// With a port that leads to the same number; the protocol is named as ports are, `auto` is unnamed.
    pub(crate) fn port(mut self, number: u16, protocol: &str) -> Self {
        let protocol = if protocol == "auto" { Protocol::Auto } else { Protocol::parse(protocol).unwrap() };
        let target = TargetPort::Number(number);
        self.service.ports.push(ServicePort { number, name: String::new(), protocol, target });
        self
    }

    pub(crate) fn at(mut self, ip: &str) -> Self {
        self.service.addresses.push(Address::single(ip.parse::<IpAddr>().unwrap()));
        self
    }

    pub(crate) fn in_range(mut self, ip: &str, prefix_len: u8) -> Self {
        self.service.addresses.push(Address { ip: ip.parse().unwrap(), prefix_len });
        self
    }

    pub(crate) fn headless(mut self) -> Self {
        self.service.resolution = Resolution::Headless;
        self
    }

    pub(crate) fn created(mut self, at: i64) -> Self {
        self.created = Some(at);
        self
    }

    pub(crate) fn hashed(mut self, key: HashKey) -> Self {
        let hash = ConsistentHash { key, table: HashTable::Ring { size_min: 1024 } };
        let algorithm = Algorithm::ConsistentHash(hash);
        let load_balancer = Some(LoadBalancer { algorithm, ..LoadBalancer::default() });
        self.rule = Some(cluster::rule_with(PortPolicy { load_balancer, ..PortPolicy::default() }));
        self
    }

    pub(crate) fn scoped(self) -> ScopedService {
        let kind = match self.service.registry {
            Registry::Kubernetes => Kind::Service,
            Registry::InternalEntry | Registry::ExternalEntry => Kind::ServiceEntry,
        };
        let origin = ObjectId::new(kind, self.service.namespace.clone(), &self.service.name);
        let service = Shared::new(MeshService { service: self.service, origin, created: self.created });
        ScopedService { service, rule: self.rule.map(Shared::new) }
    }
}

/// A mesh as it is seen from `default`.
#[derive(Debug)]
pub(crate) struct Mesh(Scope);

impl Mesh {
    pub(crate) fn new() -> Self {
        Self(Scope::empty(namespace("default"), cluster::mesh(MeshConfig::default())))
    }

    pub(crate) fn registry_only(mut self) -> Self {
        self.0.outbound_policy = OutboundTrafficPolicy::RegistryOnly;
        self
    }

    pub(crate) fn service(mut self, written: Written) -> Self {
        let scoped = written.scoped();
        self.0.services.insert(scoped.service.service.hostname.clone(), scoped);
        self
    }

    pub(crate) fn virtual_service(self, name: &str, hosts: &[&str], http: Vec<HttpRule>) -> Self {
        self.rules(name, hosts, http, Vec::new(), Vec::new())
    }

    pub(crate) fn rules(
        mut self,
        name: &str,
        hosts: &[&str],
        http: Vec<HttpRule>,
        tls: Vec<TlsRule>,
        tcp: Vec<TcpRule>,
    ) -> Self {
        let spec = VirtualService {
            hosts: hosts.iter().map(|name| host(name)).collect(),
            gateways: vec![GatewayName::Mesh],
            export_to: ExportTo::All,
            http,
            tls,
            tcp,
        };
        self.0.virtual_services.push(Shared::new(object(Kind::VirtualService, name, spec)));
        self
    }

    pub(crate) fn delegate(mut self, name: &str, http: Vec<HttpRule>) -> Self {
        let spec = VirtualService {
            hosts: Vec::new(),
            gateways: Vec::new(),
            export_to: ExportTo::All,
            http,
            tls: Vec::new(),
            tcp: Vec::new(),
        };
        let delegate = object(Kind::VirtualService, name, spec);
        self.0.delegates.insert(delegate.id.clone(), Shared::new(delegate));
        self
    }

    pub(crate) fn scope(&self) -> Scope {
        self.0.clone()
    }
}

pub(crate) fn destination(name: &str) -> Destination {
    Destination { host: host(name), subset: None, port: None }
}

/// The destination `host`, or `host/subset`, with a weight.
pub(crate) fn leg(name: &str, weight: u32) -> HttpDestination {
    let (name, subset) = name.split_once('/').map_or((name, None), |(name, subset)| (name, Some(subset.to_owned())));
    let destination = Destination { subset, ..destination(name) };
    HttpDestination { destination, weight, headers: HeaderChanges::default() }
}

/// A rule that sends everything to a service.
pub(crate) fn rule(name: &str) -> HttpRule {
    HttpRule { action: HttpAction::Route(vec![leg(name, 0)]), ..HttpRule::default() }
}

pub(crate) fn delegating(name: &str) -> HttpRule {
    let action = HttpAction::Delegate { name: name.to_owned(), namespace: namespace("default") };
    HttpRule { action, ..HttpRule::default() }
}

impl HttpRule {
    /// With one more match.
    pub(crate) fn when(mut self, condition: HttpMatch) -> Self {
        self.matches.push(condition);
        self
    }
}
