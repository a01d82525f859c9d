//! Serves the HTTP port with every limit set.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::net::{TcpListener, TcpStream};

use crate::{port, shutdown::Shutdown};

/// Open connections: scrapers, a console and a few people.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's head; no page takes a body.
const HEAD_LEN_MAX: usize = 16 << 10;
/// Time for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for one connection, which a page that nobody reads would otherwise hold for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);

/// Serves until shutdown, then lets what is under way come to its end.
pub async fn serve(listener: TcpListener, router: Router, shutdown: Shutdown) {
    let converse = |stream, shutdown| converse(stream, router.clone(), shutdown);
    port::accept(listener, "the HTTP port", CONNECTIONS_MAX, shutdown, converse).await;
}

async fn converse(stream: TcpStream, router: Router, mut shutdown: Shutdown) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LEN_MAX);
    let service = TowerToHyperService::new(router);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let limit = tokio::time::sleep(CONNECTION_TIMEOUT);
    tokio::select! {
        _ = served.as_mut() => {}
        () = limit => {}
        () = shutdown.begun() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}
