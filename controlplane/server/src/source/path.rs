//! Where in an object a value stands: `spec.http[0].route[0].weight`.

use std::fmt;

use super::yaml::{Node, Position};

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Into the value of a key.
    Field(String),
    /// Into an item of a list.
    Index(usize),
}

/// A path on the stack: each step borrows the one before, so that walking an object costs no memory.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    before: Option<&'a Self>,
    step: BorrowedStep<'a>,
}

#[derive(Debug, Clone, Copy)]
enum BorrowedStep<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

impl<'a> Path<'a> {
    /// The object itself.
    #[must_use]
    pub const fn root() -> Self {
        Self { before: None, step: BorrowedStep::Root }
    }

    /// Into the field `name`.
    #[must_use]
    pub const fn field(&'a self, name: &'a str) -> Self {
        Self { before: Some(self), step: BorrowedStep::Field(name) }
    }

    /// Into item `index`.
    #[must_use]
    pub const fn index(&'a self, index: usize) -> Self {
        Self { before: Some(self), step: BorrowedStep::Index(index) }
    }

    /// A copy that stands for itself.
    #[must_use]
    pub fn to_owned(&self) -> FieldPath {
        let mut steps = Vec::new();
        let mut here = Some(self);
        while let Some(path) = here {
            match path.step {
                BorrowedStep::Root => {}
                BorrowedStep::Field(name) => steps.push(Step::Field(name.to_owned())),
                BorrowedStep::Index(index) => steps.push(Step::Index(index)),
            }
            here = path.before;
        }
        steps.reverse();
        FieldPath(steps)
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_owned().fmt(f)
    }
}

/// A path that stands for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldPath(pub Vec<Step>);

impl FieldPath {
    /// The same path with one field more.
    #[must_use]
    pub fn with(&self, name: &str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Field(name.to_owned()));
        Self(steps)
    }

    /// Reads a path as it is shown; what is malformed ends it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.strip_prefix('.').unwrap_or(rest);
            if let Some(quoted) = rest.strip_prefix("[\"") {
                let Some((name, behind)) = quoted.split_once("\"]") else { break };
                steps.push(Step::Field(name.to_owned()));
                rest = behind;
            } else if let Some(index) = rest.strip_prefix('[') {
                let Some((index, behind)) = index.split_once(']') else { break };
                let Ok(index) = index.parse() else { break };
                steps.push(Step::Index(index));
                rest = behind;
            } else {
                let end = rest.find(['.', '[']).unwrap_or(rest.len());
                let (name, behind) = rest.split_at(end);
                if name.is_empty() {
                    break;
                }
                steps.push(Step::Field(name.to_owned()));
                rest = behind;
            }
        }
        Self(steps)
    }

    /// Where in `root` the path leads: the key of its last field, or of the last one that is there.
    #[must_use]
    pub fn locate(&self, root: &Node) -> Position {
        let mut node = root;
        let mut position = root.position;
        for step in &self.0 {
            let next = match step {
                Step::Field(name) => node.entry(name).map(|entry| (entry.position, &entry.value)),
                Step::Index(index) => node.items().get(*index).map(|item| (item.position, item)),
            };
            let Some((found, inner)) = next else { break };
            position = found;
            node = inner;
        }
        position
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) if is_plain(name) => {
                    if place > 0 {
                        f.write_str(".")?;
                    }
                    f.write_str(name)?;
                }
                Step::Field(name) => write!(f, "[{name:?}]")?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_users_write_it() {
        let root = Path::root();
        let spec = root.field("spec");
        let http = spec.field("http");
        let rule = http.index(0);
        assert_eq!(rule.field("timeout").to_string(), "spec.http[0].timeout");
        assert_eq!(rule.field("a.b/c").to_string(), "spec.http[0][\"a.b/c\"]");
        assert_eq!(root.to_string(), "");
    }

    #[test]
    fn a_path_is_read_as_it_is_shown() {
        for text in ["spec.http[0].timeout", "metadata.labels[\"a.b/c\"]", "spec[3]", ""] {
            assert_eq!(FieldPath::parse(text).to_string(), text);
        }
        for malformed in ["a..b", "[", "[\"", "a[x]", "a[0", "."] {
            let _ = FieldPath::parse(malformed);
        }
    }
}
