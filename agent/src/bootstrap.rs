//! The bootstrap that an Envoy, or a gRPC client, starts with: who it is and where its configuration comes from.

mod address;
mod envoy;
mod grpc;
mod metadata;
mod node;
mod stats;

use self::{
    address::Address,
    metadata::Entry,
    node::{Locality, Node, NodeId},
};

/// Where a control plane on this machine serves xDS.
const XDS_ADDRESS: &str = "127.0.0.1:15010";
/// Where Envoy's admin interface listens.
const ADMIN_ADDRESS: &str = "127.0.0.1:15000";

/// Arguments of `mainsheet-agent bootstrap`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who the proxy is: TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN, TYPE is sidecar or router
    #[arg(long, value_name = "ID", value_parser = NodeId::parse)]
    node_id: NodeId,
    /// Where the control plane serves xDS: HOST:PORT or unix:/PATH; may be repeated, once for each of its replicas
    #[arg(long, value_name = "ADDRESS", default_value = XDS_ADDRESS, value_parser = xds_address)]
    xds_address: Vec<Address>,
    /// Where Envoy's admin interface listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = ADMIN_ADDRESS, value_parser = admin_address)]
    admin_address: Address,
    /// Node metadata; a value that begins with `{` or `[` is read as JSON (LABELS={"app":"web"}); may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = Entry::parse)]
    metadata: Vec<Entry>,
    /// Name of the group of proxies that this one belongs to; default is APP.NAMESPACE
    #[arg(long, value_name = "NAME", value_parser = node::cluster)]
    cluster: Option<String>,
    /// Where the proxy runs: REGION, REGION/ZONE or REGION/ZONE/SUBZONE
    #[arg(long, value_name = "LOCALITY", value_parser = Locality::parse)]
    locality: Option<Locality>,
    /// State-of-the-world xDS instead of the incremental one
    #[arg(long, conflicts_with = "grpc")]
    sotw: bool,
    /// The bootstrap of a proxyless gRPC client (GRPC_XDS_BOOTSTRAP) instead of Envoy's
    #[arg(long)]
    grpc: bool,
}

/// The bootstrap as text.
pub(crate) fn run(args: &Args) -> Result<String, String> {
    let mut metadata = metadata::of(&args.node_id, &args.metadata)?;
    if args.grpc {
        metadata.insert("GENERATOR".into(), "grpc".into());
    }
    let node = Node::new(&args.node_id, args.cluster.as_deref(), args.locality.clone(), metadata);
    let bootstrap = if args.grpc {
        grpc::bootstrap(&node, &args.xds_address)?
    } else {
        let protocol = if args.sotw { envoy::Protocol::StateOfTheWorld } else { envoy::Protocol::Delta };
        envoy::bootstrap(&node, &args.xds_address, &args.admin_address, protocol)?
    };
    serde_json::to_string_pretty(&bootstrap).map_err(|error| format!("the bootstrap cannot be written: {error}"))
}

fn xds_address(text: &str) -> Result<Address, String> {
    let address = Address::parse(text, XDS_ADDRESS)?;
    if address.port() == Some(0) {
        return Err(format!("nothing listens on port 0; give the control plane's, as in {XDS_ADDRESS}"));
    }
    Ok(address)
}

/// Envoy's admin interface changes the proxy and dumps its secrets, and knows no authentication.
fn admin_address(text: &str) -> Result<Address, String> {
    let address = Address::parse(text, ADMIN_ADDRESS)?;
    if !address.is_local() {
        return Err(format!("anyone who reaches it controls the proxy; give a loopback address, as {ADMIN_ADDRESS}"));
    }
    Ok(address)
}
