//! Which blocks of a DestinationRule hold for one port and subset.

use crate::{
    compile::scope::MergedRule,
    model::{
        ObjectId, Origin,
        destination_rule::{PortPolicy, Subset, TrafficPolicy},
    },
};

/// The policy that holds for `port` of a service, and for its subset when one is named.
///
/// An entry of `portLevelSettings` replaces the policy around it as a whole: what it leaves out is not inherited, as
/// Istio documents. A subset's policy replaces what it is laid over block by block. A subset that the rule does not have
/// gives the policy of the service.
#[must_use]
pub fn effective(rule: Option<&MergedRule>, port: u16, subset: Option<&str>) -> PortPolicy {
    let mut policy = PortPolicy::default();
    for layer in rule.into_iter().flat_map(|rule| layers(rule, port, subset)) {
        let PortPolicy { load_balancer, connection_pool, outlier_detection, tls } = layer.policy.clone();
        policy.load_balancer = policy.load_balancer.or(load_balancer);
        policy.connection_pool = policy.connection_pool.or(connection_pool);
        policy.outlier_detection = policy.outlier_detection.or(outlier_detection);
        policy.tls = policy.tls.or(tls);
    }
    policy
}

/// The fields that [`effective`] takes blocks from, the subset's last.
#[must_use]
pub fn origins(rule: &MergedRule, port: u16, subset: Option<&str>) -> Vec<Origin> {
    let given: [fn(&PortPolicy) -> bool; 4] = [
        |policy| policy.load_balancer.is_some(),
        |policy| policy.connection_pool.is_some(),
        |policy| policy.outlier_detection.is_some(),
        |policy| policy.tls.is_some(),
    ];
    let layers = layers(rule, port, subset);
    let in_force = |place: usize, layer: &Layer<'_>| {
        let covered = |has: fn(&PortPolicy) -> bool| layers.iter().take(place).any(|above| has(above.policy));
        given.into_iter().any(|has| has(layer.policy) && !covered(has))
    };
    let fields = layers.iter().enumerate().rev().filter(|(place, layer)| in_force(*place, layer));
    fields.map(|(_, layer)| layer.origin("")).collect()
}

/// The field that a block of [`effective`] is taken from: `block` is its name, and `has` tells whether a policy has it.
#[must_use]
pub fn origin_of_block(
    rule: &MergedRule,
    port: u16,
    subset: Option<&str>,
    block: &str,
    has: impl Fn(&PortPolicy) -> bool,
) -> Option<Origin> {
    layers(rule, port, subset).iter().find(|layer| has(layer.policy)).map(|layer| layer.origin(&format!(".{block}")))
}

/// The subset of this name, if the rule has one.
#[must_use]
pub fn subset_of<'a>(rule: &'a MergedRule, name: &str) -> Option<&'a Subset> {
    rule.subset(name).map(|(subset, _)| subset)
}

/// The field of the rule that declares a subset, if one does.
#[must_use]
pub fn origin_of_subset(rule: &MergedRule, name: &str) -> Option<Origin> {
    rule.subset(name).map(|(_, object)| Origin::field(object, &subset_field(name)))
}

fn subset_field(name: &str) -> String {
    format!("spec.subsets[name={name}]")
}

/// One policy of a rule, and where it is written.
struct Layer<'a> {
    policy: &'a PortPolicy,
    object: &'a ObjectId,
    subset: Option<&'a str>,
    port: Option<u16>,
}

impl Layer<'_> {
    fn origin(&self, rest: &str) -> Origin {
        let of = self.subset.map_or_else(|| "spec".to_owned(), subset_field);
        let port = self.port.map(|port| format!(".portLevelSettings[port={port}]")).unwrap_or_default();
        Origin::field(self.object, &format!("{of}.trafficPolicy{port}{rest}"))
    }
}

/// The policies that make up the one in force: the first that has a block holds.
fn layers<'a>(rule: &'a MergedRule, port: u16, subset: Option<&str>) -> Vec<Layer<'a>> {
    let mut layers = Vec::with_capacity(2);
    if let Some((subset, object)) = subset.and_then(|name| rule.subset(name)) {
        let own = layer(&subset.policy, object, Some(&subset.name), port);
        let is_whole = own.port.is_some();
        layers.push(own);
        if is_whole {
            return layers;
        }
    }
    layers.extend(rule.policy_origin.as_ref().map(|object| layer(&rule.policy, object, None, port)));
    layers
}

/// The entry of `portLevelSettings` for the port, the first of equals; without one the blocks for every port.
fn layer<'a>(policy: &'a TrafficPolicy, object: &'a ObjectId, subset: Option<&'a str>, port: u16) -> Layer<'a> {
    match policy.ports.iter().find(|(number, _)| *number == port) {
        Some((number, policy)) => Layer { policy, object, subset, port: Some(*number) },
        None => Layer { policy: &policy.settings, object, subset, port: None },
    }
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

    #[test]
    fn origins_name_the_fields_in_force_and_no_others() {
        let mut rule = rule();
        let other = ObjectId { name: "more".into(), ..rule.origins[0].clone() };
        rule.origins.push(other.clone());
        rule.policy.settings.connection_pool = Some(pool());
        rule.policy.ports.push((80, PortPolicy { load_balancer: lb(Algorithm::Random), ..PortPolicy::default() }));
        let mut v1 = subset("v1");
        v1.policy.settings.load_balancer = lb(Algorithm::RoundRobin);
        v1.policy.ports.push((82, PortPolicy { outlier_detection: Some(outlier()), ..PortPolicy::default() }));
        rule.subsets.push((v1, other));

        let shown = |port, subset| -> Vec<String> {
            let origins = origins(&rule, port, subset);
            origins.iter().map(|origin| format!("{} {}", origin.object.name, origin.field)).collect()
        };
        assert_eq!(shown(80, None), ["reviews spec.trafficPolicy.portLevelSettings[port=80]"]);
        assert_eq!(shown(80, Some("v1")), ["more spec.subsets[name=v1].trafficPolicy"]);
        assert_eq!(shown(81, Some("v1")), ["reviews spec.trafficPolicy", "more spec.subsets[name=v1].trafficPolicy"]);
        assert_eq!(shown(82, Some("v1")), ["more spec.subsets[name=v1].trafficPolicy.portLevelSettings[port=82]"]);
        let pool = origin_of_block(&rule, 81, Some("v1"), "connectionPool", |policy| policy.connection_pool.is_some());
        assert_eq!(&*pool.unwrap().field, "spec.trafficPolicy.connectionPool");
    }
}
