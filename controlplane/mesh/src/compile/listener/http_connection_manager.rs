//! Reading connections as HTTP.

use std::sync::Arc;

use proto::{
    envoy::{
        config::{
            core::v3::{AggregatedConfigSource, ApiVersion, ConfigSource, config_source::ConfigSourceSpecifier},
            listener::v3::{Filter, filter::ConfigType},
            route::v3::RouteConfiguration,
        },
        extensions::{
            filters::{
                http::{
                    cors::v3::Cors,
                    fault::v3::HttpFault,
                    grpc_stats::v3::{FilterConfig, filter_config::PerMethodStatSpecifier},
                    router::v3::Router,
                },
                network::http_connection_manager::v3::{
                    HttpConnectionManager, HttpFilter, Rds, RequestIdExtension,
                    http_connection_manager::{
                        ForwardClientCertDetails, PathWithEscapedSlashesAction, RouteSpecifier,
                        SetCurrentClientCertDetails, UpgradeConfig,
                    },
                    http_filter,
                },
            },
            request_id::uuid::v3::UuidRequestIdConfig,
        },
    },
    google::protobuf::{Any, Duration},
    pack,
};

use super::{access_log, application_protocols};
use crate::model::mesh_config::{MeshConfig, PathNormalization};

/// What inbound answers say of the server, as Istio has it.
const SERVER_NAME: &str = "istio-envoy";

/// Which way the traffic goes.
#[derive(Debug)]
pub(super) enum Direction<'a> {
    /// From the application: routes come over ADS, by this name.
    Outbound(&'a Arc<str>, Certificates),
    /// To the application: these routes.
    Inbound(Box<RouteConfiguration>),
}

/// Whether the proxy has certificates of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Certificates {
    /// It speaks mutual TLS with those who offer it.
    Held,
    /// It speaks clear text inside the mesh.
    None,
}

/// The filter that reads requests.
pub(super) fn filter(stat_prefix: String, direction: Direction<'_>, config: &MeshConfig) -> Filter {
    let mut manager = HttpConnectionManager {
        stat_prefix,
        http_filters: http_filters(&direction),
        access_log: access_log::logs(config),
        use_remote_address: Some(false),
        proxy_100_continue: true,
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".to_owned(), ..UpgradeConfig::default() }],
        // Streams may be quiet for as long as they like; timeouts are for rules to say.
        stream_idle_timeout: Some(Duration::default()),
        request_id_extension: Some(RequestIdExtension {
            typed_config: Some(pack::any(&UuidRequestIdConfig {
                use_request_id_for_trace_sampling: Some(true),
                ..UuidRequestIdConfig::default()
            })),
        }),
        ..HttpConnectionManager::default()
    };
    normalize(config.path_normalization, &mut manager);
    manager.route_specifier = Some(match direction {
        Direction::Outbound(name, _) => rds(name),
        Direction::Inbound(routes) => {
            SERVER_NAME.clone_into(&mut manager.server_name);
            manager.forward_client_cert_details = ForwardClientCertDetails::AppendForward.into();
            manager.set_current_client_cert_details = Some(SetCurrentClientCertDetails {
                subject: Some(true),
                dns: true,
                uri: true,
                ..SetCurrentClientCertDetails::default()
            });
            RouteSpecifier::RouteConfig(*routes)
        }
    });
    Filter {
        name: "envoy.filters.network.http_connection_manager".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&manager))),
    }
}

/// What a proxyless gRPC client reads of it: where its routes are.
pub(super) fn for_grpc(route: &Arc<str>) -> Any {
    pack::any(&HttpConnectionManager {
        route_specifier: Some(rds(route)),
        http_filters: vec![router()],
        ..HttpConnectionManager::default()
    })
}

fn rds(name: &Arc<str>) -> RouteSpecifier {
    RouteSpecifier::Rds(Rds {
        config_source: Some(ConfigSource {
            // Without end: a listener that went into service before its routes would answer 404, and until then the
            // one that it replaces serves. The push sends routes after their listeners in any case.
            initial_fetch_timeout: Some(Duration::default()),
            resource_api_version: ApiVersion::V3.into(),
            config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource::default())),
            ..ConfigSource::default()
        }),
        route_config_name: name.to_string(),
    })
}

fn normalize(normalization: PathNormalization, manager: &mut HttpConnectionManager) {
    let (normalize, merge, decode) = match normalization {
        PathNormalization::None => (false, false, false),
        PathNormalization::Base => (true, false, false),
        PathNormalization::MergeSlashes => (true, true, false),
        PathNormalization::DecodeAndMergeSlashes => (true, true, true),
    };
    manager.normalize_path = Some(normalize);
    manager.merge_slashes = merge;
    manager.path_with_escaped_slashes_action = if decode {
        PathWithEscapedSlashesAction::UnescapeAndForward
    } else {
        PathWithEscapedSlashesAction::KeepUnchanged
    }
    .into();
}

/// The HTTP filters, in the order in which requests pass them. Faults and CORS do nothing but where a route says so.
fn http_filters(direction: &Direction<'_>) -> Vec<HttpFilter> {
    let statistics = FilterConfig {
        emit_filter_state: true,
        per_method_stat_specifier: Some(PerMethodStatSpecifier::StatsForAllMethods(false)),
        ..FilterConfig::default()
    };
    let protocols = match direction {
        Direction::Outbound(_, Certificates::Held) => {
            Some(http_filter("envoy.filters.http.set_filter_state", application_protocols::filter()))
        }
        Direction::Outbound(_, Certificates::None) | Direction::Inbound(_) => None,
    };
    let mut filters = vec![http_filter("envoy.filters.http.grpc_stats", pack::any(&statistics))];
    filters.extend(protocols);
    filters.extend([
        http_filter("envoy.filters.http.fault", pack::any(&HttpFault::default())),
        http_filter("envoy.filters.http.cors", pack::any(&Cors::default())),
        router(),
    ]);
    filters
}

fn router() -> HttpFilter {
    http_filter("envoy.filters.http.router", pack::any(&Router::default()))
}

fn http_filter(name: &str, config: Any) -> HttpFilter {
    HttpFilter {
        name: name.to_owned(),
        config_type: Some(http_filter::ConfigType::TypedConfig(config)),
        ..HttpFilter::default()
    }
}
