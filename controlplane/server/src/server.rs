//! Puts the house together: the only file that names every room.

mod leading;
mod ports;
mod report;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use anyhow::{Context as _, bail};
use futures::future::OptionFuture;
use kube::Client;
use mesh::model::{Namespace, Problem};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use self::ports::Ports;
use crate::{
    ads,
    cli::arguments,
    conditions, dispatch, http,
    metrics::Metrics,
    port,
    shutdown::{self, Shutdown},
    source::{self, Settings, Update, Watch, kube::Access, standing::Standings},
    tls::{self, Certificate},
    webhook,
};

/// Time for streams and pages to come to their end. Kubernetes allows 30 s before it kills.
const GRACE: Duration = Duration::from_secs(5);

/// Arguments of the server.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "server")]
pub struct Args {
    /// The directory with the objects of the mesh: every *.yaml, *.yml and *.json in it
    #[arg(long, value_name = "DIR", value_parser = source::existing_directory)]
    pub config_dir: Option<PathBuf>,
    /// The file that says how to reach the cluster with the objects of the mesh; in a pod, its service account does
    #[arg(long, value_name = "FILE", conflicts_with = "config_dir")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in that file, in place of its current one
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
    /// The DNS domain of the cluster: short names are completed with it
    #[arg(long, value_name = "DOMAIN", default_value = "cluster.local", value_parser = arguments::domain)]
    pub domain: String,
    /// The namespace of the control plane and of the mesh's own configuration, ConfigMap `istio`
    #[arg(
        long,
        env = "POD_NAMESPACE",
        default_value = "istio-system",
        value_name = "NAMESPACE",
        value_parser = arguments::namespace
    )]
    pub system_namespace: String,
    /// Where proxies connect, in plain text; a loopback address; in a pod nowhere unless given, elsewhere 127.0.0.1:15010
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::loopback)]
    pub xds_address: Option<SocketAddr>,
    /// Where health, metrics and debug pages are served to everybody, in plain text; a loopback address; in a pod nowhere unless given, elsewhere 127.0.0.1:15014
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::loopback)]
    pub http_address: Option<SocketAddr>,
    /// Where the same pages are served over TLS to whom the API server knows, with the webhook's certificate; in a pod [::]:15014, elsewhere nowhere unless given
    #[arg(long, value_name = "ADDRESS", requires = "webhook_address", value_parser = arguments::address)]
    pub https_address: Option<SocketAddr>,
    /// Where the API server has objects judged, over TLS; in a pod [::]:15017, elsewhere nowhere unless given
    #[arg(long, value_name = "ADDRESS", conflicts_with = "config_dir", value_parser = arguments::address)]
    pub webhook_address: Option<SocketAddr>,
    /// Where /livez, /readyz and /healthz are served to everybody, and nothing else; [::]:8080 in a pod without another source, else nowhere
    #[arg(long, value_name = "ADDRESS", value_parser = arguments::address)]
    pub health_address: Option<SocketAddr>,
}

impl Args {
    /// Whether objects come from the cluster of the pod that this process runs in.
    #[must_use]
    pub fn is_in_cluster(&self) -> bool {
        self.config_dir.is_none() && self.kubeconfig.is_none()
    }

    fn settings(&self) -> anyhow::Result<Settings> {
        let system_namespace = Namespace::parse(&self.system_namespace)?;
        Ok(Settings { domain: self.domain.clone(), system_namespace, ..Settings::default() })
    }
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start, or the owner of the mesh has died.
pub async fn run(args: &Args) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION")));
    let settings = args.settings()?;
    let Opened { watch, cluster, origin } = open(args, &settings, &metrics).await?;
    let client = cluster.as_ref().map(|(client, _)| client.clone());
    let ports = Ports::bind(args).await?;
    let mut terminated = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
    let mut interrupted = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;

    let mesh = dispatch::start(Arc::clone(&metrics)).context("no thread for the owner of the mesh")?;
    let proxies = Arc::new(ads::Proxies::default());
    let (trigger, shutdown) = shutdown::channel();
    let (found, of_source) = watch::channel(Arc::default());
    let (problems, reported) = watch::channel(Arc::new(Vec::new()));
    let (check, checked) = watch::channel(conditions::Checked::default());
    tokio::spawn(report::run(of_source, mesh.clone(), problems, check, Arc::clone(&metrics)));
    let service = ads::Service::new(mesh.clone(), Arc::clone(&metrics), Arc::clone(&proxies), shutdown.clone(), now);
    let leading = cluster.map(|(client, standings)| leading::Sources {
        client,
        standings,
        checked,
        proxies: Arc::clone(&proxies),
        metrics: Arc::clone(&metrics),
        settings: settings.clone(),
        now,
    });
    let certificate = Arc::new(Certificate::default());
    let sources = http::Sources {
        dispatch: mesh.clone(),
        proxies,
        metrics: Arc::clone(&metrics),
        problems: reported,
        version: env!("CARGO_PKG_VERSION"),
    };

    ports.log(&origin);
    let Ports { xds, http, https, webhook, health } = ports;
    let xds = xds.map(|listener| ads::serve(listener, Arc::new(service), shutdown.clone()));
    let mut served = tokio::spawn(OptionFuture::from(xds));
    let plain = |listener, router| port::serve(listener, None, router, http::LIMITS, shutdown.clone());
    let health = health.map(|listener| plain(listener, http::health(mesh.clone())));
    let open = http.map(|listener| plain(listener, http::router(sources.clone())));
    let guarded = match (https, &client) {
        (Some(listener), Some(client)) => {
            let tls = tls::acceptor(Arc::clone(&certificate)).context("TLS for --https-address")?;
            let router = http::guarded(sources, http::Guard::new(client.clone()));
            Some(port::serve(listener, Some(tls), router, http::LIMITS, shutdown.clone()))
        }
        (None, _) | (_, None) => None,
    };
    let webhook = webhook.zip(client).map(|(listener, client)| {
        let dispatch = mesh.clone();
        (listener, webhook::Sources { client, dispatch, metrics, settings, certificate, now })
    });
    let mut judge = tokio::spawn(judge(webhook, shutdown.clone()));
    let mut leading = tokio::spawn(leading::run(leading, shutdown.clone()));
    let mut pages = tokio::spawn(async move {
        tokio::join!(OptionFuture::from(open), OptionFuture::from(guarded), OptionFuture::from(health))
    });
    let end = tokio::select! {
        end = follow(watch, &mesh, &found) => end,
        () = mesh.gone() => Err(anyhow::anyhow!("the owner of the mesh has died; please report the log above")),
        _ = terminated.recv() => Ok(()),
        _ = interrupted.recv() => Ok(()),
    };
    tracing::info!("ending");
    trigger.pull();
    let ended =
        tokio::time::timeout(GRACE, async { tokio::join!(&mut served, &mut pages, &mut judge, &mut leading) }).await;
    if ended.is_err() {
        tracing::warn!(grace = ?GRACE, "some connections did not end in time");
        served.abort();
        pages.abort();
        judge.abort();
        leading.abort();
    }
    end
}

/// A source that is followed.
struct Opened {
    watch: Watch,
    /// The way to the API server, when there is one, and how its objects stand.
    cluster: Option<(Client, watch::Receiver<Standings>)>,
    /// Where the objects are, for the log.
    origin: String,
}

/// Begins to follow the objects of the mesh.
async fn open(args: &Args, settings: &Settings, metrics: &Arc<Metrics>) -> anyhow::Result<Opened> {
    let settings = settings.clone();
    let (access, origin) = match (&args.config_dir, &args.kubeconfig) {
        (Some(directory), _) => {
            let (watch, origin) = (source::files::watch(directory, settings), directory.display().to_string());
            return Ok(Opened { watch, cluster: None, origin });
        }
        (None, Some(file)) => {
            let context = args.context.clone();
            (Access::Kubeconfig { file: file.clone(), context }, format!("the cluster of {}", file.display()))
        }
        (None, None) => (Access::InCluster, "the cluster of this pod".into()),
    };
    let cluster = source::kube::connect(&access, Arc::clone(metrics), now).await?;
    let client = cluster.client();
    let (watch, standings) = source::kube::watch(cluster, settings);
    Ok(Opened { watch, cluster: Some((client, standings)), origin })
}

/// Serves the webhook, where there is one to serve.
async fn judge(webhook: Option<(TcpListener, webhook::Sources)>, shutdown: Shutdown) {
    let Some((listener, sources)) = webhook else { return };
    if let Err(error) = webhook::serve(listener, sources, shutdown).await {
        tracing::error!(error = format!("{error:#}"), "objects are not judged when they are applied");
    }
}

/// Hands every change of the source over to the owner of the mesh, and what is wrong with its objects to the reporter.
async fn follow(
    mut source: Watch,
    mesh: &dispatch::Handle,
    problems: &watch::Sender<Arc<Vec<Problem>>>,
) -> anyhow::Result<()> {
    while let Some(Update { changes, problems: found }) = source.next().await {
        let received = Instant::now();
        mesh.apply(changes, received).await?;
        problems.send_if_modified(|problems| {
            let differs = *problems != found;
            *problems = found;
            differs
        });
    }
    bail!("the source has ended, and nothing would be followed any more; please report the log above")
}

#[allow(clippy::disallowed_methods, reason = "the edge: here the clock is read for all rooms")]
fn now() -> SystemTime {
    SystemTime::now()
}
