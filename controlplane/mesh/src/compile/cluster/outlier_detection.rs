//! Outlier detection: endpoints that fail are set aside for a while.

use proto::envoy::{config::cluster::v3, r#type::v3::Percent};

use crate::{compile::duration, model::destination_rule::OutlierDetection};

/// The whole of a chance, in percent.
const ALWAYS: u32 = 100;

/// Outlier detection as Envoy takes it. The statistical detection that Envoy has on by default stays off.
///
/// Without `maxEjectionPercent` at least one endpoint may be ejected. Envoy's default of 10 % would otherwise eject
/// nothing from a service of fewer than ten endpoints, however its rule reads.
#[must_use]
pub fn detection(rule: &OutlierDetection) -> v3::OutlierDetection {
    let enforcing = |count: Option<u32>| count.map(|count| if count > 0 { ALWAYS } else { 0 });
    let max_ejection_percent = rule.max_ejection_percent.filter(|&percent| percent > 0).map(|percent| percent.min(100));
    let local = rule.consecutive_local_origin_failures.filter(|&count| rule.split_local_origin && count > 0);
    v3::OutlierDetection {
        consecutive_5xx: rule.consecutive_5xx,
        enforcing_consecutive_5xx: enforcing(rule.consecutive_5xx),
        consecutive_gateway_failure: rule.consecutive_gateway_errors,
        enforcing_consecutive_gateway_failure: enforcing(rule.consecutive_gateway_errors),
        split_external_local_origin_errors: rule.split_local_origin,
        consecutive_local_origin_failure: local,
        enforcing_consecutive_local_origin_failure: enforcing(local),
        interval: duration::positive(rule.interval),
        base_ejection_time: duration::positive(rule.base_ejection_time),
        max_ejection_percent,
        always_eject_one_host: max_ejection_percent.is_none().then_some(true),
        enforcing_success_rate: Some(0),
        enforcing_local_origin_success_rate: rule.split_local_origin.then_some(0),
        ..v3::OutlierDetection::default()
    }
}

/// Below which share of healthy endpoints Envoy uses all of them: never, as in Istio, unless the rule says so. Envoy's
/// own default of 50 % would send requests to endpoints that are known to be broken.
#[must_use]
pub fn panic_threshold(rule: Option<&OutlierDetection>) -> Percent {
    let percent = rule.and_then(|rule| rule.min_health_percent).unwrap_or(0).min(100);
    Percent { value: f64::from(percent) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn consecutive_errors_are_enforced_and_zero_turns_them_off() {
        let rule = OutlierDetection {
            consecutive_5xx: Some(7),
            consecutive_gateway_errors: Some(0),
            interval: Some(Duration::from_secs(300)),
            base_ejection_time: Some(Duration::from_secs(900)),
            ..OutlierDetection::default()
        };
        let out = detection(&rule);
        assert_eq!((out.consecutive_5xx, out.enforcing_consecutive_5xx), (Some(7), Some(100)));
        assert_eq!(out.enforcing_consecutive_gateway_failure, Some(0));
        assert_eq!(out.enforcing_success_rate, Some(0));
        assert_eq!(out.interval.map(|d| d.seconds), Some(300));
        assert_eq!(out.base_ejection_time.map(|d| d.seconds), Some(900));
    }

    #[test]
    fn what_is_not_said_is_left_to_envoy() {
        let out = detection(&OutlierDetection::default());
        assert_eq!((out.consecutive_5xx, out.enforcing_consecutive_5xx), (None, None));
        assert_eq!((out.interval, out.base_ejection_time, out.max_ejection_percent), (None, None, None));
    }

    #[test]
    fn one_endpoint_of_a_small_service_may_be_ejected_unless_a_percentage_is_said() {
        let with =
            |percent| detection(&OutlierDetection { max_ejection_percent: percent, ..OutlierDetection::default() });
        assert_eq!(with(None).always_eject_one_host, Some(true));
        assert_eq!(with(Some(0)).always_eject_one_host, Some(true));
        assert_eq!((with(Some(30)).always_eject_one_host, with(Some(30)).max_ejection_percent), (None, Some(30)));
        assert_eq!(with(Some(400)).max_ejection_percent, Some(100));
    }

    #[test]
    fn failures_to_connect_count_apart_only_when_split() {
        let mut rule = OutlierDetection { consecutive_local_origin_failures: Some(3), ..OutlierDetection::default() };
        assert_eq!(detection(&rule).consecutive_local_origin_failure, None);
        rule.split_local_origin = true;
        let out = detection(&rule);
        assert_eq!(out.consecutive_local_origin_failure, Some(3));
        assert_eq!(out.enforcing_consecutive_local_origin_failure, Some(100));
        assert_eq!(out.enforcing_local_origin_success_rate, Some(0));
    }

    #[test]
    fn all_endpoints_are_used_only_below_the_health_that_the_rule_says() {
        assert_eq!(panic_threshold(None).value, 0.0);
        let rule = OutlierDetection { min_health_percent: Some(40), ..OutlierDetection::default() };
        assert_eq!(panic_threshold(Some(&rule)).value, 40.0);
    }
}
