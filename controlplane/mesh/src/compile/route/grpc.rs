//! What of a route a proxyless gRPC client takes: matches, clusters, timeouts, retries by gRPC status, hashing by header.

use proto::envoy::config::route::v3::{
    RetryPolicy, Route, RouteAction, WeightedCluster,
    retry_policy::RetryBackOff,
    route::Action,
    route_action::{ClusterSpecifier, HashPolicy, MaxStreamDuration, hash_policy::PolicySpecifier},
    weighted_cluster::ClusterWeight,
};

/// The statuses that a gRPC client retries.
const RETRIABLE: [&str; 5] = ["cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"];

/// The route without what the client does not know. One that depends on query parameters never holds for a call.
pub(super) fn reduce(route: Route) -> Option<Route> {
    let route_match = route.r#match.filter(|route_match| route_match.query_parameters.is_empty())?;
    let action = match route.action? {
        Action::Route(action) => Action::Route(reduce_action(action)),
        // The client knows that these exist, and fails the call.
        other @ (Action::Redirect(_)
        | Action::DirectResponse(_)
        | Action::FilterAction(_)
        | Action::NonForwardingAction(_)) => other,
    };
    Some(Route { name: route.name, r#match: Some(route_match), action: Some(action), ..Route::default() })
}

fn reduce_action(action: RouteAction) -> RouteAction {
    // gRPC ends a call by its whole duration; zero would be its default, no end.
    let duration = action.timeout.filter(|timeout| timeout.seconds > 0 || timeout.nanos > 0);
    RouteAction {
        cluster_specifier: action.cluster_specifier.map(reduce_clusters),
        max_stream_duration: duration
            .map(|duration| MaxStreamDuration { max_stream_duration: Some(duration), ..MaxStreamDuration::default() }),
        retry_policy: action.retry_policy.and_then(reduce_retries),
        hash_policy: action.hash_policy.into_iter().filter(is_by_header).collect(),
        ..RouteAction::default()
    }
}

fn reduce_clusters(specifier: ClusterSpecifier) -> ClusterSpecifier {
    match specifier {
        ClusterSpecifier::WeightedClusters(weighted) => ClusterSpecifier::WeightedClusters(WeightedCluster {
            clusters: weighted
                .clusters
                .into_iter()
                .map(|cluster| ClusterWeight { name: cluster.name, weight: cluster.weight, ..ClusterWeight::default() })
                .collect(),
            ..WeightedCluster::default()
        }),
        other @ (ClusterSpecifier::Cluster(_)
        | ClusterSpecifier::ClusterHeader(_)
        | ClusterSpecifier::ClusterSpecifierPlugin(_)
        | ClusterSpecifier::InlineClusterSpecifierPlugin(_)) => other,
    }
}

fn reduce_retries(policy: RetryPolicy) -> Option<RetryPolicy> {
    let known: Vec<&str> = policy.retry_on.split(',').filter(|condition| RETRIABLE.contains(condition)).collect();
    let base_interval = policy.retry_back_off.and_then(|back_off| back_off.base_interval);
    (!known.is_empty()).then(|| RetryPolicy {
        retry_on: known.join(","),
        num_retries: policy.num_retries,
        retry_back_off: base_interval
            .map(|interval| RetryBackOff { base_interval: Some(interval), ..RetryBackOff::default() }),
        ..RetryPolicy::default()
    })
}

fn is_by_header(policy: &HashPolicy) -> bool {
    matches!(policy.policy_specifier, Some(PolicySpecifier::Header(_)))
}
