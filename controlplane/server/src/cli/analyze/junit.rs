//! Problems as JUnit XML, which builders of software show as tests.

use std::fmt::Write as _;

use mesh::model::{Problem, Severity};

/// The whole report: a test for each problem, failed where `fails` says so of its severity.
pub(super) fn write(problems: &[Problem], fails: impl Fn(Severity) -> bool) -> String {
    let failures = problems.iter().filter(|problem| fails(problem.severity)).count();
    let tests = problems.len().max(1);
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    // Writing to a string cannot fail.
    let _ = writeln!(xml, "<testsuites tests=\"{tests}\" failures=\"{failures}\">");
    let _ = writeln!(
        xml,
        "  <testsuite name=\"mainsheet analyze\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"0\">"
    );
    if problems.is_empty() {
        xml.push_str("    <testcase classname=\"mainsheet\" name=\"no problems\"/>\n");
    }
    for problem in problems {
        case(&mut xml, problem, fails(problem.severity));
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn case(xml: &mut String, problem: &Problem, failed: bool) {
    let Problem { severity, code, object, field, location, reason, remedy: _ } = problem;
    let class = if object.is_empty() { "files" } else { object.as_str() };
    let name = if field.is_empty() { (*code).to_owned() } else { format!("{code} {field}") };
    let place = location
        .as_ref()
        .map(|location| format!(" file=\"{}\" line=\"{}\"", escape(&location.file), location.line))
        .unwrap_or_default();
    let _ = writeln!(xml, "    <testcase classname=\"{}\" name=\"{}\"{place}>", escape(class), escape(&name));
    let text = escape(&problem.to_string());
    let _ = if failed {
        writeln!(xml, "      <failure type=\"{severity}\" message=\"{}\">{text}</failure>", escape(reason))
    } else {
        writeln!(xml, "      <system-out>{text}</system-out>")
    };
    xml.push_str("    </testcase>\n");
}

/// Text within XML; characters that XML cannot hold at all are shown as such.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(' '),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
