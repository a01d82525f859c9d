//! The replicas of the control plane of a cluster, asked through its API server.
//!
//! The API server forwards a port of each pod; inside that, TLS is verified with the root that the cluster publishes. So
//! neither API server nor kubelet can pretend to be the control plane, and the caller's own credential stays with the API
//! server: who asks is said by a token of a service account, for the control plane alone, that lives for ten minutes.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, anyhow, ensure};
use k8s_openapi::api::{
    admissionregistration::v1::ValidatingWebhookConfiguration,
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Pod, ServiceAccount},
    discovery::v1::{Endpoint, EndpointSlice},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};
use tokio_rustls::TlsConnector;

use super::{
    access::{Access, Limit},
    arguments,
    fetch::fetch,
};
use crate::tls;

/// The Service that the replicas are behind.
const SERVICE: &str = "mainsheet";
/// Where each serves its pages.
const PORT: u16 = 15014;
/// Whose token says who asks, unless another is named: it may see everything.
const READER: &str = "mainsheet-reader";
/// What tokens are for.
const AUDIENCE: &str = "mainsheet";
/// Their life, which the API server takes no shorter.
const TOKEN_SECONDS: i64 = 600;
/// Slices of a Service that are read; each names up to a hundred endpoints.
const SLICES_MAX: u32 = 100;

/// A service account.
#[derive(Debug, Clone)]
pub(super) struct Account {
    namespace: String,
    name: String,
}

impl Account {
    /// Parses `NAMESPACE/NAME`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: arguments::namespace(namespace)?, name: name.to_owned() })
            }
            Some(_) | None => Err("write NAMESPACE/NAME, as in default/web".into()),
        }
    }
}

/// The replicas, and what is needed to ask them.
pub(super) struct Replicas {
    client: Client,
    namespace: String,
    pods: BTreeSet<String>,
    token: String,
    tls: TlsConnector,
    limit: Limit,
}

impl Replicas {
    /// Finds the replicas in `namespace`, and a token of `account`.
    pub(super) async fn find(access: &Access, namespace: &str, account: Option<&Account>) -> anyhow::Result<Self> {
        let client = access.client().await?;
        let limit = access.limit();
        let found = async {
            let pods = pods(&client, namespace).await?;
            let tls = connector(&client, namespace).await?;
            let reader = Account { namespace: namespace.to_owned(), name: READER.into() };
            let token = token(&client, account.unwrap_or(&reader)).await?;
            Ok((pods, tls, token))
        };
        let (pods, tls, token) = limit.of("the API server", found).await?;
        Ok(Self { client, namespace: namespace.to_owned(), pods, token, tls, limit })
    }

    /// The names of their pods.
    pub(super) fn pods(&self) -> impl Iterator<Item = &str> {
        self.pods.iter().map(String::as_str)
    }

    /// How many there are, and where.
    pub(super) fn title(&self) -> String {
        let plural = if self.pods.len() == 1 { "" } else { "s" };
        format!("{} replica{plural} of {}/{SERVICE}", self.pods.len(), self.namespace)
    }

    /// A page of one replica.
    pub(super) async fn ask(&self, pod: &str, path: &str) -> anyhow::Result<String> {
        self.limit.of(pod, self.ask_at_length(pod, path)).await
    }

    async fn ask_at_length(&self, pod: &str, path: &str) -> anyhow::Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.namespace);
        let what = format!("a connection to port {PORT} of pod {}/{pod}", self.namespace);
        let mut forwarded = pods.portforward(pod, &[PORT]).await.map_err(|error| explain(error, &what))?;
        let stream = forwarded.take_stream(PORT).context("no stream for the port; please report it")?;
        let refused = forwarded.take_error(PORT).context("no errors for the port; please report it")?;
        let name = ServerName::try_from(format!("{SERVICE}.{}.svc", self.namespace))?;
        let asked = async {
            let stream =
                self.tls.connect(name, stream).await.with_context(|| format!("{what} is not to be trusted"))?;
            fetch(stream, pod, Some(&self.token), path).await
        };
        let answer = tokio::select! {
            answer = asked => answer,
            Some(reason) = refused => Err(anyhow!("{what}: {}", reason.trim())),
        };
        forwarded.abort();
        answer
    }
}

/// The pods of all replicas that take connections.
async fn pods(client: &Client, namespace: &str) -> anyhow::Result<BTreeSet<String>> {
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let labels = format!("kubernetes.io/service-name={SERVICE}");
    let what = format!("the EndpointSlices of Service {namespace}/{SERVICE}");
    let slices = slices.list(&ListParams::default().labels(&labels).limit(SLICES_MAX)).await;
    let slices = slices.map_err(|error| explain(error, &what))?;
    let is_open =
        |endpoint: &Endpoint| endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready.unwrap_or(true));
    let open = slices.items.into_iter().filter_map(|slice| slice.endpoints).flatten().filter(is_open);
    let pods: BTreeSet<String> = open.filter_map(|endpoint| endpoint.target_ref?.name).collect();
    ensure!(
        !pods.is_empty(),
        "no replica is ready behind Service {namespace}/{SERVICE}; `mainsheet install` brings a control plane, --system-namespace \
         names the namespace of one that is elsewhere, --http-address one on this machine"
    );
    Ok(pods)
}

/// TLS that trusts what the API server is to trust when it calls the control plane.
async fn connector(client: &Client, namespace: &str) -> anyhow::Result<TlsConnector> {
    let name = format!("mainsheet-{namespace}");
    let what = format!("ValidatingWebhookConfiguration {name}, which has the root of the control plane's certificates");
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let configuration = configurations.get(&name).await.map_err(|error| explain(error, &what))?;
    let bundles = configuration.webhooks.into_iter().flatten().filter_map(|webhook| webhook.client_config.ca_bundle);
    let mut roots = RootCertStore::empty();
    for bundle in bundles {
        for root in CertificateDer::pem_slice_iter(&bundle.0) {
            roots.add(root.with_context(|| what.clone())?).with_context(|| what.clone())?;
        }
    }
    ensure!(!roots.is_empty(), "{what}: it has none yet; a control plane that is ready writes it");
    let config = ClientConfig::builder_with_provider(tls::provider()).with_safe_default_protocol_versions()?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

async fn token(client: &Client, account: &Account) -> anyhow::Result<String> {
    let Account { namespace, name } = account;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let spec = TokenRequestSpec {
        audiences: Some(vec![AUDIENCE.into()]),
        expiration_seconds: Some(TOKEN_SECONDS),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
    let what = format!("a token of service account {namespace}/{name}");
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
    let answer = answer.map_err(|error| explain(error, &what))?;
    answer.status.and_then(|status| status.token).with_context(|| format!("{what}: the answer has none"))
}

/// What is in the way, and what to do about it.
pub(super) fn explain(error: kube::Error, what: &str) -> anyhow::Error {
    let kube::Error::Api(status) = &error else { return anyhow::Error::new(error).context(what.to_owned()) };
    match status.code {
        403 => anyhow!("{what}: {}; docs/PERMISSIONS.md says what a user needs", status.message),
        404 => {
            anyhow!("{what}: it is not there; look at the installation, or name its namespace with --system-namespace")
        }
        _ => anyhow!("{what}: {}", status.message),
    }
}
