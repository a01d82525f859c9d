//! What is found wrong with an object while it is read.

use mesh::model::code::Code;
use mesh::model::{Location, Problem, Severity};
use std::sync::Arc;

use super::{
    path::{FieldPath, Path},
    yaml::{Node, Position},
};

/// Most findings that are kept for one object; the rest would only repeat.
pub const FINDINGS_MAX: usize = 100;

/// One thing that is wrong with an object, by its path; a [`Problem`] once the object and its file are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which kind of problem.
    pub code: Code,
    /// The field.
    pub path: FieldPath,
    /// Where it stands, when that is not where the path leads.
    pub position: Option<Position>,
    /// What is wrong, in one line of lower case.
    pub reason: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

impl Finding {
    /// The problem that it is for `object`; `text` is its file and what stands there, for objects from files.
    #[must_use]
    pub fn into_problem(self, object: &str, text: Option<(&Arc<str>, &Node)>) -> Problem {
        let locate = |(file, root): (&Arc<str>, &Node)| {
            let Position { line, column } = self.position.unwrap_or_else(|| self.path.locate(root));
            Location { file: Arc::clone(file), line, column }
        };
        Problem {
            severity: self.code.severity,
            code: self.code.id,
            object: object.to_owned(),
            field: self.path.to_string(),
            location: text.map(locate),
            reason: self.reason,
            remedy: self.remedy,
        }
        .in_one_line()
    }
}

/// All that is wrong with one object.
#[derive(Debug, Default)]
pub struct Findings {
    list: Vec<Finding>,
    errors: usize,
}

impl Findings {
    /// Adds what is wrong at `path`.
    pub fn add(&mut self, code: Code, path: Path<'_>, reason: impl Into<String>, remedy: impl Into<String>) {
        self.push(Finding {
            code,
            path: path.to_owned(),
            position: None,
            reason: reason.into(),
            remedy: remedy.into(),
        });
    }

    /// Adds a finding.
    pub fn push(&mut self, finding: Finding) {
        self.errors = self.errors.saturating_add(usize::from(finding.code.severity == Severity::Error));
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else if finding.code.severity == Severity::Error
            && let Some(lesser) = self.list.iter_mut().find(|other| other.code.severity != Severity::Error)
        {
            // An object is never refused without a reason that can be seen.
            *lesser = finding;
        }
    }

    /// How many there are; those beyond [`FINDINGS_MAX`] are not counted.
    #[must_use]
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Whether the object cannot be used.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The findings, in the order found.
    #[must_use]
    pub fn into_list(self) -> Vec<Finding> {
        self.list
    }
}

impl Extend<Finding> for Findings {
    fn extend<I: IntoIterator<Item = Finding>>(&mut self, findings: I) {
        for finding in findings {
            self.push(finding);
        }
    }
}
