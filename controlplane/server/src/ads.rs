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
pub use proxies::{Nack, Proxies, Proxy, ProxyState, RefusedResource, TypeState};
pub use request::{Node, NodeLocality, REQUEST_LEN_MAX};
pub use response::Bodies;

use std::{
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use mesh::push::Protocol;
use tokio::sync::Semaphore;
use tonic::Status;

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
            let stream = stream::serve(&service, protocol, peer, messages, sink, &connection);
            // A fault in one stream must not take the others with it; its proxy sees the stream break off.
            if AssertUnwindSafe(stream).catch_unwind().await.is_err() {
                service.metrics.pilot_total_xds_internal_errors.inc();
                tracing::error!(%peer, "a stream ended by a fault of the control plane; please report it");
            }
            service.metrics.streams.dec();
            drop(place);
        });
        let mut response = Response::new(Either::Left(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }
}

/// An answer that is nothing but a status.
fn refusal(status: &Status) -> Response<Either<Outgoing, Empty<Bytes>>> {
    status.clone().into_http::<Empty<Bytes>>().map(Either::Right)
}
