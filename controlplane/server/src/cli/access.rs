//! The cluster that a command is about, by the arguments that kubectl has for it.

use std::path::PathBuf;

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

/// Which cluster, and as whom.
#[derive(Debug, clap::Args)]
pub(super) struct Access {
    /// The file that says how to reach the cluster; default is what kubectl uses
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in that file, in place of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

impl Access {
    /// A client for the cluster; nothing is asked yet.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = match &self.kubeconfig {
            Some(file) => match Kubeconfig::read_from(file) {
                Ok(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options).await,
                Err(error) => Err(error),
            },
            None => Config::from_kubeconfig(&options).await,
        };
        let config = config.context("no way to a cluster; give --kubeconfig with a file that kubectl works with")?;
        Client::try_from(config).context("the way to the API server; look at its certificates and its address")
    }
}
