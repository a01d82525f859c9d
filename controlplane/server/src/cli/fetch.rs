//! One request for a page of a control plane, over whatever connection there is to it.

use anyhow::Context as _;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

/// Longest answer that is read.
const ANSWER_LEN_MAX: usize = 256 << 20;

/// An answer that is no page.
#[derive(Debug, thiserror::Error)]
#[error("{from} answers {status}: {text}")]
pub(super) struct NoPage {
    from: String,
    pub(super) status: StatusCode,
    text: String,
}

/// The page at `path`, as text. `from` is what errors call the control plane, `token` says who asks.
pub(super) async fn fetch(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    from: &str,
    token: Option<&str>,
    path: &str,
) -> anyhow::Result<String> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    // Control planes have many names, and give the same pages by all of them.
    let mut request = Request::get(path).header(header::HOST, "mainsheet");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let answered = sender.send_request(request.body(Empty::<bytes::Bytes>::new())?).await;
    let response = answered.with_context(|| {
        format!("{from} does not answer as HTTP does; if it is the --xds-address, give the --http-address")
    })?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer of {from} breaks off: {error}"))?;
    connection.abort();
    let text = String::from_utf8(body.to_bytes().to_vec()).context("the answer is not text")?;
    if !status.is_success() {
        return Err(NoPage { from: from.to_owned(), status, text: text.trim_end().to_owned() }.into());
    }
    Ok(text)
}
