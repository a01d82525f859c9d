//! `mainsheet analyze`: what is wrong with the objects in files, offline.

mod junit;
mod sarif;
mod table;

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::ValueEnum;
use mesh::{
    compile::check::check,
    model::{Namespace, Problem, Severity},
    store::Store,
};
use serde_json::{Value, json};

use super::{End, note, print};
use crate::source::{self, Settings, locate};

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
    #[arg(long, default_value = "cluster.local")]
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
    let update = source::load(paths, settings);
    let mut store = Store::new();
    store.apply(update.changes);
    let mut between = check(store.mesh());
    locate::refine(&mut between);
    let mut problems = Arc::unwrap_or_clone(update.problems);
    problems.extend(between);
    problems
        .sort_by(|a, b| (&a.location, a.severity, a.code, &a.field).cmp(&(&b.location, b.severity, b.code, &b.field)));
    problems
}

pub(super) fn run(args: &Args) -> End {
    let settings =
        Settings { domain: args.domain.clone(), default_namespace: args.namespace.clone(), ..Settings::default() };
    let problems = analyze(&args.paths, &settings);
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
    note(&summary(&shown, &args.paths));
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

/// `2 errors, 1 warning in 2 files`, or that there is nothing.
fn summary(problems: &[Problem], paths: &[PathBuf]) -> String {
    let mut counts: BTreeMap<Severity, usize> = BTreeMap::new();
    for problem in problems {
        let count = counts.entry(problem.severity).or_default();
        *count = count.saturating_add(1);
    }
    if counts.is_empty() {
        let paths: Vec<String> = paths.iter().map(|path| Path::display(path).to_string()).collect();
        return format!("no problems in {}", paths.join(" "));
    }
    let parts: Vec<String> = counts
        .into_iter()
        .map(|(severity, count)| match (severity, count) {
            (Severity::Info, _) => format!("{count} for information"),
            (Severity::Error | Severity::Warning, 1) => format!("1 {severity}"),
            (Severity::Error | Severity::Warning, _) => format!("{count} {severity}s"),
        })
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests;
