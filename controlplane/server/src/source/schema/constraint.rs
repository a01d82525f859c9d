//! What a value must satisfy besides having its shape.

use regex::Regex;
use serde_json::{Map, Value as Json};

use mesh::model::code::{self, Code};

use crate::source::{
    wire::rule::{self, Rule},
    yaml::{Node, Value},
};

/// The keyword of our own under which a schema lists groups of fields of which one at most may be given.
pub const EXCLUSIVE: &str = "x-mainsheet-exclusive";

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach {
    /// The kind of problem.
    pub code: Code,
    /// The field of the value that it is about; `None` for the value itself.
    pub field: Option<String>,
    /// What is wrong, in one line of lower case.
    pub reason: String,
    /// What to do about it; may be empty.
    pub remedy: String,
}

/// What a value must satisfy.
#[derive(Debug, Clone)]
pub enum Constraint {
    /// A rule of our own.
    Rule(&'static Rule),
    /// Of these fields one at most is given.
    AtMostOne(Vec<String>),
    /// The text matches.
    Pattern(Regex),
    /// The number of characters, items or fields.
    Count {
        /// The least one.
        least: u64,
        /// The greatest one.
        greatest: u64,
    },
    /// No two items have one value of this field.
    UniqueBy(String),
    /// The number.
    Range {
        /// The least one.
        least: f64,
        /// The greatest one.
        greatest: f64,
    },
}

impl Constraint {
    /// What is wrong with `node`; `None` when nothing is.
    #[must_use]
    pub fn breach(&self, node: &Node) -> Option<Breach> {
        let bad = |reason: String| Some(Breach { code: code::BAD_VALUE, field: None, reason, remedy: String::new() });
        match (self, &node.value) {
            (Self::Rule(rule), _) if !(rule.holds)(node) => {
                let (reason, remedy) = (rule.message.to_owned(), (rule.hint)(node));
                Some(Breach { code: rule.code, field: None, reason, remedy })
            }
            (Self::AtMostOne(names), Value::Map(_)) => {
                let is_given = |name: &&String| node.field(name).is_some_and(|value| !value.is_null());
                let mut given = names.iter().filter(is_given);
                let (first, second) = (given.next()?, given.next()?);
                let reason = format!("excludes {first}, which is given too");
                let remedy = "keep one of the two".into();
                Some(Breach { code: code::CONFLICTING_FIELDS, field: Some(second.clone()), reason, remedy })
            }
            (Self::Pattern(pattern), Value::Text(text)) if !pattern.is_match(text) => {
                bad(format!("{text:?} has not the form {pattern}"))
            }
            (Self::Count { least, greatest }, value) => {
                let (count, what) = match value {
                    Value::Text(text) => (text.chars().count(), "characters"),
                    Value::List(items) => (items.len(), "items"),
                    Value::Map(entries) => (entries.len(), "entries"),
                    Value::Null | Value::Bool(_) | Value::Number(_) => return None,
                };
                match u64::try_from(count).unwrap_or(u64::MAX) {
                    count if count < *least => bad(format!("must have at least {least} {what}")),
                    count if count > *greatest => bad(format!("has {count} {what}, and {greatest} is the most")),
                    _ => None,
                }
            }
            (Self::UniqueBy(name), Value::List(items)) => {
                let keys: Vec<_> = items.iter().filter_map(|item| Some(&item.field(name)?.value)).collect();
                let twice = keys.iter().enumerate().any(|(at, key)| keys.iter().take(at).any(|other| other == key));
                if twice { bad(format!("two items have the same {name}")) } else { None }
            }
            (Self::Range { least, greatest }, Value::Number(number)) => {
                let inside = number.as_f64().is_some_and(|number| (*least..=*greatest).contains(&number));
                if inside { None } else { bad(format!("expected a number from {least} to {greatest}, found {number}")) }
            }
            (Self::Rule(_) | Self::AtMostOne(_) | Self::Pattern(_) | Self::UniqueBy(_) | Self::Range { .. }, _) => None,
        }
    }
}

/// What a schema demands of its values besides their shape.
pub(super) fn read(object: &Map<String, Json>) -> Vec<Constraint> {
    let list = |name: &str| object.get(name).and_then(Json::as_array).into_iter().flatten();
    let rules = list("x-kubernetes-validations").filter_map(|entry| rule::find(entry.get("rule")?.as_str()?));
    let groups = list(EXCLUSIVE).filter_map(Json::as_array);
    let names = |group: &Vec<Json>| group.iter().filter_map(Json::as_str).map(str::to_owned).collect();
    let keys = list("x-kubernetes-list-map-keys").filter_map(Json::as_str);
    let pattern = object.get("pattern").and_then(Json::as_str).and_then(|pattern| Regex::new(pattern).ok());
    let mut constraints: Vec<Constraint> = rules.map(Constraint::Rule).collect();
    constraints.extend(groups.map(|group| Constraint::AtMostOne(names(group))));
    constraints.extend(keys.map(|name| Constraint::UniqueBy(name.to_owned())));
    constraints.extend(pattern.map(Constraint::Pattern));
    constraints.extend(read_count(object));
    constraints.extend(read_range(object));
    constraints
}

fn read_count(object: &Map<String, Json>) -> Option<Constraint> {
    let bound = |names: [&str; 3]| names.iter().find_map(|name| object.get(*name)?.as_u64());
    let least = bound(["minLength", "minItems", "minProperties"]);
    let greatest = bound(["maxLength", "maxItems", "maxProperties"]);
    (least.is_some() || greatest.is_some())
        .then(|| Constraint::Count { least: least.unwrap_or_default(), greatest: greatest.unwrap_or(u64::MAX) })
}

fn read_range(object: &Map<String, Json>) -> Option<Constraint> {
    let bound = |name: &str| object.get(name).and_then(Json::as_f64);
    let unsigned = object.get("format").and_then(Json::as_str).is_some_and(|format| format.starts_with("uint"));
    // The shape of an unsigned number says already that it is not negative.
    let least = bound("minimum").filter(|least| !unsigned || *least > 0.0);
    let greatest = bound("maximum");
    (least.is_some() || greatest.is_some())
        .then(|| Constraint::Range { least: least.unwrap_or(f64::MIN), greatest: greatest.unwrap_or(f64::MAX) })
}
