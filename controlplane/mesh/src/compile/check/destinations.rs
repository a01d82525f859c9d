//! Destinations of virtual services: do they name a host, a port and a subset that are there?

use std::collections::BTreeSet;

use super::Checker;
use crate::{
    compile::scope::{ScopeKey, merge, rules_for},
    model::{
        Hostname, Object, code,
        service::Service,
        virtual_service::{Destination, HttpAction, VirtualService},
    },
};

impl Checker<'_> {
    pub(super) fn destinations(&mut self, object: &Object<VirtualService>) {
        for (place, rule) in object.spec.http.iter().enumerate() {
            if let HttpAction::Route(route) = &rule.action {
                for (leg, destination) in route.iter().enumerate() {
                    let field = format!("spec.http[{place}].route[{leg}].destination");
                    self.destination(object, &destination.destination, &field);
                }
                let weights: Vec<u32> = route.iter().map(|destination| destination.weight).collect();
                self.split(object, &weights, &format!("spec.http[{place}].route"));
            }
            for (copy, mirror) in rule.mirrors.iter().enumerate() {
                let field = match rule.mirrors.len() {
                    1 => format!("spec.http[{place}].mirror"),
                    _ => format!("spec.http[{place}].mirrors[{copy}].destination"),
                };
                self.destination(object, &mirror.destination, &field);
            }
        }
        let tls = object.spec.tls.iter().map(|rule| &rule.route).enumerate().map(|rule| ("tls", rule));
        let tcp = object.spec.tcp.iter().map(|rule| &rule.route).enumerate().map(|rule| ("tcp", rule));
        for (list, (place, route)) in tls.chain(tcp) {
            for (leg, (destination, _)) in route.iter().enumerate() {
                let field = format!("spec.{list}[{place}].route[{leg}].destination");
                self.destination(object, destination, &field);
            }
            let weights: Vec<u32> = route.iter().map(|(_, weight)| *weight).collect();
            self.split(object, &weights, &format!("spec.{list}[{place}].route"));
        }
    }

    /// The weights of several destinations are relative; most people mean percent.
    fn split(&mut self, object: &Object<VirtualService>, weights: &[u32], field: &str) {
        let sum: u64 = weights.iter().copied().map(u64::from).sum();
        if weights.len() > 1 && sum != 100 && sum > 0 {
            let shares: Vec<String> = weights.iter().map(|weight| percent(u64::from(*weight), sum)).collect();
            let reason = format!("the weights add up to {sum}, so that the split is {}", shares.join(" / "));
            self.say(code::SPLIT_SUM, object, field, reason, String::new());
        }
    }

    fn destination(&mut self, object: &Object<VirtualService>, destination: &Destination, field: &str) {
        let host = &destination.host;
        let host_field = format!("{field}.host");
        let services: Vec<&Service> = self.mesh.declarations(host).map(|declared| &declared.service).collect();
        if services.is_empty() {
            let missing = self.missing(host, &object.id.namespace);
            let code = missing.code(code::UNKNOWN_HOST);
            return self.say(code, object, &host_field, missing.reason(host), missing.remedy);
        }
        if !self.is_visible(host, &object.id.namespace) {
            let reason = format!("{host} is not exported to namespace {}", object.id.namespace);
            return self.say(
                code::NOT_EXPORTED,
                object,
                &host_field,
                reason,
                "add the namespace to its exportTo".into(),
            );
        }
        if let Some(port) = destination.port
            && services.iter().all(|service| service.port(port).is_none())
        {
            let ports: BTreeSet<u16> = services.iter().flat_map(|service| &service.ports).map(|p| p.number).collect();
            let reason = format!("{host} has no port {port}");
            self.say(code::UNKNOWN_PORT, object, &format!("{field}.port.number"), reason, use_one_of(ports));
        }
        if let Some(subset) = &destination.subset {
            self.subset(object, services.as_slice(), subset, &format!("{field}.subset"));
        }
    }

    fn subset(&mut self, object: &Object<VirtualService>, services: &[&Service], subset: &str, field: &str) {
        let namespace = &object.id.namespace;
        let key = ScopeKey { namespace: namespace.clone(), sidecar: None, rules: self.selecting(object) };
        let Some(host) = services.first().map(|service| service.hostname.clone()) else { return };
        let mut known = BTreeSet::new();
        for service in services {
            let Some(rules) = rules_for(self.mesh, &key, service) else { continue };
            known.extend(merge(&rules).subsets.into_iter().map(|(subset, _)| subset.name));
        }
        if known.contains(subset) {
            return;
        }
        let (reason, remedy) = match self.rule_elsewhere(&host, subset) {
            Some(rule) => (
                format!(
                    "the subset {subset} of {host} is declared by {rule}, which does not hold for callers in {namespace}"
                ),
                "move the rule to the namespace of the service, or of the callers".into(),
            ),
            None if known.is_empty() => (
                format!("no DestinationRule declares a subset {subset} of {host}"),
                "declare it in a DestinationRule".into(),
            ),
            None => (format!("{host} has no subset {subset}"), use_one_of(known)),
        };
        self.say(code::UNKNOWN_SUBSET, object, field, reason, remedy);
    }

    /// Rules that select some workload of the namespace may hold; that they do not for all callers is not said.
    fn selecting(&self, object: &Object<VirtualService>) -> Vec<crate::model::ObjectId> {
        self.mesh.rules().selecting(&object.id.namespace).map(|rule| rule.id.clone()).collect()
    }

    fn rule_elsewhere(&self, host: &Hostname, subset: &str) -> Option<String> {
        self.mesh
            .destination_rules()
            .iter()
            .find(|rule| rule.spec.host.covers(host) && rule.spec.subsets.iter().any(|known| known.name == subset))
            .map(|rule| rule.id.to_string())
    }
}

/// A share, in percent with one place where that says more.
fn percent(part: u64, sum: u64) -> String {
    let tenths = part.saturating_mul(1000) / sum.max(1);
    match tenths % 10 {
        0 => format!("{} %", tenths / 10),
        rest => format!("{}.{rest} %", tenths / 10),
    }
}

pub(super) fn use_one_of<T: ToString>(known: impl IntoIterator<Item = T>) -> String {
    /// More do not help.
    const SHOWN_MAX: usize = 20;
    let known: Vec<String> = known.into_iter().take(SHOWN_MAX).map(|item| item.to_string()).collect();
    if known.is_empty() { String::new() } else { format!("use one of: {}", known.join(", ")) }
}
