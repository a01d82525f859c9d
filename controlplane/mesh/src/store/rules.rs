//! DestinationRules by namespace and host, in the order in which they take precedence.

use std::sync::Arc;

use imbl::OrdMap;

use crate::model::{Hostname, Kind, Namespace, Object, ObjectId, Shared, destination_rule::DestinationRule};

/// The rules of one namespace for one host, oldest first.
pub type RuleGroup = Arc<[Shared<Object<DestinationRule>>]>;

/// The rules of all namespaces.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    groups: OrdMap<Namespace, OrdMap<Hostname, RuleGroup>>,
    /// Those with a `workloadSelector`, in the order of namespace and name.
    selecting: OrdMap<ObjectId, Shared<Object<DestinationRule>>>,
}

impl Rules {
    /// The groups of a namespace that hold for `host`: its own before wildcards, longer wildcards before shorter ones.
    pub fn covering<'a>(&'a self, namespace: &Namespace, host: &Hostname) -> impl Iterator<Item = &'a RuleGroup> {
        let hosts = self.groups.get(namespace);
        hosts.into_iter().flat_map(move |hosts| {
            let wildcards = host.wildcards().filter_map(|wildcard| hosts.get(wildcard.as_str()));
            hosts.get(host).into_iter().chain(wildcards)
        })
    }

    /// All groups of a namespace.
    pub fn of_namespace(&self, namespace: &Namespace) -> impl Iterator<Item = (&Hostname, &RuleGroup)> {
        self.groups.get(namespace).into_iter().flat_map(OrdMap::iter)
    }

    /// The rules of a namespace that select workloads, by name.
    pub fn selecting<'a>(&'a self, namespace: &Namespace) -> impl Iterator<Item = &'a Shared<Object<DestinationRule>>> {
        self.selecting
            .range(ObjectId::new(Kind::DestinationRule, namespace.clone(), "")..)
            .take_while(move |(id, _)| id.namespace == *namespace)
            .map(|(_, rule)| rule)
    }

    pub(super) fn remove(&mut self, rule: &Object<DestinationRule>) {
        self.selecting.remove(&rule.id);
        let Some(hosts) = self.groups.get_mut(&rule.id.namespace) else { return };
        let left: RuleGroup = match hosts.get(&rule.spec.host) {
            Some(group) => group.iter().filter(|held| held.id != rule.id).cloned().collect(),
            None => return,
        };
        if left.is_empty() {
            hosts.remove(&rule.spec.host);
        } else {
            hosts.insert(rule.spec.host.clone(), left);
        }
        if hosts.is_empty() {
            self.groups.remove(&rule.id.namespace);
        }
    }

    pub(super) fn insert(&mut self, rule: &Shared<Object<DestinationRule>>) {
        if rule.spec.workload_selector.as_ref().is_some_and(|selector| !selector.is_empty()) {
            self.selecting.insert(rule.id.clone(), rule.clone());
        }
        let hosts = self.groups.entry(rule.id.namespace.clone()).or_default();
        let mut group: Vec<_> = hosts.get(&rule.spec.host).map(|group| group.to_vec()).unwrap_or_default();
        let place = group.partition_point(|held| held.precedence() < rule.precedence());
        group.insert(place, rule.clone());
        hosts.insert(rule.spec.host.clone(), group.into());
    }
}
