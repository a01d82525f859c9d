//! Problems as SARIF 2.1.0, which code hosts show beside the lines of a change.

use std::{collections::BTreeSet, fmt::Write as _};

use mesh::model::{Problem, Severity, code};
use serde_json::{Value, json};

use crate::cli::VERSION;

/// The whole report.
pub(super) fn write(problems: &[Problem]) -> Value {
    let used: BTreeSet<&str> = problems.iter().map(|problem| problem.code).collect();
    let rules: Vec<Value> = code::TABLE
        .iter()
        .filter(|code| used.contains(code.id))
        .map(|code| {
            json!({
                "id": code.id,
                "shortDescription": {"text": code.title},
                "fullDescription": {"text": code.about},
                "defaultConfiguration": {"level": level(code.severity)},
            })
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "mainsheet", "version": VERSION, "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": problems.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(problem: &Problem) -> Value {
    let Problem { severity, code, object, field, location, reason, remedy } = problem;
    let mut text = String::new();
    for part in [object, field] {
        if !part.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(text, "{part}: ");
        }
    }
    text.push_str(reason);
    if !remedy.is_empty() {
        let _ = write!(text, " ({remedy})");
    }
    let mut place = serde_json::Map::new();
    if let Some(location) = location {
        place.insert(
            "physicalLocation".into(),
            json!({
                "artifactLocation": {"uri": uri(&location.file)},
                "region": {"startLine": location.line, "startColumn": location.column},
            }),
        );
    }
    if !object.is_empty() {
        place.insert("logicalLocations".into(), json!([{"fullyQualifiedName": object, "kind": "object"}]));
    }
    let places: Vec<Value> = if place.is_empty() { Vec::new() } else { vec![Value::Object(place)] };
    json!({"ruleId": code, "level": level(*severity), "message": {"text": text}, "locations": places})
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// A path as a relative reference: what cannot stand in one is escaped.
fn uri(path: &str) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~+,=@".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}
