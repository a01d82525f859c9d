//! `mainsheet status`: how far each connected proxy has followed, and what is wrong with the configuration.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::de::DeserializeOwned;

use super::{arguments, fetch::fetch, print};
use crate::status::{ProblemStatus, SyncStatus, summary, table};

/// The page of problems.
const PROBLEMS: &str = "/debug/problems";

/// Arguments of `mainsheet status`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where the control plane serves HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15014", value_parser = arguments::address)]
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
            let list: Vec<SyncStatus> = read(args.http_address, &answer)?;
            let problems = fetch(args.http_address, PROBLEMS)?;
            let problems: Vec<ProblemStatus> = read(args.http_address, &problems)?;
            let rest = format!("http://{}{PROBLEMS}, or `mainsheet analyze` of the files", args.http_address);
            print(&(table(&list) + &summary(&problems, &rest)))
        }
    }
}

fn read<T: DeserializeOwned>(address: SocketAddr, answer: &str) -> anyhow::Result<T> {
    serde_json::from_str(answer).with_context(|| format!("{address} answers something else; is it a control plane?"))
}
