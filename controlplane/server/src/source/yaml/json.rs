//! Trees from and to JSON.

use super::{Entry, Node, Position, Value};

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
