//! The raw floor: a tonic server on one thread that streams ready-made bytes to every stream and counts acknowledgements.

use std::{
    convert::Infallible,
    io::{BufRead as _, Write as _},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use anyhow::{Context as _, Result};
use bytes::{Buf as _, BufMut as _, Bytes};
use futures::{StreamExt as _, future::BoxFuture};
use prost::Message as _;
use proto::{
    ResourceType,
    envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource},
    google::protobuf::Any,
};
use tokio::sync::broadcast;
use tonic::{
    Request, Response, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService, StreamingService},
};
use xxhash_rust::xxh3::xxh3_64;

/// Serves until standard input ends. Each line `push BYTES` sends one resource of that size to every stream; each
/// line `acked` prints how many acknowledgements came so far.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let (pushes, _) = broadcast::channel(16);
    let acked = Arc::new(AtomicUsize::new(0));
    let service = FloorService { pushes: pushes.clone(), acked: Arc::clone(&acked) };
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address).with_context(|| format!("cannot bind {address}"))?;
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(socket.listen(4096)?);
    let server = tonic::transport::Server::builder()
        .initial_stream_window_size(1 << 20)
        .add_service(service)
        .serve_with_incoming(incoming);
    let server = tokio::spawn(server);
    tokio::task::spawn_blocking(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            match line.split_once(' ') {
                Some(("push", bytes)) => drop(pushes.send(ready_made(bytes.trim().parse().unwrap_or(0)))),
                _ => {
                    let mut out = std::io::stdout();
                    let _ = writeln!(out, "{}", acked.load(Ordering::Relaxed)).and_then(|()| out.flush());
                }
            }
        }
    })
    .await?;
    server.abort();
    Ok(())
}

/// One delta response with one resource of about `len` bytes.
fn ready_made(len: usize) -> Bytes {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let value: Bytes =
        (0..len).map(|n| (n.wrapping_mul(31).wrapping_add(count) % 251) as u8).collect::<Vec<_>>().into();
    let kind = ResourceType::Cluster;
    let resource = Resource {
        name: "floor".into(),
        version: format!("{:016x}", xxh3_64(&value)),
        resource: Some(Any { type_url: kind.type_url().into(), value }),
        ..Resource::default()
    };
    let response = DeltaDiscoveryResponse {
        type_url: kind.type_url().into(),
        nonce: count.to_string(),
        resources: vec![resource],
        ..DeltaDiscoveryResponse::default()
    };
    response.encode_to_vec().into()
}

#[derive(Clone)]
struct FloorService {
    pushes: broadcast::Sender<Bytes>,
    acked: Arc<AtomicUsize>,
}

impl NamedService for FloorService {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl tower::Service<http::Request<tonic::body::Body>> for FloorService {
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::result::Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<tonic::body::Body>) -> Self::Future {
        let method = FloorStream(self.clone());
        Box::pin(async move { Ok(Grpc::new(Raw).streaming(method, request).await) })
    }
}

struct FloorStream(FloorService);

impl StreamingService<Bytes> for FloorStream {
    type Response = Bytes;
    type ResponseStream = futures::stream::BoxStream<'static, std::result::Result<Bytes, Status>>;
    type Future = BoxFuture<'static, std::result::Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let service = self.0.clone();
        let mut requests = request.into_inner();
        let pushes = service.pushes.subscribe();
        let acked = service.acked;
        tokio::spawn(async move {
            // The first request opens the stream, every other one acknowledges.
            let _ = requests.message().await;
            while let Ok(Some(_)) = requests.message().await {
                acked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let stream = tokio_stream::wrappers::BroadcastStream::new(pushes)
            .filter_map(|push| async move { push.ok().map(Ok) })
            .boxed();
        Box::pin(async move { Ok(Response::new(stream)) })
    }
}

/// Passes messages through as they are.
#[derive(Debug, Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> std::result::Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> std::result::Result<Option<Bytes>, Status> {
        let len = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(len)))
    }
}
