//! Asks a running control plane for one of its pages.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;

/// Longest answer that is read.
const ANSWER_LEN_MAX: usize = 256 << 20;
/// Time for the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The page at `path`, as text.
pub(super) fn fetch(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let fetched = tokio::time::timeout(TIMEOUT, get(address, path)).await;
        fetched.with_context(|| format!("{address} does not answer within {TIMEOUT:?}"))?
    })
}

async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let stream = tokio::net::TcpStream::connect(address).await.with_context(|| {
        format!("no control plane at {address}; start `mainsheet serve`, or name its --http-address")
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::get(path).header(http::header::HOST, address.to_string());
    let answered = sender.send_request(request.body(Empty::<bytes::Bytes>::new())?).await;
    let response = answered.with_context(|| {
        format!("{address} does not answer as HTTP does; if it is the --xds-address, give the --http-address")
    })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer of {address} breaks off: {error}"))?;
    connection.abort();
    let text = String::from_utf8(body.to_bytes().to_vec()).context("the answer is not text")?;
    if !status.is_success() {
        bail!("{address} answers {status}: {}", text.trim_end());
    }
    Ok(text)
}
