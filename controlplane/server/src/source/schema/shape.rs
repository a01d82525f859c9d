//! A JSON schema, reduced to what a tree is held against.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value as Json};

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Anything.
    Any,
    /// Text; one of `allowed` unless that is empty.
    Text {
        /// The values allowed.
        allowed: Vec<String>,
    },
    /// A duration, as text.
    Duration,
    /// A whole number.
    Integer {
        /// The least one.
        least: i64,
        /// The greatest one.
        greatest: u64,
    },
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A number or text.
    IntegerOrText,
    /// A list of such values.
    List(Box<Self>),
    /// A mapping of free keys to such values.
    Map(Box<Self>),
    /// A mapping with known fields.
    Object(Fields),
    /// The shape of this name.
    Named(String),
}

impl Shape {
    /// What a value of this shape is called.
    #[must_use]
    pub fn noun(&self) -> &'static str {
        match self {
            Self::Any | Self::Named(_) => "anything",
            Self::Text { .. } => "text",
            Self::Duration => "a duration",
            Self::Integer { .. } => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::IntegerOrText => "a number or text",
            Self::List(_) => "a list",
            Self::Map(_) | Self::Object(_) => "a mapping",
        }
    }
}

/// The fields of a mapping.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fields {
    /// Those it may have.
    pub known: BTreeMap<String, Shape>,
    /// Those it must have.
    pub required: Vec<String>,
    /// Other fields are dropped without harm.
    pub tolerant: bool,
}

impl Fields {
    /// The names of all fields, for messages.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.known.keys().map(String::as_str).collect();
        names.join(", ")
    }
}

/// The shape of a kind, with the shapes that it names.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The whole.
    pub root: Shape,
    named: BTreeMap<String, Shape>,
}

impl Schema {
    /// The schema of a type.
    #[must_use]
    pub fn of<T: JsonSchema>() -> Self {
        let schema = generator().into_root_schema_for::<T>().to_value();
        let empty = Map::new();
        let definitions = schema.get("definitions").and_then(Json::as_object).unwrap_or(&empty);
        let named = definitions.iter().map(|(name, inner)| (name.clone(), read(inner))).collect();
        Self { root: read(&schema), named }
    }

    /// The schema of an object of Kubernetes whose `spec` is a `T`.
    #[must_use]
    pub fn of_object<T: JsonSchema>() -> Self {
        let mut schema = Self::of::<T>();
        let spec = std::mem::replace(&mut schema.root, Shape::Any);
        let text = || Shape::Text { allowed: Vec::new() };
        let known = [("apiVersion", text()), ("kind", text()), ("spec", spec)]
            .into_iter()
            .map(|(name, shape)| (name.to_owned(), shape))
            .collect();
        schema.root = Shape::Object(Fields { known, required: vec!["spec".into()], tolerant: false });
        schema.with_metadata()
    }

    /// The schema of a kind of Kubernetes itself.
    #[must_use]
    pub fn of_kind<T: JsonSchema>() -> Self {
        Self::of::<T>().with_metadata()
    }

    /// Makes the metadata what Kubernetes makes of it, and leaves the status alone: it is written by controllers.
    fn with_metadata(mut self) -> Self {
        let metadata = Self::of::<k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta>();
        self.named.extend(metadata.named);
        if let Shape::Object(fields) = &mut self.root {
            let mut metadata = metadata.root;
            if let Shape::Object(inner) = &mut metadata {
                inner.tolerant = true;
                inner.required = vec!["name".into()];
            }
            fields.known.insert("metadata".into(), metadata);
            fields.known.insert("status".into(), Shape::Any);
            fields.required.retain(|name| name != "metadata");
        }
        self
    }

    /// The shape that a name stands for; every other shape is itself.
    #[must_use]
    pub fn resolve<'a>(&'a self, shape: &'a Shape) -> &'a Shape {
        // Names stand for shapes, not for names, so that one step is enough.
        if let Shape::Named(name) = shape { self.named.get(name).unwrap_or(&Shape::Any) } else { shape }
    }
}

fn generator() -> SchemaGenerator {
    SchemaSettings::draft07().into_generator()
}

fn read(schema: &Json) -> Shape {
    let Some(object) = schema.as_object() else { return Shape::Any };
    if let Some(name) = object.get("$ref").and_then(Json::as_str).and_then(|name| name.strip_prefix("#/definitions/")) {
        return Shape::Named(name.to_owned());
    }
    if object.get("x-kubernetes-int-or-string").is_some() {
        return Shape::IntegerOrText;
    }
    for alternatives in ["anyOf", "oneOf", "allOf"] {
        if let Some(list) = object.get(alternatives).and_then(Json::as_array) {
            return read_alternatives(list);
        }
    }
    if object.contains_key("enum") || object.contains_key("const") {
        return Shape::Text { allowed: texts(object) };
    }
    match type_of(object) {
        Some("string") if object.get("format").and_then(Json::as_str) == Some("duration") => Shape::Duration,
        Some("string") => Shape::Text { allowed: Vec::new() },
        Some("integer") => read_integer(object),
        Some("number") => Shape::Number,
        Some("boolean") => Shape::Boolean,
        Some("array") => Shape::List(Box::new(object.get("items").map_or(Shape::Any, read))),
        Some("object") => read_object(object),
        _ => Shape::Any,
    }
}

/// The only alternative that is not "nothing", or the texts of an enumeration.
fn read_alternatives(list: &[Json]) -> Shape {
    let given: Vec<&Json> = list.iter().filter(|inner| inner.get("type") != Some(&Json::from("null"))).collect();
    if let [only] = given.as_slice() {
        return read(only);
    }
    let allowed: Vec<String> = given.iter().filter_map(|inner| inner.as_object()).flat_map(texts).collect();
    if allowed.is_empty() { Shape::Any } else { Shape::Text { allowed } }
}

fn texts(object: &Map<String, Json>) -> Vec<String> {
    let listed = object.get("enum").and_then(Json::as_array).into_iter().flatten();
    listed.chain(object.get("const")).filter_map(Json::as_str).map(str::to_owned).collect()
}

/// The type; of `["string", "null"]` the one that is not null.
fn type_of(object: &Map<String, Json>) -> Option<&str> {
    match object.get("type")? {
        Json::String(name) => Some(name),
        Json::Array(names) => names.iter().filter_map(Json::as_str).find(|name| *name != "null"),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Object(_) => None,
    }
}

fn read_integer(object: &Map<String, Json>) -> Shape {
    let (least, greatest) = match object.get("format").and_then(Json::as_str) {
        Some("int32") => (i64::from(i32::MIN), u64::from(i32::MAX.unsigned_abs())),
        Some("uint16") => (0, u64::from(u16::MAX)),
        Some("uint32") => (0, u64::from(u32::MAX)),
        Some("uint64" | "uint") => (0, u64::MAX),
        _ => (i64::MIN, i64::MAX.unsigned_abs()),
    };
    Shape::Integer { least, greatest }
}

fn read_object(object: &Map<String, Json>) -> Shape {
    let required = object.get("required").and_then(Json::as_array).into_iter().flatten();
    let fields = Fields {
        known: object
            .get("properties")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
            .map(|(name, inner)| (name.clone(), read(inner)))
            .collect(),
        required: required.filter_map(Json::as_str).map(str::to_owned).collect(),
        tolerant: false,
    };
    match object.get("additionalProperties") {
        Some(inner @ Json::Object(_)) => Shape::Map(Box::new(read(inner))),
        Some(Json::Bool(true)) => Shape::Map(Box::new(Shape::Any)),
        _ if fields.known.is_empty() => Shape::Any,
        _ => Shape::Object(fields),
    }
}
