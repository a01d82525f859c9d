//! `mainsheet proxy-config`: what a connected proxy is to hold, asked of the control plane that serves it.

use anyhow::bail;
use clap::ValueEnum;
use serde_json::Value;

use super::{access::runtime, arguments, pages, print, yaml};
use crate::status::align;

/// Arguments of `mainsheet proxy-config`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mainsheet proxy-config web-1.shop --type cds,eds -o table\n  \
    mainsheet proxy-config web-1 -n shop\n\ndocs/PERMISSIONS.md says what a user of a cluster needs.")]
pub(super) struct Args {
    /// The proxy: NAME.NAMESPACE, NAME where only one has it, or its whole node id
    #[arg(value_name = "PROXY", value_parser = arguments::proxy)]
    proxy: String,
    /// The namespace of the proxy, where its name comes without
    #[arg(short, long, value_name = "NAMESPACE", value_parser = arguments::namespace)]
    namespace: Option<String>,
    /// What to print: cds, eds, lds, rds, sds, ecds, or several with commas; default is all
    #[arg(long, value_name = "TYPES", value_parser = types)]
    r#type: Option<String>,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Json)]
    output: Output,
    #[command(flatten)]
    pages: pages::Args,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Json,
    Yaml,
    Table,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let proxy = match &args.namespace {
        Some(namespace) => format!("{}.{namespace}", args.proxy),
        None => args.proxy.clone(),
    };
    let types = args.r#type.as_ref().map(|types| format!("&types={types}")).unwrap_or_default();
    let dump = runtime()?.block_on(async {
        let place = args.pages.place().await?;
        let asked = place.ask(&format!("/debug/config_dump?proxyID={proxy}{types}")).await?;
        match asked.pages.as_slice() {
            // Only while a proxy goes over from one to another do two know the whole name.
            [_, _, ..] if !proxy.contains('.') => bail!("several proxies are called {proxy}; write NAME.NAMESPACE"),
            [page, ..] => page.read(),
            [] => bail!("no answer; please report it"),
        }
    })?;
    print(&match args.output {
        Output::Json => format!("{dump:#}\n"),
        Output::Yaml => yaml::write(&dump),
        Output::Table => table(&dump),
    })
}

/// A line for each resource of a dump.
fn table(dump: &Value) -> String {
    let mut rows = vec![["TYPE", "NAME", "VERSION"].map(str::to_owned)];
    let lists = dump.get("configs").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
    for (list, items) in lists.flatten().filter_map(|(list, items)| Some((list, items.as_array()?))) {
        rows.extend(items.iter().map(|item| row(list, item)));
    }
    align(&rows)
}

fn row(list: &str, item: &Value) -> [String; 3] {
    let text = |pointers: &[&str]| {
        let found = pointers.iter().find_map(|pointer| item.pointer(pointer)?.as_str());
        found.unwrap_or("-").to_owned()
    };
    let (kind, name) = match list {
        "dynamic_active_clusters" => ("cds", "/cluster/name"),
        "dynamic_endpoint_configs" => ("eds", "/endpoint_config/cluster_name"),
        "dynamic_listeners" => ("lds", "/name"),
        "dynamic_route_configs" => ("rds", "/route_config/name"),
        "dynamic_active_secrets" => ("sds", "/secret/name"),
        "ecds_filters" => ("ecds", "/ecds_filter/name"),
        other => (other, "/name"),
    };
    [kind.to_owned(), text(&[name]), text(&["/version_info", "/active_state/version_info"])]
}

fn types(text: &str) -> Result<String, String> {
    match text.split(',').find(|name| proto::ResourceType::from_short_name(name).is_none()) {
        None => Ok(text.to_owned()),
        Some(name) => Err(format!("`{name}` is not a type; write cds, eds, lds, rds, sds or ecds")),
    }
}
