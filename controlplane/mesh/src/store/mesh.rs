//! The read side of the store: every object by kind, and what is derived from them.

use imbl::{OrdMap, OrdSet};

use super::{OBJECTS_MAX, Objects, mentions::Mentions, rules::Rules};
use crate::model::{
    Config, Hostname, Kind, Location, Namespace, Object, ObjectId, Shared,
    destination_rule::DestinationRule,
    endpoint::{EndpointSlice, Locality},
    mesh_config::MeshConfig,
    mesh_service::{Endpoints, Identities, MeshService},
    peer_authentication::PeerAuthentication,
    service::Service,
    service_entry::{ServiceEntry, WorkloadEntry},
    sidecar::Sidecar,
    virtual_service::VirtualService,
    workload::{NamespaceInfo, Node, Pod, ServiceAccount},
};

/// The mesh at one moment. A clone costs nothing and stays as it is while the store goes on.
#[derive(Debug, Clone)]
pub struct Mesh {
    pub(super) config: Shared<Object<MeshConfig>>,
    pub(super) mesh_configs: Objects<MeshConfig>,
    pub(super) namespaces: Objects<NamespaceInfo>,
    pub(super) nodes: Objects<Node>,
    pub(super) service_accounts: Objects<ServiceAccount>,
    pub(super) pods: Objects<Pod>,
    pub(super) declared_services: Objects<Service>,
    pub(super) endpoint_slices: Objects<EndpointSlice>,
    pub(super) service_entries: Objects<ServiceEntry>,
    pub(super) workload_entries: Objects<WorkloadEntry>,
    pub(super) virtual_services: Objects<VirtualService>,
    pub(super) destination_rules: Objects<DestinationRule>,
    pub(super) sidecars: Objects<Sidecar>,
    pub(super) peer_authentications: Objects<PeerAuthentication>,
    pub(super) written: OrdMap<ObjectId, Written>,
    pub(super) services: OrdMap<ServiceKey, ServiceState>,
    pub(super) services_by_namespace: OrdSet<(Namespace, Hostname)>,
    pub(super) rules: Rules,
    pub(super) mentions: Mentions,
    pub(super) objects_max: usize,
    pub(super) left_out: OrdSet<ObjectId>,
}

/// Which service: a host, as one namespace declares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceKey {
    /// Its name in the mesh.
    pub host: Hostname,
    /// The namespace of the objects that declare it.
    pub namespace: Namespace,
}

impl ServiceKey {
    /// The key of a service.
    #[must_use]
    pub fn of(service: &MeshService) -> Self {
        Self { host: service.service.hostname.clone(), namespace: service.service.namespace.clone() }
    }
}

/// Where an object was last written, and how often; no compiled resource depends on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// File, line and column, for objects from files.
    pub location: Option<Location>,
    /// `metadata.generation`, where the API server counted one.
    pub generation: Option<i64>,
}

/// A service, where it answers, and as whom.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ServiceState {
    pub(super) service: Shared<MeshService>,
    pub(super) endpoints: Shared<Endpoints>,
    pub(super) identities: Shared<Identities>,
    /// The ports that have more endpoints than count.
    pub(super) crowded: Vec<u16>,
}

impl Default for Mesh {
    fn default() -> Self {
        Self {
            config: Shared::new(Object::built_in()),
            mesh_configs: Objects::default(),
            namespaces: Objects::default(),
            nodes: Objects::default(),
            service_accounts: Objects::default(),
            pods: Objects::default(),
            declared_services: Objects::default(),
            endpoint_slices: Objects::default(),
            service_entries: Objects::default(),
            workload_entries: Objects::default(),
            virtual_services: Objects::default(),
            destination_rules: Objects::default(),
            sidecars: Objects::default(),
            peer_authentications: Objects::default(),
            written: OrdMap::new(),
            services: OrdMap::new(),
            services_by_namespace: OrdSet::new(),
            rules: Rules::default(),
            mentions: Mentions::default(),
            objects_max: OBJECTS_MAX,
            left_out: OrdSet::new(),
        }
    }
}

impl Mesh {
    /// The mesh's configuration; the built-in one when nobody wrote any.
    #[must_use]
    pub fn config(&self) -> &Shared<Object<MeshConfig>> {
        &self.config
    }

    /// Namespaces.
    #[must_use]
    pub fn namespaces(&self) -> &Objects<NamespaceInfo> {
        &self.namespaces
    }

    /// Nodes.
    #[must_use]
    pub fn nodes(&self) -> &Objects<Node> {
        &self.nodes
    }

    /// Service accounts.
    #[must_use]
    pub fn service_accounts(&self) -> &Objects<ServiceAccount> {
        &self.service_accounts
    }

    /// Pods.
    #[must_use]
    pub fn pods(&self) -> &Objects<Pod> {
        &self.pods
    }

    /// Kubernetes Services, as they are declared; see [`Mesh::services`] for what the mesh makes of them.
    #[must_use]
    pub fn declared_services(&self) -> &Objects<Service> {
        &self.declared_services
    }

    /// EndpointSlices.
    #[must_use]
    pub fn endpoint_slices(&self) -> &Objects<EndpointSlice> {
        &self.endpoint_slices
    }

    /// ServiceEntries.
    #[must_use]
    pub fn service_entries(&self) -> &Objects<ServiceEntry> {
        &self.service_entries
    }

    /// WorkloadEntries.
    #[must_use]
    pub fn workload_entries(&self) -> &Objects<WorkloadEntry> {
        &self.workload_entries
    }

    /// VirtualServices.
    #[must_use]
    pub fn virtual_services(&self) -> &Objects<VirtualService> {
        &self.virtual_services
    }

    /// DestinationRules, as they are declared; see [`Mesh::rules`] for those of one host.
    #[must_use]
    pub fn destination_rules(&self) -> &Objects<DestinationRule> {
        &self.destination_rules
    }

    /// Sidecars.
    #[must_use]
    pub fn sidecars(&self) -> &Objects<Sidecar> {
        &self.sidecars
    }

    /// PeerAuthentications, as they are declared; see [`Mesh::authentications`] for what holds.
    #[must_use]
    pub fn peer_authentications(&self) -> &Objects<PeerAuthentication> {
        &self.peer_authentications
    }

    /// The DestinationRules by namespace and host.
    #[must_use]
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where and how often an object was written.
    #[must_use]
    pub fn written(&self, id: &ObjectId) -> Option<&Written> {
        self.written.get(id)
    }

    /// Whether all objects were written at the same places and as often, as far as that is seen at no cost.
    #[must_use]
    pub fn is_written_like(&self, other: &Self) -> bool {
        self.written.ptr_eq(&other.written)
    }

    /// Every object there is.
    pub fn ids(&self) -> impl Iterator<Item = &ObjectId> {
        fn of<T>(objects: &Objects<T>) -> impl Iterator<Item = &ObjectId> {
            objects.iter().map(|object| &object.id)
        }
        of(&self.mesh_configs)
            .chain(of(&self.namespaces))
            .chain(of(&self.nodes))
            .chain(of(&self.service_accounts))
            .chain(of(&self.pods))
            .chain(of(&self.declared_services))
            .chain(of(&self.endpoint_slices))
            .chain(of(&self.service_entries))
            .chain(of(&self.workload_entries))
            .chain(of(&self.virtual_services))
            .chain(of(&self.destination_rules))
            .chain(of(&self.sidecars))
            .chain(of(&self.peer_authentications))
    }

    /// Whether any object that there is was read from a file.
    #[must_use]
    pub fn has_any_of(&self, file: &str) -> bool {
        self.written.values().filter_map(|written| written.location.as_ref()).any(|location| &*location.file == file)
    }

    /// Where an object stands in its file.
    #[must_use]
    pub fn object_location(&self, id: &ObjectId) -> Option<&Location> {
        self.written.get(id).and_then(|written| written.location.as_ref())
    }

    /// All services of the mesh: one for each Kubernetes Service, and for each host of the ServiceEntries of a namespace.
    pub fn services(&self) -> impl Iterator<Item = &Shared<MeshService>> {
        self.services.values().map(|state| &state.service)
    }

    /// How many services there are.
    #[must_use]
    pub fn service_count(&self) -> usize {
        self.services.len()
    }

    /// One service.
    #[must_use]
    pub fn service(&self, key: &ServiceKey) -> Option<&Shared<MeshService>> {
        self.services.get(key).map(|state| &state.service)
    }

    /// What the namespaces of the mesh declare by this very name, by namespace.
    pub fn declarations<'a>(&'a self, host: &Hostname) -> impl Iterator<Item = &'a Shared<MeshService>> {
        self.services
            .range(ServiceKey { host: host.clone(), namespace: Namespace::none() }..)
            .take_while(move |(key, _)| key.host == *host)
            .map(|(_, state)| &state.service)
    }

    /// The services that objects of one namespace declare, by host.
    pub fn services_in<'a>(&'a self, namespace: &Namespace) -> impl Iterator<Item = &'a Shared<MeshService>> {
        self.services_by_namespace
            .range((Namespace::clone(namespace), first_hostname())..)
            .take_while(move |(of, _)| of == namespace)
            .filter_map(|(of, host)| self.service(&ServiceKey { host: host.clone(), namespace: of.clone() }))
    }

    /// Where a service answers; `None` for a service that is not there.
    #[must_use]
    pub fn endpoints(&self, key: &ServiceKey) -> Option<&Shared<Endpoints>> {
        self.services.get(key).map(|state| &state.endpoints)
    }

    /// Who answers for a service; `None` for a service that is not there.
    #[must_use]
    pub fn identities(&self, key: &ServiceKey) -> Option<&Shared<Identities>> {
        self.services.get(key).map(|state| &state.identities)
    }

    /// The ports of a service that have more endpoints than [`ENDPOINTS_OF_PORT_MAX`](crate::model::mesh_service::ENDPOINTS_OF_PORT_MAX).
    #[must_use]
    pub fn crowded_ports(&self, key: &ServiceKey) -> &[u16] {
        self.services.get(key).map_or(&[], |state| &state.crowded)
    }

    /// How many objects of one kind are held.
    #[must_use]
    pub fn objects_max(&self) -> usize {
        self.objects_max
    }

    /// Objects that are not in force because there are too many of their kind: the first of them, where they are very many.
    pub fn left_out(&self) -> impl Iterator<Item = &ObjectId> {
        self.left_out.iter()
    }

    /// Where a node stands; unknown for a node that is not there.
    #[must_use]
    pub fn locality_of_node(&self, node: &str) -> Locality {
        let id = ObjectId::new(Kind::Node, Namespace::none(), node);
        self.nodes.get(&id).map(|node| node.spec.locality.clone()).unwrap_or_default()
    }

    pub(crate) fn mentions(&self) -> &Mentions {
        &self.mentions
    }

    pub(super) fn write_down(&mut self, config: &Config) {
        match config {
            Config::MeshConfig(object) => self.write_down_object(object),
            Config::Namespace(object) => self.write_down_object(object),
            Config::Node(object) => self.write_down_object(object),
            Config::ServiceAccount(object) => self.write_down_object(object),
            Config::Pod(object) => self.write_down_object(object),
            Config::Service(object) => self.write_down_object(object),
            Config::ServiceEntry(object) => self.write_down_object(object),
            Config::WorkloadEntry(object) => self.write_down_object(object),
            Config::VirtualService(object) => self.write_down_object(object),
            Config::DestinationRule(object) => self.write_down_object(object),
            Config::Sidecar(object) => self.write_down_object(object),
            Config::PeerAuthentication(object) => self.write_down_object(object),
        }
    }

    pub(super) fn write_down_object<T>(&mut self, object: &Object<T>) {
        let written = Written { location: object.location.clone(), generation: object.generation };
        if written == Written::default() {
            self.written.remove(&object.id);
        } else {
            self.written.insert(object.id.clone(), written);
        }
    }

    pub(super) fn strike_out(&mut self, id: &ObjectId) {
        self.written.remove(id);
    }
}

/// Sorts before every other hostname: `*` (0x2a) is the least byte that a hostname can begin with.
fn first_hostname() -> Hostname {
    static FIRST: std::sync::OnceLock<Hostname> = std::sync::OnceLock::new();
    FIRST.get_or_init(|| Hostname::parse("*").expect("`*` is a hostname")).clone()
}
