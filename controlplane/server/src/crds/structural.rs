//! JSON schemas as API servers want them: every value has one type, nothing is referred to, fields are described once.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value as Json, json};

use crate::source::{istio::IstioKind, schema::EXCLUSIVE};

/// The schema of the `spec` of a kind.
pub(super) fn spec(kind: &IstioKind) -> JSONSchemaProps {
    of(&kind.spec_json(&mut generator()))
}

/// A generator that writes every type out where it is used.
pub(super) fn generator() -> SchemaGenerator {
    let settings = SchemaSettings::draft07().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    settings.into_generator()
}

/// The structural form of a schema.
pub(super) fn of(schema: &Json) -> JSONSchemaProps {
    // The form holds only keywords that the type knows, so that reading it cannot fail; the tests would show it.
    serde_json::from_value(structural(schema, Place::Single)).unwrap_or_default()
}

/// Whether a value stands in a list or map, however far above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Single,
    Many,
}

/// Keywords that mean the same in both forms.
const KEPT: [&str; 19] = [
    "description",
    "type",
    "enum",
    "required",
    "nullable",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "x-kubernetes-validations",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-int-or-string",
];

fn structural(schema: &Json, place: Place) -> Json {
    let merged = merge(schema);
    let mut form: Map<String, Json> =
        KEPT.iter().filter_map(|key| Some(((*key).to_owned(), merged.get(*key)?.clone()))).collect();
    if form.contains_key("x-kubernetes-int-or-string") {
        form.remove("type");
        return Json::Object(form);
    }
    match merged.get("format").and_then(Json::as_str) {
        Some("uint32") => bound_above(&mut form, u32::MAX),
        Some("uint16") => bound_above(&mut form, u16::MAX.into()),
        Some(kept @ ("int32" | "int64" | "double" | "byte" | "date-time")) => {
            form.insert("format".to_owned(), kept.into());
        }
        _ => {}
    }
    if let Some(fields) = merged.get("properties").and_then(Json::as_object) {
        let fields = fields.iter().map(|(name, field)| (name.clone(), structural(field, place)));
        form.insert("properties".to_owned(), Json::Object(fields.collect()));
    }
    for inner in ["items", "additionalProperties"] {
        if let Some(schema) = merged.get(inner).filter(|schema| schema.is_object()) {
            form.insert(inner.to_owned(), structural(schema, Place::Many));
        }
    }
    if let Some(groups) = merged.get(EXCLUSIVE).and_then(Json::as_array) {
        exclude(&mut form, groups, place);
    }
    Json::Object(form)
}

fn bound_above(form: &mut Map<String, Json>, greatest: u32) {
    form.entry("maximum").or_insert_with(|| greatest.into());
}

/// One schema out of one and the alternatives in it: the only one that is not "nothing", or the values of an
/// enumeration. What stands outside counts more than what stands inside.
fn merge(schema: &Json) -> Map<String, Json> {
    let mut outer = schema.as_object().cloned().unwrap_or_default();
    for keyword in ["anyOf", "allOf"] {
        if let Some(Json::Array(alternatives)) = outer.remove(keyword)
            && let Some(only) = alternatives.iter().find(|inner| !is_nothing(inner))
        {
            let inner = merge(only);
            describe_values(&mut outer, &inner);
            for (key, value) in inner {
                outer.entry(key).or_insert(value);
            }
        }
    }
    if let Some(Json::Array(values)) = outer.remove("oneOf") {
        enumerate(&mut outer, &values);
    }
    if let Some(Json::Array(types)) = outer.get("type") {
        let only = types.iter().find(|name| name.as_str() != Some("null")).cloned();
        outer.insert("type".to_owned(), only.unwrap_or_default());
    }
    if let Some(Json::Array(values)) = outer.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(text) = outer.get("description").and_then(Json::as_str) {
        outer.insert("description".to_owned(), unwrap(text).into());
    }
    outer
}

/// What each value means belongs to the type, and is told wherever the type is used.
fn describe_values(outer: &mut Map<String, Json>, inner: &Map<String, Json>) {
    let meanings = inner.get("description").and_then(Json::as_str).and_then(|text| text.split_once("\n- "));
    if let (Some((_, meanings)), Some(Json::String(text))) = (meanings, outer.get_mut("description")) {
        *text = format!("{}\n- {meanings}", unwrap(text));
    }
}

fn is_nothing(schema: &Json) -> bool {
    schema.get("type").and_then(Json::as_str) == Some("null")
}

/// The values of an enumeration, and what each means as part of the description.
fn enumerate(outer: &mut Map<String, Json>, values: &[Json]) {
    let mut allowed = Vec::new();
    let mut text = outer.get("description").and_then(Json::as_str).map(unwrap).unwrap_or_default();
    for value in values {
        let named =
            value.get("const").into_iter().chain(value.get("enum").and_then(Json::as_array).into_iter().flatten());
        for name in named.filter_map(Json::as_str) {
            allowed.push(Json::from(name));
            if let Some(meaning) = value.get("description").and_then(Json::as_str) {
                let shown = if name.is_empty() { "\"\"" } else { name };
                text.push_str(&format!("\n- {shown}: {}", unwrap(meaning)));
            }
        }
    }
    outer.insert("type".to_owned(), "string".into());
    outer.insert("enum".to_owned(), allowed.into());
    outer.insert("description".to_owned(), text.into());
}

/// A description without the line breaks of the source; those before a list stay.
fn unwrap(text: &str) -> String {
    text.replace("\n- ", "\0").replace('\n', " ").replace('\0', "\n- ")
}

/// Groups of fields of which one at most may be given. As a rule it has a message of ours; but API servers reckon what
/// rules may cost in the longest lists that fit into a request, and there only the form without a message is allowed.
fn exclude(form: &mut Map<String, Json>, groups: &[Json], place: Place) {
    let groups = groups.iter().filter_map(Json::as_array);
    let groups: Vec<Vec<&str>> = groups.map(|group| group.iter().filter_map(Json::as_str).collect()).collect();
    match place {
        Place::Single => {
            let rules = form.entry("x-kubernetes-validations").or_insert_with(|| Json::Array(Vec::new()));
            if let Json::Array(rules) = rules {
                rules.extend(groups.iter().map(|group| {
                    let given: Vec<String> = group.iter().map(|name| format!("has(self.{name})")).collect();
                    let rule = format!("[{}].filter(given, given).size() <= 1", given.join(", "));
                    json!({"rule": rule, "message": format!("{} exclude each other: keep one of them", group.join(", "))})
                }));
            }
        }
        Place::Many => {
            let mut forms = groups.iter().map(|group| {
                let required: Vec<Json> = group.iter().map(|name| json!({"required": [name]})).collect();
                let mut one_of = vec![json!({"not": {"anyOf": required}})];
                one_of.extend(required);
                Json::Array(one_of)
            });
            match (forms.len(), forms.next()) {
                (1, Some(only)) => {
                    form.insert("oneOf".to_owned(), only);
                }
                (_, first) => {
                    let all: Vec<Json> = first.into_iter().chain(forms).map(|form| json!({"oneOf": form})).collect();
                    form.insert("allOf".to_owned(), all.into());
                }
            }
        }
    }
}
