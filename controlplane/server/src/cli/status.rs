//! `mainsheet status`: how far each connected proxy has followed.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::ValueEnum;

use super::{fetch::fetch, print};
use crate::status::{SyncStatus, table};

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
    let answer = fetch(args.http_address, "/debug/syncz")?;
    match args.output {
        Output::Json => print(&format!("{}\n", answer.trim_end())),
        Output::Table => {
            let list: Vec<SyncStatus> = serde_json::from_str(&answer)
                .with_context(|| format!("{} answers something else; is it a control plane?", args.http_address))?;
            print(&table(&list))
        }
    }
}
