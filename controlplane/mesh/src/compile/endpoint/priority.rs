//! Which endpoints are tried first for a caller, and which only when those fail.

use super::Place;
use crate::{
    compile::cluster::load_balancing::locality_settings,
    model::{
        destination_rule::{LocalityLb, PortPolicy},
        endpoint::{Endpoint, Locality},
        mesh_config::MeshConfig,
        service::{Service, TrafficDistribution},
    },
};

/// How endpoints are ranked for a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ranking<'a> {
    /// All alike.
    None,
    /// The same zone, then the same region, then the rest.
    SameZone,
    /// The same node before all that.
    SameNode,
    /// By how much of the locality agrees; which region stands in for which.
    Locality(&'a [(String, String)]),
    /// By how many of these labels agree, from the first on.
    Labels(&'a [String]),
}

impl<'a> Ranking<'a> {
    /// The ranking that holds. What the rule says of localities wins over what the Service says of itself, and that over
    /// the mesh. Failover is for services with outlier detection, as in Istio: without it nothing tells Envoy that the near
    /// endpoints have failed.
    pub(super) fn of(service: &Service, policy: &'a PortPolicy, mesh: &'a MeshConfig) -> Self {
        let own = policy.load_balancer.as_ref().and_then(|lb| lb.locality.as_ref());
        let by_settings = || locality_settings(policy, mesh).map_or(Self::None, Self::by);
        match service.traffic_distribution {
            _ if policy.outlier_detection.is_some() && own.is_some() => by_settings(),
            _ if own.is_some_and(|settings| settings.enabled == Some(false)) => Self::None,
            TrafficDistribution::SameZone => Self::SameZone,
            TrafficDistribution::SameNode => Self::SameNode,
            TrafficDistribution::Any if policy.outlier_detection.is_some() => by_settings(),
            TrafficDistribution::Any => Self::None,
        }
    }

    fn by(settings: &'a LocalityLb) -> Self {
        if settings.failover_priority.is_empty() {
            Self::Locality(&settings.failover)
        } else {
            Self::Labels(&settings.failover_priority)
        }
    }

    /// The rank of an endpoint for a caller at `place`; 0 is the nearest.
    pub(super) fn rank(self, endpoint: &Endpoint, place: &Place) -> u32 {
        let unknown = place.locality.region.is_empty();
        match self {
            Self::None => 0,
            Self::SameZone if unknown => 0,
            Self::SameZone => zone_rank(&endpoint.locality, &place.locality),
            Self::SameNode if place.node.is_some() && endpoint.node == place.node => 0,
            Self::SameNode if unknown => 1,
            Self::SameNode => 1 + zone_rank(&endpoint.locality, &place.locality),
            Self::Locality(_) if unknown => 0,
            Self::Locality(failover) => locality_rank(&endpoint.locality, &place.locality, failover),
            Self::Labels(keys) => label_rank(endpoint, place, keys),
        }
    }
}

fn zone_rank(endpoint: &Locality, caller: &Locality) -> u32 {
    if endpoint.region != caller.region {
        2
    } else if endpoint.zone != caller.zone {
        1
    } else {
        0
    }
}

fn locality_rank(endpoint: &Locality, caller: &Locality, failover: &[(String, String)]) -> u32 {
    if endpoint.region == caller.region {
        return match (endpoint.zone == caller.zone, endpoint.subzone == caller.subzone) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        };
    }
    let stands_in = failover.iter().any(|(from, to)| *from == caller.region && *to == endpoint.region);
    if stands_in { 3 } else { 4 }
}

/// How many labels are left at the first that does not agree.
fn label_rank(endpoint: &Endpoint, place: &Place, keys: &[String]) -> u32 {
    let agrees = |entry: &&String| {
        let (key, wanted) = match entry.split_once('=') {
            Some((key, value)) => (key, value),
            None => (entry.as_str(), callers_value(place, entry)),
        };
        endpoints_value(endpoint, key) == wanted
    };
    let agreeing = keys.iter().take_while(agrees).count();
    u32::try_from(keys.len().saturating_sub(agreeing)).unwrap_or(u32::MAX)
}

/// The caller's value of a label. What the platform knows of a place goes by its well-known label.
fn callers_value<'a>(place: &'a Place, key: &str) -> &'a str {
    let known = well_known(key, &place.locality, place.node.as_deref(), &place.network);
    known.unwrap_or_else(|| place.labels.get(key).map_or("", String::as_str))
}

fn endpoints_value<'a>(endpoint: &'a Endpoint, key: &str) -> &'a str {
    let known = well_known(key, &endpoint.locality, endpoint.node.as_deref(), &endpoint.network);
    known.unwrap_or_else(|| endpoint.labels.get(key).map_or("", String::as_str))
}

fn well_known<'a>(key: &str, locality: &'a Locality, node: Option<&'a str>, network: &'a str) -> Option<&'a str> {
    let value = match key {
        "topology.kubernetes.io/region" => &locality.region,
        "topology.kubernetes.io/zone" => &locality.zone,
        "topology.istio.io/subzone" => &locality.subzone,
        "topology.istio.io/network" => network,
        "kubernetes.io/hostname" => node.unwrap_or_default(),
        _ => return None,
    };
    Some(value).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::cluster::fixture::{endpoint, outlier, service},
        model::{Labels, destination_rule::LoadBalancer},
    };

    fn at(locality: &str, node: Option<&str>) -> Endpoint {
        Endpoint { locality: Locality::parse(locality), node: node.map(str::to_owned), ..endpoint("10.0.0.1", 80) }
    }

    fn place(locality: &str, node: Option<&str>) -> Place {
        Place { locality: Locality::parse(locality), node: node.map(str::to_owned), ..Place::default() }
    }

    #[test]
    fn failover_needs_outlier_detection() {
        let service = &service("a").service;
        let mut mesh = MeshConfig::default();
        let mut policy = PortPolicy::default();
        assert_eq!(Ranking::of(service, &policy, &mesh), Ranking::None);
        policy.outlier_detection = Some(outlier());
        assert_eq!(Ranking::of(service, &policy, &mesh), Ranking::Locality(&[]));
        mesh.locality_lb.enabled = Some(false);
        assert_eq!(Ranking::of(service, &policy, &mesh), Ranking::None);
    }

    #[test]
    fn the_rule_wins_over_the_service_and_the_service_over_the_mesh() {
        let mut service = service("a").service;
        service.traffic_distribution = TrafficDistribution::SameNode;
        let mesh = MeshConfig::default();
        let mut policy = PortPolicy { outlier_detection: Some(outlier()), ..PortPolicy::default() };
        assert_eq!(Ranking::of(&service, &policy, &mesh), Ranking::SameNode);
        let locality = |enabled| {
            let locality = LocalityLb { enabled, failover_priority: vec!["a".into()], ..LocalityLb::default() };
            Some(LoadBalancer { locality: Some(locality), ..LoadBalancer::default() })
        };
        policy.load_balancer = locality(None);
        assert_eq!(Ranking::of(&service, &policy, &mesh), Ranking::Labels(&["a".to_owned()]));
        policy.load_balancer = locality(Some(false));
        assert_eq!(Ranking::of(&service, &policy, &mesh), Ranking::None);
        policy.outlier_detection = None;
        assert_eq!(Ranking::of(&service, &policy, &mesh), Ranking::None);
    }

    #[test]
    fn nearer_localities_are_tried_first() {
        let caller = place("us/a/1", None);
        let failover = [("us".to_owned(), "eu".to_owned())];
        let rank = |locality| Ranking::Locality(&failover).rank(&at(locality, None), &caller);
        assert_eq!(["us/a/1", "us/a/2", "us/b/1", "eu/a/1", "ap/a/1"].map(rank), [0, 1, 2, 3, 4]);
        assert_eq!(Ranking::Locality(&failover).rank(&at("eu", None), &place("", None)), 0);
    }

    #[test]
    fn labels_rank_by_the_first_that_does_not_agree() {
        let keys = ["topology.kubernetes.io/region", "version", "tier=gold"].map(str::to_owned);
        let mut caller = place("us/a", None);
        caller.labels = Labels::from([("version".into(), "v1".into())]);
        let rank = |locality, version: &str, tier: &str| {
            let mut endpoint = at(locality, None);
            endpoint.labels = Labels::from([("version".into(), version.into()), ("tier".into(), tier.into())]);
            Ranking::Labels(&keys).rank(&endpoint, &caller)
        };
        assert_eq!(rank("us/b", "v1", "gold"), 0);
        assert_eq!(rank("us/b", "v1", "tin"), 1);
        assert_eq!(rank("us/b", "v2", "gold"), 2);
        assert_eq!(rank("eu/b", "v1", "gold"), 3);
    }

    #[test]
    fn a_service_may_prefer_the_same_zone_or_node() {
        let caller = place("us/a", Some("n1"));
        let zone = |locality| Ranking::SameZone.rank(&at(locality, None), &caller);
        assert_eq!(["us/a/9", "us/b", "eu/a"].map(zone), [0, 1, 2]);
        let node = |locality, node| Ranking::SameNode.rank(&at(locality, Some(node)), &caller);
        assert_eq!([node("us/a", "n1"), node("us/a", "n2"), node("us/b", "n3"), node("eu/a", "n4")], [0, 1, 2, 3]);
    }
}
