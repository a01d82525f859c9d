//! Retries.

use std::time::Duration;

use proto::{
    envoy::{
        config::route::v3::{
            RetryPolicy,
            retry_policy::{RetryBackOff, RetryHostPredicate, RetryPriority, retry_host_predicate, retry_priority},
        },
        extensions::retry::{
            host::previous_hosts::v3::PreviousHostsPredicate,
            priority::previous_priorities::v3::PreviousPrioritiesConfig,
        },
    },
    pack,
};

use crate::{
    compile::duration,
    model::{mesh_config::MeshConfig, virtual_service::Retries},
};

/// Conditions that are safe to retry whatever the request: the destination has not seen it, or says that it may be sent
/// again. The last one has no effect without codes, and is in Istio's list.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const RETRIABLE_STATUS_CODES: &str = "retriable-status-codes";
/// Retries of routes that say nothing.
const ATTEMPTS: u32 = 2;
/// How often another endpoint is looked for when the chosen one was tried before.
const HOST_SELECTION_ATTEMPTS: i64 = 5;
/// After how many failures the next locality is tried.
const PRIORITY_UPDATE_FREQUENCY: i32 = 2;

/// The retries of a route: its own, else the mesh's, else the built-in ones. None at all when they are turned off.
pub(super) fn policy(own: Option<&Retries>, config: &MeshConfig) -> Option<RetryPolicy> {
    let default = Retries { attempts: ATTEMPTS, ..Retries::default() };
    let retries = own.or(config.default_http_retry_policy.as_ref()).unwrap_or(&default);
    let Retries {
        attempts,
        per_try_timeout,
        retry_on,
        retriable_status_codes,
        remote_localities,
        ignore_previous_hosts,
        backoff,
    } = retries;
    if *attempts == 0 {
        return None;
    }
    Some(RetryPolicy {
        retry_on: conditions(retry_on, retriable_status_codes),
        num_retries: Some(*attempts),
        per_try_timeout: duration::positive(*per_try_timeout),
        retry_priority: (*remote_localities == Some(true)).then(previous_priorities),
        retry_host_predicate: if *ignore_previous_hosts == Some(false) { Vec::new() } else { vec![previous_hosts()] },
        host_selection_retry_max_attempts: HOST_SELECTION_ATTEMPTS,
        retriable_status_codes: retriable_status_codes.clone(),
        retry_back_off: back_off(*backoff),
        ..RetryPolicy::default()
    })
}

/// Retries of the last hop, from a proxy to its own application: only what the application never saw.
pub(crate) fn inbound() -> RetryPolicy {
    RetryPolicy { retry_on: "reset-before-request".to_owned(), num_retries: Some(ATTEMPTS), ..RetryPolicy::default() }
}

fn conditions(retry_on: &[String], codes: &[u32]) -> String {
    if retry_on.is_empty() && codes.is_empty() {
        return RETRY_ON.to_owned();
    }
    let mut conditions = retry_on.join(",");
    if !codes.is_empty() && !retry_on.iter().any(|condition| condition == RETRIABLE_STATUS_CODES) {
        if !conditions.is_empty() {
            conditions.push(',');
        }
        conditions.push_str(RETRIABLE_STATUS_CODES);
    }
    conditions
}

fn back_off(first: Option<Duration>) -> Option<RetryBackOff> {
    let base_interval = Some(duration::positive(first)?);
    Some(RetryBackOff { base_interval, ..RetryBackOff::default() })
}

fn previous_hosts() -> RetryHostPredicate {
    let config = pack::any(&PreviousHostsPredicate::default());
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(config)),
    }
}

fn previous_priorities() -> RetryPriority {
    let config = pack::any(&PreviousPrioritiesConfig { update_frequency: PRIORITY_UPDATE_FREQUENCY });
    RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".to_owned(),
        config_type: Some(retry_priority::ConfigType::TypedConfig(config)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(retries: Retries) -> Option<RetryPolicy> {
        policy(Some(&retries), &MeshConfig::default())
    }

    #[test]
    fn a_route_that_says_nothing_gets_the_meshs_retries_or_the_built_in_ones() {
        let built_in = policy(None, &MeshConfig::default()).unwrap();
        assert_eq!((built_in.num_retries, built_in.retry_on.as_str()), (Some(2), RETRY_ON));
        assert_eq!(built_in.retry_host_predicate.len(), 1);
        assert_eq!(built_in.host_selection_retry_max_attempts, 5);
        let own = Retries { attempts: 7, retry_on: vec!["reset".into()], ..Retries::default() };
        let config = MeshConfig { default_http_retry_policy: Some(own), ..MeshConfig::default() };
        let meshs = policy(None, &config).unwrap();
        assert_eq!((meshs.num_retries, meshs.retry_on.as_str()), (Some(7), "reset"));
    }

    #[test]
    fn zero_attempts_turn_retries_off() {
        assert_eq!(of(Retries::default()), None);
    }

    #[test]
    fn status_codes_bring_their_condition_along() {
        let codes = |retry_on: &[&str]| {
            let retry_on = retry_on.iter().map(|c| (*c).to_owned()).collect();
            let retries = Retries { attempts: 1, retry_on, retriable_status_codes: vec![503], ..Retries::default() };
            of(retries).unwrap().retry_on
        };
        assert_eq!(codes(&[]), "retriable-status-codes");
        assert_eq!(codes(&["reset"]), "reset,retriable-status-codes");
        assert_eq!(codes(&["retriable-status-codes", "reset"]), "retriable-status-codes,reset");
    }

    #[test]
    fn hosts_localities_and_pauses_are_as_the_rule_says() {
        let policy = of(Retries {
            attempts: 1,
            remote_localities: Some(true),
            ignore_previous_hosts: Some(false),
            backoff: Some(Duration::from_millis(50)),
            per_try_timeout: Some(Duration::ZERO),
            ..Retries::default()
        })
        .unwrap();
        assert!(policy.retry_priority.is_some() && policy.retry_host_predicate.is_empty());
        assert_eq!(policy.retry_back_off.unwrap().base_interval, Some(duration::of(Duration::from_millis(50))));
        assert_eq!(policy.per_try_timeout, None);
    }
}
