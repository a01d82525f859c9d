//! What is wrong with an object, said so that its author can mend it.

use std::fmt;

use super::object::Location;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The object or the field is not in force.
    Error,
    /// In force, but probably not what was meant.
    Warning,
    /// Worth knowing.
    Info,
}

impl Severity {
    /// In lower case, as tables and JSON show it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong: what, where, why and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Problem {
    /// How bad.
    pub severity: Severity,
    /// A stable code, `MS0101`, for suppression and look-up; the table is in the documentation.
    pub code: &'static str,
    /// Kind, namespace and name as written, `VirtualService default/reviews`; empty when the file has no object there.
    pub object: String,
    /// The field path, `spec.http[0].timeout`; empty for the whole object.
    pub field: String,
    /// Where it stands, for objects from files.
    pub location: Option<Location>,
    /// What is wrong, in one line of lower case.
    pub reason: String,
    /// What to do about it.
    pub remedy: String,
}

/// Longest reason, remedy, field or object of a problem, in characters; the rest of what a user wrote is cut off.
const TEXT_LEN_MAX: usize = 400;

impl Problem {
    /// The same in one line of bounded length: what users write is repeated in problems, and must not flood or steer a
    /// terminal.
    #[must_use]
    pub fn in_one_line(self) -> Self {
        let Self { severity, code, object, field, location, reason, remedy } = self;
        Self {
            severity,
            code,
            object: one_line(object),
            field: one_line(field),
            location,
            reason: one_line(reason),
            remedy: one_line(remedy),
        }
    }
}

/// Whether a terminal takes a character as an order: to move, to clear, or to show what follows from right to left.
#[must_use]
pub fn steers_terminal(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || c.is_control()
}

fn one_line(text: String) -> String {
    if text.len() <= TEXT_LEN_MAX && !text.contains(steers_terminal) {
        return text;
    }
    let mut line: String = text.chars().take(TEXT_LEN_MAX).map(|c| if steers_terminal(c) { ' ' } else { c }).collect();
    if text.chars().nth(TEXT_LEN_MAX).is_some() {
        line.push('…');
    }
    line
}

impl fmt::Display for Problem {
    /// `error: VirtualService default/reviews: spec.http[0].x: reason (remedy) [file:line:column]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.severity)?;
        for part in [&self.object, &self.field] {
            if !part.is_empty() {
                write!(f, "{part}: ")?;
            }
        }
        write!(f, "{}", self.reason)?;
        if !self.remedy.is_empty() {
            write!(f, " ({})", self.remedy)?;
        }
        if let Some(location) = &self.location {
            write!(f, " [{location}]")?;
        }
        Ok(())
    }
}
