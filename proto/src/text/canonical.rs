//! The one encoding of a message: fields by number, map entries by key, also within an `Any`.
//!
//! prost-reflect keeps maps in `HashMap` and so encodes a message differently each time.

use prost::encoding::{WireType, encode_key, encode_varint};
use prost::{Message, bytes::Bytes};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, ReflectMessage, Value};

use super::TooDeep;

/// Encodes a message that may nest at most `depth` deep.
pub(super) fn encode(message: &DynamicMessage, depth: usize) -> Result<Vec<u8>, TooDeep> {
    let depth = depth.checked_sub(1).ok_or(TooDeep)?;
    if message.descriptor().full_name() == super::ANY {
        return any(message, depth);
    }
    let mut bytes = Vec::new();
    for (field, value) in message.fields() {
        if let Value::Map(entries) = value {
            for (key, value) in super::sorted(entries) {
                put(&mut bytes, field.number(), &entry(&field, key, value, depth)?);
            }
        } else if matches!(field.kind(), Kind::Message(_)) && !field.is_group() {
            let one_or_many = value.as_list().unwrap_or(std::slice::from_ref(value));
            for inner in one_or_many.iter().filter_map(Value::as_message) {
                put(&mut bytes, field.number(), &encode(inner, depth)?);
            }
        } else {
            let mut alone = DynamicMessage::new(message.descriptor());
            alone.set_field(&field, value.clone());
            bytes.extend(alone.encode_to_vec());
        }
    }
    Ok(bytes)
}

/// One entry of a map is a message with the key in field 1 and the value in field 2.
fn entry(field: &FieldDescriptor, key: &MapKey, value: &Value, depth: usize) -> Result<Vec<u8>, TooDeep> {
    let Kind::Message(descriptor) = field.kind() else {
        return Ok(Vec::new());
    };
    let mut message = DynamicMessage::new(descriptor);
    message.set_field_by_number(1, Value::from(key.clone()));
    message.set_field_by_number(2, value.clone());
    encode(&message, depth)
}

/// What an `Any` holds is encoded anew, if it can be read.
fn any(message: &DynamicMessage, depth: usize) -> Result<Vec<u8>, TooDeep> {
    let (type_url, value) = super::any_parts(message);
    let Some(inner) = super::find(&type_url).and_then(|descriptor| DynamicMessage::decode(descriptor, value).ok())
    else {
        return Ok(message.encode_to_vec());
    };
    let mut canonical = DynamicMessage::new(message.descriptor());
    canonical.set_field_by_number(1, Value::String(type_url));
    canonical.set_field_by_number(2, Value::Bytes(Bytes::from(encode(&inner, depth)?)));
    Ok(canonical.encode_to_vec())
}

fn put(bytes: &mut Vec<u8>, number: u32, encoded: &[u8]) {
    encode_key(number, WireType::LengthDelimited, bytes);
    encode_varint(encoded.len() as u64, bytes);
    bytes.extend_from_slice(encoded);
}
