//! `mainsheet analyze`: what is wrong with the objects in files, in a cluster, or in a cluster once the files are applied.

mod cluster;
mod junit;
mod sarif;
mod table;

use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use mesh::{
    compile::check::check,
    model::{Namespace, Problem, Severity},
    store::{Mesh, Store},
};
use serde_json::{Value, json};

use super::{End, access::Access, arguments, note, print};
use crate::source::{self, Loaded, Settings, Update, locate};

/// Arguments of `mainsheet analyze`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 nothing found, 1 errors found (see --fail-on) or failed, 2 wrong usage.\n\n\
    Examples:\n  mainsheet analyze manifests/                   the files alone\n  \
    mainsheet analyze a.yaml b.yaml --fail-on warning\n  \
    mainsheet analyze . -o sarif > problems.sarif\n  \
    mainsheet analyze -A                           the cluster that kubectl would use\n  \
    mainsheet analyze -n shop                      what is wrong with the objects of one namespace\n  \
    mainsheet analyze a.yaml --with-cluster        the cluster as it would be with the file applied")]
pub struct Args {
    /// Files, and directories with all that is below them; without any, the objects of the cluster
    #[arg(value_name = "PATH", value_parser = existing_path)]
    paths: Vec<PathBuf>,
    /// Hold the files against the objects of the cluster, where they take the place of those they declare
    #[arg(long, requires = "paths")]
    with_cluster: bool,
    /// Show the problems of all namespaces of the cluster
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    access: Access,
    /// The form of the output
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// The least severity that makes the exit status 1
    #[arg(long, value_enum, default_value_t = Level::Error)]
    fail_on: Level,
    /// The least severity that is shown
    #[arg(long, value_enum, default_value_t = Level::Info)]
    show: Level,
    /// When to colour a table
    #[arg(long, value_enum, default_value_t = Color::Auto)]
    color: Color,
    /// Leave out the head of a table
    #[arg(long)]
    no_headers: bool,
    /// The namespace of objects in files that do not name one, and the one of the cluster whose problems are shown; default is
    /// that of the context, and `default` for files alone
    #[arg(short, long, value_parser = parse_namespace)]
    namespace: Option<Namespace>,
    /// The namespace of the mesh's own configuration
    #[arg(long, default_value = "istio-system", value_parser = parse_namespace)]
    system_namespace: Namespace,
    /// The DNS domain of the cluster
    #[arg(long, default_value = "cluster.local", value_parser = arguments::domain)]
    domain: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Table,
    Json,
    Sarif,
    Junit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Level {
    Error,
    Warning,
    Info,
}

impl Level {
    /// Whether a severity is at least this.
    fn holds(self, severity: Severity) -> bool {
        match self {
            Self::Error => severity <= Severity::Error,
            Self::Warning => severity <= Severity::Warning,
            Self::Info => severity <= Severity::Info,
        }
    }
}

fn existing_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.metadata() {
        Ok(_) => Ok(path),
        Err(error) => Err(format!("cannot be read: {error}")),
    }
}

fn parse_namespace(text: &str) -> Result<Namespace, String> {
    Namespace::parse(text).map_err(|error| format!("the namespace {error}"))
}

/// All that is wrong with the files at and under `paths`, file by file: with the texts, with each object, and with what
/// the objects say of each other.
#[must_use]
pub fn analyze(paths: &[PathBuf], settings: &Settings) -> Vec<Problem> {
    problems_of(source::load(paths, settings))
}

fn problems_of(update: Update) -> Vec<Problem> {
    let mut store = Store::new();
    store.apply(update.changes);
    with_those_between(Arc::unwrap_or_clone(update.problems), store.mesh())
}

/// The problems of the files that a mesh was read from, with what its objects say of each other.
pub(super) fn with_those_between(mut problems: Vec<Problem>, mesh: &Mesh) -> Vec<Problem> {
    let mut between = check(mesh);
    locate::refine(&mut between);
    problems.extend(between);
    let key = |of: &Problem| (of.location.clone(), of.severity, of.code, of.object.clone(), of.field.clone());
    problems.sort_by_cached_key(key);
    problems
}

pub(super) fn run(args: &Args) -> End {
    let found = if args.is_of_cluster() { cluster::find(args) } else { find(args) };
    let Found { problems, nothing, place } = match found {
        Ok(found) => found,
        Err(end) => return end,
    };
    let failed = problems.iter().any(|problem| args.fail_on.holds(problem.severity));
    let shown: Vec<Problem> = problems.into_iter().filter(|problem| args.show.holds(problem.severity)).collect();
    let text = match args.output {
        Output::Table => table::write(&shown, !args.no_headers, args.color.is_on()),
        Output::Json => format!("{:#}\n", to_json(&shown)),
        Output::Sarif => format!("{:#}\n", sarif::write(&shown)),
        Output::Junit => junit::write(&shown, |severity| args.fail_on.holds(severity)),
    };
    if let Err(error) = print(&text) {
        return End::Failed(error);
    }
    note(&nothing.unwrap_or_else(|| summary(&shown, &place)));
    if failed { End::Found } else { End::Done }
}

/// What was looked at, and what was found.
struct Found {
    problems: Vec<Problem>,
    /// Why there was nothing that could have had a problem, if that is so.
    nothing: Option<String>,
    /// What was looked at.
    place: String,
}

impl Args {
    fn is_of_cluster(&self) -> bool {
        self.paths.is_empty() || self.with_cluster || self.all_namespaces || self.access.is_named()
    }

    fn settings(&self, namespace: Option<Namespace>) -> Settings {
        let settings = Settings::default();
        Settings {
            domain: self.domain.clone(),
            default_namespace: namespace.unwrap_or(settings.default_namespace),
            system_namespace: self.system_namespace.clone(),
        }
    }
}

/// What is wrong with files alone.
fn find(args: &Args) -> Result<Found, End> {
    let loaded = source::load_counting(&args.paths, &args.settings(args.namespace.clone()));
    let nothing = nothing_read(&loaded, &args.paths);
    if let Some(why) = &nothing
        && loaded.files == 0
    {
        return Err(End::Misused(anyhow::anyhow!("{why}")));
    }
    Ok(Found { problems: problems_of(loaded.update), nothing, place: shown_paths(&args.paths) })
}

impl Color {
    fn is_on(self) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => {
                std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
            }
        }
    }
}

fn to_json(problems: &[Problem]) -> Value {
    let items: Vec<Value> = problems
        .iter()
        .map(|problem| {
            let Problem { severity, code, object, field, location, reason, remedy } = problem;
            let location = location
                .as_ref()
                .map(|location| json!({"file": &*location.file, "line": location.line, "column": location.column}));
            json!({
                "severity": severity.as_str(),
                "code": code,
                "object": object,
                "field": field,
                "location": location,
                "reason": reason,
                "remedy": remedy,
            })
        })
        .collect();
    json!({"apiVersion": "mainsheet.dev/v1", "kind": "ProblemList", "items": items})
}

/// Why there was nothing that could have had a problem, if that is so: to say that there are none would mislead.
fn nothing_read(loaded: &Loaded, paths: &[PathBuf]) -> Option<String> {
    let Loaded { update, files } = loaded;
    if !update.changes.is_empty() || !update.problems.is_empty() {
        return None;
    }
    let paths = shown_paths(paths);
    Some(match files {
        0 => format!(
            "nothing to analyze in {paths}: no *.yaml, *.yml or *.json there; give files, or the directory that holds them"
        ),
        1 => format!("warning: no object in {paths}: the file there holds none"),
        files => format!("warning: no object in {paths}: the {files} files there hold none"),
    })
}

fn shown_paths(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| Path::display(path).to_string()).collect::<Vec<_>>().join(" ")
}

/// `2 errors, 1 warning in 2 files`, or that there is nothing.
fn summary(problems: &[Problem], place: &str) -> String {
    match crate::status::count(problems.iter().map(|problem| problem.severity.as_str())) {
        none if none.is_empty() => {
            format!("no problems in {place}")
        }
        counts => counts,
    }
}

#[cfg(test)]
mod tests;
