//! Who calls whom, in total and lately: the differences between readings, added up.

use std::collections::{BTreeMap, VecDeque};

use crate::demo::{
    cast::{PRODUCTPAGE, pod, version_at},
    observe::{Called, Count, Key, Reading, Span},
};

/// What is told apart in the table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// Who calls.
    pub caller: String,
    /// Which service.
    pub service: String,
}

/// What was counted of an edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Requests that were answered.
    pub answered: u64,
    /// Those answered with 500 or more.
    pub failed: u64,
    /// Requests sent, by the version of who was to answer.
    pub versions: BTreeMap<String, u64>,
    took: BTreeMap<Span, u64>,
}

/// All edges: since the start, and in the last readings.
#[derive(Debug)]
pub struct Ledger {
    last: Reading,
    total: BTreeMap<Edge, Calls>,
    lately: VecDeque<BTreeMap<Edge, Calls>>,
    readings_max: usize,
}

impl Ledger {
    /// A ledger for which the last `readings` are lately.
    #[must_use]
    pub fn over(readings: usize) -> Self {
        Self { last: Reading::new(), total: BTreeMap::new(), lately: VecDeque::new(), readings_max: readings.max(1) }
    }

    /// Adds what was counted since the last reading. A number that fell was set back: its cluster was away.
    pub fn add(&mut self, reading: Reading) {
        let mut new: BTreeMap<Edge, Calls> = BTreeMap::new();
        for (key, &now) in &reading {
            let before = self.last.get(key).copied().unwrap_or_default();
            let more = if now < before { now } else { now - before };
            if let Some(edge) = edge(key)
                && (more > 0 || matches!(key.count, Count::Answered))
            {
                new.entry(edge).or_default().add(key, more);
            }
        }
        for (edge, calls) in &new {
            self.total.entry(edge.clone()).or_default().join(calls);
        }
        if self.lately.len() == self.readings_max {
            self.lately.pop_front();
        }
        self.lately.push_back(new);
        self.last = reading;
    }

    /// The edges that were ever used, with what was counted in total.
    pub fn total(&self) -> impl Iterator<Item = (&Edge, &Calls)> {
        self.total.iter().filter(|(_, calls)| calls.answered > 0)
    }

    /// What was counted of an edge lately.
    #[must_use]
    pub fn lately(&self, edge: &Edge) -> Calls {
        let mut calls = Calls::default();
        self.lately.iter().filter_map(|new| new.get(edge)).for_each(|new| calls.join(new));
        calls
    }
}

impl Calls {
    fn add(&mut self, key: &Key, more: u64) {
        match &key.count {
            Count::Answered => self.answered += more,
            Count::Failed => self.failed += more,
            Count::Sent(host) => {
                let version = match key.called {
                    Called::Application => pod(key.pod).map(|pod| pod.version),
                    Called::Service(_) | Called::Fault => version_at(host.ip()),
                };
                *self.versions.entry(version.unwrap_or("outside").to_owned()).or_default() += more;
            }
            Count::Took(span) => *self.took.entry(*span).or_default() += more,
        }
    }

    fn join(&mut self, other: &Self) {
        self.answered += other.answered;
        self.failed += other.failed;
        other.versions.iter().for_each(|(version, more)| *self.versions.entry(version.clone()).or_default() += more);
        other.took.iter().for_each(|(span, more)| *self.took.entry(*span).or_default() += more);
    }

    /// The time in microseconds within which so many of a hundred requests were answered, if any was.
    #[must_use]
    pub fn percentile_us(&self, percent: u64) -> Option<u64> {
        let all: u64 = self.took.values().sum();
        let wanted = (all * percent).div_ceil(100).max(1);
        let mut passed = 0;
        for (span, &count) in &self.took {
            if passed + count >= wanted {
                return Some(span.from_us + span.width_us * (wanted - passed) / count.max(1));
            }
            passed += count;
        }
        None
    }
}

/// What a number is about, `None` if another Envoy counts the same: calls between services are counted where they start.
fn edge(key: &Key) -> Option<Edge> {
    match &key.called {
        Called::Service(host) => {
            let service = host.strip_suffix(".default.svc.cluster.local").unwrap_or(host);
            Some(Edge { caller: key.pod.to_owned(), service: service.to_owned() })
        }
        Called::Application if key.pod == PRODUCTPAGE.name => {
            Some(Edge { caller: "visitors".to_owned(), service: PRODUCTPAGE.service.to_owned() })
        }
        Called::Application => None,
        Called::Fault => Some(Edge { caller: key.pod.to_owned(), service: faulty_service(key.pod).to_owned() }),
    }
}

/// Envoy does not say which service an injected fault stood in for. Reviews call one service only.
fn faulty_service(caller: &str) -> &'static str {
    match pod(caller).map(|pod| pod.service) {
        Some("reviews") => "ratings",
        _ => "(fault)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(pod: &'static str, called: Called, count: Count) -> Key {
        Key { pod, called, subset: String::new(), count }
    }

    fn reviews(count: Count) -> Key {
        key("productpage-v1", Called::Service("reviews.default.svc.cluster.local".to_owned()), count)
    }

    fn to_reviews() -> Edge {
        Edge { caller: "productpage-v1".to_owned(), service: "reviews".to_owned() }
    }

    fn reading(answered: u64, to_v1: u64) -> Reading {
        let host = "127.0.7.12:8000".parse().unwrap();
        Reading::from([(reviews(Count::Answered), answered), (reviews(Count::Sent(host)), to_v1)])
    }

    #[test]
    fn lately_forgets_what_the_total_keeps() {
        let mut ledger = Ledger::over(2);
        for (answered, to_v1) in [(10, 4), (15, 6), (18, 8)] {
            ledger.add(reading(answered, to_v1));
        }
        assert_eq!(
            ledger.total().map(|(edge, calls)| (edge.clone(), calls.answered)).collect::<Vec<_>>(),
            [(to_reviews(), 18)]
        );
        let lately = ledger.lately(&to_reviews());
        assert_eq!((lately.answered, lately.versions["v1"]), (8, 4));
    }

    #[test]
    fn a_cluster_that_went_and_came_back_counts_on() {
        let mut ledger = Ledger::over(10);
        ledger.add(reading(10, 10));
        ledger.add(Reading::new());
        ledger.add(reading(3, 3));
        ledger.add(reading(5, 5));
        assert_eq!(ledger.lately(&to_reviews()).answered, 15);
    }

    #[test]
    fn only_visitors_are_counted_where_calls_arrive() {
        let mut ledger = Ledger::over(1);
        let arrived = |pod| key(pod, Called::Application, Count::Answered);
        let application = Count::Sent("127.0.0.1:19010".parse().unwrap());
        ledger.add(Reading::from([
            (arrived("productpage-v1"), 2),
            (key("productpage-v1", Called::Application, application), 2),
            (arrived("reviews-v1"), 2),
        ]));
        let edges: Vec<_> = ledger.total().map(|(edge, calls)| (edge.caller.as_str(), calls.versions["v1"])).collect();
        assert_eq!(edges, [("visitors", 2)]);
    }

    #[test]
    fn percentiles_lie_inside_the_span_that_holds_them() {
        let mut calls = Calls::default();
        assert_eq!(calls.percentile_us(50), None);
        calls.add(&reviews(Count::Took(Span { from_us: 1_000, width_us: 100 })), 98);
        calls.add(&reviews(Count::Took(Span { from_us: 90_000, width_us: 10_000 })), 2);
        assert_eq!(calls.percentile_us(50), Some(1_051));
        assert_eq!(calls.percentile_us(99), Some(95_000));
    }
}
