//! Ports that speak HTTP/1, in plain text or over TLS: how they are bound, and every limit that they have.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

use crate::shutdown::Shutdown;

/// Pause after a failure to accept, which is nearly always the want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Time for a TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a request's head.
const HEAD_LEN_MAX: usize = 16 << 10;

/// What differs between ports.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// What the log calls the port.
    pub name: &'static str,
    /// Open connections. Beyond them a new one is closed at once.
    pub connections_max: usize,
    /// Time until a request's head has come, from the end of the one before.
    pub head_timeout: Duration,
    /// Time for one connection.
    pub connection_timeout: Duration,
}

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

/// Serves until shutdown, then lets what is under way come to its end. Without `tls` it is plain text.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    mut shutdown: Shutdown,
) {
    let places = Arc::new(Semaphore::new(limits.connections_max));
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
                tracing::warn!(%error, "cannot accept a connection on {}", limits.name);
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let conversation = converse(stream, tls.clone(), router.clone(), limits, shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            conversation.await;
        });
    }
    while connections.join_next().await.is_some() {}
}

async fn converse(stream: TcpStream, tls: Option<TlsAcceptor>, router: Router, limits: Limits, shutdown: Shutdown) {
    let Some(tls) = tls else { return answer(stream, router, limits, shutdown).await };
    match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => answer(stream, router, limits, shutdown).await,
        Ok(Err(error)) => tracing::debug!(%error, "a handshake with {} failed", limits.name),
        Err(_) => tracing::debug!("a handshake with {} took too long", limits.name),
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, limits: Limits, mut shutdown: Shutdown) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_buf_size(HEAD_LEN_MAX);
    let service = TowerToHyperService::new(router);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = served.as_mut() => {}
        () = sleep(limits.connection_timeout) => {}
        () = shutdown.begun() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}
