//! Any message from and to Envoy's JSON, by the descriptors: no type of it is named here.
//!
//! Field names are those of the `.proto` files (`connect_timeout`), as in Envoy's own configuration and dumps; on input
//! the camel case of protobuf's JSON is taken as well. `Any` is expanded with `@type`. Output is ordered (fields by number,
//! map entries by key), and so is the encoding that [`from_json`] returns: equal input gives equal text and equal bytes.

mod canonical;
mod write;

use std::collections::HashMap;
use std::sync::OnceLock;

use prost::bytes::Bytes;
use prost_reflect::Value as Field;
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, MapKey, MessageDescriptor};
use serde_json::Value;
use thiserror::Error;

/// How deep messages may nest, `Any` within `Any` included. Envoy's own limit for protobuf is 100.
const DEPTH_MAX: usize = 100;

const ANY: &str = "google.protobuf.Any";

/// Why a message could not be converted.
#[derive(Debug, Error)]
pub enum TextError {
    /// The type URL names no message that Envoy's API has.
    #[error("unknown message type {type_url:?}")]
    UnknownType {
        /// The type URL.
        type_url: String,
    },
    /// The bytes are not a message of the type.
    #[error("malformed message of type {type_url}: {source}")]
    Malformed {
        /// The type URL.
        type_url: String,
        /// What the decoder says.
        source: prost::DecodeError,
    },
    /// The JSON is not a message of the type: an unknown field, a wrong kind of value, an unknown `@type`.
    #[error("{path}: {reason} (as a message of type {type_url})")]
    Refused {
        /// The type URL.
        type_url: String,
        /// The path of the field, as far as it is known; `.` is the message itself. Within an `Any` it is that of the `Any`.
        path: String,
        /// What is wrong there.
        reason: String,
    },
    /// Messages nest deeper than the limit.
    #[error("messages nest deeper than {DEPTH_MAX} (in a message of type {type_url})")]
    TooDeep {
        /// The type URL of the outermost message.
        type_url: String,
    },
}

/// The JSON of an encoded message.
///
/// An `Any` inside it that cannot be read (of a type that Envoy's API does not have, or with malformed bytes) becomes
/// `{"@type": URL, "value": BASE64}`, so that a dump shows everything else.
///
/// # Errors
/// If the outermost type is unknown, the bytes are not a message of it, or messages nest too deeply.
pub fn to_json(type_url: &str, bytes: &Bytes) -> Result<Value, TextError> {
    let descriptor = descriptor(type_url)?;
    let message = DynamicMessage::decode(descriptor, bytes.clone())
        .map_err(|source| TextError::Malformed { type_url: type_url.to_owned(), source })?;
    write::message(&message, DEPTH_MAX).map_err(|TooDeep| TextError::TooDeep { type_url: type_url.to_owned() })
}

/// The encoding of a message given as JSON, in one canonical form: maps sorted by key, also within an `Any`.
///
/// # Errors
/// If the type is unknown or the JSON is not a message of it. Unknown fields are refused, as Envoy does.
pub fn from_json(type_url: &str, json: &Value) -> Result<Vec<u8>, TextError> {
    let descriptor = descriptor(type_url)?;
    let options = DeserializeOptions::new().deny_unknown_fields(true);
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(json, &mut track);
    match DynamicMessage::deserialize_with_options(descriptor, deserializer, &options) {
        Ok(message) => canonical::encode(&message, DEPTH_MAX)
            .map_err(|TooDeep| TextError::TooDeep { type_url: type_url.to_owned() }),
        Err(error) => Err(TextError::Refused {
            type_url: type_url.to_owned(),
            path: track.path().to_string(),
            reason: error.to_string(),
        }),
    }
}

/// Whether the type URL names a message of Envoy's API.
#[must_use]
pub fn is_known(type_url: &str) -> bool {
    descriptor(type_url).is_ok()
}

/// The descriptors of all messages of Envoy's API. Decoded on first use, which takes some 20 ms.
pub fn descriptors() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let bytes: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
        DescriptorPool::decode(bytes)
            .expect("the descriptor set is checked by the build and by every test of this crate")
    })
}

fn descriptor(type_url: &str) -> Result<MessageDescriptor, TextError> {
    find(type_url).ok_or_else(|| TextError::UnknownType { type_url: type_url.to_owned() })
}

/// The message that a type URL names: what follows its last slash, whatever the host before it.
fn find(type_url: &str) -> Option<MessageDescriptor> {
    let (_, name) = type_url.rsplit_once('/')?;
    descriptors().get_message_by_name(name)
}

/// The two fields of an `Any`, by number.
fn any_parts(any: &DynamicMessage) -> (String, Bytes) {
    let type_url = any.get_field_by_number(1).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default();
    let value = any.get_field_by_number(2).and_then(|value| value.as_bytes().cloned()).unwrap_or_default();
    (type_url, value)
}

/// The entries of a map in the order of their keys.
fn sorted(entries: &HashMap<MapKey, Field>) -> Vec<(&MapKey, &Field)> {
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    sorted
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

/// Messages nest deeper than the limit; which message it was is known further up.
#[derive(Debug)]
struct TooDeep;

#[cfg(test)]
mod tests;
