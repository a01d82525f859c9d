//! What every object has: its identity, where it was written, and how it changes.

use std::{fmt, sync::Arc};

use super::{
    destination_rule::DestinationRule,
    endpoint::EndpointSlice,
    mesh_config::MeshConfig,
    name::Namespace,
    peer_authentication::PeerAuthentication,
    problem::steers_terminal,
    service::Service,
    service_entry::{ServiceEntry, WorkloadEntry},
    sidecar::Sidecar,
    virtual_service::VirtualService,
    workload::{NamespaceInfo, Node, Pod, ServiceAccount},
};

/// The kinds that take part in compilation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each variant is the Kubernetes kind of that name; MeshConfig is ConfigMap `istio`")]
pub enum Kind {
    MeshConfig,
    Namespace,
    Node,
    ServiceAccount,
    Pod,
    Service,
    EndpointSlice,
    ServiceEntry,
    WorkloadEntry,
    VirtualService,
    DestinationRule,
    Sidecar,
    PeerAuthentication,
}

impl Kind {
    /// The kind as users write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MeshConfig => "ConfigMap",
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::ServiceAccount => "ServiceAccount",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::ServiceEntry => "ServiceEntry",
            Self::WorkloadEntry => "WorkloadEntry",
            Self::VirtualService => "VirtualService",
            Self::DestinationRule => "DestinationRule",
            Self::Sidecar => "Sidecar",
            Self::PeerAuthentication => "PeerAuthentication",
        }
    }

    /// The path segments of group, version and kind that Istio writes into Envoy metadata, where it does.
    #[must_use]
    pub fn metadata_path(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::VirtualService => Some(("networking.istio.io/v1", "virtual-service")),
            Self::DestinationRule => Some(("networking.istio.io/v1", "destination-rule")),
            Self::ServiceEntry => Some(("networking.istio.io/v1", "service-entry")),
            Self::WorkloadEntry => Some(("networking.istio.io/v1", "workload-entry")),
            Self::Sidecar => Some(("networking.istio.io/v1", "sidecar")),
            Self::PeerAuthentication => Some(("security.istio.io/v1", "peer-authentication")),
            Self::MeshConfig
            | Self::Namespace
            | Self::Node
            | Self::ServiceAccount
            | Self::Pod
            | Self::Service
            | Self::EndpointSlice => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which object: kind, namespace (empty for cluster-wide kinds) and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; [`Namespace::none`] for cluster-wide kinds.
    pub namespace: Namespace,
    /// Its `metadata.name`.
    pub name: Arc<str>,
}

impl ObjectId {
    /// An identity from its parts.
    #[must_use]
    pub fn new(kind: Kind, namespace: Namespace, name: &str) -> Self {
        Self { kind, namespace, name: name.into() }
    }

    /// The reference that Istio writes into Envoy metadata under `istio`/`config`, for kinds that have one.
    #[must_use]
    pub fn metadata_config(&self) -> Option<String> {
        let (group, kind) = self.kind.metadata_path()?;
        Some(format!("/apis/{group}/namespaces/{}/{kind}/{}", self.namespace, self.name))
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.as_str().is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// Where in a file something stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location {
    /// The file, as the source names it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
}

impl fmt::Display for Location {
    /// `file:line:column`; control characters of the file's name are escaped, since a log or terminal would obey them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.file.chars() {
            if steers_terminal(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        write!(f, ":{}:{}", self.line, self.column)
    }
}

/// A part of an object that made a resource: provenance.
///
/// Subsets and port settings are named by their key, `spec.subsets[name=v1]`, so that one more before them changes no
/// cluster: Envoy would open every connection of it anew. Rules of a VirtualService have none, and are counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The object.
    pub object: ObjectId,
    /// The field, `spec.http[0]`, or empty for the whole object.
    pub field: Arc<str>,
}

impl Origin {
    /// The whole of `object`.
    #[must_use]
    pub fn whole(object: &ObjectId) -> Self {
        Self { object: object.clone(), field: "".into() }
    }

    /// The field `field` of `object`.
    #[must_use]
    pub fn field(object: &ObjectId, field: &str) -> Self {
        Self { object: object.clone(), field: field.into() }
    }
}

/// An object: what identifies and orders it, and its parsed content.
#[derive(Debug, Clone)]
pub struct Object<T> {
    /// Which object.
    pub id: ObjectId,
    /// When it was created, in seconds since 1970; older objects win over newer ones, unknown counts as oldest.
    pub created: Option<i64>,
    /// `metadata.generation`, where the API server counted one.
    pub generation: Option<i64>,
    /// Where it was written, for objects from files.
    pub location: Option<Location>,
    /// Its content.
    pub spec: T,
}

impl<T: PartialEq> Object<T> {
    /// Whether the compiler would see a difference: neither a moved line nor a counted generation is one.
    #[must_use]
    pub fn means_the_same(&self, other: &Self) -> bool {
        self.id == other.id && self.created == other.created && self.spec == other.spec
    }
}

impl<T> Object<T> {
    /// The order in which objects take precedence: oldest first, then by name and namespace.
    #[must_use]
    pub fn precedence(&self) -> (i64, &str, &str) {
        (self.created.unwrap_or(i64::MIN), &self.id.name, self.id.namespace.as_str())
    }
}

/// An object of any kind but endpoints.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "each variant is the kind of that name")]
#[allow(clippy::large_enum_variant, reason = "lives in the box of `Change::Set`")]
pub enum Config {
    MeshConfig(Object<MeshConfig>),
    Namespace(Object<NamespaceInfo>),
    Node(Object<Node>),
    ServiceAccount(Object<ServiceAccount>),
    Pod(Object<Pod>),
    Service(Object<Service>),
    ServiceEntry(Object<ServiceEntry>),
    WorkloadEntry(Object<WorkloadEntry>),
    VirtualService(Object<VirtualService>),
    DestinationRule(Object<DestinationRule>),
    Sidecar(Object<Sidecar>),
    PeerAuthentication(Object<PeerAuthentication>),
}

impl Config {
    /// Which object it is.
    #[must_use]
    pub fn id(&self) -> &ObjectId {
        match self {
            Self::MeshConfig(o) => &o.id,
            Self::Namespace(o) => &o.id,
            Self::Node(o) => &o.id,
            Self::ServiceAccount(o) => &o.id,
            Self::Pod(o) => &o.id,
            Self::Service(o) => &o.id,
            Self::ServiceEntry(o) => &o.id,
            Self::WorkloadEntry(o) => &o.id,
            Self::VirtualService(o) => &o.id,
            Self::DestinationRule(o) => &o.id,
            Self::Sidecar(o) => &o.id,
            Self::PeerAuthentication(o) => &o.id,
        }
    }
}

/// One change of the mesh. Endpoints are a variant of their own, since nothing but endpoints follows from them.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object was added or replaced.
    Set(Box<Config>),
    /// An EndpointSlice was added or replaced.
    SetEndpoints(Box<Object<EndpointSlice>>),
    /// An object of any kind is gone.
    Remove(ObjectId),
}
