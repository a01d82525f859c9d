//! Which kinds there are, and what becomes of their objects.

use std::sync::LazyLock;

use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery};
use mesh::model::{Kind, code, code::Code};

use super::{
    istio::{self, IstioKind},
    schema::Schema,
};

/// What becomes of the objects of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Treatment {
    /// They are compiled.
    Compiled(Kind),
    /// They are ConfigMaps: the one of the mesh is compiled.
    ConfigMap,
    /// They hold other objects.
    List,
    /// They are accepted, and do nothing; the code and reason say so.
    Accepted(Code, &'static str),
    /// They are held against the schema of their kind, and do nothing yet; the code and reason say so.
    Checked(&'static IstioKind, Code, &'static str),
    /// Nobody knows them.
    Unknown,
}

/// What becomes of objects of `kind` in `api_version`.
#[must_use]
pub fn treatment(api_version: &str, kind: &str) -> Treatment {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    match group {
        "" if version == "v1" => core_kind(kind),
        "discovery.k8s.io" if version == "v1" && kind == "EndpointSlice" => Treatment::Compiled(Kind::EndpointSlice),
        _ if let Some(known) = istio::find(group, kind) => istio_kind(known, version),
        "gateway.networking.k8s.io" => gateway_api_kind(kind),
        _ if kind.ends_with("List") => Treatment::List,
        _ if is_kubernetes(group) => PLAIN,
        _ => Treatment::Unknown,
    }
}

const PLAIN: Treatment = Treatment::Accepted(code::PLAIN_KIND, "has no part in the mesh");

fn core_kind(kind: &str) -> Treatment {
    match kind {
        "Service" => Treatment::Compiled(Kind::Service),
        "Pod" => Treatment::Compiled(Kind::Pod),
        "Namespace" => Treatment::Compiled(Kind::Namespace),
        "ServiceAccount" => Treatment::Compiled(Kind::ServiceAccount),
        "Node" => Treatment::Compiled(Kind::Node),
        "ConfigMap" => Treatment::ConfigMap,
        "Endpoints" => Treatment::Accepted(code::PLAIN_KIND, "is not read: EndpointSlices say the same"),
        "Secret" => Treatment::Accepted(code::KIND_NOT_IN_FORCE, "is not read yet: certificates come from files"),
        "List" => Treatment::List,
        _ if kind.ends_with("List") => Treatment::List,
        "PersistentVolume"
        | "PersistentVolumeClaim"
        | "ReplicationController"
        | "ResourceQuota"
        | "LimitRange"
        | "Event"
        | "PodTemplate"
        | "Binding"
        | "ComponentStatus" => PLAIN,
        _ => Treatment::Unknown,
    }
}

fn istio_kind(kind: &'static IstioKind, version: &str) -> Treatment {
    let not_yet = |what| Treatment::Checked(kind, code::KIND_NOT_IN_FORCE, what);
    let not_enforced = |what| Treatment::Checked(kind, code::SECURITY_NOT_IN_FORCE, what);
    if !kind.versions.contains(&version) {
        return Treatment::Unknown;
    }
    match kind.name {
        "VirtualService" => Treatment::Compiled(Kind::VirtualService),
        "DestinationRule" => Treatment::Compiled(Kind::DestinationRule),
        "ServiceEntry" => Treatment::Compiled(Kind::ServiceEntry),
        "WorkloadEntry" => Treatment::Compiled(Kind::WorkloadEntry),
        "Sidecar" => Treatment::Compiled(Kind::Sidecar),
        "PeerAuthentication" => Treatment::Compiled(Kind::PeerAuthentication),
        "Gateway" => not_yet("is not in force yet: no gateway opens its ports"),
        "WorkloadGroup" => not_yet("is not in force yet: workloads do not register themselves"),
        "EnvoyFilter" => not_yet("is not in force yet: the configuration of proxies is not patched"),
        "ProxyConfig" => not_yet("is not in force yet: proxies start with the defaults"),
        "AuthorizationPolicy" => not_enforced("is NOT enforced yet: every request is allowed"),
        "RequestAuthentication" => not_enforced("is NOT enforced yet: tokens are not checked"),
        "Telemetry" => not_yet("is not in force yet: metrics, traces and logs follow the mesh configuration"),
        _ => not_yet("is not in force yet: proxies do not load it"),
    }
}

fn gateway_api_kind(kind: &str) -> Treatment {
    match kind {
        "Gateway"
        | "GatewayClass"
        | "HTTPRoute"
        | "GRPCRoute"
        | "TLSRoute"
        | "TCPRoute"
        | "UDPRoute"
        | "ReferenceGrant"
        | "BackendTLSPolicy"
        | "BackendTrafficPolicy"
        | "ListenerSet"
        | "XListenerSet" => {
            Treatment::Accepted(code::KIND_NOT_IN_FORCE, "is not in force yet: the Gateway API is not served")
        }
        _ if kind.ends_with("List") => Treatment::List,
        _ => Treatment::Unknown,
    }
}

fn is_kubernetes(group: &str) -> bool {
    matches!(group, "apps" | "batch" | "autoscaling" | "policy" | "extensions") || group.ends_with(".k8s.io")
}

/// The kind that was probably meant by one that nobody knows: the right `apiVersion`, or the right spelling.
#[must_use]
pub fn meant(api_version: &str, kind: &str) -> Option<String> {
    const OTHERS: [(&str, &str); 9] = [
        ("v1", "Service"),
        ("v1", "Pod"),
        ("v1", "Namespace"),
        ("v1", "ServiceAccount"),
        ("v1", "Node"),
        ("v1", "ConfigMap"),
        ("discovery.k8s.io/v1", "EndpointSlice"),
        ("apps/v1", "Deployment"),
        ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ];
    /// Longer names are nothing that is known, and comparing them would cost too much.
    const LEN_MAX: usize = 64;
    if kind.len() > LEN_MAX || api_version.len() > LEN_MAX {
        return None;
    }
    let folded = kind.to_ascii_lowercase();
    let distance = |name: &str| strsim::damerau_levenshtein(&folded, &name.to_ascii_lowercase());
    let istio = istio::ALL
        .iter()
        .flat_map(|known| known.versions.iter().map(|version| (format!("{}/{version}", known.group), known.name)));
    let others = OTHERS.iter().map(|(version, name)| ((*version).to_owned(), *name));
    istio
        .chain(others)
        .enumerate()
        // Of versions that are equally near, the first is the newest.
        .map(|(at, (version, name))| {
            (distance(name), strsim::damerau_levenshtein(api_version, &version), at, version, name)
        })
        .filter(|(far, ..)| *far <= 2)
        .min()
        .map(|(.., version, name)| format!("did you mean {name} of {version}?"))
}

/// Whether an object of the kind makes sense with nothing but its metadata.
#[must_use]
pub fn may_be_bare(kind: Kind) -> bool {
    match kind {
        Kind::Namespace | Kind::Node | Kind::ServiceAccount | Kind::Pod | Kind::Sidecar | Kind::PeerAuthentication => {
            true
        }
        Kind::MeshConfig
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::ServiceEntry
        | Kind::WorkloadEntry
        | Kind::VirtualService
        | Kind::DestinationRule => false,
    }
}

/// Whether objects of the kind belong to a namespace.
#[must_use]
pub fn is_namespaced(kind: Kind) -> bool {
    match kind {
        Kind::Namespace | Kind::Node => false,
        Kind::MeshConfig
        | Kind::ServiceAccount
        | Kind::Pod
        | Kind::Service
        | Kind::EndpointSlice
        | Kind::ServiceEntry
        | Kind::WorkloadEntry
        | Kind::VirtualService
        | Kind::DestinationRule
        | Kind::Sidecar
        | Kind::PeerAuthentication => true,
    }
}

/// The schema of objects of the kind; made once, since that of a Pod is large.
#[must_use]
pub fn schema(kind: Kind) -> &'static Schema {
    static CONFIG_MAP: LazyLock<Schema> = LazyLock::new(Schema::of_kind::<core::ConfigMap>);
    static NAMESPACE: LazyLock<Schema> = LazyLock::new(Schema::of_kind::<core::Namespace>);
    static NODE: LazyLock<Schema> = LazyLock::new(Schema::of_kind::<core::Node>);
    static SERVICE_ACCOUNT: LazyLock<Schema> = LazyLock::new(Schema::of_kind::<core::ServiceAccount>);
    static POD: LazyLock<Schema> = LazyLock::new(Schema::of_kind::<core::Pod>);
    static SERVICE: LazyLock<Schema> = LazyLock::new(Schema::of_kind::<core::Service>);
    static SLICE: LazyLock<Schema> = LazyLock::new(Schema::of_kind::<discovery::EndpointSlice>);
    match kind {
        Kind::MeshConfig => &CONFIG_MAP,
        Kind::Namespace => &NAMESPACE,
        Kind::Node => &NODE,
        Kind::ServiceAccount => &SERVICE_ACCOUNT,
        Kind::Pod => &POD,
        Kind::Service => &SERVICE,
        Kind::EndpointSlice => &SLICE,
        Kind::ServiceEntry => istio::SERVICE_ENTRY.schema(),
        Kind::WorkloadEntry => istio::WORKLOAD_ENTRY.schema(),
        Kind::VirtualService => istio::VIRTUAL_SERVICE.schema(),
        Kind::DestinationRule => istio::DESTINATION_RULE.schema(),
        Kind::Sidecar => istio::SIDECAR.schema(),
        Kind::PeerAuthentication => istio::PEER_AUTHENTICATION.schema(),
    }
}
