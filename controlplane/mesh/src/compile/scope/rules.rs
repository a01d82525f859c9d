//! Which DestinationRules hold for a service and a caller, and what they say together.

use std::collections::BTreeSet;

use super::{MergedRule, ScopeKey};
use crate::{
    model::{
        Object, Shared,
        destination_rule::{DestinationRule, TrafficPolicy},
        service::Service,
    },
    store::Mesh,
};

/// Rules that hold together, oldest first; never empty.
pub type RuleList = Vec<Shared<Object<DestinationRule>>>;

/// The rules that hold for `service` and callers of `key`: looked for in the caller's namespace, then the service's, then
/// the root namespace. The first namespace that has any for the host decides, and in it an exact host before a wildcard.
#[must_use]
pub fn rules_for(mesh: &Mesh, key: &ScopeKey, service: &Service) -> Option<RuleList> {
    let root = &mesh.config().spec.root_namespace;
    [&key.namespace, &service.namespace, root].into_iter().find_map(|namespace| {
        let mut groups = mesh.rules().covering(namespace, &service.hostname);
        groups.find_map(|group| in_force(mesh, key, group))
    })
}

/// The rules of a group that the callers of `key` see. Rules that select the caller's workload stand before the others.
fn in_force(mesh: &Mesh, key: &ScopeKey, group: &[Shared<Object<DestinationRule>>]) -> Option<RuleList> {
    let default = mesh.config().spec.default_destination_rule_export_to;
    let visible = || {
        let sees = |rule: &Object<DestinationRule>| {
            rule.spec.export_to.visible_from(&key.namespace, &rule.id.namespace, default)
        };
        group.iter().filter(move |rule| sees(rule))
    };
    let selecting: RuleList = visible().filter(|rule| key.rules.contains(&rule.id)).cloned().collect();
    if !selecting.is_empty() {
        return Some(selecting);
    }
    let for_all: RuleList = visible().filter(|rule| is_for_all(rule)).cloned().collect();
    (!for_all.is_empty()).then_some(for_all)
}

fn is_for_all(rule: &Object<DestinationRule>) -> bool {
    rule.spec.workload_selector.as_ref().is_none_or(crate::model::Selector::is_empty)
}

/// What rules for one host say together: the policy of the first that has one, and the subsets of all, of which the first
/// of a name counts.
#[must_use]
pub fn merge(rules: &[Shared<Object<DestinationRule>>]) -> MergedRule {
    let none = TrafficPolicy::default();
    let with_policy = rules.iter().find(|rule| rule.spec.policy != none);
    let mut names = BTreeSet::new();
    let mut subsets = Vec::new();
    for rule in rules {
        for subset in &rule.spec.subsets {
            if names.insert(subset.name.as_str()) {
                subsets.push((subset.clone(), rule.id.clone()));
            }
        }
    }
    MergedRule {
        policy: with_policy.map(|rule| rule.spec.policy.clone()).unwrap_or_default(),
        policy_origin: with_policy.map(|rule| rule.id.clone()),
        subsets,
        origins: rules.iter().map(|rule| rule.id.clone()).collect(),
    }
}
