//! `mainsheet proxy-config`: what a connected proxy is to hold, asked of the control plane that serves it.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::Value;

use super::{arguments, fetch::fetch, print, yaml};

/// Arguments of `mainsheet proxy-config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The proxy: NAME.NAMESPACE, NAME where only one has it, or its whole node id
    #[arg(value_name = "PROXY", value_parser = arguments::proxy)]
    proxy: String,
    /// What to print: cds, eds, lds, rds, sds, ecds, or several with commas; default is all
    #[arg(long, value_name = "TYPES", value_parser = types)]
    r#type: Option<String>,
    /// Where the control plane serves HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15014", value_parser = arguments::address)]
    http_address: SocketAddr,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Json)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Json,
    Yaml,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let types = args.r#type.as_ref().map(|types| format!("&types={types}")).unwrap_or_default();
    let answer = fetch(args.http_address, &format!("/debug/config_dump?proxyID={}{types}", args.proxy))?;
    let dump: Value = serde_json::from_str(&answer)
        .with_context(|| format!("{} answers something else; is it a control plane?", args.http_address))?;
    match args.output {
        Output::Json => print(&format!("{dump:#}\n")),
        Output::Yaml => print(&yaml::write(&dump)),
    }
}

fn types(text: &str) -> Result<String, String> {
    match text.split(',').find(|name| proto::ResourceType::from_short_name(name).is_none()) {
        None => Ok(text.to_owned()),
        Some(name) => Err(format!("`{name}` is not a type; write cds, eds, lds, rds, sds or ecds")),
    }
}
