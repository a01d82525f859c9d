//! What a cluster speaks to its endpoints, and how long an HTTP connection lives.

use std::collections::BTreeMap;

use proto::{
    envoy::{
        config::core::v3::{
            Http1ProtocolOptions, Http2ProtocolOptions, HttpProtocolOptions as CommonOptions,
            UpstreamHttpProtocolOptions,
        },
        extensions::upstreams::http::v3::{
            HttpProtocolOptions,
            http_protocol_options::{
                ExplicitHttpConfig, UpstreamProtocolOptions, UseDownstreamHttpConfig,
                explicit_http_config::ProtocolConfig,
            },
        },
    },
    google::protobuf::Any,
    pack,
};

use crate::{
    compile::duration,
    model::{destination_rule::ConnectionPool, protocol::Protocol},
};

/// The key of the options among a cluster's typed extension options.
const KEY: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
/// Most streams that one HTTP/2 connection may be allowed.
const STREAMS_MAX: u32 = i32::MAX as u32;

/// What is spoken to the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upstream {
    /// HTTP/1.1, or no HTTP at all.
    Http1,
    /// HTTP/2, whatever the caller speaks.
    Http2,
    /// What the caller speaks.
    AsDownstream,
}

impl Upstream {
    /// What a port of `protocol` is spoken to in. A port that declares HTTP/2 (gRPC and gRPC-Web too) is never spoken to in
    /// HTTP/1.1 by an upgrade policy; an undeclared one gets what the caller speaks, since nobody knows better.
    pub(super) fn of(protocol: Protocol, pool: Option<&ConnectionPool>, mesh_upgrades: bool) -> Self {
        if pool.is_some_and(|pool| pool.use_client_protocol) {
            return Self::AsDownstream;
        }
        let upgrades = pool.and_then(|pool| pool.h2_upgrade).unwrap_or(mesh_upgrades);
        match protocol {
            Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => Self::Http2,
            Protocol::Auto => Self::AsDownstream,
            Protocol::Http if upgrades => Self::Http2,
            Protocol::Http
            | Protocol::Https
            | Protocol::Tls
            | Protocol::Tcp
            | Protocol::Mongo
            | Protocol::Redis
            | Protocol::Mysql
            | Protocol::Udp => Self::Http1,
        }
    }
}

/// The options, or nothing where Envoy's defaults (plain HTTP/1.1) are what is meant.
#[must_use]
pub(super) fn options(
    upstream: Upstream,
    pool: Option<&ConnectionPool>,
    names: Option<UpstreamHttpProtocolOptions>,
) -> BTreeMap<String, Any> {
    let common = pool.and_then(common);
    if upstream == Upstream::Http1 && common.is_none() && names.is_none() {
        return BTreeMap::new();
    }
    packed(&HttpProtocolOptions {
        common_http_protocol_options: common,
        upstream_http_protocol_options: names,
        upstream_protocol_options: Some(protocol_options(upstream, pool)),
        ..HttpProtocolOptions::default()
    })
}

/// Options of clusters that lead wherever the caller wanted to go: its own protocol, and an end to idle connections.
#[must_use]
pub(super) fn passthrough() -> BTreeMap<String, Any> {
    /// Nobody tells us what the other end wants, so we are done before most servers are.
    const IDLE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);
    packed(&HttpProtocolOptions {
        common_http_protocol_options: Some(CommonOptions {
            idle_timeout: Some(duration::of(IDLE_TIMEOUT)),
            ..CommonOptions::default()
        }),
        upstream_protocol_options: Some(protocol_options(Upstream::AsDownstream, None)),
        ..HttpProtocolOptions::default()
    })
}

fn packed(options: &HttpProtocolOptions) -> BTreeMap<String, Any> {
    BTreeMap::from([(KEY.to_owned(), pack::any(options))])
}

/// Limits of one connection; zero counts as not said, but for the idle timeout, where it means never.
fn common(pool: &ConnectionPool) -> Option<CommonOptions> {
    let options = CommonOptions {
        idle_timeout: pool.http_idle_timeout.map(duration::of),
        max_connection_duration: duration::positive(pool.max_connection_duration),
        max_requests_per_connection: pool.max_requests_per_connection.filter(|&requests| requests > 0),
        ..CommonOptions::default()
    };
    (options != CommonOptions::default()).then_some(options)
}

fn protocol_options(upstream: Upstream, pool: Option<&ConnectionPool>) -> UpstreamProtocolOptions {
    let http1 = Http1ProtocolOptions::default;
    let http2 = || Http2ProtocolOptions {
        max_concurrent_streams: pool
            .and_then(|pool| pool.max_concurrent_streams)
            .filter(|&streams| streams > 0)
            .map(|streams| streams.min(STREAMS_MAX)),
        ..Http2ProtocolOptions::default()
    };
    let explicit =
        |config| UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(config) });
    match upstream {
        Upstream::Http1 => explicit(ProtocolConfig::HttpProtocolOptions(http1())),
        Upstream::Http2 => explicit(ProtocolConfig::Http2ProtocolOptions(http2())),
        Upstream::AsDownstream => UpstreamProtocolOptions::UseDownstreamProtocolConfig(UseDownstreamHttpConfig {
            http_protocol_options: Some(http1()),
            http2_protocol_options: Some(http2()),
            http3_protocol_options: None,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn unpacked(options: &BTreeMap<String, Any>) -> HttpProtocolOptions {
        pack::unpack(&options[KEY]).unwrap()
    }

    #[test]
    fn ports_that_declare_http2_are_spoken_to_in_http2_whatever_the_upgrade_policy() {
        let never = ConnectionPool { h2_upgrade: Some(false), ..ConnectionPool::default() };
        for protocol in [Protocol::Http2, Protocol::Grpc, Protocol::GrpcWeb] {
            assert_eq!(Upstream::of(protocol, Some(&never), false), Upstream::Http2);
        }
        assert_eq!(Upstream::of(Protocol::Auto, None, true), Upstream::AsDownstream);
        assert_eq!(Upstream::of(Protocol::Tcp, None, true), Upstream::Http1);
    }

    #[test]
    fn an_http_port_is_upgraded_by_the_rule_else_by_the_mesh() {
        let pool = |h2_upgrade| ConnectionPool { h2_upgrade, ..ConnectionPool::default() };
        assert_eq!(Upstream::of(Protocol::Http, None, false), Upstream::Http1);
        assert_eq!(Upstream::of(Protocol::Http, None, true), Upstream::Http2);
        assert_eq!(Upstream::of(Protocol::Http, Some(&pool(Some(true))), false), Upstream::Http2);
        assert_eq!(Upstream::of(Protocol::Http, Some(&pool(Some(false))), true), Upstream::Http1);
        let mut keeps = pool(Some(true));
        keeps.use_client_protocol = true;
        assert_eq!(Upstream::of(Protocol::Http, Some(&keeps), true), Upstream::AsDownstream);
    }

    #[test]
    fn plain_http1_needs_no_options() {
        assert!(options(Upstream::Http1, Some(&ConnectionPool::default()), None).is_empty());
        assert!(!options(Upstream::Http2, None, None).is_empty());
    }

    #[test]
    fn a_connection_pool_limits_a_connection() {
        let pool = ConnectionPool {
            max_requests_per_connection: Some(10),
            http_idle_timeout: Some(Duration::from_secs(5)),
            max_connection_duration: Some(Duration::from_secs(60)),
            max_concurrent_streams: Some(u32::MAX),
            ..ConnectionPool::default()
        };
        let options = unpacked(&options(Upstream::Http2, Some(&pool), None));
        let common = options.common_http_protocol_options.unwrap();
        assert_eq!(common.max_requests_per_connection, Some(10));
        assert_eq!(common.idle_timeout.map(|d| d.seconds), Some(5));
        assert_eq!(common.max_connection_duration.map(|d| d.seconds), Some(60));
        let Some(UpstreamProtocolOptions::ExplicitHttpConfig(explicit)) = options.upstream_protocol_options else {
            panic!("not explicit");
        };
        let Some(ProtocolConfig::Http2ProtocolOptions(http2)) = explicit.protocol_config else { panic!("not HTTP/2") };
        assert_eq!(http2.max_concurrent_streams, Some(2_147_483_647));
    }

    #[test]
    fn zero_requests_per_connection_is_no_limit() {
        let pool = ConnectionPool { max_requests_per_connection: Some(0), ..ConnectionPool::default() };
        assert!(options(Upstream::Http1, Some(&pool), None).is_empty());
    }
}
