//! Load balancing: how a cluster chooses an endpoint.

use std::time::Duration;

use proto::envoy::{
    config::{
        cluster::v3::cluster::{
            CommonLbConfig, LbConfig, LbPolicy, LeastRequestLbConfig, MaglevLbConfig, RingHashLbConfig,
            RoundRobinLbConfig, SlowStartConfig,
            common_lb_config::{LocalityConfigSpecifier, LocalityWeightedLbConfig},
        },
        core::v3::RuntimeDouble,
    },
    r#type::v3::Percent,
};

use super::outlier_detection;
use crate::{
    compile::duration,
    model::{
        destination_rule::{Algorithm, HashTable, LoadBalancer, LocalityLb, PortPolicy, Warmup},
        mesh_config::MeshConfig,
    },
};

/// Most points of a ring that Envoy allows.
const RING_SIZE_MAX: u64 = 8 * 1024 * 1024;
/// The largest Maglev table that Envoy allows, a prime.
const MAGLEV_SIZE_MAX: u64 = 5_000_011;
/// How long an Envoy may go on with an endpoint that was ejected, or that is going away. It puts off changes of health alone
/// that follow one another, for a second by default, in which half of the requests may be lost; no pause at all would cost
/// it a pass over all endpoints for each change.
const HEALTH_DELAY_MAX: Duration = Duration::from_millis(100);

/// The algorithm and its settings. Not said is least requests; passing through is the cluster type's business, so where
/// a cluster has endpoints of its own it counts as not said.
#[must_use]
pub fn algorithm(load_balancer: Option<&LoadBalancer>) -> (LbPolicy, Option<LbConfig>) {
    let warmup = load_balancer.and_then(|lb| lb.warmup.as_ref()).and_then(slow_start);
    let algorithm = load_balancer.map_or(&Algorithm::Default, |lb| &lb.algorithm);
    match algorithm {
        Algorithm::Default | Algorithm::LeastRequest | Algorithm::Passthrough => {
            let config = |slow_start| {
                LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
                    slow_start_config: Some(slow_start),
                    ..LeastRequestLbConfig::default()
                })
            };
            (LbPolicy::LeastRequest, warmup.map(config))
        }
        Algorithm::RoundRobin => {
            let config =
                |slow_start| LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: Some(slow_start) });
            (LbPolicy::RoundRobin, warmup.map(config))
        }
        // Envoy has no slow start for these.
        Algorithm::Random => (LbPolicy::Random, None),
        Algorithm::ConsistentHash(hash) => consistent_hash(hash.table),
    }
}

fn consistent_hash(table: HashTable) -> (LbPolicy, Option<LbConfig>) {
    match table {
        HashTable::Ring { size_min } => {
            let config = RingHashLbConfig {
                minimum_ring_size: Some(size_min.clamp(1, RING_SIZE_MAX)),
                ..RingHashLbConfig::default()
            };
            (LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(config)))
        }
        HashTable::Maglev { size } => {
            let config = |size| LbConfig::MaglevLbConfig(MaglevLbConfig { table_size: Some(prime_from(size)) });
            (LbPolicy::Maglev, size.map(config))
        }
    }
}

/// The smallest prime that is not below `size`, within what Envoy allows: it refuses a table of any other size.
fn prime_from(size: u64) -> u64 {
    (size.clamp(2, MAGLEV_SIZE_MAX)..=MAGLEV_SIZE_MAX).find(|&n| is_prime(n)).unwrap_or(MAGLEV_SIZE_MAX)
}

fn is_prime(number: u64) -> bool {
    (2..).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

/// Slow start; a duration of zero is none.
fn slow_start(warmup: &Warmup) -> Option<SlowStartConfig> {
    let percent = warmup.minimum_percent.filter(|percent| percent.is_finite());
    let aggression = warmup.aggression.filter(|steepness| steepness.is_finite() && *steepness > 0.0);
    Some(SlowStartConfig {
        slow_start_window: Some(duration::positive(Some(warmup.duration))?),
        aggression: aggression.map(|default_value| RuntimeDouble {
            default_value,
            runtime_key: "mainsheet.slow_start.aggression".to_owned(),
        }),
        min_weight_percent: percent.map(|value| Percent { value: value.clamp(0.0, 100.0) }),
    })
}

/// What holds for every algorithm: when all endpoints are used, and whether localities have weights of their own.
#[must_use]
pub fn common(policy: &PortPolicy, mesh: &MeshConfig) -> CommonLbConfig {
    let distributes = locality_settings(policy, mesh).is_some_and(|settings| !settings.distribute.is_empty());
    CommonLbConfig {
        healthy_panic_threshold: Some(outlier_detection::panic_threshold(policy.outlier_detection.as_ref())),
        locality_config_specifier: distributes
            .then(|| LocalityConfigSpecifier::LocalityWeightedLbConfig(LocalityWeightedLbConfig::default())),
        update_merge_window: Some(duration::of(HEALTH_DELAY_MAX)),
        ..CommonLbConfig::default()
    }
}

/// The locality settings in force: the rule's own, else the mesh's; `None` when they are turned off.
#[must_use]
pub fn locality_settings<'a>(policy: &'a PortPolicy, mesh: &'a MeshConfig) -> Option<&'a LocalityLb> {
    let own = policy.load_balancer.as_ref().and_then(|lb| lb.locality.as_ref());
    Some(own.unwrap_or(&mesh.locality_lb)).filter(|settings| settings.enabled != Some(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::destination_rule::{ConsistentHash, HashKey};

    fn lb(algorithm: Algorithm) -> LoadBalancer {
        LoadBalancer { algorithm, ..LoadBalancer::default() }
    }

    fn hash(table: HashTable) -> LoadBalancer {
        lb(Algorithm::ConsistentHash(ConsistentHash { key: HashKey::SourceIp, table }))
    }

    #[test]
    fn each_algorithm_has_its_policy_and_least_requests_is_the_default() {
        let policy = |a| algorithm(Some(&lb(a))).0;
        assert_eq!(algorithm(None), (LbPolicy::LeastRequest, None));
        assert_eq!(policy(Algorithm::Default), LbPolicy::LeastRequest);
        assert_eq!(policy(Algorithm::LeastRequest), LbPolicy::LeastRequest);
        assert_eq!(policy(Algorithm::RoundRobin), LbPolicy::RoundRobin);
        assert_eq!(policy(Algorithm::Random), LbPolicy::Random);
    }

    #[test]
    fn a_ring_has_at_least_the_points_that_the_rule_asks_for() {
        let size = |size_min| match algorithm(Some(&hash(HashTable::Ring { size_min }))) {
            (LbPolicy::RingHash, Some(LbConfig::RingHashLbConfig(ring))) => ring.minimum_ring_size,
            other => panic!("not a ring: {other:?}"),
        };
        assert_eq!(size(1024), Some(1024));
        assert_eq!(size(0), Some(1));
        assert_eq!(size(u64::MAX), Some(8 * 1024 * 1024));
    }

    #[test]
    fn a_maglev_table_is_a_prime_that_envoy_takes() {
        let size = |size| match algorithm(Some(&hash(HashTable::Maglev { size }))) {
            (LbPolicy::Maglev, Some(LbConfig::MaglevLbConfig(maglev))) => maglev.table_size,
            (LbPolicy::Maglev, None) => None,
            other => panic!("not maglev: {other:?}"),
        };
        assert_eq!(size(None), None);
        assert_eq!(size(Some(0)), Some(2));
        assert_eq!(size(Some(65_537)), Some(65_537));
        assert_eq!(size(Some(65_538)), Some(65_539));
        assert_eq!(size(Some(u64::MAX)), Some(5_000_011));
    }

    #[test]
    fn warm_up_is_slow_start_where_envoy_has_it() {
        let warmup = Warmup { duration: Duration::from_secs(30), minimum_percent: Some(400.0), aggression: Some(1.5) };
        let warm = |algorithm| LoadBalancer { algorithm, locality: None, warmup: Some(warmup.clone()) };
        let (_, Some(LbConfig::RoundRobinLbConfig(config))) = algorithm(Some(&warm(Algorithm::RoundRobin))) else {
            panic!("no slow start");
        };
        let slow_start = config.slow_start_config.unwrap();
        assert_eq!(slow_start.slow_start_window.map(|d| d.seconds), Some(30));
        assert_eq!(slow_start.min_weight_percent.map(|p| p.value), Some(100.0));
        assert_eq!(slow_start.aggression.map(|a| a.default_value), Some(1.5));
        assert!(matches!(algorithm(Some(&warm(Algorithm::Default))).1, Some(LbConfig::LeastRequestLbConfig(_))));
        assert_eq!(algorithm(Some(&warm(Algorithm::Random))).1, None);
    }

    #[test]
    fn a_warm_up_of_nonsense_is_none() {
        let warm = |duration, aggression| LoadBalancer {
            algorithm: Algorithm::Default,
            locality: None,
            warmup: Some(Warmup { duration, minimum_percent: Some(f64::NAN), aggression: Some(aggression) }),
        };
        assert_eq!(algorithm(Some(&warm(Duration::ZERO, 1.0))).1, None);
        let (_, Some(LbConfig::LeastRequestLbConfig(config))) = algorithm(Some(&warm(Duration::MAX, -1.0))) else {
            panic!("no slow start");
        };
        let slow_start = config.slow_start_config.unwrap();
        assert_eq!((slow_start.aggression, slow_start.min_weight_percent), (None, None));
    }

    #[test]
    fn localities_have_weights_only_where_traffic_is_distributed() {
        let mesh = MeshConfig::default();
        let policy = |enabled| PortPolicy {
            load_balancer: Some(LoadBalancer {
                locality: Some(LocalityLb {
                    enabled,
                    distribute: vec![("a/*".into(), vec![("a/*".into(), 100)])],
                    ..LocalityLb::default()
                }),
                ..LoadBalancer::default()
            }),
            ..PortPolicy::default()
        };
        assert!(common(&policy(None), &mesh).locality_config_specifier.is_some());
        assert!(common(&policy(Some(false)), &mesh).locality_config_specifier.is_none());
        assert!(common(&PortPolicy::default(), &mesh).locality_config_specifier.is_none());
    }
}
