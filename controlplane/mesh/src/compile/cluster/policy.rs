//! Which blocks of a DestinationRule hold for one port and subset.

use crate::{
    compile::scope::MergedRule,
    model::destination_rule::{PortPolicy, Subset, TrafficPolicy},
};

/// The policy that holds for `port` of a service, and for its subset when one is named.
///
/// An entry of `portLevelSettings` replaces the policy around it as a whole: what it leaves out is not inherited, as
/// Istio documents. A subset's policy replaces what it is laid over block by block. A subset that the rule does not have
/// gives the policy of the service.
#[must_use]
pub fn effective(rule: Option<&MergedRule>, port: u16, subset: Option<&str>) -> PortPolicy {
    let Some(rule) = rule else { return PortPolicy::default() };
    let base = at_port(&rule.policy, port).unwrap_or(&rule.policy.settings);
    let Some(subset) = subset.and_then(|name| subset_of(rule, name)) else { return base.clone() };
    if let Some(own) = at_port(&subset.policy, port) {
        return own.clone();
    }
    let PortPolicy { load_balancer, connection_pool, outlier_detection, tls } = subset.policy.settings.clone();
    PortPolicy {
        load_balancer: load_balancer.or_else(|| base.load_balancer.clone()),
        connection_pool: connection_pool.or_else(|| base.connection_pool.clone()),
        outlier_detection: outlier_detection.or_else(|| base.outlier_detection.clone()),
        tls: tls.or_else(|| base.tls.clone()),
    }
}

/// The subset of this name, if the rule has one.
#[must_use]
pub fn subset_of<'a>(rule: &'a MergedRule, name: &str) -> Option<&'a Subset> {
    rule.subsets.iter().map(|(subset, _)| subset).find(|subset| subset.name == name)
}

/// The entry of `portLevelSettings` for a port, if there is one; the first of equals.
pub(super) fn at_port(policy: &TrafficPolicy, port: u16) -> Option<&PortPolicy> {
    policy.ports.iter().find(|(number, _)| *number == port).map(|(_, own)| own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::cluster::fixture::{outlier, pool, rule, subset},
        model::destination_rule::{Algorithm, LoadBalancer},
    };

    fn lb(algorithm: Algorithm) -> Option<LoadBalancer> {
        Some(LoadBalancer { algorithm, ..LoadBalancer::default() })
    }

    #[test]
    fn a_subset_overrides_block_by_block() {
        let mut rule = rule();
        rule.policy.settings.load_balancer = lb(Algorithm::Random);
        rule.policy.settings.connection_pool = Some(pool());
        let mut v1 = subset("v1");
        v1.policy.settings.load_balancer = lb(Algorithm::RoundRobin);
        rule.subsets.push((v1, rule.origins[0].clone()));

        let policy = effective(Some(&rule), 80, Some("v1"));
        assert_eq!(policy.load_balancer, lb(Algorithm::RoundRobin));
        assert_eq!(policy.connection_pool, Some(pool()));
        assert_eq!(effective(Some(&rule), 80, None).load_balancer, lb(Algorithm::Random));
        assert_eq!(effective(Some(&rule), 80, Some("v9")).load_balancer, lb(Algorithm::Random));
    }

    #[test]
    fn a_port_level_entry_replaces_the_policy_as_a_whole() {
        let mut rule = rule();
        rule.policy.settings.connection_pool = Some(pool());
        let own = PortPolicy { load_balancer: lb(Algorithm::Random), ..PortPolicy::default() };
        rule.policy.ports.push((80, own.clone()));
        assert_eq!(effective(Some(&rule), 80, None), own);
        assert_eq!(effective(Some(&rule), 81, None).connection_pool, Some(pool()));
    }

    #[test]
    fn a_subset_is_laid_over_the_entry_of_its_port_and_its_own_entry_over_all() {
        let mut rule = rule();
        rule.policy.ports.push((80, PortPolicy { load_balancer: lb(Algorithm::Random), ..PortPolicy::default() }));
        let mut v1 = subset("v1");
        v1.policy.settings.outlier_detection = Some(outlier());
        v1.policy.ports.push((81, PortPolicy { connection_pool: Some(pool()), ..PortPolicy::default() }));
        rule.subsets.push((v1, rule.origins[0].clone()));

        let at_80 = effective(Some(&rule), 80, Some("v1"));
        assert_eq!((at_80.load_balancer, at_80.outlier_detection), (lb(Algorithm::Random), Some(outlier())));
        let at_81 = effective(Some(&rule), 81, Some("v1"));
        assert_eq!((at_81.outlier_detection, at_81.connection_pool), (None, Some(pool())));
    }
}
