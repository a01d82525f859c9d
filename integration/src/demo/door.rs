//! The door of the demo: one address that is easy to type, from which bytes go to the Envoy before the page.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// More connections than this wait.
const CONNECTIONS_MAX: usize = 256;

/// An open door. Dropping it closes it and cuts its connections.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Door {
    /// Opens it at `wanted`, or at a free port if that one is in use, and leads to `to`.
    ///
    /// # Errors
    /// No port is free.
    pub async fn open(wanted: SocketAddr, to: SocketAddr) -> Result<Self> {
        let listener = match TcpListener::bind(wanted).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("find a free port for the page")?,
        };
        let address = listener.local_addr().context("read the address of the page")?;
        Ok(Self { address, serving: tokio::spawn(serve(listener, to)) })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: TcpListener, to: SocketAddr) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(lead(stream, to));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// A connection that breaks shows at whoever opened it.
async fn lead(mut from: TcpStream, to: SocketAddr) {
    if let Ok(mut to) = TcpStream::connect(to).await {
        let _ = (from.set_nodelay(true), to.set_nodelay(true));
        let _ = copy_bidirectional(&mut from, &mut to).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        app::App,
        client::{self, Call},
    };

    #[tokio::test]
    async fn a_door_whose_port_is_taken_opens_elsewhere_and_leads_to_the_page() {
        let app = App::start("productpage", "v1", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let door = Door::open(app.address(), app.address()).await.unwrap();
        assert_ne!(door.address(), app.address());
        let answer = client::send(door.address(), &Call::get("localhost", "/")).await.unwrap();
        assert_eq!(answer.header("x-app"), "productpage");
    }
}
