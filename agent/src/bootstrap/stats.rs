//! How Envoy turns its statistics into names and labels: Istio's label names, so that its dashboards read them.

use serde_json::{Value, json};

/// Label and expression: the first group is cut out of the name, the second is the label's value.
///
/// The control plane ends the names that it gives to clusters and connection managers with `;`, since both contain dots.
const TAGS: [(&str, &str); 7] = [
    ("cluster_name", r"^cluster\.(([^;]+);\.)"),
    ("http_conn_manager_prefix", r"^http\.(([^;]+);\.)"),
    ("listener_address", r"^listener\.(([0-9A-Fa-f_.\[\]]*_[0-9]+)\.)"),
    ("tcp_prefix", r"^tcp\.((.*?)\.)\w+$"),
    ("response_code", r"_rq(_(\d{3}))$"),
    ("response_code_class", r"_rq(_(\dxx))$"),
    ("ssl_cipher", r"^listener\..*?\.ssl\.cipher(\.(.+?))$"),
];

/// Envoy's `StatsConfig`.
pub(super) fn config() -> Value {
    let tags: Vec<Value> = TAGS.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex})).collect();
    json!({"use_all_default_tags": false, "stats_tags": tags})
}
