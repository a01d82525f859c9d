//! The ports of the server: where they are by default, which are there, and that they are free.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use tokio::net::TcpListener;

use super::Args;
use crate::{ads, http, port, webhook};

/// Of xDS and of the pages in plain text, where the process is not in a pod. In one, whoever may forward ports would read
/// the whole mesh.
const XDS_OUT_OF_POD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15010);
const HTTP_OUT_OF_POD: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15014);
/// Of the probes in a pod, where nothing else can have taken it.
const HEALTH_IN_POD: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 8080);

/// What is listened on.
pub(super) struct Ports {
    pub(super) xds: Option<TcpListener>,
    pub(super) http: Option<TcpListener>,
    pub(super) https: Option<TcpListener>,
    pub(super) webhook: Option<TcpListener>,
    pub(super) health: Option<TcpListener>,
}

impl Ports {
    /// Takes them all.
    pub(super) async fn bind(args: &Args) -> anyhow::Result<Self> {
        let is_in_pod = args.is_in_cluster();
        let in_pod = |address| is_in_pod.then_some(address);
        let out_of_pod = |address| (!is_in_pod).then_some(address);
        let xds = match args.xds_address.or_else(|| out_of_pod(XDS_OUT_OF_POD)) {
            Some(address) => Some(bound("--xds-address", address, ads::bind(address))?),
            None => None,
        };
        let http = args.http_address.or_else(|| out_of_pod(HTTP_OUT_OF_POD));
        let https = args.https_address.or_else(|| in_pod(http::ADDRESS_IN_POD));
        let webhook = args.webhook_address.or_else(|| in_pod(webhook::ADDRESS_IN_POD));
        let health = args.health_address.or_else(|| in_pod(HEALTH_IN_POD));
        Ok(Self {
            xds,
            http: bind("--http-address", http).await?,
            https: bind("--https-address", https).await?,
            webhook: bind("--webhook-address", webhook).await?,
            health: bind("--health-address", health).await?,
        })
    }

    /// Says that they are there, and where.
    pub(super) fn log(&self, origin: &str) {
        let address = |listener: &Option<TcpListener>| {
            listener.as_ref().and_then(|listener| listener.local_addr().ok()).map(tracing::field::display)
        };
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            origin,
            xds_address = address(&self.xds),
            http_address = address(&self.http),
            https_address = address(&self.https),
            webhook_address = address(&self.webhook),
            health_address = address(&self.health),
            "serving"
        );
    }
}

async fn bind(flag: &str, address: Option<SocketAddr>) -> anyhow::Result<Option<TcpListener>> {
    match address {
        Some(address) => bound(flag, address, port::bind(address).await).map(Some),
        None => Ok(None),
    }
}

fn bound(flag: &str, address: SocketAddr, listener: io::Result<TcpListener>) -> anyhow::Result<TcpListener> {
    listener.map_err(|error| {
        if error.kind() == io::ErrorKind::AddrInUse {
            anyhow::anyhow!(
                "{flag} {address}: something listens there already; end it, or give another port (0 takes a free one)"
            )
        } else {
            anyhow::anyhow!("{flag} {address}: {error}")
        }
    })
}
