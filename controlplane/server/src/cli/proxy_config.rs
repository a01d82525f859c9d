//! `mainsheet proxy-config`: what a connected proxy is to hold, asked of the control plane that serves it.

use std::net::SocketAddr;

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::Value;

use super::{fetch::fetch, print, yaml};

/// Arguments of `mainsheet proxy-config`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The proxy: NAME.NAMESPACE, or its whole node id
    #[arg(value_name = "PROXY", value_parser = proxy)]
    proxy: String,
    /// What to print: cds, eds, lds, rds, sds, ecds, or several with commas; default is all
    #[arg(long, value_name = "TYPES", value_parser = types)]
    r#type: Option<String>,
    /// Where the control plane serves HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:15014")]
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

/// Names go into a URL as they are, so they may hold nothing that means something there.
fn proxy(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '~' | ':');
    if !text.is_empty() && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("write NAME.NAMESPACE, as in reviews-v1.default; `mainsheet status` lists the proxies".into())
    }
}

fn types(text: &str) -> Result<String, String> {
    match text.split(',').find(|name| proto::ResourceType::from_short_name(name).is_none()) {
        None => Ok(text.to_owned()),
        Some(name) => Err(format!("`{name}` is not a type; write cds, eds, lds, rds, sds or ecds")),
    }
}
