//! Holds a tree against the schema of its kind: unknown fields, wrong types, values that are not allowed, fields that
//! are missing; each with the field that was probably meant.

mod shape;
mod suggest;

use mesh::model::code;

pub use self::shape::{Fields, Schema, Shape};
use self::suggest::Level;
use super::{
    finding::{Finding, Findings},
    path::Path,
    yaml::{Node, Value},
};

/// How strictly unknown fields are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unknown {
    /// They are errors.
    Refuse,
    /// They are warnings: what is known stays in force.
    Warn,
}

/// Adds to `findings` all in which `root` differs from `schema`; `path` is where `root` stands in its object.
pub fn check(schema: &Schema, root: &Node, path: Path<'_>, unknown: Unknown, findings: &mut Findings) {
    let mut walk = Walk { schema, unknown, findings };
    walk.node(&schema.root, root, path, None);
}

struct Walk<'a> {
    schema: &'a Schema,
    unknown: Unknown,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn node(&mut self, shape: &Shape, node: &Node, path: Path<'_>, above: Option<&Level<'_>>) {
        let shape = self.schema.resolve(shape);
        match (shape, &node.value) {
            (Shape::Any, _)
            | (Shape::Duration, Value::Text(_))
            | (Shape::IntegerOrText, Value::Text(_) | Value::Number(_))
            | (Shape::Boolean, Value::Bool(_))
            | (Shape::Number, Value::Number(_)) => {}
            (Shape::Text { allowed }, Value::Text(text)) => self.allowed(allowed, text, path),
            (Shape::Integer { least, greatest }, Value::Number(number)) => {
                self.integer(number, *least, *greatest, path);
            }
            (Shape::List(inner), Value::List(items)) => {
                for (place, item) in items.iter().enumerate() {
                    self.node(inner, item, path.index(place), above);
                }
            }
            (Shape::Map(inner), Value::Map(entries)) => {
                for entry in entries.iter().filter(|entry| !entry.value.is_null()) {
                    self.node(inner, &entry.value, path.field(&entry.key), above);
                }
            }
            (Shape::Object(fields), Value::Map(_)) => self.object(fields, node, path, above),
            (expected, _) => self.wrong_type(expected, node, path),
        }
    }

    fn object(&mut self, fields: &Fields, node: &Node, path: Path<'_>, above: Option<&Level<'_>>) {
        let level = Level { fields, node, path, above };
        let mut meant = Vec::new();
        for entry in node.entries() {
            match fields.known.get(entry.key.as_str()) {
                Some(_) if entry.value.is_null() => {}
                Some(shape) => self.node(shape, &entry.value, path.field(&entry.key), Some(&level)),
                None => meant.extend(self.unknown_field(&level, &entry.key, &entry.value)),
            }
        }
        for name in &fields.required {
            // A field that is only misspelt is not missing too.
            if node.field(name).is_none_or(Node::is_null) && !meant.contains(&path.field(name).to_string()) {
                self.missing_field(&level, name);
            }
        }
    }

    /// Says that a field is unknown; returns the path of the one that was probably meant.
    fn unknown_field(&mut self, level: &Level<'_>, key: &str, value: &Node) -> Option<String> {
        let code = match (self.unknown, level.fields.tolerant) {
            (_, true) => code::UNKNOWN_METADATA,
            (Unknown::Warn, false) => code::UNKNOWN_OPTION,
            (Unknown::Refuse, false) => code::UNKNOWN_FIELD,
        };
        let meant = suggest::field(self.schema, level, key, value);
        let remedy = match &meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("remove it, or use one of: {}", level.fields.names()),
        };
        self.findings.add(code, level.path.field(key), "unknown field", remedy);
        meant
    }

    fn missing_field(&mut self, level: &Level<'_>, name: &str) {
        let wanted = level.path.field(name);
        // The name may have slipped into a map of free keys beside it, where no schema can call it wrong.
        for entry in level.node.entries() {
            let shape = level.fields.known.get(entry.key.as_str()).map(|shape| self.schema.resolve(shape));
            if matches!(shape, Some(Shape::Map(_))) && entry.value.field(name).is_some() {
                let map = level.path.field(&entry.key);
                self.findings.add(
                    code::MISSING_FIELD,
                    map.field(name),
                    format!("the field {wanted} is missing, and stands among the {} instead", entry.key),
                    format!("did you mean {wanted}?"),
                );
                return;
            }
        }
        self.findings.add(code::MISSING_FIELD, wanted, "the field is missing", "add it");
    }

    fn allowed(&mut self, allowed: &[String], text: &str, path: Path<'_>) {
        if allowed.is_empty() || allowed.iter().any(|value| value == text) {
            return;
        }
        let remedy = match suggest::closest(text, allowed.iter().map(String::as_str)) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("use one of: {}", allowed.join(", ")),
        };
        self.findings.add(code::UNKNOWN_VALUE, path, format!("{text:?} is not one of the values allowed"), remedy);
    }

    fn integer(&mut self, number: &serde_json::Number, least: i64, greatest: u64, path: Path<'_>) {
        let fits = match (number.as_i64(), number.as_u64()) {
            (Some(signed), None) => signed >= least,
            (_, Some(unsigned)) => unsigned <= greatest,
            (None, None) => false,
        };
        if !fits {
            let reason = format!("expected a whole number from {least} to {greatest}, found {number}");
            self.findings.add(code::WRONG_TYPE, path, reason, "");
        }
    }

    fn wrong_type(&mut self, expected: &Shape, node: &Node, path: Path<'_>) {
        let remedy = match (expected, &node.value) {
            (Shape::Duration, Value::Number(number)) if number.as_f64().is_some_and(|number| number >= 0.0) => {
                format!("say the unit: {number}s")
            }
            (Shape::Text { .. }, Value::Number(number)) => format!("write it in quotes: \"{number}\""),
            (Shape::Text { .. }, Value::Bool(value)) => format!("write it in quotes: \"{value}\""),
            (Shape::Integer { .. } | Shape::Number, Value::Text(text)) if text.parse::<f64>().is_ok() => {
                "remove the quotes".into()
            }
            (Shape::Boolean, Value::Text(text)) => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => "write true, without quotes".into(),
                "false" | "no" | "off" => "write false, without quotes".into(),
                _ => "write true or false".into(),
            },
            (Shape::List(_), Value::Map(_) | Value::Text(_) | Value::Number(_)) => {
                "write it as an item of a list, behind `- `".into()
            }
            (Shape::Object(_), Value::List(_)) => "remove the `- ` before it".into(),
            _ => String::new(),
        };
        let reason = format!("expected {}, found {}", expected.noun(), found(node));
        self.findings.push(Finding { code: code::WRONG_TYPE, path: path.to_owned(), position: None, reason, remedy });
    }
}

fn found(node: &Node) -> String {
    /// Longest text that is repeated in a message.
    const SHOWN_MAX: usize = 40;
    match &node.value {
        Value::Null => "nothing".into(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::Text(text) if text.chars().count() <= SHOWN_MAX => format!("the text {text:?}"),
        Value::Text(_) => "a long text".into(),
        Value::List(_) => "a list".into(),
        Value::Map(_) => "a mapping".into(),
    }
}

#[cfg(test)]
mod tests;
