//! Somebody between the control plane and the API server who answers in its place, or spoils what it says.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use integration::cluster::kubeconfig;
use kube::{Client, client::Body};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What becomes of a request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered with a status, and a word on when to come again.
    Refused { status: u16, retry_after: Option<u32> },
    /// The first piece of the answer with this text in it comes half, and the connection ends.
    Cut(&'static str),
    /// The same piece comes whole, and is no JSON.
    Garbled(&'static str),
}

/// The fault that a request to this path, with its query, runs into.
type Rule = Box<dyn FnMut(&str) -> Option<Fault> + Send>;
type Reply = Response<UnsyncBoxBody<Bytes, anyhow::Error>>;

struct State {
    client: Client,
    rule: Mutex<Rule>,
    requests: Mutex<Vec<(Instant, String)>>,
}

/// Dropping it ends it.
pub(crate) struct Between {
    address: SocketAddr,
    state: Arc<State>,
    _serving: JoinSet<()>,
}

impl Between {
    /// Passes everything on to the API server that `client` leads to, but for what `rule` says.
    pub(crate) async fn start(
        client: Client,
        address: SocketAddr,
        rule: impl FnMut(&str) -> Option<Fault> + Send + 'static,
    ) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { client, rule: Mutex::new(Box::new(rule)), requests: Mutex::default() });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self { address, state, _serving: serving })
    }

    /// A kubeconfig that leads here instead of where `original` leads.
    pub(crate) fn kubeconfig(&self, original: &Path, directory: &Path) -> Result<PathBuf> {
        let file = directory.join("between.kubeconfig");
        std::fs::write(&file, kubeconfig::led_by(original, &format!("http://{}", self.address))?)?;
        Ok(file)
    }

    /// When there were requests whose path and query have this in them.
    pub(crate) fn requests(&self, with: &str) -> Vec<Instant> {
        let requests = self.state.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().filter(|(_, path)| path.contains(with)).map(|(at, _)| *at).collect()
    }

    /// Another rule holds from now on, for requests that come.
    pub(crate) fn rule(&self, rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        *self.state.rule.lock().unwrap_or_else(PoisonError::into_inner) = Box::new(rule);
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&state)));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    let service = hyper::service::service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(state.answer(request).await.unwrap_or_else(|error| refusal(502, None, &error))) }
    });
    // A connection that breaks off is what this is for.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn refusal(status: u16, retry_after: Option<u32>, why: &dyn std::fmt::Display) -> Reply {
    let body = http_body_util::Full::from(why.to_string()).map_err(anyhow::Error::from).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(http::header::RETRY_AFTER, seconds.into());
    }
    response
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Result<Reply> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path_and_query().context("no path")?.to_string();
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), path.clone()));
        let fault = self.rule.lock().unwrap_or_else(PoisonError::into_inner)(&path);
        if let Some(Fault::Refused { status, retry_after }) = fault {
            return Ok(refusal(status, retry_after, &"too many requests, please try again later"));
        }
        head.headers.remove(http::header::HOST);
        head.uri = path.parse()?;
        let body = Body::from(body.collect().await?.to_bytes());
        let response = self.client.send(Request::from_parts(head, body)).await?;
        Ok(response.map(|body| spoilt(body, fault)))
    }
}

/// The same body, with the fault in it once.
fn spoilt(body: Body, fault: Option<Fault>) -> UnsyncBoxBody<Bytes, anyhow::Error> {
    let (mut fault, mut is_cut) = (fault, false);
    let frames = http_body_util::BodyStream::new(body);
    let frames = futures::StreamExt::map(frames, move |frame| {
        if is_cut {
            anyhow::bail!("cut");
        }
        let Ok(data) = frame?.into_data() else { anyhow::bail!("trailers") };
        let has = |text: &str| String::from_utf8_lossy(&data).contains(text);
        let data = match &fault {
            Some(Fault::Cut(text)) if has(text) => {
                is_cut = true;
                data.slice(..data.len() / 2)
            }
            Some(Fault::Garbled(text)) if has(text) => {
                fault = None;
                let (half, length) = (data.len() / 2, data.len());
                [&data[..half], b"\x00}]", &data[length.min(half + 20)..]].concat().into()
            }
            _ => data,
        };
        Ok(Frame::data(data))
    });
    http_body_util::StreamBody::new(frames).boxed_unsync()
}
