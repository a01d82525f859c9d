//! The pages of control planes: of one on this machine, or of every replica of a cluster.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use super::{
    access::{Access, Limit},
    arguments,
    fetch::{NoPage, fetch},
    replicas::{Account, Replicas},
};

/// A control plane on this machine, where nothing says otherwise.
const HERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15014);
/// Replicas that are asked at a time.
const ASKED_MAX: usize = 8;

/// Which control plane is asked, and as whom.
#[derive(Debug, clap::Args)]
#[group(id = "pages")]
pub(super) struct Args {
    /// Ask a control plane on this machine, where it serves HTTP; without a cluster that kubectl would use, the default is 127.0.0.1:15014
    #[arg(
        long,
        value_name = "ADDRESS",
        conflicts_with_all = ["kubeconfig", "context", "as_user", "service_account"],
        value_parser = arguments::address
    )]
    http_address: Option<SocketAddr>,
    /// The namespace of the control plane in the cluster
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE", value_parser = arguments::namespace)]
    system_namespace: String,
    /// The service account by whose token the control plane knows who asks, and which then sees its own namespace; default is one that sees everything
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = Account::parse)]
    service_account: Option<Account>,
    #[command(flatten)]
    access: Access,
}

/// Where pages are asked for.
pub(super) enum Place {
    Here(SocketAddr, Limit),
    Cluster(Replicas),
}

/// A page of all replicas.
pub(super) struct Asked {
    /// Of those that gave it.
    pub(super) pages: Vec<Page>,
    /// Of those that did not.
    pub(super) failures: Vec<anyhow::Error>,
}

/// A page of one replica.
pub(super) struct Page {
    from: String,
    text: String,
}

impl Page {
    /// What it says.
    pub(super) fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        let read = serde_json::from_str(&self.text);
        read.with_context(|| format!("{} answers something else; is it a control plane?", self.from))
    }
}

impl Args {
    /// Finds whom to ask.
    pub(super) async fn place(&self) -> anyhow::Result<Place> {
        match self.http_address {
            Some(address) => Ok(Place::Here(address, self.access.limit())),
            None if !self.access.is_known() => Ok(Place::Here(HERE, self.access.limit())),
            None => {
                let found = Replicas::find(&self.access, &self.system_namespace, self.service_account.as_ref()).await;
                Ok(Place::Cluster(found?))
            }
        }
    }
}

impl Place {
    /// A page of every replica.
    ///
    /// # Errors
    /// None of them has it.
    pub(super) async fn ask(&self, path: &str) -> anyhow::Result<Asked> {
        let answers: Vec<anyhow::Result<Page>> = match self {
            Self::Here(address, limit) => vec![limit.of(&address.to_string(), here(*address, path)).await],
            Self::Cluster(replicas) => {
                let ask = async |pod| Ok(Page { from: String::from(pod), text: replicas.ask(pod, path).await? });
                stream::iter(replicas.pods()).map(ask).buffered(ASKED_MAX).collect().await
            }
        };
        let mut asked = Asked { pages: Vec::new(), failures: Vec::new() };
        for answer in answers {
            match answer {
                Ok(page) => asked.pages.push(page),
                Err(failure) => asked.failures.push(failure),
            }
        }
        if asked.pages.is_empty()
            && let Some(failure) = gravest(&mut asked.failures)
        {
            return Err(failure);
        }
        Ok(asked)
    }

    /// Who is asked, in a line.
    pub(super) fn title(&self) -> String {
        match self {
            Self::Here(address, _) => format!("the control plane at {address}"),
            Self::Cluster(replicas) => replicas.title(),
        }
    }

    /// Where all problems of the configuration are told.
    pub(super) fn problems(&self, path: &str) -> String {
        match self {
            Self::Here(address, _) => format!("http://{address}{path}, or `mainsheet analyze` of the files"),
            Self::Cluster(_) => "`mainsheet analyze -A`".into(),
        }
    }
}

impl Asked {
    /// An error when a replica has not answered: what was printed is then not all that there is.
    pub(super) fn complete(self) -> anyhow::Result<()> {
        match self.failures.into_iter().next() {
            Some(failure) => {
                Err(failure.context("not all replicas have answered, and what they know is missing above"))
            }
            None => Ok(()),
        }
    }
}

/// One that says more than that a replica does not know what was asked for, if there is one.
fn gravest(failures: &mut Vec<anyhow::Error>) -> Option<anyhow::Error> {
    let is_absence = |failure: &anyhow::Error| {
        failure.downcast_ref::<NoPage>().is_some_and(|no_page| no_page.status == StatusCode::NOT_FOUND)
    };
    let at = failures.iter().position(|failure| !is_absence(failure)).unwrap_or_default();
    (at < failures.len()).then(|| failures.swap_remove(at))
}

async fn here(address: SocketAddr, path: &str) -> anyhow::Result<Page> {
    let stream = TcpStream::connect(address).await.with_context(|| {
        format!("no control plane at {address}; start `mainsheet serve`, or name its --http-address")
    })?;
    let from = address.to_string();
    let text = fetch(stream, &from, None, path).await?;
    Ok(Page { from, text })
}
