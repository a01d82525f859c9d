//! `mainsheet analyze`: what is wrong with the objects in files, offline.

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

use super::{End, arguments, note, print};
use crate::source::{self, Loaded, Settings, Update, locate};

/// Arguments of `mainsheet analyze`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 nothing found, 1 errors found (see --fail-on), 2 wrong usage.\n\n\
    Examples:\n  mainsheet analyze manifests/\n  mainsheet analyze a.yaml b.yaml --fail-on warning\n  \
    mainsheet analyze . -o sarif > problems.sarif")]
pub struct Args {
    /// Files, and directories with all that is below them
    #[arg(required = true, value_name = "PATH", value_parser = existing_path)]
    paths: Vec<PathBuf>,
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
    /// The namespace of objects that do not name one
    #[arg(short, long, default_value = "default", value_parser = parse_namespace)]
    namespace: Namespace,
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
    problems
        .sort_by(|a, b| (&a.location, a.severity, a.code, &a.field).cmp(&(&b.location, b.severity, b.code, &b.field)));
    problems
}

pub(super) fn run(args: &Args) -> End {
    let settings =
        Settings { domain: args.domain.clone(), default_namespace: args.namespace.clone(), ..Settings::default() };
    let loaded = source::load_counting(&args.paths, &settings);
    let nothing = nothing_read(&loaded, &args.paths);
    if let Some(why) = &nothing
        && loaded.files == 0
    {
        return End::Misused(anyhow::anyhow!("{why}"));
    }
    let problems = problems_of(loaded.update);
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
    note(&nothing.unwrap_or_else(|| summary(&shown, &args.paths)));
    if failed { End::Found } else { End::Done }
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
fn summary(problems: &[Problem], paths: &[PathBuf]) -> String {
    match crate::status::count(problems.iter().map(|problem| problem.severity.as_str())) {
        none if none.is_empty() => {
            format!("no problems in {}", shown_paths(paths))
        }
        counts => counts,
    }
}

#[cfg(test)]
mod tests;
