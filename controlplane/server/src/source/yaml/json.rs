//! Trees from and to JSON.

use serde::de::IgnoredAny;

use super::{Entry, Node, Position, SyntaxError, Value};

/// Why a text is not JSON, if it is not.
#[must_use]
pub(in crate::source) fn json_error(text: &str) -> Option<SyntaxError> {
    let error = serde_json::from_str::<IgnoredAny>(text).err()?;
    let number = |number: usize| u32::try_from(number.max(1)).unwrap_or(u32::MAX);
    let said = error.to_string();
    let reason = said.split_once(" at line ").map_or(said.as_str(), |(reason, _)| reason);
    Some(SyntaxError {
        position: Position { line: number(error.line()), column: number(error.column()) },
        reason: format!("the text is not JSON: {reason}"),
        remedy: "look at the quotes, commas and brackets here and before",
        limit: false,
    })
}

/// Where everything stands that comes from JSON which nobody wrote into a file.
const NOWHERE: Position = Position { line: 1, column: 1 };

impl Node {
    /// The tree of a JSON value.
    #[must_use]
    pub fn from_json(json: serde_json::Value) -> Self {
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => Value::Number(number),
            serde_json::Value::String(text) => Value::Text(text),
            serde_json::Value::Array(items) => Value::List(items.into_iter().map(Self::from_json).collect()),
            serde_json::Value::Object(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry { key, position: NOWHERE, value: Self::from_json(value) })
                    .collect(),
            ),
        };
        Self { position: NOWHERE, value }
    }

    /// As JSON. Fields without a value are left out, as Kubernetes does; of a key that stands twice the last counts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => serde_json::Value::Object(
                entries
                    .iter()
                    .filter(|entry| !entry.value.is_null())
                    .map(|entry| (entry.key.clone(), entry.value.to_json()))
                    .collect(),
            ),
        }
    }
}
