//! Destination rules: hosts that are not there, subsets that are, or select nothing.

use std::collections::BTreeMap;

use super::{Checker, destinations::use_one_of};
use crate::{
    model::{
        Object, ObjectId, Selector, Shared, code,
        destination_rule::{DestinationRule, Subset, TrafficPolicy},
        service::Service,
    },
    store::ServiceKey,
};

impl Checker<'_> {
    pub(super) fn destination_rules(&mut self) {
        let rules: Vec<Shared<Object<DestinationRule>>> = self.mesh.destination_rules().iter().cloned().collect();
        self.lost_to_older(&rules);
        for rule in &rules {
            self.destination_rule(rule);
        }
    }

    /// `rule` as it would be beside all others.
    pub(super) fn candidate_rule(&mut self, rule: &Object<DestinationRule>) {
        let others = self.mesh.destination_rules().iter().filter(|other| other.id != rule.id).cloned();
        let rules: Vec<_> = others.chain([Shared::new(rule.clone())]).collect();
        self.lost_to_older(&rules);
        self.destination_rule(rule);
    }

    fn destination_rule(&mut self, rule: &Object<DestinationRule>) {
        let host = &rule.spec.host;
        if !self.is_declared(host) {
            let missing = self.missing(host, &rule.id.namespace);
            let code = missing.code(code::UNKNOWN_RULE_HOST);
            return self.say(code, rule, "spec.host", missing.reason(host), missing.remedy);
        }
        let services: Vec<Service> = self.mesh.declarations(host).map(|declared| declared.service.clone()).collect();
        self.where_applied(rule, &services);
        for service in &services {
            self.ports(rule, service);
            self.empty_subsets(rule, service);
        }
    }

    /// Of the rules of one namespace for one host and the same callers, the oldest counts for the policy, and for a
    /// subset's name.
    fn lost_to_older(&mut self, rules: &[Shared<Object<DestinationRule>>]) {
        let mut sorted: Vec<&Shared<Object<DestinationRule>>> = rules.iter().collect();
        sorted.sort_by(|a, b| a.precedence().cmp(&b.precedence()));
        let mut owners: BTreeMap<_, ObjectId> = BTreeMap::new();
        for rule in sorted {
            let callers = rule.spec.workload_selector.as_ref().filter(|selector| !selector.is_empty());
            let group = (&rule.id.namespace, &rule.spec.host, callers);
            if rule.spec.policy != TrafficPolicy::default() {
                if let Some(first) = owners.get(&(group, None)) {
                    let reason = format!("not in force: {first} has a policy for this host too, and is older");
                    let remedy = "put both into one DestinationRule".to_owned();
                    self.say(code::POLICY_TAKEN, rule, "spec.trafficPolicy", reason, remedy);
                } else {
                    owners.insert((group, None), rule.id.clone());
                }
            }
            for (place, Subset { name, .. }) in rule.spec.subsets.iter().enumerate() {
                let key = (group, Some(name.as_str()));
                if let Some(first) = owners.get(&key) {
                    let reason = format!("the subset {name} is declared by {first} too, which is older and counts");
                    let field = format!("spec.subsets[{place}].name");
                    self.say(code::DUPLICATE_SUBSET, rule, &field, reason, "give it another name, or remove it".into());
                } else {
                    owners.insert(key, rule.id.clone());
                }
            }
        }
    }

    /// A rule of a third namespace holds only for the callers there; without pods there are none.
    fn where_applied(&mut self, rule: &Object<DestinationRule>, services: &[Service]) {
        let namespace = &rule.id.namespace;
        let root = &self.mesh.config().spec.root_namespace;
        let at_home = services.iter().any(|service| service.namespace == *namespace);
        if services.is_empty()
            || at_home
            || namespace == root
            || self.mesh.pods().in_namespace(namespace).next().is_some()
        {
            return;
        }
        let homes = use_one_of(services.iter().map(|service| service.namespace.to_string()));
        let reason = format!("the rule holds only for callers in {namespace}, and there are none");
        self.say(code::RULE_NOT_APPLIED, rule, "metadata.namespace", reason, homes);
    }

    fn ports(&mut self, rule: &Object<DestinationRule>, service: &Service) {
        let policies = std::iter::once((String::from("spec"), &rule.spec.policy)).chain(
            rule.spec
                .subsets
                .iter()
                .enumerate()
                .map(|(place, subset)| (format!("spec.subsets[{place}]"), &subset.policy)),
        );
        let mut found = Vec::new();
        for (field, TrafficPolicy { settings: _, ports }) in policies {
            for (place, (port, _)) in ports.iter().enumerate().filter(|(_, (port, _))| service.port(*port).is_none()) {
                found.push((format!("{field}.trafficPolicy.portLevelSettings[{place}].port.number"), *port));
            }
        }
        for (field, port) in found {
            let reason = format!("{} has no port {port}", service.hostname);
            let remedy = use_one_of(service.ports.iter().map(|port| port.number));
            self.say(code::UNKNOWN_PORT, rule, &field, reason, remedy);
        }
    }

    fn empty_subsets(&mut self, rule: &Object<DestinationRule>, service: &Service) {
        let key = ServiceKey { host: service.hostname.clone(), namespace: service.namespace.clone() };
        let Some(endpoints) = self.mesh.endpoints(&key).cloned() else { return };
        let all = || endpoints.0.values().flatten();
        // A service without any endpoint is said to be so once, not for each subset.
        if all().next().is_none() {
            return;
        }
        for (place, Subset { name, labels, .. }) in rule.spec.subsets.iter().enumerate() {
            let selector = Selector(labels.clone());
            if all().any(|endpoint| selector.selects(&endpoint.labels)) {
                continue;
            }
            let asked: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let reason = format!("no endpoint of {} has {}", service.hostname, asked.join(", "));
            self.say(
                code::EMPTY_SUBSET,
                rule,
                &format!("spec.subsets[{place}].labels"),
                reason,
                format!("label the pods of {name}, or correct the labels"),
            );
        }
    }
}
