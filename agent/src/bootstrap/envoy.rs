//! Envoy's bootstrap: everything over one ADS stream, and what no stream can bring.

use serde_json::{Value, json};

use super::{address::Address, node::Node, stats};

/// The cluster that leads to the control plane, by the name that Istio gives it.
const XDS_CLUSTER: &str = "xds-grpc";
/// No limit of Envoy's own between it and the control plane.
const UNLIMITED: u32 = u32::MAX;
/// More than any machine has sockets; without a limit Envoy warns at each start.
const DOWNSTREAM_CONNECTIONS_MAX: u32 = 1_000_000;
/// The largest program that a regular expression may compile to; larger ones are refused, not run.
const REGEX_PROGRAM_SIZE_MAX: u32 = 32_768;
/// One discovery response may hold a large mesh; more than this is a mistake.
const MESSAGE_LEN_MAX: u32 = 256 << 20;

/// Which xDS protocol the proxy speaks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Protocol {
    /// Incremental.
    Delta,
    /// Everything of a type in each response.
    StateOfTheWorld,
}

impl Protocol {
    fn api_type(self) -> &'static str {
        match self {
            Self::Delta => "DELTA_GRPC",
            Self::StateOfTheWorld => "GRPC",
        }
    }
}

/// The complete bootstrap, for a control plane with a replica at each of these addresses: `envoy -c` takes it as it is.
pub(super) fn bootstrap(node: &Node, xds: &[Address], admin: &Address, protocol: Protocol) -> Result<Value, String> {
    let xds = xds_cluster(xds)?;
    Ok(json!({
        "node": node.to_json(),
        "admin": {"address": admin.to_envoy(), "ignore_global_conn_limit": true},
        "dynamic_resources": {
            "ads_config": ads(protocol),
            "cds_config": from_ads(),
            "lds_config": from_ads(),
        },
        "static_resources": {"clusters": [xds]},
        "stats_config": stats::config(),
        "layered_runtime": {
            "layers": [
                {"name": "mesh", "static_layer": {"re2.max_program_size.error_level": REGEX_PROGRAM_SIZE_MAX}},
                // Last, so that what a person sets through the admin interface wins.
                {"name": "admin", "admin_layer": {}},
            ],
        },
        "overload_manager": overload_manager(),
        // Listeners inside Envoy, which tunnels need, are refused without it, and it cannot be added to a running proxy.
        "bootstrap_extensions": [{
            "name": "envoy.bootstrap.internal_listener",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
            },
        }],
    }))
}

fn ads(protocol: Protocol) -> Value {
    json!({
        "api_type": protocol.api_type(),
        "transport_api_version": "V3",
        // The node is 61 kB, most of it the list of extensions.
        "set_node_on_first_message_only": true,
        "grpc_services": [{
            "envoy_grpc": {
                "cluster_name": XDS_CLUSTER,
                "max_receive_message_length": MESSAGE_LEN_MAX,
                // A restarted control plane is back within a second or two; Envoy's own maximum of 30 s outlasts it.
                "retry_policy": {"retry_back_off": {"base_interval": "0.5s", "max_interval": "5s"}},
            },
        }],
    })
}

/// Waits for ever: a proxy that starts without its configuration would refuse or misdirect traffic.
fn from_ads() -> Value {
    json!({"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"})
}

fn xds_cluster(xds: &[Address]) -> Result<Value, String> {
    let named = xds.iter().any(Address::is_name);
    if let Some(socket) = xds.iter().find(|address| named && address.port().is_none()) {
        return Err(format!("--xds-address {socket}: Envoy takes no socket beside names; give addresses, or it alone"));
    }
    let endpoint = |address: &Address| json!({"endpoint": {"address": address.to_envoy()}});
    let endpoints: Vec<_> = xds.iter().map(endpoint).collect();
    let limits = |priority| {
        json!({
            "priority": priority,
            "max_connections": UNLIMITED,
            "max_pending_requests": UNLIMITED,
            "max_requests": UNLIMITED,
            "max_retries": UNLIMITED,
        })
    };
    Ok(json!({
        "name": XDS_CLUSTER,
        "alt_stat_name": format!("{XDS_CLUSTER};"),
        "type": if named { "STRICT_DNS" } else { "STATIC" },
        "connect_timeout": "1s",
        // Envoys begin with any of the replicas, and go on with the next one when theirs is gone.
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {
            "cluster_name": XDS_CLUSTER,
            "endpoints": [{"lb_endpoints": endpoints}],
        },
        "circuit_breakers": {"thresholds": [limits("DEFAULT"), limits("HIGH")]},
        // A control plane that is gone without a word is noticed by both layers.
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 10, "keepalive_probes": 3},
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {
                    "http2_protocol_options": {"connection_keepalive": {"interval": "30s", "timeout": "10s"}},
                },
            },
        },
    }))
}

fn overload_manager() -> Value {
    json!({
        "resource_monitors": [{
            "name": "envoy.resource_monitors.global_downstream_max_connections",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                "max_active_downstream_connections": DOWNSTREAM_CONNECTIONS_MAX,
            },
        }],
    })
}
