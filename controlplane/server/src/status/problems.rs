//! What is wrong with the configuration, as people and tools read it.

use std::fmt::{self, Write as _};

use mesh::model::{Problem, Severity};
use serde::{Deserialize, Serialize};

/// Problems that a summary shows in full.
const SHOWN_MAX: usize = 5;

/// One problem, as the page of problems has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields are those of `Problem`")]
pub struct ProblemStatus {
    pub severity: String,
    pub code: String,
    pub object: String,
    pub field: String,
    /// `file:line:column`.
    pub location: Option<String>,
    pub reason: String,
    pub remedy: String,
}

impl From<&Problem> for ProblemStatus {
    fn from(problem: &Problem) -> Self {
        let Problem { severity, code, object, field, location, reason, remedy } = problem;
        Self {
            severity: severity.as_str().to_owned(),
            code: (*code).to_owned(),
            object: object.clone(),
            field: field.clone(),
            location: location.as_ref().map(ToString::to_string),
            reason: reason.clone(),
            remedy: remedy.clone(),
        }
    }
}

impl fmt::Display for ProblemStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = [&self.severity, &self.object, &self.field, &self.reason];
        let said: Vec<&str> = said.into_iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
        f.write_str(&said.join(": "))?;
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        self.location.as_ref().map_or(Ok(()), |location| write!(f, " [{location}]"))
    }
}

/// The namespace of an object, by its name as problems have it: `VirtualService default/reviews`.
#[must_use]
pub fn namespace_of(object: &str) -> Option<&str> {
    let (_, name) = object.split_once(' ')?;
    Some(name.split_once('/')?.0)
}

/// How many there are and the gravest, one a line; `rest` says where to see all. Nothing where nothing is wrong.
#[must_use]
pub fn summary(problems: &[ProblemStatus], rest: &str) -> String {
    let severities = || problems.iter().map(|problem| problem.severity.as_str());
    let mut text = match count(severities()) {
        none if none.is_empty() => return none,
        counts => format!("\nThe configuration has {counts}:\n"),
    };
    let gravest = [Severity::Error, Severity::Warning].map(Severity::as_str);
    let shown: Vec<&ProblemStatus> = gravest
        .into_iter()
        .flat_map(|severity| problems.iter().filter(move |problem| problem.severity == severity))
        .take(SHOWN_MAX)
        .collect();
    for problem in &shown {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", super::table::plain(&problem.to_string()));
    }
    if shown.len() < problems.len() {
        let _ = writeln!(text, "  and {} more: {rest}", problems.len().saturating_sub(shown.len()));
    }
    text
}

/// `2 errors, 1 warning, 3 for information`; empty for none.
pub fn count<'a>(severities: impl Iterator<Item = &'a str> + Clone) -> String {
    let part = |severity: Severity| {
        let count = severities.clone().filter(|given| *given == severity.as_str()).count();
        match (severity, count) {
            (_, 0) => None,
            (Severity::Info, _) => Some(format!("{count} for information")),
            (Severity::Error | Severity::Warning, 1) => Some(format!("1 {severity}")),
            (Severity::Error | Severity::Warning, _) => Some(format!("{count} {severity}s")),
        }
    };
    let parts: Vec<String> =
        [Severity::Error, Severity::Warning, Severity::Info].into_iter().filter_map(part).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(severity: &str, object: &str) -> ProblemStatus {
        ProblemStatus {
            severity: severity.into(),
            object: object.into(),
            field: "spec".into(),
            reason: "is odd".into(),
            remedy: "mend it".into(),
            location: Some("a.yaml:1:1".into()),
            ..ProblemStatus::default()
        }
    }

    #[test]
    fn a_summary_counts_all_and_shows_the_gravest() {
        assert_eq!(summary(&[], "elsewhere"), "");
        let problems = [problem("info", "Service a/c"), problem("warning", "Service a/b"), problem("error", "Pod a/a")];
        let expected = "
The configuration has 1 error, 1 warning, 1 for information:
  error: Pod a/a: spec: is odd (mend it) [a.yaml:1:1]
  warning: Service a/b: spec: is odd (mend it) [a.yaml:1:1]
  and 1 more: elsewhere
";
        assert_eq!(summary(&problems, "elsewhere"), expected);
        let many: Vec<ProblemStatus> = (0..9).map(|n| problem("error", &format!("Pod a/{n}"))).collect();
        let text = summary(&many, "elsewhere");
        assert!(text.contains("has 9 errors:") && text.ends_with("  and 4 more: elsewhere\n"), "{text}");
    }
}
