//! The application protocol of each request's TLS: how servers of sniffed ports learn that a connection carries requests.

use std::sync::LazyLock;

use proto::{
    envoy::{
        config::core::v3::{
            DataSource, SubstitutionFormatString, data_source::Specifier, substitution_format_string::Format,
        },
        extensions::filters::{
            common::set_filter_state::v3::{
                FilterStateValue,
                filter_state_value::{Key, SharedWithUpstream, Value},
            },
            http::set_filter_state::v3::Config,
        },
    },
    google::protobuf::Any,
    pack,
};

use crate::compile::{
    cluster::metadata::MAINSHEET,
    mesh_tls::{IN_MESH, IN_MESH_HTTP, SNIFFED},
};

/// What Envoy offers in place of the cluster's own list.
const OFFERED: &str = "envoy.network.application_protocols";

/// The filter. Clusters say in their metadata whether they mind; connections are pooled by what it sets, and for the
/// others it sets nothing.
pub(super) fn filter() -> Any {
    static FILTER: LazyLock<Any> = LazyLock::new(|| {
        let format = SubstitutionFormatString {
            format: Some(Format::TextFormatSource(DataSource {
                specifier: Some(Specifier::InlineString(format!("%CEL({})%", expression()))),
                ..DataSource::default()
            })),
            omit_empty_values: true,
            ..SubstitutionFormatString::default()
        };
        pack::any(&Config {
            on_request_headers: vec![FilterStateValue {
                key: Some(Key::ObjectKey(OFFERED.to_owned())),
                value: Some(Value::FormatString(format)),
                shared_with_upstream: SharedWithUpstream::Once.into(),
                skip_if_empty: true,
                ..FilterStateValue::default()
            }],
            ..Config::default()
        })
    });
    FILTER.clone()
}

/// What is offered, by the caller's protocol, which is also what a sniffed port is spoken to in. The last of each list is
/// what servers choose.
fn expression() -> String {
    let [http_1_0, http_1_1, http_2] = IN_MESH_HTTP;
    let metadata = "xds.cluster_metadata.filter_metadata";
    format!(
        "'{MAINSHEET}' in {metadata} && '{SNIFFED}' in {metadata}['{MAINSHEET}'] ? \
         (request.protocol == 'HTTP/2' ? '{http_2},{IN_MESH},h2' : \
         request.protocol == 'HTTP/1.0' ? '{http_1_0},{IN_MESH},http/1.0' : '{http_1_1},{IN_MESH},http/1.1') : ''"
    )
}
