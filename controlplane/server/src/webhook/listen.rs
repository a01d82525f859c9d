//! Serves HTTPS with every limit set, and with a certificate that may change between two connections.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustls::{
    ServerConfig,
    crypto::CryptoProvider,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use crate::{port, shutdown::Shutdown};

/// Open connections: API servers keep some each. Anybody in the cluster can open others.
const CONNECTIONS_MAX: usize = 512;
/// Time for a handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(4);
/// Bytes of a request's head.
const HEAD_LEN_MAX: usize = 16 << 10;
/// Time until a request's head has come, from the end of the one before. API servers close what was idle for 90 s; were
/// we to do so first, a request that is just being sent would be lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The certificate for new connections.
#[derive(Debug, Default)]
pub(super) struct Certificate(ArcSwapOption<CertifiedKey>);

impl Certificate {
    /// From now on this one is presented. Connections that are open keep theirs.
    pub(super) fn replace(&self, certified: CertifiedKey) {
        self.0.store(Some(Arc::new(certified)));
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

/// TLS with what `certificate` holds.
pub(super) fn acceptor(
    provider: Arc<CryptoProvider>,
    certificate: Arc<Certificate>,
) -> Result<TlsAcceptor, rustls::Error> {
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_cert_resolver(certificate);
    // What API servers speak to webhooks.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is resumed would never see a new certificate.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves until shutdown, then lets what is under way come to its end.
pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, router: Router, shutdown: Shutdown) {
    let converse = |stream, shutdown| converse(stream, tls.clone(), router.clone(), shutdown);
    port::accept(listener, "the webhook's port", CONNECTIONS_MAX, shutdown, converse).await;
}

async fn converse(stream: TcpStream, tls: TlsAcceptor, router: Router, mut shutdown: Shutdown) {
    let stream = match timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%error, "a handshake with the webhook failed"),
        Err(_) => return tracing::debug!("a handshake with the webhook took too long"),
    };
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT).max_buf_size(HEAD_LEN_MAX);
    let service = TowerToHyperService::new(router);
    let mut served = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = served.as_mut() => {}
        () = shutdown.begun() => {
            served.as_mut().graceful_shutdown();
            let _ = served.await;
        }
    }
}
