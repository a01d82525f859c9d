//! Endpoints grouped by where they run, with weights that Envoy takes.

use std::collections::BTreeMap;

use proto::envoy::config::{
    core::v3,
    endpoint::v3::{ClusterLoadAssignment, LocalityLbEndpoints},
};

use super::{choice::Chosen, lb_endpoint::lb_endpoint};
use crate::model::endpoint::Locality;

/// Most that all weights of an assignment may sum up to. Envoy's limit is that of 32 bits for each locality and for each
/// priority; half of it leaves room for weights that are rounded up to one.
const WEIGHTS_MAX: u64 = (u32::MAX / 2) as u64;
/// The last priority that Envoy knows.
const PRIORITY_MAX: usize = 128;

/// The endpoints of one locality in one priority.
#[derive(Debug)]
pub(super) struct Group<'a> {
    /// Where they run.
    pub(super) locality: &'a Locality,
    /// 0 is tried first.
    pub(super) priority: u32,
    /// The share of the locality among those of its priority.
    pub(super) weight: u32,
    /// The endpoints with their weights, which sum up to less than 32 bits hold.
    pub(super) endpoints: Vec<(Chosen<'a>, u32)>,
}

/// Groups endpoints by rank and locality; the lowest rank is tried first. A locality weighs what its endpoints do.
///
/// Ranks become priorities without gaps, since gRPC refuses them. Where there are several, endpoints that are going away
/// are left out: Envoy would count them as failed, and send a part of the traffic away because of a rolling update.
pub(super) fn grouped<'a>(chosen: &[Chosen<'a>], rank: impl Fn(&Chosen<'a>) -> u32) -> Vec<Group<'a>> {
    let mut ranks: BTreeMap<u32, BTreeMap<&'a Locality, Vec<Chosen<'a>>>> = BTreeMap::new();
    for &one in chosen {
        ranks.entry(rank(&one)).or_default().entry(&one.endpoint.locality).or_default().push(one);
    }
    if ranks.len() > 1 {
        let healthy: Vec<Chosen<'a>> = chosen.iter().copied().filter(|one| !one.is_draining()).collect();
        if healthy.len() < chosen.len() {
            return grouped(&healthy, rank);
        }
    }
    let divisor = divisor(chosen);
    let mut groups = Vec::new();
    for (priority, localities) in ranks.into_values().enumerate() {
        for (locality, members) in localities {
            let endpoints: Vec<(Chosen<'a>, u32)> =
                members.into_iter().map(|one| (one, scaled(one.endpoint.weight, divisor))).collect();
            let weight = endpoints.iter().map(|(_, weight)| *weight).fold(0, u32::saturating_add);
            let priority = u32::try_from(priority.min(PRIORITY_MAX)).unwrap_or(0);
            groups.push(Group { locality, priority, weight, endpoints });
        }
    }
    groups
}

/// What weights are divided by so that they sum up to what Envoy takes.
fn divisor(chosen: &[Chosen<'_>]) -> u64 {
    let sum: u64 = chosen.iter().map(|one| u64::from(one.endpoint.weight)).sum();
    sum.div_ceil(WEIGHTS_MAX).max(1)
}

/// A weight, at least 1: Envoy refuses an assignment with a zero.
fn scaled(weight: u32, divisor: u64) -> u32 {
    u32::try_from(u64::from(weight) / divisor).unwrap_or(u32::MAX).max(1)
}

/// The assignment of these groups; its cluster is not yet named.
pub(super) fn assignment(groups: &[Group<'_>]) -> ClusterLoadAssignment {
    let locality = |group: &Group<'_>| LocalityLbEndpoints {
        locality: Some(v3::Locality {
            region: group.locality.region.clone(),
            zone: group.locality.zone.clone(),
            sub_zone: group.locality.subzone.clone(),
        }),
        lb_endpoints: group
            .endpoints
            .iter()
            .map(|(one, weight)| lb_endpoint(one.endpoint, *weight, one.health))
            .collect(),
        load_balancing_weight: Some(group.weight),
        priority: group.priority,
        ..LocalityLbEndpoints::default()
    };
    ClusterLoadAssignment { endpoints: groups.iter().map(locality).collect(), ..ClusterLoadAssignment::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        compile::{cluster::fixture::endpoint, endpoint::choice},
        model::endpoint::{Endpoint, Health},
    };

    fn at(ip: &str, locality: &str, weight: u32) -> Endpoint {
        Endpoint { locality: Locality::parse(locality), weight, ..endpoint(ip, 80) }
    }

    #[test]
    fn endpoints_are_grouped_by_locality_which_weighs_their_sum() {
        let endpoints = [at("10.0.0.1", "b/z", 2), at("10.0.0.2", "a/z", 3), at("10.0.0.3", "b/z", 5)];
        let chosen = choice::choose(&endpoints, choice::Wanted::default());
        let groups = grouped(&chosen, |_| 0);
        let seen: Vec<_> = groups.iter().map(|g| (g.locality.region.as_str(), g.weight, g.endpoints.len())).collect();
        assert_eq!(seen, [("a", 3, 1), ("b", 7, 2)]);
    }

    #[test]
    fn ranks_become_priorities_without_gaps() {
        let endpoints = [at("10.0.0.1", "a", 1), at("10.0.0.2", "b", 1)];
        let chosen = choice::choose(&endpoints, choice::Wanted::default());
        let groups = grouped(&chosen, |one| if one.endpoint.locality.region == "a" { 7 } else { 3 });
        let seen: Vec<_> = groups.iter().map(|g| (g.locality.region.as_str(), g.priority)).collect();
        assert_eq!(seen, [("b", 0), ("a", 1)]);
    }

    #[test]
    fn weights_that_do_not_fit_are_scaled_down_and_none_is_zero() {
        let endpoints = [at("10.0.0.1", "a", u32::MAX), at("10.0.0.2", "a", u32::MAX), at("10.0.0.3", "a", 0)];
        let chosen = choice::choose(&endpoints, choice::Wanted::default());
        let groups = grouped(&chosen, |_| 0);
        assert_eq!(groups[0].endpoints[0].1, groups[0].endpoints[1].1);
        assert_eq!(groups[0].endpoints[2].1, 1);
        assert!(groups[0].weight < u32::MAX);
    }

    #[test]
    fn a_rolling_update_does_not_look_like_a_failed_locality() {
        let mut endpoints = [at("10.0.0.1", "a", 1), at("10.0.0.2", "a", 1), at("10.0.0.3", "b", 1)];
        endpoints[0].health = Health::Draining;
        let chosen = choice::choose(&endpoints, choice::Wanted::default());
        assert_eq!(grouped(&chosen, |_| 0).iter().map(|g| g.endpoints.len()).sum::<usize>(), 3);
        let by_region = |one: &Chosen<'_>| u32::from(one.endpoint.locality.region == "b");
        assert_eq!(grouped(&chosen, by_region).iter().map(|g| g.endpoints.len()).sum::<usize>(), 2);
    }
}
