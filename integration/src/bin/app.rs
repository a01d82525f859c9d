//! What the pods of test clusters run: an application that says who it is, a client, and the process that holds a pod together.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use hyper::Uri;
use integration::{
    app::App,
    client::{self, Call},
    process,
};

#[derive(Debug, Parser)]
#[command(name = "app", about = "What the pods of test clusters run")]
struct CommandLine {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Answers every request with its name and version, until SIGTERM.
    Serve {
        /// Its name.
        #[arg(long, default_value = "app")]
        name: String,
        /// Its version.
        #[arg(long, default_value = "v1")]
        version: String,
        /// The port, on all addresses.
        #[arg(long, default_value_t = 8080)]
        port: u16,
    },
    /// Fetches http://HOST[:PORT]/PATH and prints the body.
    Get {
        /// The address.
        url: Uri,
    },
    /// Does nothing, for ever.
    Pause,
}

fn main() -> Result<()> {
    match CommandLine::parse().command {
        // Without a runtime, since there is one in each pod.
        Subcommands::Pause => loop {
            std::thread::park();
        },
        Subcommands::Serve { name, version, port } => run(async {
            let _app = App::start(&name, &version, SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))).await?;
            process::told_to_end().await
        }),
        Subcommands::Get { url } => run(get(url)),
    }
}

fn run(task: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}

async fn get(url: Uri) -> Result<()> {
    let authority = url.authority().context("the address has no host")?;
    let host = (authority.host().to_owned(), authority.port_u16().unwrap_or(80));
    let mut addresses = tokio::net::lookup_host(host).await.with_context(|| format!("resolve {}", authority.host()))?;
    let address = addresses.next().with_context(|| format!("{} has no address", authority.host()))?;
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let answer = client::send(address, &Call::get(authority.as_str(), path)).await?;
    print!("{}", answer.text());
    ensure!(answer.status.is_success(), "{url}: {}", answer.status);
    Ok(())
}
