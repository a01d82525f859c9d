//! Serves the HTTP port with every limit set.

use std::{sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};

use crate::shutdown::Shutdown;

/// Open connections: scrapers, a console and a few people.
const CONNECTIONS_MAX: usize = 256;
/// Bytes of a request's head; no page takes a body.
const HEAD_LEN_MAX: usize = 16 << 10;
/// Time for a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for one connection, which a page that nobody reads would otherwise hold for ever.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(300);
/// Pause after a failure to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until shutdown, then lets what is under way come to its end.
pub async fn serve(listener: TcpListener, router: Router, mut shutdown: Shutdown) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
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
                tracing::warn!(%error, "cannot accept a connection on the HTTP port");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(router.clone());
        let mut shutdown = shutdown.clone();
        connections.spawn(async move {
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(HEAD_LEN_MAX);
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
            drop(place);
        });
    }
    while connections.join_next().await.is_some() {}
}
