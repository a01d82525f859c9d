//! The kinds of Istio: what they are called, in which versions they are served, and what their objects look like.

use std::sync::LazyLock;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value as Json;

use super::{schema::Schema, wire};

/// A kind of Istio.
#[derive(Debug)]
pub struct IstioKind {
    /// Its API group.
    pub group: &'static str,
    /// Its name: `VirtualService`.
    pub name: &'static str,
    /// Its name in paths: `virtualservices`.
    pub plural: &'static str,
    /// The versions that it is served in; all look the same, and objects are stored in the first.
    pub versions: &'static [&'static str],
    /// Whether an object without a `spec` means something.
    pub spec: Presence,
    schema: &'static LazyLock<Schema>,
    spec_json: fn(&mut SchemaGenerator) -> Json,
}

/// Whether something must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// API servers do without it, as Istio's do, but then the object says nothing: in files it must be there.
    Wanted,
    /// It need not.
    Optional,
}

/// Kinds are equal that are called the same.
impl PartialEq for IstioKind {
    fn eq(&self, other: &Self) -> bool {
        (self.group, self.name) == (other.group, other.name)
    }
}

impl Eq for IstioKind {}

impl IstioKind {
    /// What an object of this kind is held against; made once.
    #[must_use]
    pub fn schema(&self) -> &'static Schema {
        self.schema
    }

    /// The JSON schema of the `spec` of its objects, as `generator` makes it.
    #[must_use]
    pub fn spec_json(&self, generator: &mut SchemaGenerator) -> Json {
        (self.spec_json)(generator)
    }
}

/// The kind of this name in this group.
#[must_use]
pub fn find(group: &str, name: &str) -> Option<&'static IstioKind> {
    ALL.iter().copied().find(|kind| kind.group == group && kind.name == name)
}

const NETWORKING: &str = "networking.istio.io";
const SECURITY: &str = "security.istio.io";
const TELEMETRY_GROUP: &str = "telemetry.istio.io";
const EXTENSIONS: &str = "extensions.istio.io";

macro_rules! kinds {
    ($($static:ident $group:ident $name:literal $plural:literal $versions:expr, $spec:ident $type:ty;)*) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub static $static: IstioKind = IstioKind {
                group: $group,
                name: $name,
                plural: $plural,
                versions: &$versions,
                spec: Presence::$spec,
                schema: {
                    static SCHEMA: LazyLock<Schema> = LazyLock::new(|| schema_of::<$type>(Presence::$spec));
                    &SCHEMA
                },
                spec_json: |generator| <$type>::json_schema(generator).to_value(),
            };
        )*

        /// Every kind.
        pub static ALL: &[&IstioKind] = &[$(&$static),*];
    };
}

kinds! {
    TRAFFIC_EXTENSION EXTENSIONS "TrafficExtension" "trafficextensions" ["v1alpha1"], Required wire::extension::TrafficExtensionSpec;
    WASM_PLUGIN EXTENSIONS "WasmPlugin" "wasmplugins" ["v1alpha1"], Required wire::extension::WasmPluginSpec;
    DESTINATION_RULE NETWORKING "DestinationRule" "destinationrules" ["v1", "v1beta1", "v1alpha3"], Wanted wire::destination_rule::DestinationRuleSpec;
    ENVOY_FILTER NETWORKING "EnvoyFilter" "envoyfilters" ["v1alpha3"], Wanted wire::envoy_filter::EnvoyFilterSpec;
    GATEWAY NETWORKING "Gateway" "gateways" ["v1", "v1beta1", "v1alpha3"], Wanted wire::gateway::GatewaySpec;
    PROXY_CONFIG NETWORKING "ProxyConfig" "proxyconfigs" ["v1beta1"], Optional wire::proxy_config::ProxyConfigSpec;
    SERVICE_ENTRY NETWORKING "ServiceEntry" "serviceentries" ["v1", "v1beta1", "v1alpha3"], Required wire::service_entry::ServiceEntrySpec;
    SIDECAR NETWORKING "Sidecar" "sidecars" ["v1", "v1beta1", "v1alpha3"], Wanted wire::sidecar::SidecarSpec;
    VIRTUAL_SERVICE NETWORKING "VirtualService" "virtualservices" ["v1", "v1beta1", "v1alpha3"], Wanted wire::virtual_service::VirtualServiceSpec;
    WORKLOAD_ENTRY NETWORKING "WorkloadEntry" "workloadentries" ["v1", "v1beta1", "v1alpha3"], Required wire::service_entry::AddressedEntry;
    WORKLOAD_GROUP NETWORKING "WorkloadGroup" "workloadgroups" ["v1", "v1beta1", "v1alpha3"], Required wire::workload_group::WorkloadGroupSpec;
    AUTHORIZATION_POLICY SECURITY "AuthorizationPolicy" "authorizationpolicies" ["v1", "v1beta1"], Optional wire::authorization_policy::AuthorizationPolicySpec;
    PEER_AUTHENTICATION SECURITY "PeerAuthentication" "peerauthentications" ["v1", "v1beta1"], Optional wire::peer_authentication::PeerAuthenticationSpec;
    REQUEST_AUTHENTICATION SECURITY "RequestAuthentication" "requestauthentications" ["v1", "v1beta1"], Optional wire::request_authentication::RequestAuthenticationSpec;
    TELEMETRY TELEMETRY_GROUP "Telemetry" "telemetries" ["v1", "v1alpha1"], Wanted wire::telemetry::TelemetrySpec;
}

fn schema_of<T: JsonSchema>(spec: Presence) -> Schema {
    let schema = Schema::of_object::<T>();
    match spec {
        Presence::Required | Presence::Wanted => schema,
        Presence::Optional => schema.with_optional_spec(),
    }
}
