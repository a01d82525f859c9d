//! Ports that speak HTTP/1: how they are bound, and how many connections are open on one at a time.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use crate::shutdown::Shutdown;

/// Pause after a failure to accept, which is nearly always the want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds a port. Where there is no IPv6, its unspecified address means that of IPv4.
///
/// # Errors
/// When the port is taken or the address is not this machine's.
pub async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    }
}

/// Lets `converse` speak on each connection until shutdown, then lets those that are open come to their end. Beyond
/// `connections_max`, a new one is closed at once. `port` is what the log calls it.
pub async fn accept<F>(
    listener: TcpListener,
    port: &str,
    connections_max: usize,
    mut shutdown: Shutdown,
    converse: impl Fn(TcpStream, Shutdown) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(connections_max));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = shutdown.begun() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on {port}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let conversation = converse(stream, shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            conversation.await;
        });
    }
    while connections.join_next().await.is_some() {}
}
