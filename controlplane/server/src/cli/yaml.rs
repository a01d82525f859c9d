//! JSON values as YAML in block style: the form in which people compare configuration line by line.

use std::fmt::Write as _;

use serde_json::Value;

/// Writes a value; equal values give equal text.
pub(super) fn write(value: &Value) -> String {
    let mut text = String::new();
    match value {
        Value::Object(_) | Value::Array(_) => block(value, 0, &mut text),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            scalar(value, &mut text);
            text.push('\n');
        }
    }
    text
}

/// A mapping or list, each entry on a line of its own beginning `depth` levels in.
fn block(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) => {
            for (at, (key, value)) in fields.iter().enumerate() {
                // The first line of a mapping in a list stands behind the dash.
                if at > 0 || !text.ends_with("- ") {
                    indent(depth, text);
                }
                string(key, text);
                text.push(':');
                nested(value, depth, text);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                if at > 0 || !text.ends_with("- ") {
                    indent(depth, text);
                }
                text.push('-');
                match item {
                    Value::Object(fields) if !fields.is_empty() => {
                        text.push(' ');
                        block(item, depth + 1, text);
                    }
                    Value::Array(items) if !items.is_empty() => {
                        text.push(' ');
                        block(item, depth + 1, text);
                    }
                    Value::Null
                    | Value::Bool(_)
                    | Value::Number(_)
                    | Value::String(_)
                    | Value::Object(_)
                    | Value::Array(_) => {
                        text.push(' ');
                        scalar(item, text);
                        text.push('\n');
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value, text),
    }
}

/// The value of a key, after its colon.
fn nested(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            text.push('\n');
            block(value, depth + 1, text);
        }
        // Lists stand at the level of their key, as Kubernetes writes them.
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, depth, text);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) | Value::Array(_) => {
            text.push(' ');
            scalar(value, text);
            text.push('\n');
        }
    }
}

fn scalar(value: &Value, text: &mut String) {
    match value {
        Value::String(content) => string(content, text),
        // What is left of lists and mappings here is empty: `[]` and `{}`, as in JSON.
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::Array(_) => {
            let _ = write!(text, "{value}");
        }
    }
}

/// Plain where every reader takes it for a string, else quoted as in JSON, which YAML reads the same.
fn string(content: &str, text: &mut String) {
    let starts_plain = content.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/');
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '|' | '=' | '~' | '+' | '@');
    let means_more = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_word = means_more.iter().any(|word| content.eq_ignore_ascii_case(word));
    if starts_plain && content.chars().all(is_plain) && !is_word {
        text.push_str(content);
    } else {
        let _ = write!(text, "{}", Value::from(content));
    }
}

fn indent(depth: usize, text: &mut String) {
    for _ in 0..depth {
        text.push_str("  ");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn yaml_is_written_in_block_style() {
        let value = json!({
            "name": "outbound|80||web", "timeout": "0s", "on": true, "empty": {}, "none": [],
            "list": [{"a": 1, "b": {"c": "x y"}}, "z", ["p", "q"], {}],
            "text": "two\nlines",
        });
        let expected = "\
name: outbound|80||web
timeout: \"0s\"
\"on\": true
empty: {}
none: []
list:
- a: 1
  b:
    c: \"x y\"
- z
- - p
  - q
- {}
text: \"two\\nlines\"
";
        assert_eq!(write(&value), expected);
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let value = json!({"a": [[{"b": ["1", "1e3", "0x1", "~", "null", "-", ": ", "#", "é", "", "a: b"]}]], "2": {"c": [[]]}});
        let read: Value = serde_saphyr::from_str(&write(&value)).unwrap();
        assert_eq!(read, value);
    }
}
