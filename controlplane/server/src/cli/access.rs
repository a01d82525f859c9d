//! The cluster that a command is about, by the arguments that kubectl has for it.

use std::{path::PathBuf, time::Duration};

use anyhow::Context as _;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::arguments;

/// Which cluster, and as whom.
#[derive(Debug, clap::Args)]
pub(super) struct Access {
    /// The file that says how to reach the cluster; default is what kubectl uses
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in that file, in place of its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// Ask as this user, for whoever may impersonate
    #[arg(long = "as", value_name = "USER")]
    as_user: Option<String>,
    /// Ask as a member of this group; may be repeated
    #[arg(long = "as-group", value_name = "GROUP", requires = "as_user")]
    as_groups: Vec<String>,
    /// Longest time for one request, as 500ms, 30s or 2m; 0 waits for ever
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = Limit::parse)]
    request_timeout: Limit,
}

/// The longest time for a request, if there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit(Option<Duration>);

impl Limit {
    fn parse(text: &str) -> Result<Self, String> {
        arguments::timeout(text).map(Self)
    }

    /// What `future` comes to, in time.
    pub(super) async fn of<T>(self, what: &str, future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        let Some(limit) = self.0 else { return future.await };
        let ended = tokio::time::timeout(limit, future).await;
        ended.with_context(|| format!("{what} does not answer within {limit:?}; --request-timeout gives it longer"))?
    }
}

impl Access {
    /// The longest time for one request.
    pub(super) fn limit(&self) -> Limit {
        self.request_timeout
    }

    /// Whether an argument says which cluster is meant.
    pub(super) fn is_named(&self) -> bool {
        self.kubeconfig.is_some() || self.context.is_some()
    }

    /// Whether anything says which cluster is meant: an argument, or what kubectl would use.
    pub(super) fn is_known(&self) -> bool {
        let by_variable = || std::env::var_os("KUBECONFIG").is_some_and(|value| !value.is_empty());
        let at_home = || std::env::home_dir().is_some_and(|home| home.join(".kube/config").exists());
        self.is_named() || by_variable() || at_home()
    }

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
        let mut config =
            config.context("no way to a cluster; give --kubeconfig with a file that kubectl works with")?;
        if let Some(user) = &self.as_user {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.as_groups.clone());
        }
        if let Limit(Some(limit)) = self.request_timeout {
            config.connect_timeout = Some(limit);
            config.read_timeout = Some(limit);
            config.reset_reader_on_write = true;
        }
        Client::try_from(config).context("the way to the API server; look at its certificates and its address")
    }
}

/// A runtime for one command.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| anyhow::anyhow!("the operating system gives no threads: {error}"))
}
