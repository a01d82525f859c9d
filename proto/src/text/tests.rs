//! Tests of the conversion, on the messages that matter most.

use prost::{Message, Name};
use serde_json::json;

use super::*;
use crate::envoy::config::cluster::v3::Cluster;
use crate::envoy::config::listener::v3::{Filter, FilterChain, Listener, filter};
use crate::envoy::extensions::filters::http::router::v3::Router;
use crate::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
use crate::google::protobuf::{Any, Duration};
use crate::pack;

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

fn listener() -> Listener {
    let router = hcm::HttpFilter {
        name: "envoy.filters.http.router".to_owned(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(pack::any(&Router {
            suppress_envoy_headers: true,
            ..Router::default()
        }))),
        ..hcm::HttpFilter::default()
    };
    let manager = hcm::HttpConnectionManager {
        stat_prefix: "outbound_0.0.0.0_80".to_owned(),
        http_filters: vec![router],
        stream_idle_timeout: Some(Duration { seconds: 0, nanos: 250_000_000 }),
        use_remote_address: Some(false),
        ..hcm::HttpConnectionManager::default()
    };
    let filter = Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(filter::ConfigType::TypedConfig(pack::any(&manager))),
    };
    Listener {
        name: "0.0.0.0_80".to_owned(),
        filter_chains: vec![FilterChain { filters: vec![filter], ..FilterChain::default() }],
        per_connection_buffer_limit_bytes: Some(1_048_576),
        ..Listener::default()
    }
}

#[test]
fn a_listener_with_nested_filters_reads_as_envoy_writes_it() {
    let json = to_json(LISTENER, &listener().encode_to_vec().into()).unwrap();
    let expected = json!({
        "name": "0.0.0.0_80",
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": {
                "@type": hcm::HttpConnectionManager::type_url(),
                "stat_prefix": "outbound_0.0.0.0_80",
                "http_filters": [{
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": Router::type_url(), "suppress_envoy_headers": true},
                }],
                "use_remote_address": false,
                "stream_idle_timeout": "0.250s",
            },
        }]}],
        "per_connection_buffer_limit_bytes": 1_048_576,
    });
    assert_eq!(json, expected);
}

#[test]
fn a_listener_with_nested_filters_survives_the_round_trip() {
    let bytes = listener().encode_to_vec();
    let json = to_json(LISTENER, &bytes.clone().into()).unwrap();
    assert_eq!(from_json(LISTENER, &json).unwrap(), bytes);
}

#[test]
fn maps_give_one_text_and_one_encoding() {
    let fields: serde_json::Map<String, Value> =
        (0..40).map(|n| (format!("k{n}"), json!({"a": n, "b": [n, null, true], "c": "x"}))).collect();
    let metadata = json!({"filter_metadata": {"istio": fields, "envoy.lb": fields}});
    let json = json!({"name": "c", "metadata": metadata, "typed_extension_protocol_options": {
        "b": {"@type": CLUSTER, "metadata": metadata},
        "a": {"@type": LISTENER, "metadata": metadata},
    }});
    let bytes = from_json(CLUSTER, &json).unwrap();
    let text = to_json(CLUSTER, &bytes.clone().into()).unwrap().to_string();
    for _ in 0..50 {
        assert_eq!(from_json(CLUSTER, &json).unwrap(), bytes);
        assert_eq!(to_json(CLUSTER, &bytes.clone().into()).unwrap().to_string(), text);
    }
    let typed = Cluster::decode(bytes.as_slice()).unwrap();
    assert_eq!(typed.encode_to_vec(), bytes, "the canonical encoding is that of the generated types");
    assert_eq!(to_json(CLUSTER, &bytes.into()).unwrap(), json);
}

#[test]
fn an_any_that_cannot_be_read_is_shown_as_base64() {
    let unknown = Any { type_url: "type.googleapis.com/no.such.Type".to_owned(), value: vec![1, 2, 3].into() };
    let malformed = Any { type_url: CLUSTER.to_owned(), value: vec![0x0a, 0xff].into() };
    let cluster = Cluster {
        typed_extension_protocol_options: [("a".to_owned(), unknown), ("b".to_owned(), malformed)].into(),
        ..Cluster::default()
    };
    let json = to_json(CLUSTER, &cluster.encode_to_vec().into()).unwrap();
    let expected = json!({"typed_extension_protocol_options": {
        "a": {"@type": "type.googleapis.com/no.such.Type", "value": "AQID"},
        "b": {"@type": CLUSTER, "value": "Cv8="},
    }});
    assert_eq!(json, expected);
}

#[test]
fn well_known_types_within_an_any_stand_under_value() {
    let json = json!({"typed_extension_protocol_options": {
        "a": {"@type": "type.googleapis.com/google.protobuf.Duration", "value": "3s"},
        "b": {"@type": "type.googleapis.com/google.protobuf.Struct", "value": {"x": 1, "y": 0.5}},
    }});
    let bytes = from_json(CLUSTER, &json).unwrap();
    assert_eq!(to_json(CLUSTER, &bytes.into()).unwrap(), json);
}

#[test]
fn an_unknown_field_is_refused_with_its_path() {
    let json = json!({"name": "c", "circuit_breakers": {"thresholds": [{"max_conections": 3}]}});
    let error = from_json(CLUSTER, &json).unwrap_err().to_string();
    assert!(error.contains("max_conections"), "{error}");
    assert!(error.starts_with("circuit_breakers.thresholds[0]"), "{error}");
    let json = json!({"typed_extension_protocol_options": {"a": {"@type": CLUSTER, "nmae": "x"}}});
    let error = from_json(CLUSTER, &json).unwrap_err().to_string();
    assert!(error.contains("nmae"), "{error}");
}

#[test]
fn unknown_types_are_refused_by_name() {
    assert!(matches!(from_json("type.googleapis.com/no.Such", &json!({})), Err(TextError::UnknownType { .. })));
    assert!(matches!(to_json("envoy.config.cluster.v3.Cluster", &Bytes::new()), Err(TextError::UnknownType { .. })));
    let json = json!({"typed_extension_protocol_options": {"a": {"@type": "type.googleapis.com/no.Such"}}});
    let error = from_json(CLUSTER, &json).unwrap_err().to_string();
    assert!(error.contains("no.Such"), "{error}");
}

#[test]
fn any_within_any_has_a_limit() {
    let mut packed = pack::any(&Cluster::default());
    for _ in 0..DEPTH_MAX {
        packed = pack::any(&packed);
    }
    let cluster = Cluster { typed_extension_protocol_options: [("a".to_owned(), packed)].into(), ..Cluster::default() };
    assert!(matches!(to_json(CLUSTER, &cluster.encode_to_vec().into()), Err(TextError::TooDeep { .. })));
}

#[test]
fn a_duration_out_of_range_is_shown_by_its_fields() {
    let cluster = Cluster { connect_timeout: Some(Duration { seconds: i64::MAX, nanos: 0 }), ..Cluster::default() };
    let json = to_json(CLUSTER, &cluster.encode_to_vec().into()).unwrap();
    assert_eq!(json, json!({"connect_timeout": {"seconds": i64::MAX.to_string()}}));
}
