//! The aggregated discovery service: gRPC in both protocols, on shared bytes.
//!
//! The serving side of gRPC is written here, because tonic's codec would encode every response once per stream. What to
//! send, and when, is the business of [`mesh::push`]; a stream here is a task that feeds it and carries out what it says.

mod listen;
mod outgoing;
mod proxies;
mod quiet;
mod request;
mod response;
mod stream;
mod unserved;

pub use listen::{CONNECTIONS_MAX, bind, serve};
pub use proxies::{Held, Nack, Proxies, Proxy, ProxyState, RefusedResource, StandingRefusal, TypeState};
pub use request::{Node, NodeLocality, REQUEST_LEN_MAX};
pub use response::Bodies;

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use mesh::push::Protocol;
use tokio::sync::Semaphore;
use tonic::{Code, Status};

use self::{listen::Connection, outgoing::Outgoing, quiet::Quiet, request::Messages};
use crate::{dispatch::Handle, metrics::Metrics, shutdown::Shutdown};

/// Streams of all connections. One costs some 60 kB.
pub const STREAMS_MAX: usize = 16_384;

/// The two methods of `envoy.service.discovery.v3.AggregatedDiscoveryService`.
const DELTA_PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
const SOTW_PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";

/// What all streams share.
#[derive(Debug)]
pub struct Service {
    dispatch: Handle,
    metrics: Arc<Metrics>,
    proxies: Arc<Proxies>,
    bodies: Bodies,
    warnings: Quiet,
    /// What peers are refused: apart from the warnings, which a hostile peer must not crowd out.
    refusals: Quiet,
    streams: Arc<Semaphore>,
    shutdown: Shutdown,
    clock: fn() -> SystemTime,
    write_timeout: Duration,
}

/// Time for which a response may wait for a proxy that does not read.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

impl Service {
    /// The service; `clock` tells when proxies connected and refused something.
    #[must_use]
    pub fn new(
        dispatch: Handle,
        metrics: Arc<Metrics>,
        proxies: Arc<Proxies>,
        shutdown: Shutdown,
        clock: fn() -> SystemTime,
    ) -> Self {
        let streams = Arc::new(Semaphore::new(STREAMS_MAX));
        Self {
            dispatch,
            metrics,
            proxies,
            bodies: Bodies::default(),
            warnings: Quiet::default(),
            refusals: Quiet::default(),
            streams,
            shutdown,
            clock,
            write_timeout: WRITE_TIMEOUT,
        }
    }

    /// Sets for how long a response may wait for a proxy that does not read; without it half a minute.
    #[must_use]
    pub fn with_write_timeout(self, write_timeout: Duration) -> Self {
        Self { write_timeout, ..self }
    }

    /// Counts a message that is not taken.
    fn refuse_message(&self, status: Status) -> Status {
        // It is cancelled by a connection that broke.
        if status.code() != Code::Cancelled {
            self.metrics.refused("message");
        }
        status
    }

    /// Says why a stream was closed, if that is for what its peer sent. `proxy` is empty if it did not say who it is.
    fn note_refusal(&self, peer: SocketAddr, proxy: &str, end: &Status) {
        let by_its_fault = [Code::InvalidArgument, Code::ResourceExhausted, Code::Unimplemented].contains(&end.code());
        let Some(left_out) = by_its_fault.then(|| self.refusals.speak(Instant::now())).flatten() else { return };
        let reason = end.message();
        tracing::warn!(%peer, proxy, code = ?end.code(), reason, left_out, "a stream was closed for what its peer sent");
    }

    /// Answers the head of a request; a stream goes on in a task of its own.
    fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: SocketAddr,
        connection: &Arc<Connection>,
    ) -> Response<Either<Outgoing, Empty<Bytes>>> {
        let protocol = match request.uri().path() {
            DELTA_PATH => Protocol::Delta,
            SOTW_PATH => Protocol::StateOfTheWorld,
            path => {
                let text = format!("no method {path:?} here; this port serves the aggregated discovery service");
                return refusal(&Status::unimplemented(text));
            }
        };
        let content_type = request.headers().get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        if request.method() != Method::POST || !content_type.starts_with(b"application/grpc") {
            let mut response = Response::new(Either::Right(Empty::new()));
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let Ok(place) = Arc::clone(&self.streams).try_acquire_owned() else {
            self.metrics.refused("streams");
            return refusal(&Status::resource_exhausted(format!(
                "{STREAMS_MAX} streams are open; try another replica"
            )));
        };
        let (sink, body) = outgoing::channel();
        let service = Arc::clone(self);
        let connection = Arc::clone(connection);
        tokio::spawn(async move {
            service.metrics.streams.inc();
            let messages = Messages::new(request.into_body());
            contain(&service.metrics, peer, stream::serve(&service, protocol, peer, messages, sink, &connection)).await;
            service.metrics.streams.dec();
            drop(place);
        });
        let mut response = Response::new(Either::Left(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }
}

/// Carries out what is done for one peer. A fault in it must not take the others with it; the peer sees its stream or
/// connection break off.
async fn contain(metrics: &Metrics, peer: SocketAddr, work: impl Future<Output = ()>) {
    if AssertUnwindSafe(work).catch_unwind().await.is_err() {
        metrics.pilot_total_xds_internal_errors.inc();
        tracing::error!(%peer, "a stream or connection ended by a fault of the control plane; please report it");
    }
}

/// An answer that is nothing but a status.
fn refusal(status: &Status) -> Response<Either<Outgoing, Empty<Bytes>>> {
    status.clone().into_http::<Empty<Bytes>>().map(Either::Right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[allow(clippy::panic, reason = "the fault that has to be contained")]
    async fn a_fault_in_the_work_for_one_peer_is_contained_and_counted() {
        let metrics = Metrics::new("test");
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        contain(&metrics, peer, async { panic!("a fault") }).await;
        contain(&metrics, peer, async {}).await;
        assert_eq!(metrics.pilot_total_xds_internal_errors.get(), 1);
    }
}
