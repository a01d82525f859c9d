//! A second API server on the store of another, as in clusters that have several.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use kube::Client;

use crate::{
    cluster::{
        ApiServer, Gateway,
        api_server::{PORT, start_server},
        kubeconfig,
    },
    ports::Loopback,
    process::Process,
    wait,
};

/// Where the way to the store begins.
const STORE_PORT: u16 = 2379;

/// A running API server whose way to the store can be stopped, so that it falls behind. Dropping it ends it.
#[derive(Debug)]
pub struct Second {
    _server: Process,
    store: Gateway,
    address: SocketAddr,
}

impl Second {
    /// Starts it beside `first`, and waits until it is ready.
    ///
    /// # Errors
    /// It does not get ready.
    pub async fn start(first: &ApiServer, home: &Loopback) -> Result<Self> {
        let (way, address) = (home.at(STORE_PORT), home.at(PORT));
        let store = first.store_url();
        let to = store.strip_prefix("http://").and_then(|to| to.parse().ok()).context("the address of etcd")?;
        let store = Gateway::start(first, "way-to-the-store", way, to).await?;
        let server = start_server(first.keeper(), "second-kube-apiserver", &format!("http://{way}"), home.ip())?;
        let second = Self { _server: server, store, address };
        let client = second.client(first).await?;
        wait::until("the second API server to be ready", async || {
            let answer = client.request_text(http::Request::get("/readyz").body(Vec::new())?).await?;
            ensure!(answer == "ok", "/readyz: {answer}");
            Ok(())
        })
        .await?;
        Ok(second)
    }

    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its way to the store.
    #[must_use]
    pub fn store(&self) -> &Process {
        self.store.process()
    }

    /// A client that may do everything.
    ///
    /// # Errors
    /// The client cannot be made.
    pub async fn client(&self, first: &ApiServer) -> Result<Client> {
        kubeconfig::client(&kubeconfig::led_by(first.kubeconfig(), &format!("https://{}", self.address))?).await
    }
}
