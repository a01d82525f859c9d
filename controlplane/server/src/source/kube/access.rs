//! How the API server is reached.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tower::util::{AndThenLayer, MapRequestLayer};

use super::{
    manners,
    pulse::{Pulse, PulseLayer},
};
use crate::metrics::Metrics;

/// Time for a connection, TLS included. A server that was stopped still accepts connections, and is noticed by this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence of a connection that is read from. More than a watch lasts, and so only when an answer is missing
/// altogether.
const READ_TIMEOUT: Duration = Duration::from_secs(40);
/// Time for writing a request.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the API server is, and as whom it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// As the service account of the pod that this process runs in.
    InCluster,
    /// As a file for kubectl says.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// The context in it; its current one when not given.
        context: Option<String>,
    },
}

/// Why the API server cannot even be asked.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum AccessError {
    #[error("--kubeconfig {}: {error}; give a file that kubectl works with", file.display())]
    Kubeconfig { file: PathBuf, error: KubeconfigError },
    #[error(
        "the service account of the pod: {0}; run in a pod whose service account token is mounted, or give --kubeconfig"
    )]
    InCluster(#[from] InClusterError),
    #[error("the way to the API server: {0}; look at its certificates and its address")]
    Client(#[from] kube::Error),
}

/// The way to the API server of a cluster.
pub struct Cluster {
    pub(super) client: Client,
    pub(super) pulse: Arc<Pulse>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Cluster")
    }
}

impl Cluster {
    /// The same way, for those who write.
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }
}

/// Prepares the way to the API server, without asking it anything yet. `now` is the clock for metrics.
///
/// # Errors
/// When files are missing or cannot be understood.
pub async fn connect(access: &Access, metrics: Arc<Metrics>, now: fn() -> SystemTime) -> Result<Cluster, AccessError> {
    let mut config = match access {
        Access::InCluster => Config::incluster()?,
        Access::Kubeconfig { file, context } => {
            let failed = |error| AccessError::Kubeconfig { file: file.clone(), error };
            let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
            let kubeconfig = Kubeconfig::read_from(file).map_err(failed)?;
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(failed)?
        }
    };
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(READ_TIMEOUT);
    config.write_timeout = Some(WRITE_TIMEOUT);
    // A connection may have been idle for longer than that before it is used again.
    config.reset_reader_on_write = true;
    // Watches are renewed with a pause of their own.
    config.default_retry = false;
    let pulse = Arc::new(Pulse::new(metrics, now));
    let client = ClientBuilder::try_from(config)?
        .with_layer(&MapRequestLayer::new(manners::up_to_date))
        .with_layer(&AndThenLayer::new(manners::in_time))
        .with_layer(&PulseLayer(Arc::clone(&pulse)))
        .build();
    Ok(Cluster { client, pulse })
}
