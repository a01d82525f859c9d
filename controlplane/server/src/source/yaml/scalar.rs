//! What a plain scalar stands for: the core schema of YAML 1.2, and merge keys.

use super::{Entry, Value};

/// The value that an unquoted text stands for.
pub(super) fn resolve(text: String) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        plain => match number(plain) {
            Some(number) => Value::Number(number),
            None => Value::Text(text),
        },
    }
}

/// Numbers that JSON has too; what is not finite stays text, and is then refused where a number belongs.
fn number(text: &str) -> Option<serde_json::Number> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return u64::from_str_radix(digits, radix).ok().map(Into::into);
        }
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        if let Ok(number) = text.parse::<i64>() {
            return Some(number.into());
        }
        if let Ok(number) = text.parse::<u64>() {
            return Some(number.into());
        }
    }
    let shaped = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !shaped {
        return None;
    }
    serde_json::Number::from_f64(text.parse::<f64>().ok()?)
}

/// Puts what `<<` refers to in its place; a key written out wins over a merged one.
pub(super) fn merge_keys(mut entries: Vec<Entry>) -> Vec<Entry> {
    if !entries.iter().any(|entry| entry.key == "<<") {
        return entries;
    }
    let mut merged = Vec::new();
    entries.retain(|entry| {
        if entry.key != "<<" {
            return true;
        }
        match &entry.value.value {
            Value::Map(inner) => merged.extend(inner.iter().cloned()),
            Value::List(items) => merged.extend(items.iter().flat_map(|item| item.entries().iter().cloned())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => return true,
        }
        false
    });
    for entry in merged {
        if !entries.iter().any(|present| present.key == entry.key) {
            entries.push(entry);
        }
    }
    entries
}
