//! Which parts of a workload some object of the mesh looks at; all else is left out of viewpoints.

use imbl::OrdMap;

use crate::model::{
    Namespace, Selector,
    destination_rule::{DestinationRule, PortPolicy},
    mesh_config::MeshConfig,
    peer_authentication::PeerAuthentication,
    service::{Service, TrafficDistribution},
    service_entry::ServiceEntry,
    sidecar::Sidecar,
    virtual_service::VirtualService,
};

/// How often each label key is mentioned, by the namespace of the workloads for which it counts; the empty namespace
/// stands for all. And how many objects prefer near endpoints.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mentions {
    keys: OrdMap<Namespace, OrdMap<String, u32>>,
    near: u32,
    same_node: u32,
}

/// What one object mentions.
#[derive(Debug, Default)]
pub(super) struct Mentioned {
    /// Label keys of workloads in the object's own namespace.
    own: Vec<String>,
    /// Label keys of workloads anywhere.
    anywhere: Vec<String>,
    near: bool,
    same_node: bool,
}

/// Whether a mention comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Comes,
    Goes,
}

impl Mentions {
    /// Whether an object looks at this label of workloads in `namespace`.
    pub(crate) fn label(&self, namespace: &Namespace, key: &str) -> bool {
        let of = |namespace: &Namespace| self.keys.get(namespace).is_some_and(|keys| keys.contains_key(key));
        of(namespace) || of(&Namespace::none())
    }

    /// Whether it can make a difference where a caller is.
    pub(crate) fn near(&self) -> bool {
        self.near > 0
    }

    /// Whether it can make a difference on which node a caller is.
    pub(crate) fn same_node(&self) -> bool {
        self.same_node > 0
    }

    /// Counts what an object mentions, and tells in which namespaces viewpoints are reduced in another way now.
    pub(super) fn count(&mut self, namespace: &Namespace, mentioned: Mentioned, step: Step) -> Vec<Namespace> {
        let mut differs = Vec::new();
        let everywhere = Namespace::none();
        for (namespace, keys) in [(namespace, mentioned.own), (&everywhere, mentioned.anywhere)] {
            let mut flips = false;
            for key in keys {
                flips |= self.count_key(namespace, key, step);
            }
            if flips {
                differs.push(namespace.clone());
            }
        }
        let near = mentioned.near && flip(&mut self.near, step);
        let same_node = mentioned.same_node && flip(&mut self.same_node, step);
        if near || same_node {
            differs.push(everywhere);
        }
        differs
    }

    fn count_key(&mut self, namespace: &Namespace, key: String, step: Step) -> bool {
        let keys = self.keys.entry(namespace.clone()).or_default();
        let count = keys.entry(key.clone()).or_default();
        let flips = flip(count, step);
        if *count == 0 {
            keys.remove(&key);
        }
        if keys.is_empty() {
            self.keys.remove(namespace);
        }
        flips
    }
}

/// Counts, and tells whether "none" became "some" or the other way round.
fn flip(count: &mut u32, step: Step) -> bool {
    match step {
        Step::Comes => {
            *count += 1;
            *count == 1
        }
        Step::Goes => {
            *count = count.saturating_sub(1);
            *count == 0
        }
    }
}

/// What an object mentions.
pub(super) trait Mentioning {
    fn mentioned(&self) -> Mentioned;
}

impl Mentioning for Service {
    fn mentioned(&self) -> Mentioned {
        let same_node = self.node_local || self.traffic_distribution == TrafficDistribution::SameNode;
        let near = same_node || self.traffic_distribution != TrafficDistribution::Any;
        Mentioned { own: selector_keys(self.selector.as_ref()), near, same_node, ..Mentioned::default() }
    }
}

impl Mentioning for ServiceEntry {
    fn mentioned(&self) -> Mentioned {
        Mentioned { own: selector_keys(self.workload_selector.as_ref()), ..Mentioned::default() }
    }
}

impl Mentioning for Sidecar {
    fn mentioned(&self) -> Mentioned {
        Mentioned { own: selector_keys(self.workload_selector.as_ref()), ..Mentioned::default() }
    }
}

impl Mentioning for PeerAuthentication {
    fn mentioned(&self) -> Mentioned {
        Mentioned { own: selector_keys(self.selector.as_ref()), ..Mentioned::default() }
    }
}

impl Mentioning for DestinationRule {
    fn mentioned(&self) -> Mentioned {
        let mut mentioned = Mentioned { own: selector_keys(self.workload_selector.as_ref()), ..Mentioned::default() };
        let policies = std::iter::once(&self.policy).chain(self.subsets.iter().map(|subset| &subset.policy));
        let blocks = policies.flat_map(|policy| {
            std::iter::once(&policy.settings).chain(policy.ports.iter().map(|(_, settings)| settings))
        });
        for PortPolicy { load_balancer, outlier_detection, connection_pool: _, tls: _ } in blocks {
            let locality = load_balancer.as_ref().and_then(|balancer| balancer.locality.as_ref());
            // Locality failover is on where outliers are detected, unless it is turned off.
            mentioned.near |= locality.is_some() || outlier_detection.is_some();
            mentioned.anywhere.extend(locality.into_iter().flat_map(|lb| priority_keys(&lb.failover_priority)));
        }
        mentioned
    }
}

impl Mentioning for VirtualService {
    /// The callers' labels (`sourceLabels`). Callers of any namespace that sees it are meant.
    fn mentioned(&self) -> Mentioned {
        let http = self.http.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
        let tls = self.tls.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
        let tcp = self.tcp.iter().flat_map(|rule| &rule.matches).map(|m| &m.source_labels);
        let anywhere = http.chain(tls).chain(tcp).flat_map(|labels| labels.keys().cloned()).collect();
        Mentioned { anywhere, ..Mentioned::default() }
    }
}

impl Mentioning for MeshConfig {
    fn mentioned(&self) -> Mentioned {
        let lb = &self.locality_lb;
        let near = lb.enabled == Some(true)
            || !(lb.distribute.is_empty() && lb.failover.is_empty() && lb.failover_priority.is_empty());
        Mentioned { anywhere: priority_keys(&lb.failover_priority).collect(), near, ..Mentioned::default() }
    }
}

fn selector_keys(selector: Option<&Selector>) -> Vec<String> {
    selector.into_iter().flat_map(|selector| selector.0.keys().cloned()).collect()
}

/// `key` or `key=value`.
fn priority_keys(priority: &[String]) -> impl Iterator<Item = String> {
    priority.iter().map(|entry| entry.split('=').next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(key: &str) -> Mentioned {
        Mentioned { own: vec![key.to_owned()], ..Mentioned::default() }
    }

    #[test]
    fn a_key_counts_until_the_last_mention_is_gone() {
        let namespace = Namespace::parse("default").unwrap();
        let mut mentions = Mentions::default();
        assert_eq!(mentions.count(&namespace, mention("app"), Step::Comes), std::slice::from_ref(&namespace));
        assert!(mentions.count(&namespace, mention("app"), Step::Comes).is_empty());
        assert!(mentions.count(&namespace, mention("app"), Step::Goes).is_empty());
        assert!(mentions.label(&namespace, "app"));
        assert!(!mentions.label(&Namespace::parse("other").unwrap(), "app"));
        assert_eq!(mentions.count(&namespace, mention("app"), Step::Goes), std::slice::from_ref(&namespace));
        assert!(!mentions.label(&namespace, "app"));
    }
}
