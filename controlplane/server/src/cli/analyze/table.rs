//! Problems as a table for people.

use mesh::model::{Problem, Severity};

/// A line for each problem, with aligned columns.
pub(super) fn write(problems: &[Problem], headers: bool, color: bool) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let head = ["SEVERITY", "CODE", "WHERE", "OBJECT", "FIELD", "PROBLEM"].map(str::to_owned);
    let mut rows: Vec<[String; 6]> = headers.then_some(head).into_iter().collect();
    rows.extend(problems.iter().map(row));
    let table = crate::status::align(&rows);
    if !color {
        return table;
    }
    // Colours come last, so that they do not count as width.
    let mut coloured = String::with_capacity(table.len());
    for line in table.split_inclusive('\n') {
        let severity = [Severity::Error, Severity::Warning, Severity::Info]
            .into_iter()
            .find(|severity| line.starts_with(severity.as_str()));
        match severity.and_then(|severity| Some((severity, line.strip_prefix(severity.as_str())?))) {
            Some((severity, rest)) => {
                coloured.push_str(paint(severity));
                coloured.push_str(severity.as_str());
                coloured.push_str("\x1b[0m");
                coloured.push_str(rest);
            }
            None => coloured.push_str(line),
        }
    }
    coloured
}

fn paint(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "\x1b[31m",
        Severity::Warning => "\x1b[33m",
        Severity::Info => "\x1b[36m",
    }
}

fn row(problem: &Problem) -> [String; 6] {
    let Problem { severity, code, object, field, location, reason, remedy } = problem;
    let dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let place = location.as_ref().map(ToString::to_string).unwrap_or_default();
    let text = if remedy.is_empty() { reason.clone() } else { format!("{reason}; {remedy}") };
    [severity.to_string(), (*code).to_owned(), dash(&place), dash(object), dash(field), text]
}
