//! Circuit breakers: how much a cluster may have under way.

use proto::envoy::config::cluster::v3::{CircuitBreakers, circuit_breakers::Thresholds};

use crate::model::destination_rule::ConnectionPool;

/// The limits of a connection pool. What it does not limit is unlimited, unlike Envoy's own defaults of 1024; zero counts
/// as not said, as in Istio. `track_remaining` shows on the metrics how near to its limits a cluster is.
#[must_use]
pub fn thresholds(pool: Option<&ConnectionPool>) -> CircuitBreakers {
    let limit = |field: fn(&ConnectionPool) -> Option<u32>| {
        Some(pool.and_then(field).filter(|&limit| limit > 0).unwrap_or(u32::MAX))
    };
    CircuitBreakers {
        thresholds: vec![Thresholds {
            max_connections: limit(|p| p.max_connections),
            max_pending_requests: limit(|p| p.http1_max_pending_requests),
            max_requests: limit(|p| p.http2_max_requests),
            max_retries: limit(|p| p.max_retries),
            track_remaining: true,
            ..Thresholds::default()
        }],
        per_host_thresholds: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_limited_is_unlimited() {
        let open = thresholds(None).thresholds[0];
        assert_eq!((open.max_connections, open.max_pending_requests), (Some(u32::MAX), Some(u32::MAX)));
        assert_eq!((open.max_requests, open.max_retries), (Some(u32::MAX), Some(u32::MAX)));
        assert!(open.track_remaining);
    }

    #[test]
    fn a_connection_pool_sets_each_limit_and_zero_sets_none() {
        let pool = ConnectionPool {
            max_connections: Some(100),
            http1_max_pending_requests: Some(10),
            http2_max_requests: Some(20),
            max_retries: Some(0),
            ..ConnectionPool::default()
        };
        let limits = thresholds(Some(&pool)).thresholds[0];
        assert_eq!((limits.max_connections, limits.max_pending_requests), (Some(100), Some(10)));
        assert_eq!((limits.max_requests, limits.max_retries), (Some(20), Some(u32::MAX)));
    }
}
