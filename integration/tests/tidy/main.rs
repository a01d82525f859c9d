//! Keeps the house in order by reading its sources: which room may name which, which may do I/O, what a file looks like.
//!
//! Nothing is built here, so it is quick. Each violation says where, which rule, and how to mend it.

mod files;
mod manifest;
mod paths;
mod rooms;
mod tokens;

use std::fmt;
use std::path::{Path, PathBuf};

/// A rule that a line breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    file: String,
    line: usize,
    rule: String,
    remedy: &'static str,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}: {}; {}", self.file, self.line, self.rule, self.remedy)
    }
}

/// A text file of the repository.
#[derive(Debug)]
pub(crate) struct Source {
    /// Its path from the root of the repository, with slashes.
    path: String,
    text: String,
}

/// Folders that hold nothing of ours.
const SKIPPED: [&str; 4] = ["target", ".git", ".cargo-home", "__pycache__"];
/// What is read; other files may hold anything.
const READ: [&str; 12] = ["rs", "toml", "md", "py", "txt", "yaml", "yml", "sh", "json", "html", "js", "css"];
/// Folders do not nest deeper than this.
const DEPTH_MAX: usize = 20;

#[test]
fn the_house_is_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let sources = sources(root);
    let rust = sources.iter().filter(|source| source.path.ends_with(".rs")).count();
    assert!(rust > 20, "only {rust} Rust files found below {}: is it the repository?", root.display());
    let violations: Vec<String> =
        sources.iter().flat_map(violations_of).map(|violation| format!("  {violation}\n")).collect();
    assert!(violations.is_empty(), "{} violations\n{}", violations.len(), violations.concat());
}

fn violations_of(source: &Source) -> Vec<Violation> {
    let mut found = files::check_any(source);
    if source.path.ends_with(".rs") {
        found.extend(files::check_rust(source));
        found.extend(rooms::check(source));
    }
    if source.path.ends_with("Cargo.toml") {
        found.extend(manifest::check(source));
    }
    found
}

fn sources(root: &Path) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(root, DEPTH_MAX, &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let relative = path.strip_prefix(root).ok()?.to_str()?.replace('\\', "/");
        Some(Source { path: relative, text: std::fs::read_to_string(&path).ok()? })
    };
    paths.into_iter().filter_map(read).collect()
}

fn collect(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) {
    let Some(depth) = depth.checked_sub(1) else { return };
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && !SKIPPED.contains(&name.as_ref()) {
            collect(&path, depth, paths);
        } else if kind.is_file() && is_read(&name) {
            paths.push(path);
        }
    }
}

fn is_read(name: &str) -> bool {
    name == "Makefile" || name == "run" || name.rsplit_once('.').is_some_and(|(_, ending)| READ.contains(&ending))
}

#[test]
fn a_violation_names_file_line_rule_and_remedy() {
    let violation = Violation { file: "a/b.rs".into(), line: 3, rule: "is bad".into(), remedy: "make it good" };
    assert_eq!(violation.to_string(), "a/b.rs:3: is bad; make it good");
}
