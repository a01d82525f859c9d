//! A way to somewhere that can be cut, stopped, and led elsewhere.

use std::net::SocketAddr;

use anyhow::{Context, Result};

use crate::{cluster::ApiServer, outside::Program, process::Process, wait};

/// A running relay of connections: the gateway that etcd has. Dropping it cuts them, and refuses new ones.
#[derive(Debug)]
pub struct Gateway {
    process: Process,
}

impl Gateway {
    /// Leads from `from` to `to`, and waits until it does. It belongs to what `server` belongs to, with its log under `name`.
    ///
    /// # Errors
    /// The address is taken or the program is missing.
    pub async fn start(server: &ApiServer, name: &str, from: SocketAddr, to: SocketAddr) -> Result<Self> {
        let keeper = server.keeper();
        let mut command = keeper.command(Program::Etcd.find()?);
        command.args(["gateway", "start", "--listen-addr", &from.to_string(), "--endpoints", &to.to_string()]);
        // A place that was away is tried again at once.
        command.args(["--retry-delay", "1ms"]);
        let process = keeper.run(name, &mut command)?;
        wait::until(name, async || tokio::net::TcpStream::connect(from).await.context("connect")).await?;
        Ok(Self { process })
    }

    /// The process: to stop it and let it go on. Connections stay, and nothing gets through.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}
