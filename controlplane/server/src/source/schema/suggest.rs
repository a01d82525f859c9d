//! Which field was probably meant by one that does not exist.

use super::{Fields, Schema, Shape};
use crate::source::{
    path::Path,
    yaml::{Node, Value},
};

/// An object on the way from the root to an unknown field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Level<'a> {
    /// The fields it may have.
    pub(super) fields: &'a Fields,
    /// What stands there.
    pub(super) node: &'a Node,
    /// Where it stands.
    pub(super) path: Path<'a>,
    /// The object that it stands in.
    pub(super) above: Option<&'a Self>,
}

/// How many levels down a field is looked for.
const DOWN_MAX: usize = 2;

/// The path of the field that was probably meant by `key`: the same name in another spelling, then the same name one
/// or more levels up, then down, then beside; last a similar name.
pub(super) fn field(schema: &Schema, level: &Level<'_>, key: &str, value: &Node) -> Option<String> {
    let folded = fold(key);
    if let Some(name) = level.fields.known.keys().find(|name| fold(name) == folded && free(level, name)) {
        return Some(level.path.field(name).to_string());
    }
    let mut up = level.above;
    while let Some(above) = up {
        if fits(schema, above.fields, key, value) && free(above, key) {
            return Some(above.path.field(key).to_string());
        }
        up = above.above;
    }
    if let Some(path) = below(schema, level.fields, level.node, level.path, key, value, DOWN_MAX) {
        return Some(path);
    }
    if let Some(above) = level.above
        && let Some(path) = below(schema, above.fields, above.node, above.path, key, value, 1)
    {
        return Some(path);
    }
    let similar = |level: &Level<'_>| {
        let free = level.fields.known.keys().map(String::as_str).filter(|name| free(level, name));
        closest(key, free).map(|name| level.path.field(name).to_string())
    };
    similar(level).or_else(|| level.above.and_then(similar))
}

/// The one of `names` that is most like `text`, if any is like it at all.
pub(super) fn closest<'a>(text: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = fold(text);
    names
        .map(|name| (strsim::damerau_levenshtein(&folded, &fold(name)), name))
        .filter(|(distance, name)| *distance <= (text.len().min(name.len()) / 3).max(1))
        .min()
        .map(|(_, name)| name)
}

/// A name without regard to case, `_` and `-`.
fn fold(name: &str) -> String {
    /// Beyond this no field is meant, and comparing would cost too much.
    const LEN_MAX: usize = 100;
    name.chars().filter(|c| !matches!(c, '_' | '-')).take(LEN_MAX).flat_map(char::to_lowercase).collect()
}

/// Whether the field is not given yet: two of a name cannot have been meant.
fn free(level: &Level<'_>, name: &str) -> bool {
    level.node.field(name).is_none()
}

/// Whether there is such a field, and the value could be its.
fn fits(schema: &Schema, fields: &Fields, key: &str, value: &Node) -> bool {
    fields.known.get(key).is_some_and(|shape| could_be(schema.resolve(shape), value))
}

fn could_be(shape: &Shape, value: &Node) -> bool {
    match (shape, &value.value) {
        (Shape::Any | Shape::Named(_), _) | (_, Value::Null) => true,
        (
            Shape::Text { .. } | Shape::Duration | Shape::IntegerOrText,
            Value::Text(_) | Value::Number(_) | Value::Bool(_),
        )
        | (Shape::Integer { .. } | Shape::Number, Value::Number(_) | Value::Text(_))
        | (Shape::Boolean, Value::Bool(_) | Value::Text(_))
        | (Shape::List(_), _)
        | (Shape::Map(_) | Shape::Object(_), Value::Map(_)) => true,
        (
            Shape::Text { .. }
            | Shape::Duration
            | Shape::IntegerOrText
            | Shape::Integer { .. }
            | Shape::Number
            | Shape::Boolean
            | Shape::Map(_)
            | Shape::Object(_),
            _,
        ) => false,
    }
}

/// Looks for `key` in the objects that `fields` lead to.
fn below(
    schema: &Schema,
    fields: &Fields,
    node: &Node,
    path: Path<'_>,
    key: &str,
    value: &Node,
    levels: usize,
) -> Option<String> {
    let mut deeper = Vec::new();
    // What is there is more likely to be meant than what is not.
    for given in [true, false] {
        for (name, shape) in &fields.known {
            let inner_node = node.field(name);
            if inner_node.is_some() != given {
                continue;
            }
            let inner_path = path.field(name);
            let shape = schema.resolve(shape);
            let item = matches!(shape, Shape::List(_));
            let shape = if let Shape::List(item) = shape { schema.resolve(item) } else { shape };
            let Shape::Object(inner) = shape else { continue };
            let first = inner_path.index(0);
            let place = if item { first } else { inner_path };
            let inner_node = if item { inner_node.and_then(|list| list.items().first()) } else { inner_node };
            if fits(schema, inner, key, value) && inner_node.is_none_or(|inner| inner.field(key).is_none()) {
                return Some(place.field(key).to_string());
            }
            if let Some(inner_node) = inner_node
                && levels > 1
                && let Some(found) = below(schema, inner, inner_node, place, key, value, levels.saturating_sub(1))
            {
                deeper.push(found);
            }
        }
    }
    deeper.into_iter().next()
}
