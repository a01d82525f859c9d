//! What holds for every service and rule.

use std::collections::BTreeSet;

use mesh::{
    compile::{cluster, endpoint},
    model::endpoint::{EndpointAddress, Health},
};
use proptest::prelude::*;
use prost::Message;
use proto::{
    envoy::config::{
        cluster::v3::{
            Cluster,
            cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy},
        },
        core::v3::HealthStatus,
        endpoint::v3::ClusterLoadAssignment,
    },
    google::protobuf::Duration,
};

use super::strategy::{Files, World, world};

/// Ten years, in seconds.
const SECONDS_MAX: i64 = 315_360_000;

fn clusters(world: &World) -> Vec<Cluster> {
    cluster::outbound(&world.outbound()).into_iter().map(|compiled| compiled.message).collect()
}

fn assignments(world: &World) -> Vec<ClusterLoadAssignment> {
    endpoint::assignments(&world.assignments()).into_iter().map(|compiled| compiled.message).collect()
}

fn encoded(world: &World) -> Vec<Vec<u8>> {
    let clusters = clusters(world).into_iter().map(|cluster| cluster.encode_to_vec());
    clusters.chain(assignments(world).into_iter().map(|assignment| assignment.encode_to_vec())).collect()
}

fn durations(cluster: &Cluster) -> Vec<Duration> {
    let outlier = cluster.outlier_detection.as_ref();
    let of_outlier = [outlier.and_then(|o| o.interval), outlier.and_then(|o| o.base_ejection_time)];
    [cluster.connect_timeout].into_iter().chain(of_outlier).flatten().collect()
}

fn is(cluster: &Cluster, kind: DiscoveryType) -> bool {
    cluster.cluster_discovery_type == Some(ClusterDiscoveryType::Type(kind.into()))
}

/// Checks what Envoy and gRPC ask of every assignment.
fn check_assignment(assignment: &ClusterLoadAssignment) -> Result<(), TestCaseError> {
    let mut places = BTreeSet::new();
    let mut priorities = BTreeSet::new();
    let mut addresses = BTreeSet::new();
    let mut sum = 0_u64;
    for locality in &assignment.endpoints {
        let place = format!("{:?}", locality.locality);
        prop_assert!(places.insert((locality.priority, place)), "one locality twice in a priority");
        priorities.insert(locality.priority);
        sum += u64::from(locality.load_balancing_weight.unwrap_or(0));
        prop_assert!(locality.load_balancing_weight.unwrap_or(0) > 0);
        prop_assert!(!locality.lb_endpoints.is_empty());
        let weights = locality.lb_endpoints.iter().map(|e| u64::from(e.load_balancing_weight.unwrap_or(0)));
        prop_assert!(weights.clone().all(|weight| weight > 0));
        prop_assert!(weights.sum::<u64>() <= u64::from(u32::MAX));
        for endpoint in &locality.lb_endpoints {
            prop_assert!(addresses.insert(format!("{:?}", endpoint.host_identifier)), "one address twice");
        }
    }
    prop_assert!(sum <= u64::from(u32::MAX));
    let without_gaps: BTreeSet<u32> = (0..).take(priorities.len()).collect();
    prop_assert_eq!(priorities, without_gaps);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn values_are_in_envoys_ranges_whatever_the_rule_says(world in world(Files::default())) {
        for cluster in clusters(&world) {
            for duration in durations(&cluster) {
                prop_assert!((0..=SECONDS_MAX).contains(&duration.seconds) && duration != Duration::default());
            }
            if let Some(assignment) = &cluster.load_assignment {
                check_assignment(assignment)?;
            }
        }
        for assignment in assignments(&world) {
            check_assignment(&assignment)?;
        }
    }

    #[test]
    fn the_order_of_inputs_makes_no_difference(world in world(Files::default()), turn in 1_usize..5) {
        let mut other = world.clone();
        other.service.ports.reverse();
        for (_, endpoints) in &mut other.endpoints {
            let by = turn.min(endpoints.len());
            endpoints.rotate_left(by);
        }
        if let Some((_, subsets)) = &mut other.rule {
            subsets.reverse();
        }
        prop_assert_eq!(encoded(&world), encoded(&other));
        prop_assert_eq!(encoded(&world), encoded(&world));
    }

    #[test]
    fn every_cluster_that_asks_for_endpoints_has_an_assignment(world in world(Files::default())) {
        let assigned: BTreeSet<String> = assignments(&world).into_iter().map(|a| a.cluster_name).collect();
        let mut names = BTreeSet::new();
        for compiled in cluster::outbound(&world.outbound()) {
            prop_assert!(names.insert(compiled.name.clone()), "one name twice");
            let eds = is(&compiled.message, DiscoveryType::Eds);
            prop_assert_eq!(compiled.references.endpoints.as_deref(), eds.then_some(&*compiled.name));
            prop_assert!(!eds || assigned.contains(&*compiled.name));
        }
    }

    #[test]
    fn a_place_that_does_not_count_changes_nothing(world in world(Files::default())) {
        let input = world.assignments();
        if !endpoint::depends_on_place(&input.service, input.rule.as_deref(), &input.config.spec) {
            let nowhere = World { place: None, ..world.clone() };
            prop_assert_eq!(assignments(&world), assignments(&nowhere));
        }
    }

    #[test]
    fn some_endpoint_serves_as_long_as_one_answers(world in world(Files::default())) {
        let mut world = World { place: None, rule: None, ..world };
        world.service.node_local = false;
        let input = world.assignments();
        for assignment in assignments(&world) {
            let port = assignment.cluster_name.split('|').nth(1).and_then(|port| port.parse().ok()).unwrap_or(0);
            let answering = input.endpoints.0.get(&port).into_iter().flatten().filter(|endpoint| {
                endpoint.health != Health::Unhealthy
                    && !matches!(endpoint.address, EndpointAddress::Dns(..))
            });
            let healthy = i32::from(HealthStatus::Healthy);
            let serving = assignment.endpoints.iter().flat_map(|l| &l.lb_endpoints).any(|e| e.health_status == healthy);
            prop_assert_eq!(serving, answering.count() > 0);
        }
    }

    #[test]
    fn grpc_gets_only_what_it_takes(world in world(Files::default())) {
        for cluster in clusters(&World { for_grpc: true, ..world }) {
            prop_assert!(is(&cluster, DiscoveryType::Eds) || is(&cluster, DiscoveryType::LogicalDns));
            prop_assert!(matches!(cluster.lb_policy(), LbPolicy::RoundRobin | LbPolicy::RingHash));
            prop_assert!(cluster.transport_socket.is_none() && cluster.typed_extension_protocol_options.is_empty());
        }
    }
}
