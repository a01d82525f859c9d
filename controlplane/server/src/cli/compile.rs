//! `mainsheet compile`: what a proxy would be sent, from files alone.

mod proxy;

use std::{fmt::Write as _, path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::ValueEnum;
use mesh::{
    compile::viewpoint::Viewpoint,
    model::{Problem, Severity},
    snapshot::{Resource, Snapshot, Snapshots},
    store::{Mesh, Store},
};
use proto::ResourceType;
use serde_json::{Map, Value, json};

use self::proxy::Metadata;
use super::{End, analyze::with_those_between, arguments, note, print, yaml};
use crate::source::{self, Settings};

/// Problems that are noted beside what is printed.
const NOTES_MAX: usize = 20;

/// Arguments of `mainsheet compile`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The directory with the objects of the mesh
    #[arg(long, value_name = "DIR", value_parser = source::existing_directory)]
    config_dir: PathBuf,
    #[command(flatten)]
    proxy: Proxy,
    /// What to print
    #[arg(long, value_enum, default_value_t = Type::All)]
    r#type: Type,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

/// Which proxy: a Pod, and what its agent would say beside.
#[derive(Debug, Clone, clap::Args)]
pub struct Proxy {
    /// The proxy of this Pod: NAME.NAMESPACE; without a namespace it is `default`. One without a Pod needs --metadata LABELS={...}
    #[arg(long = "proxy", value_name = "NAME[.NS]", value_parser = arguments::proxy)]
    name: String,
    /// Node metadata as the proxy would send it, such as INTERCEPTION_MODE=NONE; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = Metadata::parse)]
    metadata: Vec<Metadata>,
}

impl Proxy {
    /// A proxy by name, with metadata as the command line takes it.
    ///
    /// # Errors
    /// When it is no name, or when metadata is not `KEY=VALUE` or its JSON is malformed.
    pub fn new(name: &str, metadata: &[&str]) -> Result<Self, String> {
        let metadata = metadata.iter().map(|text| Metadata::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { name: arguments::proxy(name)?, metadata })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Type {
    Cds,
    Eds,
    Lds,
    Rds,
    All,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Json,
    Yaml,
    Table,
}

/// What a proxy would be sent.
#[derive(Debug)]
pub struct Compiled {
    /// The proxy, as `NAME.NAMESPACE`.
    pub proxy: String,
    /// All of it.
    pub snapshot: Arc<Snapshot>,
    /// What is wrong with the files.
    pub problems: Vec<Problem>,
    mesh: Mesh,
}

/// Compiles for one proxy, from the files at and under `paths`.
///
/// # Errors
/// When there is no such proxy.
pub fn compile(paths: &[PathBuf], proxy: &Proxy) -> anyhow::Result<Compiled> {
    let update = source::load(paths, &Settings::default());
    let mut store = Store::new();
    store.apply(update.changes);
    let mesh = store.mesh().clone();
    let description = proxy::describe(&mesh, &proxy.name, &proxy.metadata)?;
    let viewpoint = Viewpoint::of(&description, &mesh);
    let snapshot = Snapshots::new().get(&mesh, &viewpoint);
    let proxy = format!("{}.{}", description.pod, description.namespace);
    Ok(Compiled { proxy, snapshot, problems: Arc::unwrap_or_clone(update.problems), mesh })
}

pub(super) fn run(args: &Args) -> End {
    match try_run(args) {
        Ok(()) => End::Done,
        Err(error) => End::Failed(error),
    }
}

fn try_run(args: &Args) -> anyhow::Result<()> {
    let mut compiled = compile(std::slice::from_ref(&args.config_dir), &args.proxy)?;
    compiled.problems = with_those_between(std::mem::take(&mut compiled.problems), &compiled.mesh);
    let grave = || compiled.problems.iter().filter(|problem| problem.severity <= Severity::Warning);
    for problem in grave().take(NOTES_MAX) {
        note(&problem.to_string());
    }
    if let Some(more @ 1..) = grave().count().checked_sub(NOTES_MAX) {
        note(&format!("and {more} more: mainsheet analyze {}", args.config_dir.display()));
    }
    let kinds = kinds(args.r#type);
    let text = match args.output {
        Output::Json => format!("{:#}\n", compiled.to_json(&kinds)?),
        Output::Yaml => compiled.to_yaml(&kinds)?,
        Output::Table => compiled.to_table(&kinds),
    };
    print(&text)
}

fn kinds(of: Type) -> Vec<ResourceType> {
    match of {
        Type::Cds => vec![ResourceType::Cluster],
        Type::Eds => vec![ResourceType::Endpoint],
        Type::Lds => vec![ResourceType::Listener],
        Type::Rds => vec![ResourceType::Route],
        Type::All => ResourceType::ALL.to_vec(),
    }
}

/// The plural under which the resources of a type are printed.
fn plural(kind: ResourceType) -> &'static str {
    match kind {
        ResourceType::Cluster => "clusters",
        ResourceType::Endpoint => "endpoints",
        ResourceType::Listener => "listeners",
        ResourceType::Route => "routes",
        ResourceType::Secret => "secrets",
        ResourceType::ExtensionConfig => "extension_configs",
    }
}

impl Compiled {
    /// The resources of some types, as YAML.
    ///
    /// # Errors
    /// When a resource cannot be read back, which would be a fault of the compiler.
    pub fn to_yaml(&self, kinds: &[ResourceType]) -> anyhow::Result<String> {
        Ok(yaml::write(&self.to_json(kinds)?))
    }

    /// One resource as Envoy's JSON.
    ///
    /// # Errors
    /// As [`Compiled::to_yaml`].
    pub fn resource(&self, kind: ResourceType, resource: &Resource) -> anyhow::Result<Value> {
        proto::text::to_json(kind.type_url(), &resource.message())
            .with_context(|| format!("{kind} {}: compiled to what cannot be read back", resource.name))
    }

    fn to_json(&self, kinds: &[ResourceType]) -> anyhow::Result<Value> {
        let mut resources = Map::new();
        for kind in kinds {
            let set = self.snapshot.of(*kind);
            let list: anyhow::Result<Vec<Value>> = set.iter().map(|resource| self.item(*kind, resource)).collect();
            if !set.is_empty() {
                resources.insert(plural(*kind).to_owned(), Value::Array(list?));
            }
        }
        Ok(json!({
            "apiVersion": "mainsheet.dev/v1",
            "kind": "ProxyConfiguration",
            "proxy": self.proxy,
            "resources": resources,
        }))
    }

    fn item(&self, kind: ResourceType, resource: &Resource) -> anyhow::Result<Value> {
        Ok(json!({
            "name": &*resource.name,
            "madeBy": self.made_by(resource),
            "config": self.resource(kind, resource)?,
        }))
    }

    fn made_by(&self, resource: &Resource) -> Vec<String> {
        let line = |origin: &mesh::model::Origin| {
            let field = if origin.field.is_empty() { String::new() } else { format!(" {}", origin.field) };
            format!("{}{field}", origin.object)
        };
        resource.provenance.iter().map(line).collect()
    }

    fn to_table(&self, kinds: &[ResourceType]) -> String {
        let mut rows = vec![["TYPE", "NAME", "VERSION", "BYTES", "MADE BY"].map(str::to_owned)];
        for kind in kinds {
            for resource in self.snapshot.of(*kind).iter() {
                rows.push([
                    kind.short_name().to_owned(),
                    resource.name.to_string(),
                    resource.version.to_string(),
                    resource.message().len().to_string(),
                    self.places(resource),
                ]);
            }
        }
        crate::status::align(&rows)
    }

    /// Where the objects that made a resource are written.
    fn places(&self, resource: &Resource) -> String {
        let mut text = String::new();
        let mut seen = Vec::new();
        for origin in &resource.provenance {
            if seen.contains(&&origin.object) {
                continue;
            }
            seen.push(&origin.object);
            let separator = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{separator}{}", origin.object);
            if let Some(location) = self.mesh.object_location(&origin.object) {
                let _ = write!(text, " [{location}]");
            }
        }
        if text.is_empty() {
            // Every proxy has it, whatever is in the mesh.
            text.push('-');
        }
        text
    }
}
