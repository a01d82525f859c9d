//! The bootstrap of a gRPC client or server that speaks xDS without a proxy: the content of `GRPC_XDS_BOOTSTRAP`.

use serde_json::{Value, json};

use super::{address::Address, node::Node};

/// The name under which a gRPC server asks for the listener of one of its addresses, as Istio has it.
const SERVER_LISTENER_TEMPLATE: &str = "xds.istio.io/grpc/lds/inbound/%s";

/// The bootstrap, for a control plane with a replica at each of these addresses, which clients try in turn; refused off
/// this machine, because the client's connection would be in plain text.
pub(super) fn bootstrap(node: &Node, xds: &[Address]) -> Result<Value, String> {
    if let Some(xds) = xds.iter().find(|xds| !xds.is_local()) {
        return Err(format!(
            "--xds-address {xds}: a proxyless client speaks plain text, which only loopback is served; give 127.0.0.1:15010 or a unix socket"
        ));
    }
    let server = |xds: &Address| {
        json!({
            "server_uri": xds.to_string(),
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        })
    };
    Ok(json!({
        "xds_servers": xds.iter().map(server).collect::<Vec<_>>(),
        "node": node.to_json(),
        "server_listener_resource_name_template": SERVER_LISTENER_TEMPLATE,
    }))
}
