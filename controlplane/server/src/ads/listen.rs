//! The xDS port: accepts connections and serves HTTP/2 on them, with every limit set.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Either, Empty};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{Notify, Semaphore},
    task::JoinSet,
};

use super::{Service, outgoing::Outgoing};
use crate::shutdown::Shutdown;

/// Connections that the kernel keeps until they are accepted: all proxies of a mesh reconnect at once.
const BACKLOG: u32 = 4096;
/// Open connections. A connection costs a file descriptor and some 30 kB.
pub const CONNECTIONS_MAX: usize = 16_384;
/// Streams of one connection. An Envoy opens one; a relay may open one for each of its clients.
const STREAMS_PER_CONNECTION_MAX: u32 = 128;
/// Bytes of request headers.
const HEADERS_LEN_MAX: u32 = 16 << 10;
/// Bytes of requests that a peer may send ahead of what was read, for one stream and for a connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Bytes that HTTP/2 keeps for a stream; beyond it, responses wait as shared memory.
const SEND_BUFFER_LEN_MAX: usize = 256 << 10;
/// Streams that a peer opened and reset before we saw them (rapid reset), and that we reset by its fault.
const PENDING_RESETS_MAX: usize = 64;
const LOCAL_RESETS_MAX: usize = 256;
/// Bytes of a frame, the least that the protocol allows.
const FRAME_LEN_MAX: u32 = 16 << 10;
/// A peer that is gone without a word is noticed within the sum of both.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from the connection to its first request.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause after a failure to accept, which is nearly always the want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a stream can do to its connection.
#[derive(Debug, Default)]
pub(super) struct Connection {
    opened: Notify,
    broken: Notify,
}

impl Connection {
    /// Ends the connection at once: the only way to be rid of a response that the peer does not read.
    pub(super) fn abandon(&self) {
        self.broken.notify_one();
    }
}

/// Binds the xDS port.
///
/// # Errors
/// What the operating system says.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted control plane must not wait for the connections of the one before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves ADS until shutdown, then waits for the connections to end.
pub async fn serve(listener: TcpListener, service: Arc<Service>, mut shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = shutdown.begun() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                service.metrics.refused("accept");
                if let Some(left_out) = service.refusals.speak(Instant::now()) {
                    tracing::warn!(%error, left_out, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            service.metrics.refused("connections");
            if let Some(left_out) = service.refusals.speak(Instant::now()) {
                tracing::warn!(%peer, limit = CONNECTIONS_MAX, left_out, "too many connections");
            }
            continue;
        };
        let (service, shutdown) = (Arc::clone(&service), shutdown.clone());
        connections.spawn(async move {
            service.metrics.connections.inc();
            super::contain(&service.metrics, peer, connection(stream, peer, &service, shutdown)).await;
            service.metrics.connections.dec();
            drop(place);
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, peer: SocketAddr, service: &Arc<Service>, mut shutdown: Shutdown) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
    }
    let control = Arc::new(Connection::default());
    let answer = service_fn(|request: Request<Incoming>| {
        control.opened.notify_one();
        let answer = service.answer(request, peer, &control);
        async move { Ok::<Response<Either<Outgoing, Empty<Bytes>>>, std::convert::Infallible>(answer) }
    });
    let mut served = std::pin::pin!(http2_limits().serve_connection(TokioIo::new(stream), answer));
    let mut opened = false;
    let mut ending = false;
    loop {
        tokio::select! {
            result = served.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                return;
            }
            () = control.opened.notified(), if !opened => opened = true,
            () = tokio::time::sleep(FIRST_REQUEST_TIMEOUT), if !opened => {
                service.metrics.refused("no_request");
                tracing::debug!(%peer, "connection without a request");
                return;
            }
            () = control.broken.notified() => return,
            () = shutdown.begun(), if !ending => {
                ending = true;
                served.as_mut().graceful_shutdown();
            }
        }
    }
}

fn http2_limits() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .max_header_list_size(HEADERS_LEN_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .adaptive_window(false)
        .max_frame_size(FRAME_LEN_MAX)
        .max_send_buf_size(SEND_BUFFER_LEN_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(LOCAL_RESETS_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    builder
}
