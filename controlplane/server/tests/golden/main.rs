//! Objects in, configuration out: every case under `golden/` as `mainsheet compile` prints it, and as the real Envoy takes it.
//!
//! A case is a folder with `input.yaml`, `proxy` (its name, then `types cds,rds` to print only these and `KEY=VALUE`
//! metadata, each on a line) and `output.yaml`, which `make golden` writes.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, also in what it calls")]

mod envoy;

use std::{
    fs,
    path::{Path, PathBuf},
};

use mainsheet::cli::compile::{Compiled, Proxy, compile};
use mesh::model::Severity;
use proto::ResourceType;

/// Lines of a difference that are shown.
const SHOWN_MAX: usize = 12;

/// A case.
struct Case {
    name: String,
    folder: PathBuf,
    compiled: Compiled,
    types: Vec<ResourceType>,
}

fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut folders: Vec<PathBuf> = entries(&root).iter().flat_map(|feature| entries(feature)).collect();
    folders.sort();
    assert!(!folders.is_empty(), "no cases under {}", root.display());
    folders.into_iter().map(|folder| case(&root, folder)).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

fn case(root: &Path, folder: PathBuf) -> Case {
    let name = folder.strip_prefix(root).unwrap().display().to_string();
    let text = fs::read_to_string(folder.join("proxy")).unwrap_or_else(|error| panic!("{name}/proxy: {error}"));
    let mut lines = text.lines().filter(|line| !line.is_empty());
    let proxy = lines.next().unwrap_or_else(|| panic!("{name}/proxy: no name"));
    let (types, metadata): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with("types "));
    let types = types.iter().flat_map(|line| line.trim_start_matches("types ").split(','));
    let mut types: Vec<ResourceType> = types
        .map(|short| ResourceType::from_short_name(short).unwrap_or_else(|| panic!("{name}: type {short}")))
        .collect();
    if types.is_empty() {
        types.extend(ResourceType::ALL);
    }
    let proxy = Proxy::new(proxy, &metadata).unwrap_or_else(|error| panic!("{name}/proxy: {error}"));
    let compiled = compile(&[folder.join("input.yaml")], &proxy).unwrap_or_else(|error| panic!("{name}: {error:#}"));
    let errors: Vec<_> = compiled.problems.iter().filter(|problem| problem.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{name}: {errors:?}");
    Case { name, folder, compiled, types }
}

#[test]
fn golden_cases_compile_to_what_is_written_down() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
    let mut differences = String::new();
    for case in cases() {
        let path = case.folder.join("output.yaml");
        let output = case.compiled.to_yaml(&case.types).unwrap();
        if update {
            fs::write(&path, &output).unwrap();
            continue;
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        if output != expected {
            differences += &format!("\n{}:\n{}", case.name, difference(&expected, &output));
        }
    }
    assert!(differences.is_empty(), "{differences}\n`make golden` writes them anew; review the diff");
}

/// The first lines that differ.
fn difference(expected: &str, output: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), output.lines().collect());
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let side = |sign: char, lines: &[&str]| -> String {
        lines.iter().skip(same).take(SHOWN_MAX).map(|line| format!("{sign} {line}\n")).collect()
    };
    format!("line {}\n{}{}", same + 1, side('-', &old), side('+', &new))
}

#[test]
fn the_real_envoy_accepts_every_case() {
    let Some(envoy) = envoy::find() else { return };
    let directory = tempfile::tempdir().unwrap();
    let mut refusals = String::new();
    for case in cases() {
        let path = directory.path().join(case.name.replace('/', "-")).with_extension("json");
        let bootstrap = envoy::bootstrap(&case.compiled).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        fs::write(&path, bootstrap.to_string()).unwrap();
        if let Err(reason) = envoy::validate(&envoy, &path) {
            refusals += &format!("\n{}: {reason}", case.name);
        }
    }
    assert!(refusals.is_empty(), "{refusals}");
}
