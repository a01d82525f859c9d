//! What people type and see: short names, categories, columns.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceColumnDefinition;

use crate::source::istio::IstioKind;

/// The short name of a kind, if it has one.
#[must_use]
pub fn short_name(kind: &IstioKind) -> Option<&'static str> {
    let name = match kind.name {
        "VirtualService" => "vs",
        "DestinationRule" => "dr",
        "ServiceEntry" => "se",
        "WorkloadEntry" => "we",
        "WorkloadGroup" => "wg",
        "Gateway" => "gw",
        "AuthorizationPolicy" => "ap",
        "PeerAuthentication" => "pa",
        "RequestAuthentication" => "ra",
        "Telemetry" => "telemetry",
        _ => return None,
    };
    Some(name)
}

/// What a kind is among: `kubectl get istio-io` and `kubectl get mesh` list all, `networking-istio-io` those of a group.
pub(super) fn categories(kind: &IstioKind) -> Vec<String> {
    vec!["istio-io".to_owned(), kind.group.replace('.', "-"), "mesh".to_owned()]
}

/// The columns of `kubectl get`: what a kind is about, whether it is in force, its age.
pub(super) fn columns(kind: &IstioKind) -> Vec<CustomResourceColumnDefinition> {
    let about: &[(&str, &str)] = match kind.name {
        "VirtualService" => &[("Gateways", ".spec.gateways"), ("Hosts", ".spec.hosts")],
        "DestinationRule" => &[("Host", ".spec.host")],
        "ServiceEntry" => {
            &[("Hosts", ".spec.hosts"), ("Location", ".spec.location"), ("Resolution", ".spec.resolution")]
        }
        "WorkloadEntry" => &[("Address", ".spec.address")],
        "Gateway" => &[("Selector", ".spec.selector"), ("Hosts", ".spec.servers[*].hosts")],
        "AuthorizationPolicy" => &[("Action", ".spec.action")],
        "PeerAuthentication" => &[("Mode", ".spec.mtls.mode")],
        "RequestAuthentication" => &[("Issuers", ".spec.jwtRules[*].issuer")],
        "WasmPlugin" => &[("URL", ".spec.url"), ("Phase", ".spec.phase")],
        "EnvoyFilter" | "TrafficExtension" => &[("Priority", ".spec.priority")],
        _ => &[],
    };
    let column = |(name, path): &(&str, &str)| CustomResourceColumnDefinition {
        name: (*name).to_owned(),
        json_path: (*path).to_owned(),
        type_: if *name == "Priority" { "integer" } else { "string" }.to_owned(),
        ..CustomResourceColumnDefinition::default()
    };
    let programmed = CustomResourceColumnDefinition {
        description: Some("Whether the control plane has put it into force.".to_owned()),
        ..column(&("Programmed", ".status.conditions[?(@.type==\"Programmed\")].status"))
    };
    let age =
        CustomResourceColumnDefinition { type_: "date".to_owned(), ..column(&("Age", ".metadata.creationTimestamp")) };
    about.iter().map(column).chain([programmed, age]).collect()
}
