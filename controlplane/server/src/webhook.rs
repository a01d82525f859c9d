//! The validating webhook: what `analyze` says of a file, the API server says of an object before it is stored.
//!
//! Each replica signs its own certificate with the authority that all share, and writes the roots into the bundle of
//! the configuration. Both are replaced without a refused request.

mod answer;
mod authority;
mod keeper;
mod review;
mod rollover;

pub use self::authority::SECRET;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use ca::TrustDomain;
use kube::Client;
use tokio::net::TcpListener;

use self::{answer::Desk, authority::Issuer, keeper::Keeper};
use crate::{
    dispatch,
    metrics::Metrics,
    port::{self, Limits},
    shutdown::Shutdown,
    source::Settings,
    tls::{self, Certificate},
};

/// Where it listens in a pod.
pub const ADDRESS_IN_POD: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 15017);
const LIMITS: Limits = Limits {
    name: "the webhook's port",
    // API servers keep some each. Anybody in the cluster can open others.
    connections_max: 512,
    // API servers close what was idle for 90 s; were we to do so first, a request that is just being sent would be lost.
    head_timeout: Duration::from_secs(120),
    connection_timeout: Duration::MAX,
};

/// What it works with.
pub struct Sources {
    /// The way to the API server.
    pub client: Client,
    /// The owner of the mesh, against which objects are held.
    pub dispatch: dispatch::Handle,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// What the meaning of objects depends on; the Secret is in the system namespace.
    pub settings: Settings,
    /// The certificate that is kept right here, and served by whoever else holds it.
    pub certificate: Arc<Certificate>,
    /// The clock for certificates.
    pub now: fn() -> SystemTime,
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sources")
    }
}

/// Serves until shutdown. The certificate comes as soon as the API server answers.
///
/// # Errors
/// When the domain of the cluster cannot be a trust domain, or TLS is not to be had.
pub async fn serve(listener: TcpListener, sources: Sources, shutdown: Shutdown) -> anyhow::Result<()> {
    let Sources { client, dispatch, metrics, settings, certificate, now } = sources;
    let tls = tls::acceptor(Arc::clone(&certificate)).context("TLS for the webhook")?;
    let issuer = Issuer {
        trust_domain: TrustDomain::parse(&settings.domain).context("the domain of the cluster as a trust domain")?,
        namespace: settings.system_namespace.to_string(),
        domain: settings.domain.clone(),
        provider: tls::provider(),
    };
    let router = Desk::new(dispatch, metrics, settings).router();
    let keeper = Keeper { client, issuer, certificate, now };
    tokio::select! {
        () = port::serve(listener, Some(tls), router, LIMITS, shutdown) => {}
        () = keeper.run() => {}
    }
    Ok(())
}
