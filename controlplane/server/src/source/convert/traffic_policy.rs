//! Traffic policies: limits of connections and requests, and when endpoints are set aside.

use std::{collections::BTreeSet, time::Duration};

use mesh::model::{
    code,
    destination_rule::{
        ConnectionPool, KEEPALIVE_MAX, OutlierDetection, PROBES_MAX, PortPolicy, TcpKeepalive, TrafficPolicy,
    },
    service::PORTS_MAX,
};

use super::{Conversion, values::MILLISECOND};
use crate::source::{
    path::Path,
    wire::{PortSelector, traffic_policy as wire},
};

impl Conversion<'_> {
    pub(super) fn traffic_policy(&mut self, value: Option<wire::TrafficPolicy>, path: Path<'_>) -> TrafficPolicy {
        let Some(value) = value else { return TrafficPolicy::default() };
        let wire::TrafficPolicy {
            load_balancer,
            connection_pool,
            outlier_detection,
            tls,
            port_level_settings,
            tunnel,
            proxy_protocol,
            retry_budget,
        } = value;
        self.ignore(tunnel.as_ref(), path.field("tunnel"), "connections go out without a tunnel");
        self.ignore(proxy_protocol.as_ref(), path.field("proxyProtocol"), "no PROXY header is sent");
        self.ignore(retry_budget.as_ref(), path.field("retryBudget"), "retries are limited by maxRetries only");
        let settings = PolicyBlocks { load_balancer, connection_pool, outlier_detection, tls };
        TrafficPolicy {
            settings: self.port_policy(settings, path),
            ports: self.port_level_settings(port_level_settings, path.field("portLevelSettings")),
        }
    }

    fn port_level_settings(&mut self, list: Vec<wire::PortTrafficPolicy>, path: Path<'_>) -> Vec<(u16, PortPolicy)> {
        self.limit(list.len(), PORTS_MAX, path);
        let mut seen = BTreeSet::new();
        let mut ports = Vec::new();
        for (place, value) in list.into_iter().enumerate() {
            let wire::PortTrafficPolicy { port, load_balancer, connection_pool, outlier_detection, tls } = value;
            let path = path.index(place);
            let blocks = PolicyBlocks { load_balancer, connection_pool, outlier_detection, tls };
            let policy = self.port_policy(blocks, path);
            let port_path = path.field("port");
            let Some(PortSelector { number }) = port else {
                self.error(code::MISSING_FIELD, port_path, "the field is missing", "say which port");
                continue;
            };
            let Some(number) = self.port(number, port_path.field("number")) else { continue };
            if !seen.insert(number) {
                let reason = format!("port {number} is given twice");
                self.error(code::DUPLICATE_NAME, port_path.field("number"), reason, "join the settings");
            }
            ports.push((number, policy));
        }
        ports
    }

    fn port_policy(&mut self, blocks: PolicyBlocks, path: Path<'_>) -> PortPolicy {
        let PolicyBlocks { load_balancer, connection_pool, outlier_detection, tls } = blocks;
        PortPolicy {
            load_balancer: load_balancer.map(|value| self.load_balancer(value, path.field("loadBalancer"))),
            connection_pool: connection_pool.map(|value| self.connection_pool(value, path.field("connectionPool"))),
            outlier_detection: outlier_detection
                .map(|value| self.outlier_detection(value, path.field("outlierDetection"))),
            tls: tls.map(|value| self.client_tls(value, path.field("tls"))),
        }
    }

    fn connection_pool(&mut self, value: wire::ConnectionPoolSettings, path: Path<'_>) -> ConnectionPool {
        let wire::ConnectionPoolSettings { tcp, http } = value;
        let mut pool = ConnectionPool::default();
        if let Some(tcp) = tcp {
            self.tcp_settings(tcp, &mut pool, path.field("tcp"));
        }
        if let Some(http) = http {
            self.http_settings(http, &mut pool, path.field("http"));
        }
        pool
    }

    fn tcp_settings(&mut self, value: wire::TcpSettings, pool: &mut ConnectionPool, path: Path<'_>) {
        let wire::TcpSettings {
            max_connections,
            connect_timeout,
            tcp_keepalive,
            max_connection_duration,
            idle_timeout,
        } = value;
        pool.max_connections = self.count(max_connections, path.field("maxConnections"));
        pool.connect_timeout = self.duration(connect_timeout.as_ref(), MILLISECOND, path.field("connectTimeout"));
        pool.tcp_keepalive = tcp_keepalive.map(|value| self.tcp_keepalive(value, path.field("tcpKeepalive")));
        pool.max_connection_duration =
            self.duration(max_connection_duration.as_ref(), MILLISECOND, path.field("maxConnectionDuration"));
        pool.tcp_idle_timeout = self.duration(idle_timeout.as_ref(), Duration::ZERO, path.field("idleTimeout"));
    }

    fn http_settings(&mut self, value: wire::HttpSettings, pool: &mut ConnectionPool, path: Path<'_>) {
        let wire::HttpSettings {
            http1_max_pending_requests,
            http2_max_requests,
            max_requests_per_connection,
            max_retries,
            idle_timeout,
            h2_upgrade_policy,
            use_client_protocol,
            max_concurrent_streams,
            http2_keep_alive,
        } = value;
        self.ignore(http2_keep_alive.as_ref(), path.field("http2KeepAlive"), "no pings are sent");
        pool.http1_max_pending_requests = self.count(http1_max_pending_requests, path.field("http1MaxPendingRequests"));
        pool.http2_max_requests = self.count(http2_max_requests, path.field("http2MaxRequests"));
        pool.max_requests_per_connection =
            self.count(max_requests_per_connection, path.field("maxRequestsPerConnection"));
        pool.max_retries = self.count(max_retries, path.field("maxRetries"));
        pool.http_idle_timeout = self.duration(idle_timeout.as_ref(), Duration::ZERO, path.field("idleTimeout"));
        pool.h2_upgrade = h2_upgrade(h2_upgrade_policy);
        pool.use_client_protocol = use_client_protocol.unwrap_or_default();
        pool.max_concurrent_streams = self.count(max_concurrent_streams, path.field("maxConcurrentStreams"));
    }

    pub(super) fn tcp_keepalive(&mut self, value: wire::TcpKeepalive, path: Path<'_>) -> TcpKeepalive {
        let wire::TcpKeepalive { probes, time, interval } = value;
        // The operating system counts these in whole seconds.
        let second = Duration::from_secs(1);
        let keepalive = TcpKeepalive {
            probes: probes.filter(|probes| *probes > 0),
            time: self.duration(time.as_ref(), second, path.field("time")),
            interval: self.duration(interval.as_ref(), second, path.field("interval")),
        };
        let longest = KEEPALIVE_MAX.as_secs();
        let too_long = |duration: Option<Duration>| duration.is_some_and(|duration| duration > KEEPALIVE_MAX);
        for (field, is_beyond, most) in [
            ("probes", keepalive.probes.is_some_and(|probes| probes > PROBES_MAX), PROBES_MAX.to_string()),
            ("time", too_long(keepalive.time), format!("{longest}s")),
            ("interval", too_long(keepalive.interval), format!("{longest}s")),
        ] {
            if is_beyond {
                let reason = format!("Linux takes at most {most}, which is in force");
                self.error(code::BEYOND_RANGE, path.field(field), reason, format!("write {most}, or less"));
            }
        }
        keepalive
    }

    fn outlier_detection(&mut self, value: wire::OutlierDetection, path: Path<'_>) -> OutlierDetection {
        let wire::OutlierDetection {
            consecutive_errors,
            split_external_local_origin_errors,
            consecutive_local_origin_failures,
            consecutive_gateway_errors,
            consecutive_5xx_errors,
            interval,
            base_ejection_time,
            max_ejection_percent,
            min_health_percent,
            outlier_detection_http_error_codes,
        } = value;
        if !outlier_detection_http_error_codes.is_empty() {
            self.not_in_force(path.field("outlierDetectionHttpErrorCodes"), "errors are the answers of the 500s");
        }
        if consecutive_errors.is_some() {
            self.error(
                code::DEPRECATED,
                path.field("consecutiveErrors"),
                "deprecated, but in force",
                "write consecutiveGatewayErrors, or consecutive5xxErrors",
            );
        }
        let splits = split_external_local_origin_errors.unwrap_or_default();
        if consecutive_local_origin_failures.is_some() && !splits {
            self.error(
                code::DOES_NOTHING,
                path.field("consecutiveLocalOriginFailures"),
                "failures on this side are counted apart only with splitExternalLocalOriginErrors",
                "add splitExternalLocalOriginErrors: true",
            );
        }
        let old = self.count(consecutive_errors, path.field("consecutiveErrors"));
        OutlierDetection {
            consecutive_5xx: consecutive_5xx_errors,
            consecutive_gateway_errors: consecutive_gateway_errors.or(old),
            consecutive_local_origin_failures,
            split_local_origin: splits,
            interval: self.duration(interval.as_ref(), MILLISECOND, path.field("interval")),
            base_ejection_time: self.duration(base_ejection_time.as_ref(), MILLISECOND, path.field("baseEjectionTime")),
            max_ejection_percent: self.whole_percent(max_ejection_percent, path.field("maxEjectionPercent")),
            min_health_percent: self.whole_percent(min_health_percent, path.field("minHealthPercent")),
        }
    }
}

/// What the choice means; `None` is the mesh's choice.
pub(super) fn h2_upgrade(policy: Option<wire::H2UpgradePolicy>) -> Option<bool> {
    match policy? {
        wire::H2UpgradePolicy::Default => None,
        wire::H2UpgradePolicy::DoNotUpgrade => Some(false),
        wire::H2UpgradePolicy::Upgrade => Some(true),
    }
}

/// The blocks that a policy and the settings of a port have in common.
#[derive(Debug)]
struct PolicyBlocks {
    load_balancer: Option<wire::LoadBalancerSettings>,
    connection_pool: Option<wire::ConnectionPoolSettings>,
    outlier_detection: Option<wire::OutlierDetection>,
    tls: Option<wire::ClientTlsSettings>,
}
