//! JSON out of a message.
//!
//! Not prost-reflect's own writer, for two reasons: that one fails on an `Any` of a type it does not know, and writes map
//! entries in a different order each time.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage, SerializeOptions, Value};
use serde_json::{Map, Number, Value as Json};

use super::TooDeep;

/// Integers up to here are exact in a double, and written without a fraction.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// The JSON of a message that may nest at most `depth` deep.
pub(super) fn message(message: &DynamicMessage, depth: usize) -> Result<Json, TooDeep> {
    let depth = depth.checked_sub(1).ok_or(TooDeep)?;
    let descriptor = message.descriptor();
    match descriptor.full_name() {
        super::ANY => any(message, depth),
        "google.protobuf.Struct" | "google.protobuf.ListValue" => only_field(message, depth),
        "google.protobuf.Value" => match message.fields().next() {
            Some((field, held)) => value(held, &field.kind(), depth),
            None => Ok(Json::Null),
        },
        name if is_plain_well_known(name) => {
            // Fails on what the text cannot express, a duration out of range: then its fields are shown.
            let options = SerializeOptions::new().use_proto_field_name(true);
            match message.serialize_with_options(serde_json::value::Serializer, &options) {
                Ok(json) => Ok(json),
                Err(_) => fields(message, depth),
            }
        }
        _ => fields(message, depth),
    }
}

fn fields(message: &DynamicMessage, depth: usize) -> Result<Json, TooDeep> {
    let mut object = Map::new();
    for (field, held) in message.fields() {
        object.insert(field.name().to_owned(), value(held, &field.kind(), depth)?);
    }
    Ok(Json::Object(object))
}

/// A `Struct` is written as its map, a `ListValue` as its list: each has that one field.
fn only_field(message: &DynamicMessage, depth: usize) -> Result<Json, TooDeep> {
    let Some(field) = message.descriptor().get_field(1) else {
        return fields(message, depth);
    };
    value(message.get_field(&field).as_ref(), &field.kind(), depth)
}

fn any(message: &DynamicMessage, depth: usize) -> Result<Json, TooDeep> {
    let (type_url, bytes) = super::any_parts(message);
    let mut object = Map::new();
    if type_url.is_empty() && bytes.is_empty() {
        return Ok(Json::Object(object));
    }
    object.insert("@type".to_owned(), Json::String(type_url.clone()));
    let inner = super::find(&type_url).and_then(|descriptor| DynamicMessage::decode(descriptor, bytes.clone()).ok());
    match inner {
        Some(inner) => match (is_well_known(inner.descriptor().full_name()), self::message(&inner, depth)?) {
            (false, Json::Object(entries)) => object.extend(entries),
            (_, json) => {
                object.insert("value".to_owned(), json);
            }
        },
        None => {
            object.insert("value".to_owned(), Json::String(BASE64_STANDARD.encode(&bytes)));
        }
    }
    Ok(Json::Object(object))
}

fn value(held: &Value, kind: &Kind, depth: usize) -> Result<Json, TooDeep> {
    Ok(match held {
        Value::Bool(held) => Json::Bool(*held),
        Value::I32(held) => Json::from(*held),
        Value::U32(held) => Json::from(*held),
        // 64 bits do not fit every reader's numbers: protobuf's JSON has them as strings.
        Value::I64(held) => Json::String(held.to_string()),
        Value::U64(held) => Json::String(held.to_string()),
        // By way of its shortest text, so that 0.1 does not become 0.10000000149.
        Value::F32(held) => held.to_string().parse().map_or(Json::Null, float),
        Value::F64(held) => float(*held),
        Value::String(held) => Json::String(held.clone()),
        Value::Bytes(held) => Json::String(BASE64_STANDARD.encode(held)),
        Value::EnumNumber(number) => enumeration(*number, kind),
        Value::Message(held) => message(held, depth)?,
        Value::List(values) => {
            Json::Array(values.iter().map(|held| value(held, kind, depth)).collect::<Result<_, _>>()?)
        }
        Value::Map(entries) => {
            let kind = kind.as_message().map_or(Kind::String, |entry| entry.map_entry_value_field().kind());
            let mut object = Map::new();
            for (key, held) in super::sorted(entries) {
                object.insert(super::key_text(key), value(held, &kind, depth)?);
            }
            Json::Object(object)
        }
    })
}

fn enumeration(number: i32, kind: &Kind) -> Json {
    match kind.as_enum() {
        Some(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => Json::Null,
        Some(descriptor) => match descriptor.get_value(number) {
            Some(value) => Json::String(value.name().to_owned()),
            None => Json::from(number),
        },
        None => Json::from(number),
    }
}

fn float(held: f64) -> Json {
    if held.fract() == 0.0 && held.abs() <= INTEGER_MAX {
        #[allow(clippy::cast_possible_truncation, reason = "a whole number within the range of i64")]
        let integer = held as i64;
        return Json::from(integer);
    }
    if held.is_nan() {
        return Json::String("NaN".to_owned());
    }
    match Number::from_f64(held) {
        Some(number) => Json::Number(number),
        None if held > 0.0 => Json::String("Infinity".to_owned()),
        None => Json::String("-Infinity".to_owned()),
    }
}

/// Types whose JSON is not an object of their fields, so that an `Any` holds it under `value`.
fn is_well_known(name: &str) -> bool {
    is_plain_well_known(name)
        || matches!(name, super::ANY | "google.protobuf.Struct" | "google.protobuf.ListValue" | "google.protobuf.Value")
}

/// Those of them that hold neither a map nor an `Any`, so that prost-reflect's writer serves.
fn is_plain_well_known(name: &str) -> bool {
    matches!(
        name.strip_prefix("google.protobuf."),
        Some(
            "Timestamp"
                | "Duration"
                | "FieldMask"
                | "Empty"
                | "FloatValue"
                | "DoubleValue"
                | "Int32Value"
                | "Int64Value"
                | "UInt32Value"
                | "UInt64Value"
                | "BoolValue"
                | "StringValue"
                | "BytesValue"
        )
    )
}
