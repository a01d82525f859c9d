//! What the control plane finds wrong with the files, as it says it.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::control_plane::ControlPlane;

/// More than this is only counted.
const SHOWN_MAX: usize = 4;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Problem {
    severity: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    location: Option<String>,
    reason: String,
    #[serde(default)]
    remedy: Option<String>,
}

impl Problem {
    /// Whether something is not in force because of it.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == "error"
    }

    /// How to mend it, if the control plane knows.
    #[must_use]
    pub fn remedy(&self) -> Option<&str> {
        said(self.remedy.as_ref())
    }

    /// Where, what, and how to mend it, in one line; files are named from `directory`.
    #[must_use]
    pub fn line(&self, directory: &Path) -> String {
        let location = said(self.location.as_ref()).unwrap_or_default();
        let directory = format!("{}/", directory.display());
        let location = location.strip_prefix(&directory).unwrap_or(location);
        let field = said(self.field.as_ref()).map(|field| format!("{field}: ")).unwrap_or_default();
        let remedy = self.remedy().map(|remedy| format!(" ({remedy})")).unwrap_or_default();
        format!("{location}  {field}{}{remedy}", self.reason)
    }
}

/// What the control plane says where it says anything: it leaves texts empty.
fn said(text: Option<&String>) -> Option<&str> {
    text.map(String::as_str).filter(|text| !text.is_empty())
}

/// All problems that the control plane knows of now.
///
/// # Errors
/// It does not answer, or in another shape.
pub async fn all(control_plane: &ControlPlane) -> Result<Vec<Problem>> {
    serde_json::from_value(control_plane.json("/debug/problems").await?).context("problems of another shape")
}

/// The errors and warnings among `problems` as text, a line each, or nothing.
#[must_use]
pub fn told(problems: &[Problem], directory: &Path) -> String {
    let (shown, more) = problems.split_at(problems.len().min(SHOWN_MAX));
    let mut text: String =
        shown.iter().map(|problem| format!("{}: {}\n", problem.severity, problem.line(directory))).collect();
    if !more.is_empty() {
        text.push_str(&format!("and {} more\n", more.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_says_where_what_and_how_to_mend_it() {
        let text = r#"[{"severity":"error","code":"MS0201","object":"VirtualService default/reviews","field":"spec.http",
            "location":"/tmp/config/task.yaml:15:13","reason":"unknown field","remedy":"did you mean spec.tcp?"},
            {"severity":"warning","code":"MS0001","object":null,"field":null,"location":null,"reason":"odd","remedy":null},
            {"severity":"warning","code":"MS0001","object":"","field":"","location":null,"reason":"bare","remedy":""}]"#;
        let problems: Vec<Problem> = serde_json::from_str(text).unwrap();
        let told = told(&problems, Path::new("/tmp/config"));
        assert_eq!(
            told,
            "error: task.yaml:15:13  spec.http: unknown field (did you mean spec.tcp?)\nwarning:   odd\nwarning:   bare\n"
        );
        assert!(problems.first().is_some_and(Problem::is_error));
    }

    #[test]
    fn many_problems_are_counted() {
        let problem =
            Problem { severity: "error".into(), field: None, location: None, reason: "odd".into(), remedy: None };
        let told = told(&vec![problem; SHOWN_MAX + 3], Path::new("/"));
        assert_eq!((told.lines().count(), told.lines().last()), (SHOWN_MAX + 1, Some("and 3 more")));
    }
}
