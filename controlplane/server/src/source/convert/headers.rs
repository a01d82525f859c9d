//! Changes of headers.

use std::collections::BTreeMap;

use mesh::model::{
    code,
    virtual_service::{HeaderChanges, HeaderOperations},
};

use super::Conversion;
use crate::source::{path::Path, wire::http_route as wire};

/// Longest value of a header that is set, in bytes.
const VALUE_LEN_MAX: usize = 8192;
/// Longest name of a header, in bytes.
const NAME_LEN_MAX: usize = 256;

impl Conversion<'_> {
    pub(super) fn header_changes(&mut self, headers: Option<wire::Headers>, path: Path<'_>) -> HeaderChanges {
        let Some(wire::Headers { request, response }) = headers else { return HeaderChanges::default() };
        HeaderChanges {
            request: self.header_operations(request, path.field("request")),
            response: self.header_operations(response, path.field("response")),
        }
    }

    fn header_operations(&mut self, operations: Option<wire::HeaderOperations>, path: Path<'_>) -> HeaderOperations {
        let Some(wire::HeaderOperations { set, add, remove }) = operations else { return HeaderOperations::default() };
        let remove_path = path.field("remove");
        HeaderOperations {
            set: self.header_values(set, path.field("set")),
            add: self.header_values(add, path.field("add")),
            remove: remove
                .into_iter()
                .enumerate()
                .filter_map(|(place, name)| {
                    let path = remove_path.index(place);
                    let name = self.header_name(&name, path)?;
                    if name == "host" || name.starts_with(':') {
                        self.no_effect(path, &format!("removing {name} does nothing"));
                        return None;
                    }
                    Some(name)
                })
                .collect(),
        }
    }

    fn header_values(&mut self, values: BTreeMap<String, String>, path: Path<'_>) -> Vec<(String, String)> {
        let mut list = Vec::new();
        for (name, value) in values {
            let path = path.field(&name);
            let Some(lower) = self.header_name(&name, path) else { continue };
            if lower.starts_with(':') && lower != ":authority" {
                self.no_effect(path, &format!("{lower} cannot be changed so"));
                continue;
            }
            if value.is_empty() {
                self.no_effect(path, "an empty value adds no header");
                continue;
            }
            if let Err(reason) = check_value(&value) {
                self.error(code::BAD_VALUE, path, reason, "write %% for a percent sign");
                continue;
            }
            list.push((lower, value));
        }
        list
    }

    fn no_effect(&mut self, path: Path<'_>, reason: &str) {
        self.error(code::HEADER_NO_EFFECT, path, reason, "remove it");
    }

    /// A header name in lower case, as HTTP/2 and Envoy have it.
    pub(super) fn header_name(&mut self, name: &str, path: Path<'_>) -> Option<String> {
        let token = name.strip_prefix(':').unwrap_or(name);
        let valid = !token.is_empty() && name.len() <= NAME_LEN_MAX && token.bytes().all(is_token);
        if !valid {
            self.error(code::BAD_NAME, path, format!("{name:?} is not the name of a header"), "");
            return None;
        }
        Some(name.to_ascii_lowercase())
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Checks a value of a header: Envoy takes `%COMMAND%` in it for a variable, and refuses a percent sign that is none.
pub(super) fn check_value(value: &str) -> Result<(), String> {
    if value.len() > VALUE_LEN_MAX {
        return Err(format!("is {} bytes long, at most {VALUE_LEN_MAX} are allowed", value.len()));
    }
    if value.bytes().any(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
        return Err("a header cannot hold line ends or zero bytes".into());
    }
    let mut rest = value;
    while let Some((_, behind)) = rest.split_once('%') {
        rest = match behind.strip_prefix('%') {
            Some(behind) => behind,
            None => after_command(behind)
                .ok_or_else(|| "a percent sign begins a variable such as %REQ(name)%".to_owned())?,
        };
    }
    Ok(())
}

/// What stands behind `NAME(arguments):length%`.
fn after_command(text: &str) -> Option<&str> {
    let name_len = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    if name_len == 0 {
        return None;
    }
    let rest = text.get(name_len..)?;
    let rest = match rest.strip_prefix('(') {
        Some(arguments) => arguments.split_once(')')?.1,
        None => rest,
    };
    let rest = match rest.strip_prefix(':') {
        Some(length) => length.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    rest.strip_prefix('%')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percent_sign_is_a_variable_or_written_twice() {
        for good in ["a", "100%%", "%REQ(x-a)%", "%START_TIME(%s)%", "a%DOWNSTREAM_REMOTE_ADDRESS%b%%", "%REQ(a?b):10%"]
        {
            assert_eq!(check_value(good), Ok(()), "{good:?}");
        }
        for bad in ["100%", "%", "%a%", "%REQ(x", "a\nb", "%REQ(x)"] {
            assert!(check_value(bad).is_err(), "{bad:?}");
        }
    }
}
