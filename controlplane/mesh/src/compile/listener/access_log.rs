//! Access logs, where and as the mesh's configuration says.

use std::collections::BTreeMap;

use proto::{
    envoy::{
        config::{
            accesslog::v3::{AccessLog, access_log::ConfigType},
            core::v3::{
                DataSource, SubstitutionFormatString, data_source::Specifier, substitution_format_string::Format,
            },
        },
        extensions::access_loggers::file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
    },
    google::protobuf::{ListValue, Struct, Value, ValueKind},
    pack,
};

use crate::{
    compile::route::format,
    model::mesh_config::{AccessLogEncoding, MeshConfig},
};

/// What is logged of each request or connection when the mesh does not say: who asked for what, what came of it and why,
/// how long it took, where it went, and which object sent it there.
const TEXT: &str = "%START_TIME% %DOWNSTREAM_REMOTE_ADDRESS% \
    \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" host=%REQ(:AUTHORITY)% \
    status=%RESPONSE_CODE% flags=%RESPONSE_FLAGS% details=%RESPONSE_CODE_DETAILS% \
    failure=\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" received=%BYTES_RECEIVED% sent=%BYTES_SENT% ms=%DURATION% \
    id=%REQ(X-REQUEST-ID)% cluster=%UPSTREAM_CLUSTER_RAW% upstream=%UPSTREAM_HOST% \
    destination=%DOWNSTREAM_LOCAL_ADDRESS% sni=%REQUESTED_SERVER_NAME% route=%ROUTE_NAME% \
    config=%METADATA(ROUTE:istio:config)%\n";

/// The same, by key.
const JSON: [(&str, &str); 20] = [
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("config", "%METADATA(ROUTE:istio:config)%"),
    ("destination", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("details", "%RESPONSE_CODE_DETAILS%"),
    ("duration_ms", "%DURATION%"),
    ("failure", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
    ("flags", "%RESPONSE_FLAGS%"),
    ("host", "%REQ(:AUTHORITY)%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("route", "%ROUTE_NAME%"),
    ("sni", "%REQUESTED_SERVER_NAME%"),
    ("source", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("start_time", "%START_TIME%"),
    ("status", "%RESPONSE_CODE%"),
    ("upstream", "%UPSTREAM_HOST%"),
];

/// How deep a JSON format may nest.
const DEPTH_MAX: usize = 16;

/// The access logs of a listener's filters; none when the mesh names no file.
pub(super) fn logs(config: &MeshConfig) -> Vec<AccessLog> {
    if config.access_log_file.is_empty() {
        return Vec::new();
    }
    let log = FileAccessLog {
        path: config.access_log_file.clone(),
        access_log_format: Some(AccessLogFormat::LogFormat(SubstitutionFormatString {
            format: Some(format(config)),
            ..SubstitutionFormatString::default()
        })),
    };
    vec![AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&log))),
        ..AccessLog::default()
    }]
}

fn format(config: &MeshConfig) -> Format {
    let own = config.access_log_format.as_str();
    match config.access_log_encoding {
        AccessLogEncoding::Text => {
            let mut text = if own.is_empty() { TEXT.to_owned() } else { format::known(own).into_owned() };
            // Envoy writes no line ends of its own.
            if !text.ends_with('\n') {
                text.push('\n');
            }
            let specifier = Some(Specifier::InlineString(text));
            Format::TextFormatSource(DataSource { specifier, ..DataSource::default() })
        }
        AccessLogEncoding::Json => Format::JsonFormat(own_json(own).unwrap_or_else(default_json)),
    }
}

fn default_json() -> Struct {
    Struct { fields: JSON.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect() }
}

/// The mesh's own format, if it is a JSON object.
fn own_json(text: &str) -> Option<Struct> {
    match value(serde_json::from_str(text).ok()?, DEPTH_MAX)?.kind? {
        ValueKind::StructValue(object) if !object.fields.is_empty() => Some(object),
        ValueKind::StructValue(_)
        | ValueKind::NullValue(_)
        | ValueKind::NumberValue(_)
        | ValueKind::StringValue(_)
        | ValueKind::BoolValue(_)
        | ValueKind::ListValue(_) => None,
    }
}

fn value(json: serde_json::Value, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match json {
        serde_json::Value::Null => Value { kind: Some(ValueKind::NullValue(0)) },
        serde_json::Value::Bool(truth) => Value::from(truth),
        serde_json::Value::Number(number) => Value::from(number.as_f64()?),
        serde_json::Value::String(text) => Value::from(format::known(&text).into_owned()),
        serde_json::Value::Array(items) => {
            let values: Option<Vec<Value>> = items.into_iter().map(|item| value(item, depth)).collect();
            Value { kind: Some(ValueKind::ListValue(ListValue { values: values? })) }
        }
        serde_json::Value::Object(map) => {
            let fields: Option<BTreeMap<String, Value>> =
                map.into_iter().map(|(key, item)| Some((key, value(item, depth)?))).collect();
            Value { kind: Some(ValueKind::StructValue(Struct { fields: fields? })) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format_of(encoding: AccessLogEncoding, text: &str) -> Format {
        format(&MeshConfig {
            access_log_encoding: encoding,
            access_log_format: text.to_owned(),
            ..MeshConfig::default()
        })
    }

    fn text_of(format: Format) -> String {
        let Format::TextFormatSource(DataSource { specifier: Some(Specifier::InlineString(text)), .. }) = format else {
            panic!("not inline text: {format:?}")
        };
        text
    }

    #[test]
    fn no_file_is_no_log() {
        assert!(logs(&MeshConfig::default()).is_empty());
        let config = MeshConfig { access_log_file: "/dev/stdout".into(), ..MeshConfig::default() };
        assert_eq!(logs(&config).len(), 1);
    }

    #[test]
    fn the_default_formats_are_ones_that_envoy_knows() {
        assert_eq!(format::known(TEXT), TEXT);
        assert!(JSON.iter().all(|(_, value)| format::known(value) == *value));
        assert_eq!(text_of(format_of(AccessLogEncoding::Text, "")), TEXT);
    }

    #[test]
    fn an_own_text_ends_its_lines_and_shows_what_envoy_does_not_know() {
        assert_eq!(text_of(format_of(AccessLogEncoding::Text, "%PROTOCOL% %NOSUCH%")), "%PROTOCOL% %%NOSUCH%%\n");
    }

    #[test]
    fn an_own_object_is_taken_and_anything_else_is_the_default() {
        let object = |text| {
            let format = format_of(AccessLogEncoding::Json, text);
            let Format::JsonFormat(object) = format else { panic!("not an object: {format:?}") };
            object
        };
        assert_eq!(object(r#"{"a": "%PROTOCOL%", "b": {"c": [1, true, null]}}"#).fields.len(), 2);
        for text in ["", "x", "[]", "{}", &"[".repeat(100)] {
            assert_eq!(object(text), default_json(), "{text:?}");
        }
    }
}
