//! `bench`: measures the push path against the raw floor, and is that floor itself when told so.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use integration::bench::{floor, run, shape};

#[derive(Debug, Parser)]
#[command(about = "Measure what a push costs, as a ratio to the raw floor of the same run")]
struct Args {
    /// The mesh: S, M or L.
    #[arg(long, default_value = "S")]
    shape: String,
    /// Other than the shape's number of proxies.
    #[arg(long)]
    proxies: Option<usize>,
    /// What to measure once everyone is connected.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "changes,large")]
    measure: Vec<run::Measure>,
    /// Rounds of each kind of change.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Where the numbers go as JSON.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the mesh and the logs are written; a temporary directory when not given.
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve as the raw floor (started by the bench itself).
    Floor {
        /// Where to listen.
        #[arg(long)]
        listen: SocketAddr,
    },
}

fn main() -> Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(Command::Floor { listen }) = args.command {
        return runtime.block_on(floor::serve(listen));
    }
    let mut shape =
        shape::Shape::parse(&args.shape).with_context(|| format!("no shape {}: S, M and L are there", args.shape))?;
    shape.proxies = args.proxies.unwrap_or(shape.proxies);
    let temporary = tempfile::tempdir()?;
    let bench = std::env::current_exe()?;
    let mainsheet = bench.with_file_name("mainsheet");
    anyhow::ensure!(mainsheet.exists(), "{} is missing: cargo build --release -p mainsheet", mainsheet.display());
    let dir = args.dir.unwrap_or_else(|| temporary.path().to_owned());
    let plan =
        run::Plan { shape, measures: args.measure, rounds: args.rounds, mainsheet, bench, dir, ports: free_ports()? };
    let report = runtime.block_on(run::run(&plan))?;
    println!("{report}");
    if let Some(path) = args.json {
        std::fs::write(&path, serde_json::to_vec_pretty(&report.to_json())?)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn free_ports() -> Result<[u16; 3]> {
    let bind = || std::net::TcpListener::bind("127.0.0.1:0");
    let listeners = [bind()?, bind()?, bind()?];
    let mut ports = [0; 3];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}
