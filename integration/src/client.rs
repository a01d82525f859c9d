//! An HTTP/1.1 client that says exactly which address it connects to and which host it asks for.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{HeaderMap, Method, Request, StatusCode, client::conn::http1, header::HOST};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Nothing here takes longer; a call that does is a failure.
const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The largest answer taken: a dump of Envoy's configuration is the largest thing asked for.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// One request: what is asked for, apart from where the connection goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    method: Method,
    host: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Bytes,
    absolute: bool,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// From the first byte sent until the body was complete.
    pub took: Duration,
}

impl Call {
    /// `GET path` of `host`.
    #[must_use]
    pub fn get(host: &str, path: &str) -> Self {
        Self {
            method: Method::GET,
            host: host.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Bytes::new(),
            absolute: false,
        }
    }

    /// The same with another method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The same in the form that an HTTP proxy is spoken to: the whole address in the request line.
    #[must_use]
    pub fn as_to_a_proxy(mut self) -> Self {
        self.absolute = true;
        self
    }

    /// The host that it asks for.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that its host names; 80 if it names none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80)
    }

    fn request(&self) -> Result<Request<Full<Bytes>>> {
        let uri = if self.absolute { format!("http://{}{}", self.host, self.path) } else { self.path.clone() };
        let mut request = Request::builder().method(self.method.clone()).uri(uri).header(HOST, &self.host);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::new(self.body.clone())).context("build the request")
    }
}

impl Answer {
    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// A header as text, empty if absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The headers as text, in order of name.
    #[must_use]
    pub fn header_table(&self) -> BTreeMap<String, String> {
        let text = |value: &hyper::header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        self.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    }
}

/// A connection that is opened when first needed and again whenever the other side closed it.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    sender: Option<http1::SendRequest<Full<Bytes>>>,
    opened: u64,
}

impl Connection {
    /// A connection to `address`, not opened yet.
    #[must_use]
    pub fn to(address: SocketAddr) -> Self {
        Self { address, sender: None, opened: 0 }
    }

    /// How many times it was opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Sends one request and reads the whole answer. The connection is kept for the next one unless the answer closes it.
    ///
    /// # Errors
    /// The connection is refused or cut, or the answer is not complete within 30 s.
    pub async fn send(&mut self, call: &Call) -> Result<Answer> {
        let exchange = tokio::time::timeout(CALL_LIMIT, self.exchange(call));
        let answer = exchange.await.with_context(|| format!("no answer within {} s", CALL_LIMIT.as_secs()));
        let answer = answer.and_then(|answer| answer);
        if answer.is_err() {
            self.sender = None;
        }
        answer.with_context(|| format!("{} {}{} through {}", call.method, call.host, call.path, self.address))
    }

    async fn exchange(&mut self, call: &Call) -> Result<Answer> {
        let started = Instant::now();
        let mut sender = self.ready_sender().await?;
        let response = sender.send_request(call.request()?).await.context("send the request")?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("read the body: {error}"))?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer { status: head.status, headers: head.headers, body, took: started.elapsed() })
    }

    async fn ready_sender(&mut self) -> Result<http1::SendRequest<Full<Bytes>>> {
        if let Some(mut sender) = self.sender.take()
            && sender.ready().await.is_ok()
        {
            return Ok(sender);
        }
        let stream = TcpStream::connect(self.address).await.context("connect")?;
        stream.set_nodelay(true).context("turn Nagle's algorithm off")?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.context("start HTTP")?;
        // Ends by itself when the sender is dropped or the other side closes; its error reaches the sender.
        tokio::spawn(connection);
        self.opened += 1;
        Ok(sender)
    }
}

/// One request on a connection of its own.
///
/// # Errors
/// As [`Connection::send`].
pub async fn send(address: SocketAddr, call: &Call) -> Result<Answer> {
    Connection::to(address).send(call).await
}

/// `GET path` from the server at `address`, where anything but 200 is an error.
///
/// # Errors
/// As [`Connection::send`], or the status is not 200.
pub async fn fetch(address: SocketAddr, path: &str) -> Result<Bytes> {
    let answer = send(address, &Call::get(&address.to_string(), path)).await?;
    anyhow::ensure!(answer.status == StatusCode::OK, "GET {address}{path}: {}: {}", answer.status, answer.text());
    Ok(answer.body)
}
