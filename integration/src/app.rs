//! An HTTP server that plays an application: it says who it is, misbehaves when told to, and remembers what it was asked.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// Older requests are forgotten.
const RECORDED_MAX: usize = 10_000;

/// How an application answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behaviour {
    /// Waited before each answer.
    pub delay: Duration,
    /// The status of each answer.
    pub status: StatusCode,
    /// So many requests, from now on, are answered with `fail_status` in place of `status`.
    pub fail_first: u32,
    /// See `fail_first`.
    pub fail_status: StatusCode,
    /// Answer with the request as JSON: method, path, headers, body.
    pub echo: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            status: StatusCode::OK,
            fail_first: 0,
            fail_status: StatusCode::SERVICE_UNAVAILABLE,
            echo: false,
        }
    }
}

/// A request as the application saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The headers; of a repeated one, the last. `host` is here for HTTP/2 too.
    pub headers: BTreeMap<String, String>,
}

/// A running application. Dropping it closes its connections at once.
#[derive(Debug)]
pub struct App {
    name: String,
    version: String,
    address: SocketAddr,
    state: Arc<State>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    name: String,
    version: String,
    behaviour: Mutex<Behaviour>,
    recorded: Mutex<VecDeque<Recorded>>,
    requests: AtomicU64,
    connections: AtomicU64,
    in_progress: AtomicU64,
    in_progress_max: AtomicU64,
}

impl App {
    /// Serves HTTP/1.1 and HTTP/2 without TLS at `address`; answers carry `name` in header `x-app` and `version` in `x-version`.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(name: &str, version: &str, address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await.with_context(|| format!("bind {name} to {address}"))?;
        let address = listener.local_addr().context("read the bound address")?;
        let state = Arc::new(State::new(name, version));
        let serving = tokio::spawn(serve(listener, Arc::clone(&state)));
        Ok(Self { name: name.to_owned(), version: version.to_owned(), address, state, serving })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes how it answers from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.state.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    }

    /// How many requests it has had.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// How many connections it has had.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// The most requests it ever had in progress at one time.
    #[must_use]
    pub fn in_progress_max(&self) -> u64 {
        self.state.in_progress_max.load(Ordering::Relaxed)
    }

    /// The requests it remembers, oldest first.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state.recorded.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl State {
    fn new(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            behaviour: Mutex::default(),
            recorded: Mutex::default(),
            requests: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            in_progress: AtomicU64::new(0),
            in_progress_max: AtomicU64::new(0),
        }
    }

    /// The behaviour for the next answer, with one of `fail_first` used up.
    fn next_behaviour(&self) -> Behaviour {
        let mut behaviour = self.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = behaviour.clone();
        if behaviour.fail_first > 0 {
            behaviour.fail_first -= 1;
            next.status = next.fail_status;
        }
        next
    }

    fn record(&self, request: Recorded) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if recorded.len() == RECORDED_MAX {
            recorded.pop_front();
        }
        recorded.push_back(request);
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let in_progress = self.in_progress.fetch_add(1, Ordering::Relaxed) + 1;
        self.in_progress_max.fetch_max(in_progress, Ordering::Relaxed);
        let seen = seen(&request);
        self.record(seen.clone());
        let behaviour = self.next_behaviour();
        let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        if !behaviour.delay.is_zero() {
            tokio::time::sleep(behaviour.delay).await;
        }
        let text = if behaviour.echo { echo(&seen, &body) } else { format!("{} {}\n", self.name, self.version) };
        self.in_progress.fetch_sub(1, Ordering::Relaxed);
        let response = Response::builder()
            .status(behaviour.status)
            .header("x-app", &self.name)
            .header("x-version", &self.version)
            .header("x-path", &seen.path)
            .body(Full::new(Bytes::from(text)));
        // Only a name that is no header value can fail here; an empty 200 without x-app fails the test that chose it.
        Ok(response.unwrap_or_default())
    }
}

async fn serve(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    state.connections.fetch_add(1, Ordering::Relaxed);
                    connections.spawn(serve_connection(stream, Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve_connection(stream: TcpStream, state: Arc<State>) {
    // Failing to set it costs time only.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { state.answer(request).await }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    // A connection that a peer cuts is no event for a test: what was lost shows at the client.
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

fn seen(request: &Request<Incoming>) -> Recorded {
    let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut headers: BTreeMap<_, _> =
        request.headers().iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    if let Some(authority) = request.uri().authority() {
        headers.insert("host".to_owned(), authority.to_string());
    }
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    Recorded { method: request.method().to_string(), path, headers }
}

fn echo(seen: &Recorded, body: &Bytes) -> String {
    let body = String::from_utf8_lossy(body);
    serde_json::json!({"method": seen.method, "path": seen.path, "headers": seen.headers, "body": body}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Call, Connection};

    async fn reviews() -> App {
        App::start("reviews-v2", "v2", "127.0.0.1:0".parse().unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn an_application_says_who_it_is_and_remembers_what_it_was_asked() {
        let app = reviews().await;
        let mut connection = Connection::to(app.address());
        let answer =
            connection.send(&Call::get("reviews:9080", "/reviews/0?all=1").header("x-user", "ann")).await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (StatusCode::OK, "reviews-v2 v2\n"));
        assert_eq!((answer.header("x-app"), answer.header("x-version")), ("reviews-v2", "v2"));
        connection.send(&Call::get("reviews:9080", "/")).await.unwrap();
        assert_eq!((app.requests(), app.connections(), connection.opened()), (2, 1, 1));
        let first = app.recorded().first().cloned().unwrap();
        assert_eq!((first.method.as_str(), first.path.as_str()), ("GET", "/reviews/0?all=1"));
        assert_eq!((first.headers["host"].as_str(), first.headers["x-user"].as_str()), ("reviews:9080", "ann"));
    }

    #[tokio::test]
    async fn it_fails_as_often_as_told_and_then_recovers() {
        let app = reviews().await;
        app.behave(Behaviour { fail_first: 2, ..Behaviour::default() });
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses
                .push(crate::client::send(app.address(), &Call::get("reviews", "/")).await.unwrap().status.as_u16());
        }
        assert_eq!(statuses, [503, 503, 200]);
    }

    #[tokio::test]
    async fn a_dropped_application_refuses_connections() {
        let app = reviews().await;
        let address = app.address();
        drop(app);
        let gone = async || match crate::client::send(address, &Call::get("reviews", "/")).await {
            Ok(answer) => Err(anyhow::anyhow!("still answers: {}", answer.status)),
            Err(_) => Ok(()),
        };
        crate::wait::until("the application to be gone", gone).await.unwrap();
    }
}
