//! The cluster that leads from the proxy to its own application.

use std::{net::IpAddr, net::Ipv4Addr, time::Duration};

use proto::envoy::config::{
    cluster::v3::{
        Cluster,
        cluster::{DiscoveryType, LbConfig, LbPolicy, OriginalDstLbConfig},
    },
    endpoint::v3::ClusterLoadAssignment,
};

use super::{
    InboundInput, circuit_breaker, connect_timeout, discovery, dns, fixed, http_protocol_options,
    http_protocol_options::Upstream, metadata::ClusterMetadata, name::ClusterName, policy,
};
use crate::{
    compile::{Compiled, References, duration, endpoint, scope::MergedRule, viewpoint::Interception},
    model::{
        Origin,
        destination_rule::ConnectionPool,
        endpoint::EndpointAddress,
        mesh_config::InboundTrafficPolicy,
        protocol::Protocol,
        service::{Service, ServicePort, TargetPort},
        sidecar::Ingress,
    },
};

/// When an unused address of the application is forgotten: never, in effect. It has one or two, and to forget one closes
/// its idle connections under the next request.
const CLEANUP_INTERVAL: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Where the application answers.
#[derive(Debug, PartialEq)]
enum Application {
    /// At the address that the caller dialled, at this port when it is another one.
    AsDialled(Option<u16>),
    /// At this address.
    At(EndpointAddress),
}

impl InboundInput {
    /// The ingress entry of the Sidecar for this port, if it has one.
    #[must_use]
    pub fn ingress_entry(&self) -> Option<&Ingress> {
        self.ingress.as_ref().and_then(|(sidecar, index)| sidecar.spec.ingress.get(*index))
    }

    /// The port of `service` that leads to the application's port.
    ///
    /// A port that is given by number is certain. Of named ones the number is the pod's secret: one alone must be meant,
    /// and of several none is known to be.
    #[must_use]
    pub fn service_port<'a>(&self, service: &'a Service) -> Option<&'a ServicePort> {
        let numbered = |port: &&ServicePort| port.target == TargetPort::Number(self.port);
        service.ports.iter().find(numbered).or_else(|| match named_ports(service).as_slice() {
            [only] => Some(*only),
            _ => None,
        })
    }

    /// What the port carries: as the Sidecar says, else as the oldest service says. Where one of several named ports leads
    /// here and they disagree, nobody knows, and the proxy looks at the first bytes.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        if let Some(ingress) = self.ingress_entry() {
            return ingress.protocol;
        }
        let Some((service, _)) = self.services.first() else { return Protocol::Auto };
        if let Some(port) = self.service_port(&service.service) {
            return port.protocol;
        }
        let named = named_ports(&service.service);
        match named.split_first() {
            Some((first, rest)) if rest.iter().all(|port| port.protocol == first.protocol) => first.protocol,
            Some(_) | None => Protocol::Auto,
        }
    }
}

fn named_ports(service: &Service) -> Vec<&ServicePort> {
    let named = |port: &&ServicePort| port.protocol != Protocol::Udp && matches!(port.target, TargetPort::Named(_));
    service.ports.iter().filter(named).collect()
}

/// The cluster; UDP has none.
pub(super) fn cluster(input: &InboundInput) -> Option<Compiled<Cluster>> {
    let protocol = input.protocol();
    if protocol == Protocol::Udp {
        return None;
    }
    let mesh = &input.config.spec;
    let name = ClusterName::inbound(input.port);
    let pool = connection_pool(input);
    // How callers reach the proxy does not change what the application speaks: no upgrade here.
    let upstream = Upstream::of(protocol, None, false);
    let provenance = provenance(input);
    let metadata = ClusterMetadata {
        sniffed: false,
        services: input.services.iter().map(|(service, _)| &**service).collect(),
        rule: input.services.first().and_then(|(_, rule)| rule.as_ref()?.shown(None)),
        subset: None,
        origins: &provenance,
    };
    let mut cluster = Cluster {
        name: name.as_str().to_owned(),
        alt_stat_name: name.stat(),
        connect_timeout: Some(connect_timeout(mesh)),
        circuit_breakers: Some(circuit_breaker::thresholds(pool.as_ref())),
        typed_extension_protocol_options: http_protocol_options::options(upstream, pool.as_ref(), None),
        metadata: Some(metadata.to_proto()),
        ..Cluster::default()
    };
    lead_to(application(input), &mut cluster, input);
    Some(Compiled { name: name.shared(), message: cluster, references: References::default(), provenance })
}

fn application(input: &InboundInput) -> Application {
    let dials = match input.interception {
        Interception::Redirect | Interception::Tproxy => true,
        Interception::None(_) => false,
    };
    let loopback = |port| Application::At(EndpointAddress::Ip(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    match input.ingress_entry().and_then(|ingress| ingress.default_endpoint.as_ref()) {
        // The unspecified address stands for the pod's own.
        Some(EndpointAddress::Ip(ip, port)) if ip.is_unspecified() && dials => {
            Application::AsDialled((*port != input.port).then_some(*port))
        }
        Some(EndpointAddress::Ip(ip, port)) if ip.is_unspecified() => loopback(*port),
        Some(address) => Application::At(address.clone()),
        None if !dials => loopback(input.port),
        None if input.ingress.is_some() => Application::AsDialled(None),
        None => match input.config.spec.inbound_traffic_policy {
            InboundTrafficPolicy::Passthrough => Application::AsDialled(None),
            InboundTrafficPolicy::Localhost => loopback(input.port),
        },
    }
}

fn lead_to(application: Application, cluster: &mut Cluster, input: &InboundInput) {
    match application {
        Application::AsDialled(port) => {
            discovery::original_destination(cluster);
            cluster.lb_config = port.map(|port| {
                LbConfig::OriginalDstLbConfig(OriginalDstLbConfig {
                    upstream_port_override: Some(u32::from(port)),
                    ..OriginalDstLbConfig::default()
                })
            });
            cluster.cleanup_interval = Some(duration::of(CLEANUP_INTERVAL));
            cluster.upstream_bind_config = Some(fixed::inbound_source(input.ipv6));
        }
        Application::At(address) => {
            cluster.lb_policy = LbPolicy::RoundRobin.into();
            cluster.cluster_discovery_type = match &address {
                EndpointAddress::Ip(..) | EndpointAddress::Pipe(_) => discovery::kind(DiscoveryType::Static),
                EndpointAddress::Dns(..) => Some(dns::resolving(dns::Addresses::All, &input.config.spec)),
            };
            cluster.load_assignment = Some(ClusterLoadAssignment {
                cluster_name: cluster.name.clone(),
                endpoints: vec![endpoint::bare(&address)],
                ..ClusterLoadAssignment::default()
            });
        }
    }
}

/// The limits: those that callers have towards the oldest service, so that the application is not asked for more than its
/// rule allows by callers without a proxy of their own.
fn connection_pool(input: &InboundInput) -> Option<ConnectionPool> {
    let (rule, port) = limiting(input)?;
    policy::effective(Some(rule), port, None).connection_pool
}

/// The rule for the oldest service, and the port of it that leads here.
fn limiting(input: &InboundInput) -> Option<(&MergedRule, u16)> {
    let (service, rule) = input.services.first()?;
    let port = input.service_port(&service.service).map_or(0, |port| port.number);
    Some((rule.as_deref()?, port))
}

fn provenance(input: &InboundInput) -> Vec<Origin> {
    let mut origins: Vec<Origin> = input.services.iter().map(|(service, _)| Origin::whole(&service.origin)).collect();
    if let Some((sidecar, index)) = &input.ingress {
        origins.push(Origin::field(&sidecar.id, &format!("spec.ingress[{index}]")));
    }
    origins.extend(limiting(input).and_then(|(rule, port)| {
        policy::origin_of_block(rule, port, None, "connectionPool", |policy| policy.connection_pool.is_some())
    }));
    origins
}

#[cfg(test)]
mod tests {
    use proto::envoy::{config::core::v3::address::Address, config::endpoint::v3::lb_endpoint::HostIdentifier};

    use super::*;
    use crate::{
        compile::cluster::fixture::{inbound_input, mesh, named_port, namespace, pool, port, rule, rule_with, service},
        model::{
            Kind, Object, ObjectId, Shared, destination_rule::PortPolicy, mesh_config::MeshConfig, sidecar::Sidecar,
        },
    };

    fn compiled(input: &InboundInput) -> Cluster {
        cluster(input).unwrap().message
    }

    fn address(cluster: &Cluster) -> String {
        let endpoint = &cluster.load_assignment.as_ref().unwrap().endpoints[0].lb_endpoints[0];
        let Some(HostIdentifier::Endpoint(endpoint)) = &endpoint.host_identifier else { panic!("no endpoint") };
        match endpoint.address.as_ref().unwrap().address.as_ref().unwrap() {
            Address::SocketAddress(socket) => socket.address.clone(),
            Address::Pipe(pipe) => pipe.path.clone(),
            Address::EnvoyInternalAddress(_) => panic!("internal"),
        }
    }

    fn with_ingress(mut input: InboundInput, protocol: Protocol, default: Option<EndpointAddress>) -> InboundInput {
        let ingress = Ingress { port: 9080, name: "in".into(), protocol, bind: None, default_endpoint: default };
        let spec =
            Sidecar { workload_selector: None, egress: None, ingress: vec![ingress], outbound_traffic_policy: None };
        let id = ObjectId::new(Kind::Sidecar, namespace(), "own");
        let sidecar = Object { id, created: None, generation: None, location: None, spec };
        input.ingress = Some((Shared::new(sidecar), 0));
        input
    }

    #[test]
    fn traffic_reaches_the_application_at_the_address_dialled() {
        let cluster = compiled(&inbound_input(service("reviews"), None));
        assert_eq!(cluster.name, "inbound|9080||");
        assert_eq!(cluster.cluster_discovery_type, discovery::kind(DiscoveryType::OriginalDst));
        assert!(cluster.upstream_bind_config.is_some());
        assert!(cluster.typed_extension_protocol_options.is_empty());
    }

    #[test]
    fn the_application_is_on_loopback_by_the_mesh_or_without_interception() {
        let mut input = inbound_input(service("reviews"), None);
        let inbound_traffic_policy = InboundTrafficPolicy::Localhost;
        input.config = mesh(MeshConfig { inbound_traffic_policy, ..MeshConfig::default() });
        assert_eq!(address(&compiled(&input)), "127.0.0.1");
        assert_eq!(compiled(&input).upstream_bind_config, None);
        let mut input = inbound_input(service("reviews"), None);
        input.interception = Interception::None(None);
        assert_eq!(address(&compiled(&input)), "127.0.0.1");
    }

    #[test]
    fn a_sidecars_ingress_says_where_the_application_is() {
        let to = |default| with_ingress(inbound_input(service("reviews"), None), Protocol::Http, default);
        let pipe = compiled(&to(Some(EndpointAddress::Pipe("/run/app".into()))));
        assert_eq!(
            (address(&pipe).as_str(), pipe.cluster_discovery_type),
            ("/run/app", discovery::kind(DiscoveryType::Static))
        );
        let other = to(Some(EndpointAddress::Ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080)));
        let Some(LbConfig::OriginalDstLbConfig(config)) = compiled(&other).lb_config else { panic!("same port") };
        assert_eq!(config.upstream_port_override, Some(8080));
        assert!(compiled(&to(None)).load_assignment.is_none());
    }

    #[test]
    fn the_limits_are_those_of_the_oldest_services_rule() {
        let policy = PortPolicy { connection_pool: Some(pool()), ..PortPolicy::default() };
        let mut input = inbound_input(service("reviews"), Some(rule_with(policy)));
        input.services.push((Shared::new(service("other")), None));
        let cluster = compiled(&input);
        let limits = cluster.circuit_breakers.as_ref().unwrap().thresholds[0];
        assert_eq!((limits.max_connections, limits.max_pending_requests), (Some(100), Some(10)));
        assert_eq!(cluster.typed_extension_protocol_options.len(), 1);
        let istio = &cluster.metadata.unwrap().filter_metadata["istio"].fields;
        assert!(istio.contains_key("config") && istio.contains_key("services"));
    }

    #[test]
    fn a_rule_that_upgrades_callers_leaves_the_application_its_protocol() {
        let pool = ConnectionPool { h2_upgrade: Some(true), ..ConnectionPool::default() };
        let policy = PortPolicy { connection_pool: Some(pool), ..PortPolicy::default() };
        let cluster = compiled(&inbound_input(service("reviews"), Some(rule_with(policy))));
        assert!(cluster.typed_extension_protocol_options.is_empty());
    }

    #[test]
    fn the_protocol_is_that_of_the_service_port_which_leads_here() {
        let protocol = |ports| {
            let mut service = service("reviews");
            service.service.ports = ports;
            inbound_input(service, Some(rule())).protocol()
        };
        let mut redirected = port(80, Protocol::Grpc);
        redirected.target = TargetPort::Number(9080);
        assert_eq!(protocol(vec![port(81, Protocol::Tcp), redirected]), Protocol::Grpc);
        assert_eq!(protocol(vec![named_port(80, Protocol::Http, "web")]), Protocol::Http);
        let (web, rpc) = (named_port(80, Protocol::Http, "web"), named_port(81, Protocol::Grpc, "rpc"));
        assert_eq!(protocol(vec![web.clone(), rpc]), Protocol::Auto);
        assert_eq!(protocol(vec![web, named_port(81, Protocol::Http, "admin")]), Protocol::Http);
        let ingress = with_ingress(inbound_input(service("reviews"), None), Protocol::Tcp, None);
        assert_eq!(ingress.protocol(), Protocol::Tcp);
    }
}
