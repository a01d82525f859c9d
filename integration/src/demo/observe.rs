//! What the Envoys have counted: calls by host, failures and times, read from their admin ports.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::envoy::Envoy;

/// Counters and histograms of clusters, as a query of Envoy's admin port.
const STATS: &str = "/stats?format=json&histogram_buckets=detailed&filter=\
    %5Ecluster%5C.(in|out)bound%5C%7C.*upstream_rq_(time|completed|5xx)$%7Cfault%5C.aborts_injected$";
/// Under these names Envoy counts the same requests once more, by where they come from.
const COUNTED_TWICE: [&str; 3] = [".internal", ".external", ".canary"];

/// What one number counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// Requests that were answered, by whomever.
    Answered,
    /// Answers of 500 and more.
    Failed,
    /// Requests that were sent to this host.
    Sent(SocketAddr),
    /// Requests that took so long.
    Took(Span),
}

/// A span of a histogram, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Where it begins.
    pub from_us: u64,
    /// How wide it is.
    pub width_us: u64,
}

/// Where one number comes from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The pod whose Envoy counted.
    pub pod: &'static str,
    /// What was called.
    pub called: Called,
    /// The subset, or empty: Envoy counts each apart.
    pub subset: String,
    /// What was counted.
    pub count: Count,
}

/// What an Envoy sends requests to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Called {
    /// A service, by its host name.
    Service(String),
    /// The application beside it.
    Application,
    /// Nothing: Envoy answered by itself, since a fault was ordered.
    Fault,
}

/// All numbers at one time.
pub type Reading = BTreeMap<Key, u64>;

/// Reads what the Envoy of a pod has counted since it started.
///
/// # Errors
/// It does not answer, or in another shape.
pub async fn read(pod: &'static str, envoy: &Envoy) -> Result<Reading> {
    let clusters: Clusters = serde_json::from_value(envoy.clusters().await?).context("clusters of another shape")?;
    let stats: Stats = serde_json::from_value(envoy.json(STATS).await?).context("statistics of another shape")?;
    let mut reading = Reading::new();
    let mut put = |cluster: &str, count: Count, value: u64| {
        if let Some((called, subset)) = parsed(cluster) {
            *reading.entry(Key { pod, called, subset, count }).or_default() += value;
        }
    };
    for cluster in &clusters.cluster_statuses {
        for (host, sent) in cluster.host_statuses.iter().filter_map(Host::sent) {
            put(&cluster.name, Count::Sent(host), sent);
        }
    }
    for stat in stats.stats {
        match stat {
            Stat::Counter { name, value } => {
                if let Some(cluster) = cluster_of(&name, ".upstream_rq_completed") {
                    put(cluster, Count::Answered, value);
                } else if let Some(cluster) = cluster_of(&name, ".upstream_rq_5xx") {
                    put(cluster, Count::Failed, value);
                } else if name.ends_with("fault.aborts_injected") {
                    put(FAULT, Count::Answered, value);
                    put(FAULT, Count::Failed, value);
                }
            }
            Stat::Histograms { histograms } => {
                for (cluster, bucket) in histograms.buckets() {
                    put(cluster, Count::Took(bucket.span()), bucket.count);
                }
            }
            Stat::Other(_) => {}
        }
    }
    Ok(reading)
}

/// Stands for a cluster where a fault was injected.
const FAULT: &str = "fault";

fn cluster_of<'a>(stat: &'a str, suffix: &str) -> Option<&'a str> {
    let cluster = stat.strip_prefix("cluster.")?.strip_suffix(suffix)?;
    (!COUNTED_TWICE.iter().any(|twice| cluster.ends_with(twice))).then_some(cluster)
}

/// What a cluster stands for, by its name, and its subset.
fn parsed(cluster: &str) -> Option<(Called, String)> {
    if cluster == FAULT {
        return Some((Called::Fault, String::new()));
    }
    let mut parts = cluster.trim_end_matches(';').split('|');
    match (parts.next()?, parts.next()?, parts.next()?, parts.next()?) {
        ("outbound", _, subset, host) => Some((Called::Service(host.to_owned()), subset.to_owned())),
        ("inbound", _, _, _) => Some((Called::Application, String::new())),
        _ => None,
    }
}

#[derive(Debug, Deserialize)]
struct Clusters {
    #[serde(default)]
    cluster_statuses: Vec<Cluster>,
}

#[derive(Debug, Deserialize)]
struct Cluster {
    name: String,
    #[serde(default)]
    host_statuses: Vec<Host>,
}

#[derive(Debug, Deserialize)]
struct Host {
    address: HostAddress,
    #[serde(default)]
    stats: Vec<HostStat>,
}

#[derive(Debug, Deserialize)]
struct HostAddress {
    socket_address: Option<SocketAddress>,
}

#[derive(Debug, Deserialize)]
struct SocketAddress {
    address: String,
    port_value: u16,
}

/// A zero is left out by Envoy, and numbers of 64 bits are strings in its JSON.
#[derive(Debug, Deserialize)]
struct HostStat {
    name: String,
    value: Option<String>,
}

impl Host {
    fn sent(&self) -> Option<(SocketAddr, u64)> {
        let address = self.address.socket_address.as_ref()?;
        let address = SocketAddr::new(address.address.parse().ok()?, address.port_value);
        let total = self.stats.iter().find(|stat| stat.name == "rq_total")?;
        Some((address, total.value.as_deref()?.parse().ok()?))
    }
}

#[derive(Debug, Deserialize)]
struct Stats {
    #[serde(default)]
    stats: Vec<Stat>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Stat {
    Counter { name: String, value: u64 },
    Histograms { histograms: Histograms },
    Other(serde::de::IgnoredAny),
}

#[derive(Debug, Deserialize)]
struct Histograms {
    #[serde(default)]
    details: Vec<Histogram>,
}

#[derive(Debug, Deserialize)]
struct Histogram {
    name: String,
    #[serde(default)]
    totals: Vec<Bucket>,
}

/// Times are in milliseconds here.
#[derive(Clone, Copy, Debug, Deserialize)]
struct Bucket {
    lower_bound: f64,
    width: f64,
    count: u64,
}

impl Histograms {
    fn buckets(&self) -> impl Iterator<Item = (&str, Bucket)> {
        self.details.iter().flat_map(|histogram| {
            let cluster = cluster_of(&histogram.name, ".upstream_rq_time");
            cluster.into_iter().flat_map(|cluster| histogram.totals.iter().map(move |bucket| (cluster, *bucket)))
        })
    }
}

impl Bucket {
    fn span(self) -> Span {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time in microseconds is positive and far below 2^52"
        )]
        let us = |ms: f64| (ms.max(0.0) * 1_000.0).round() as u64;
        Span { from_us: us(self.lower_bound), width_us: us(self.width) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_says_what_was_called_and_is_not_counted_twice() {
        let stat = "cluster.outbound|9080|v1|reviews.default.svc.cluster.local.upstream_rq_completed";
        let cluster = cluster_of(stat, ".upstream_rq_completed").unwrap();
        let called = Called::Service("reviews.default.svc.cluster.local".to_owned());
        assert_eq!(parsed(cluster), Some((called, "v1".to_owned())));
        let twice = "cluster.outbound|9080||ratings.default.svc.cluster.local.external.upstream_rq_completed";
        assert_eq!(cluster_of(twice, ".upstream_rq_completed"), None);
        assert_eq!(parsed("inbound|8000||"), Some((Called::Application, String::new())));
        assert_eq!(parsed("xds-grpc"), None);
    }

    #[test]
    fn numbers_of_every_kind_are_read_as_envoy_writes_them() {
        let text = r#"{"stats":[{"name":"a","value":6},{"name":"t","value":"text"},{"histograms":{"supported_percentiles":[0],
            "details":[{"name":"cluster.outbound|9080||r.upstream_rq_time","totals":[{"lower_bound":5,"width":0.1,"count":2}]}]}}]}"#;
        let stats: Stats = serde_json::from_str(text).unwrap();
        let buckets: Vec<_> = stats
            .stats
            .iter()
            .filter_map(|stat| match stat {
                Stat::Histograms { histograms } => {
                    Some(histograms.buckets().map(|(_, bucket)| bucket.span()).collect::<Vec<_>>())
                }
                Stat::Counter { .. } | Stat::Other(_) => None,
            })
            .collect();
        assert_eq!(buckets, [vec![Span { from_us: 5_000, width_us: 100 }]]);
        assert!(matches!(stats.stats.first(), Some(Stat::Counter { value: 6, .. })));
    }
}
