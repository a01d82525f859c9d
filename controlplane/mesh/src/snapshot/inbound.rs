//! What a workload lets in: the ports of its services or of its Sidecar, and what is made of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Unit, compiler::Compiler};
use crate::{
    compile::{
        cluster::InboundInput,
        listener,
        scope::{MeshService, Scope, ScopeKey, rules_for},
        viewpoint::{Interception, ProxyKind, Viewpoint},
    },
    model::{
        Labels, Selector, Shared,
        endpoint::EndpointAddress,
        peer_authentication::WorkloadTls,
        protocol::Protocol,
        service::{Resolution, ServicePort, TargetPort},
    },
    store::{Mesh, ServiceKey, Touched},
};

/// Most ports of one workload; those with the highest numbers go without.
pub(super) const PORTS_MAX: usize = 1024;

/// The inbound clusters and listeners of one viewpoint.
#[derive(Debug)]
pub(super) struct Inbound {
    scope: Arc<Scope>,
    inputs: Vec<InboundInput>,
    tls: WorkloadTls,
    /// Some service names its target port, so that pods decide where it is.
    by_name: bool,
    pub(super) clusters: Vec<Unit>,
    pub(super) listeners: Vec<Unit>,
}

impl Inbound {
    pub(super) fn new(
        compiler: &mut Compiler,
        mesh: &Mesh,
        key: &ScopeKey,
        scope: &Arc<Scope>,
        viewpoint: &Viewpoint,
    ) -> Self {
        let mut made = Self {
            scope: Arc::clone(scope),
            inputs: Vec::new(),
            tls: WorkloadTls::disabled(),
            by_name: false,
            clusters: Vec::new(),
            listeners: Vec::new(),
        };
        made.plan(compiler, mesh, key, viewpoint);
        made.compile(compiler, viewpoint);
        made
    }

    /// Brings it up to date; tells whether anything differs.
    pub(super) fn update(
        &mut self,
        compiler: &mut Compiler,
        mesh: &Mesh,
        key: &ScopeKey,
        scope: &Arc<Scope>,
        viewpoint: &Viewpoint,
        touched: &Touched,
    ) -> bool {
        let scope_differs = !Arc::ptr_eq(&self.scope, scope);
        let planned_again = self.concerns(mesh, scope, viewpoint, touched) && self.plan(compiler, mesh, key, viewpoint);
        if !scope_differs && !planned_again {
            return false;
        }
        self.scope = Arc::clone(scope);
        let before = (std::mem::take(&mut self.clusters), std::mem::take(&mut self.listeners));
        self.compile(compiler, viewpoint);
        !same(&self.clusters, &before.0) || !same(&self.listeners, &before.1)
    }

    /// Whether the ports themselves may be others now.
    fn concerns(&self, mesh: &Mesh, scope: &Arc<Scope>, viewpoint: &Viewpoint, touched: &Touched) -> bool {
        let namespace = &viewpoint.namespace;
        let services = || self.inputs.iter().flat_map(|input| &input.services).map(|(service, _)| service);
        let selects = |key: &ServiceKey| {
            let now = mesh.service(key).is_some_and(|service| selects(service, viewpoint));
            now || services().any(|service| ServiceKey::of(service) == *key)
        };
        self.scope.sidecar != scope.sidecar
            || self.scope.config != scope.config
            || touched.services.iter().any(|key| key.namespace == *namespace && selects(key))
            || viewpoint.has_certificates
                && [namespace, &mesh.config().spec.root_namespace]
                    .iter()
                    .any(|namespace| touched.peer_authentications.contains(*namespace))
            || touched.rules.iter().any(|(_, host)| services().any(|service| host.covers(&service.service.hostname)))
            || self.by_name
                && (touched.reduces(namespace)
                    || touched.workloads.iter().any(|(of, labels)| of == namespace && has(labels, &viewpoint.labels))
                    || touched.endpoints.iter().any(|key| key.namespace == *namespace))
    }

    /// Finds the ports; tells whether they differ.
    fn plan(&mut self, compiler: &mut Compiler, mesh: &Mesh, key: &ScopeKey, viewpoint: &Viewpoint) -> bool {
        let mut by_name = false;
        let sidecar = key.sidecar.as_ref().and_then(|id| mesh.sidecars().get(id));
        let ingress = sidecar.filter(|sidecar| !sidecar.spec.ingress.is_empty());
        let input = |port, services, ingress| InboundInput {
            port,
            services,
            ingress,
            interception: viewpoint.interception,
            ipv6: viewpoint.ipv6_only,
            config: mesh.config().clone(),
        };
        let inputs = match (viewpoint.kind, viewpoint.interception, ingress) {
            (ProxyKind::Router | ProxyKind::Grpc, _, _) => Vec::new(),
            (ProxyKind::Sidecar, _, Some(sidecar)) => {
                let entries = sidecar.spec.ingress.iter().enumerate().take(PORTS_MAX);
                entries.map(|(place, entry)| input(entry.port, Vec::new(), Some((sidecar.clone(), place)))).collect()
            }
            // Without interception nothing arrives at the ports of the application but what is meant for it.
            (ProxyKind::Sidecar, Interception::None(_), None) => Vec::new(),
            (ProxyKind::Sidecar, Interception::Redirect | Interception::Tproxy, None) => {
                let ports = ports(mesh, viewpoint, &mut by_name);
                let rule = |service: &Shared<MeshService>, compiler: &mut Compiler| {
                    rules_for(mesh, key, &service.service).map(|rules| compiler.merged(rules))
                };
                let mut inputs = Vec::new();
                for (port, services) in ports.into_iter().take(PORTS_MAX) {
                    let services = services.into_iter().map(|s| (s.clone(), rule(&s, compiler))).collect();
                    inputs.push(input(port, services, None));
                }
                inputs
            }
        };
        self.by_name = by_name;
        let tls = if viewpoint.has_certificates {
            mesh.authentications(&viewpoint.namespace).of(&viewpoint.labels)
        } else {
            WorkloadTls::disabled()
        };
        let differs = self.inputs != inputs || self.tls != tls;
        self.inputs = inputs;
        self.tls = tls;
        differs
    }

    fn compile(&mut self, compiler: &mut Compiler, viewpoint: &Viewpoint) {
        match viewpoint.kind {
            ProxyKind::Sidecar => {}
            ProxyKind::Router | ProxyKind::Grpc => return,
        }
        self.clusters = vec![compiler.fixed(&self.scope.config, viewpoint)];
        self.clusters.extend(self.inputs.iter().map(|input| compiler.inbound(input)));
        let plan = listener::plan_inbound(&self.scope, viewpoint, &self.inputs, &self.tls);
        self.listeners = plan.into_iter().map(|input| compiler.inbound_listener(input)).collect();
    }
}

/// The ports that the services of a workload lead to, with the services, oldest first.
fn ports(mesh: &Mesh, viewpoint: &Viewpoint, by_name: &mut bool) -> BTreeMap<u16, Vec<Shared<MeshService>>> {
    let mut services: Vec<_> =
        mesh.services_in(&viewpoint.namespace).filter(|service| selects(service, viewpoint)).collect();
    services.sort_by_key(|service| (service.created.unwrap_or(i64::MIN), &service.service.hostname));
    let mut ports: BTreeMap<u16, Vec<Shared<MeshService>>> = BTreeMap::new();
    for service in services {
        for port in service.service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            let targets = match &port.target {
                TargetPort::Number(number) => BTreeSet::from([*number]),
                TargetPort::Named(name) => {
                    *by_name = true;
                    named(mesh, viewpoint, service, port, name)
                }
            };
            for target in targets {
                let leading = ports.entry(target).or_default();
                if !leading.contains(service) {
                    leading.push(service.clone());
                }
            }
        }
    }
    ports
}

/// Where a named port is: what the pods of the viewpoint say, else where the service is known to answer.
fn named(mesh: &Mesh, viewpoint: &Viewpoint, service: &MeshService, port: &ServicePort, name: &str) -> BTreeSet<u16> {
    let pods = mesh.pods().in_namespace(&viewpoint.namespace);
    let own = pods.filter(|pod| !pod.spec.ended && looks_like(mesh, viewpoint, &pod.spec.labels));
    let of_pods: BTreeSet<u16> = own.filter_map(|pod| pod.spec.named_ports.get(name).copied()).collect();
    if !of_pods.is_empty() {
        return of_pods;
    }
    let endpoints = mesh.endpoints(&ServiceKey::of(service));
    let of_port = endpoints.and_then(|endpoints| endpoints.0.get(&port.number)).into_iter().flatten();
    of_port
        .filter_map(|endpoint| match endpoint.address {
            EndpointAddress::Ip(_, port) => Some(port),
            EndpointAddress::Dns(..) | EndpointAddress::Pipe(_) => None,
        })
        .collect()
}

/// Whether a proxy beside a workload with these labels would look from this viewpoint.
fn looks_like(mesh: &Mesh, viewpoint: &Viewpoint, labels: &Labels) -> bool {
    let mentions = mesh.mentions();
    let mentioned = labels.keys().filter(|key| mentions.label(&viewpoint.namespace, key)).count();
    mentioned == viewpoint.labels.len() && has(labels, &viewpoint.labels)
}

fn has(labels: &Labels, wanted: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn selects(service: &MeshService, viewpoint: &Viewpoint) -> bool {
    let leads_to_pods = match service.service.resolution {
        Resolution::Static | Resolution::Headless => true,
        Resolution::None | Resolution::Dns | Resolution::DnsRoundRobin | Resolution::Alias(_) => false,
    };
    let selector = service.service.selector.as_ref().filter(|selector| !Selector::is_empty(selector));
    leads_to_pods && selector.is_some_and(|selector| selector.selects(&viewpoint.labels))
}

fn same(units: &[Unit], others: &[Unit]) -> bool {
    units.len() == others.len() && units.iter().zip(others).all(|(a, b)| Arc::ptr_eq(a, b))
}
