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

/// Arguments of `mainsheet-agent bootstrap`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Who the proxy is: TYPE~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN, TYPE is sidecar or router
    #[arg(long, value_name = "ID", value_parser = NodeId::parse)]
    node_id: NodeId,
    /// Where the control plane serves xDS: HOST:PORT or unix:/PATH
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15010", value_parser = Address::parse)]
    xds_address: Address,
    /// Where Envoy's admin interface listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15000", value_parser = Address::parse)]
    admin_address: Address,
    /// Node metadata; a value that begins with `{` or `[` is read as JSON (LABELS={"app":"web"}); may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = Entry::parse)]
    metadata: Vec<Entry>,
    /// Name of the group of proxies that this one belongs to; default is APP.NAMESPACE
    #[arg(long, value_name = "NAME")]
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
        envoy::bootstrap(&node, &args.xds_address, admin(&args.admin_address)?, protocol)
    };
    serde_json::to_string_pretty(&bootstrap).map_err(|error| format!("the bootstrap cannot be written: {error}"))
}

/// Envoy's admin interface changes the proxy and dumps its secrets, and knows no authentication.
fn admin(address: &Address) -> Result<&Address, String> {
    if address.is_local() {
        Ok(address)
    } else {
        Err(format!(
            "--admin-address {address}: anyone who reaches it controls the proxy; give a loopback address, as 127.0.0.1:15000"
        ))
    }
}
