//! `mainsheet status`: how far each connected proxy has followed.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::rt::TokioIo;

use super::print;
use crate::status::{SyncStatus, table};

/// Longest answer that is read.
const ANSWER_LEN_MAX: usize = 256 << 20;
/// Time for the answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Arguments of `mainsheet status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the control plane serves HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15014")]
    http_address: SocketAddr,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = runtime.block_on(async {
        let fetched = tokio::time::timeout(TIMEOUT, fetch(args.http_address)).await;
        fetched.with_context(|| format!("{} does not answer within {TIMEOUT:?}", args.http_address))?
    })?;
    match args.output {
        Output::Json => print(&format!("{}\n", answer.trim_end())),
        Output::Table => {
            let list: Vec<SyncStatus> = serde_json::from_str(&answer)
                .with_context(|| format!("{} answers something else; is it a control plane?", args.http_address))?;
            print(&table(&list))
        }
    }
}

async fn fetch(address: SocketAddr) -> anyhow::Result<String> {
    let stream = tokio::net::TcpStream::connect(address).await.with_context(|| {
        format!("no control plane at {address}; start `mainsheet serve`, or name its --http-address")
    })?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let request = http::Request::get("/debug/syncz").header(http::header::HOST, address.to_string());
    let response = sender.send_request(request.body(Empty::<bytes::Bytes>::new())?).await?;
    if !response.status().is_success() {
        bail!("{address} answers {}", response.status());
    }
    let body = Limited::new(response.into_body(), ANSWER_LEN_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer of {address} breaks off: {error}"))?;
    connection.abort();
    String::from_utf8(body.to_bytes().to_vec()).context("the answer is not text")
}
