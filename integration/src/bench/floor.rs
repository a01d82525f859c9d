//! The raw floor: a tonic server on one thread that streams ready-made bytes to every stream and counts acknowledgements.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io::{BufRead as _, BufReader, Write as _},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
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
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Request, Response, Status, Streaming,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, NamedService, StreamingService},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    fleet::Fleet,
    report::{Push, Storm},
    run::{Plan, await_all, storm_until},
    server::Server,
};

/// The floor as the bench drives it.
#[derive(Debug)]
pub struct FloorServer {
    /// Its process.
    pub server: Server,
    commands: std::process::ChildStdin,
    answers: BufReader<std::process::ChildStdout>,
}

impl FloorServer {
    /// Starts it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(plan: &Plan, address: &str) -> Result<Self> {
        let mut server =
            Server::start(&plan.bench, &["floor", "--listen", address], address, &plan.dir.join("floor.log"))?;
        let commands = server.child().stdin.take().context("the floor has no input")?;
        let answers = BufReader::new(server.child().stdout.take().context("the floor has no output")?);
        server.wait_listening(address, Duration::from_secs(10)).await?;
        Ok(Self { server, commands, answers })
    }

    fn acked(&mut self) -> Result<usize> {
        writeln!(self.commands, "acked")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().parse()?)
    }

    /// Sends so many bytes to every stream that opens from now on; none with 0.
    ///
    /// # Errors
    /// When the floor is gone.
    pub fn greet(&mut self, bytes: usize) -> Result<()> {
        writeln!(self.commands, "greet {bytes}")?;
        // The answer comes when the greeting is in force.
        self.acked().map(drop)
    }

    /// Connects everyone and waits until each has got its greeting.
    ///
    /// # Errors
    /// When not all have in time.
    pub async fn storm(&mut self, nodes: Vec<String>) -> Result<(Fleet, Storm)> {
        storm_until(&self.server, nodes, BTreeMap::new(), ResourceType::Cluster).await
    }

    /// Pushes so many bytes to so many streams, those that opened first, and waits until all have acknowledged.
    ///
    /// # Errors
    /// When not all have in time.
    pub async fn push(&mut self, fleet: &mut Fleet, bytes: usize, proxies: usize) -> Result<Push> {
        let before = self.server.usage()?;
        let acked = self.acked()?;
        let start = Instant::now();
        writeln!(self.commands, "push {bytes} {proxies}")?;
        let mut push = await_all(fleet, proxies, ResourceType::Cluster, start).await?;
        while self.acked()? < acked + proxies {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        push.cpu = self.server.usage()?.cpu - before.cpu;
        push.watchers = proxies;
        Ok(push)
    }
}

/// Serves until standard input ends. Each line `push BYTES STREAMS` sends one resource of that size to so many streams,
/// those that opened first; `greet BYTES` sends one to every stream that opens from then on; each line `acked` prints how
/// many acknowledgements came so far.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr) -> Result<()> {
    let streams: Arc<Mutex<Vec<mpsc::UnboundedSender<Bytes>>>> = Arc::default();
    let acked = Arc::new(AtomicUsize::new(0));
    let (greet, greeting) = watch::channel(None);
    let service = FloorService { streams: Arc::clone(&streams), greeting, acked: Arc::clone(&acked) };
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
            let words: Vec<&str> = line.split_whitespace().collect();
            let number = |word: &str| word.parse().unwrap_or(0);
            match words.as_slice() {
                ["push", bytes, count] => {
                    let bytes = ready_made(number(bytes));
                    let mut streams = streams.lock().unwrap_or_else(PoisonError::into_inner);
                    streams.retain(|stream| !stream.is_closed());
                    streams.iter().take(number(count)).for_each(|stream| drop(stream.send(bytes.clone())));
                }
                ["greet", bytes] => drop(greet.send(Some(ready_made(number(bytes))).filter(|_| number(bytes) > 0))),
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
    /// The streams that are open, in the order in which they opened.
    streams: Arc<Mutex<Vec<mpsc::UnboundedSender<Bytes>>>>,
    greeting: watch::Receiver<Option<Bytes>>,
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
        let (sender, pushes) = mpsc::unbounded_channel();
        service.streams.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        let acked = service.acked;
        tokio::spawn(async move {
            // The first request opens the stream, every other one acknowledges.
            let _ = requests.message().await;
            while let Ok(Some(_)) = requests.message().await {
                acked.fetch_add(1, Ordering::Relaxed);
            }
        });
        let greeting = service.greeting.borrow().clone();
        let stream = futures::stream::iter(greeting).chain(UnboundedReceiverStream::new(pushes)).map(Ok).boxed();
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
