//! What looks at a connection before a filter chain is chosen.

use std::collections::BTreeSet;

use proto::{
    envoy::{
        config::listener::v3::{
            ListenerFilter, ListenerFilterChainMatchPredicate,
            listener_filter::ConfigType,
            listener_filter_chain_match_predicate::{MatchSet, Rule},
        },
        extensions::filters::listener::{
            http_inspector::v3::HttpInspector, original_dst::v3::OriginalDst, tls_inspector::v3::TlsInspector,
        },
        r#type::v3::Int32Range,
    },
    google::protobuf::Any,
    pack,
};

/// What the TLS inspector reads at first: most hellos fit.
const TLS_BUFFER_LEN: u32 = 512;

/// Asks the socket where the caller wanted to go.
pub(super) fn original_dst() -> ListenerFilter {
    filter("envoy.filters.listener.original_dst", pack::any(&OriginalDst::default()))
}

/// Reads the server name of TLS.
pub(super) fn tls_inspector() -> ListenerFilter {
    let config = TlsInspector { initial_read_buffer_size: Some(TLS_BUFFER_LEN), ..TlsInspector::default() };
    filter("envoy.filters.listener.tls_inspector", pack::any(&config))
}

/// Finds out whether the first bytes are HTTP.
pub(super) fn http_inspector() -> ListenerFilter {
    filter("envoy.filters.listener.http_inspector", pack::any(&HttpInspector::default()))
}

/// The filter, but not for connections to these ports: where a server speaks first, to wait for the caller's bytes would
/// be to wait for ever.
pub(super) fn except_ports(filter: ListenerFilter, ports: &BTreeSet<u16>) -> ListenerFilter {
    ListenerFilter { filter_disabled: any_port(ports), ..filter }
}

/// The filter, but only for connections to these ports.
pub(super) fn only_ports(filter: ListenerFilter, ports: &BTreeSet<u16>) -> ListenerFilter {
    let others =
        any_port(ports).map(|these| ListenerFilterChainMatchPredicate { rule: Some(Rule::NotMatch(Box::new(these))) });
    ListenerFilter { filter_disabled: others, ..filter }
}

fn any_port(ports: &BTreeSet<u16>) -> Option<ListenerFilterChainMatchPredicate> {
    let mut rules: Vec<ListenerFilterChainMatchPredicate> = ports.iter().map(|port| one_port(*port)).collect();
    if rules.len() < 2 {
        return rules.pop();
    }
    Some(ListenerFilterChainMatchPredicate { rule: Some(Rule::OrMatch(MatchSet { rules })) })
}

fn one_port(port: u16) -> ListenerFilterChainMatchPredicate {
    let start = i32::from(port);
    let range = Int32Range { start, end: start + 1 };
    ListenerFilterChainMatchPredicate { rule: Some(Rule::DestinationPortRange(range)) }
}

fn filter(name: &str, config: Any) -> ListenerFilter {
    ListenerFilter {
        name: name.to_owned(),
        config_type: Some(ConfigType::TypedConfig(config)),
        ..ListenerFilter::default()
    }
}
