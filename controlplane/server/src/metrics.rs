//! What the control plane counts, by Istio's names where it has one, for Prometheus.
//!
//! Istio's counters have no `_total` at their end, which OpenMetrics demands of a counter. So that its dashboards and
//! alerts read them, those are exposed by exactly Istio's names, as gauges that only grow; `rate()` works on both. Our
//! own begin with `mainsheet_` and follow the conventions.

mod process;

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError, atomic::AtomicU64},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

/// The media type of [`Metrics::text`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Most versions of proxies that are told apart: the label comes from the proxies, and each value costs memory for ever.
const VERSIONS_MAX: usize = 32;
/// Longest version, in bytes.
const VERSION_LEN_MAX: usize = 48;

/// A counter by Istio's name: it only grows, but OpenMetrics has no word for one without `_total`.
type Tally = Gauge<u64, AtomicU64>;
type Label = [(&'static str, &'static str); 1];

/// Everything that is counted. Handles are cheap; the registry is read by [`Metrics::text`].
#[derive(Debug)]
#[allow(missing_docs, reason = "each field is the metric of that name; `new` holds the help texts")]
pub struct Metrics {
    registry: Registry,
    versions: Mutex<BTreeSet<&'static str>>,
    pilot_xds: Family<Label, Gauge>,
    pilot_xds_pushes: Family<Label, Tally>,
    pilot_total_xds_rejects: Family<Label, Tally>,
    rejects: [Option<Tally>; 6],
    pilot_xds_config_size_bytes: Family<Label, Histogram, fn() -> Histogram>,
    pilot_inbound_updates: Family<Label, Tally>,
    pilot_push_triggers: Family<Label, Tally>,
    sent_bytes: Family<Label, Counter>,
    sent_messages: Family<Label, Counter>,
    sent_resources: Family<Label, Counter>,
    bodies: Family<Label, Counter>,
    recompiles: Family<Label, Counter>,
    encodes: Family<Label, Counter>,
    problems: Family<Label, Gauge>,
    change_to_ack: Family<Label, Histogram, fn() -> Histogram>,
    refused_streams: Family<Label, Counter>,
    unserved_types: Counter,
    watch_answers: Family<Label, Gauge>,
    watch_failures: Family<Label, Counter>,
    watch_failing: Family<Label, Gauge>,
    validation_passed: Family<Label, Tally>,
    validation_failed: Family<Label, Tally>,
    validation_http_error: Family<Label, Tally>,
    leader: Gauge,
    status_writes: Family<Label, Counter>,
    events: Family<Label, Counter>,
    pub status_waiting: Gauge,
    pub status_look: Histogram,
    pub pilot_proxy_convergence_time: Histogram,
    pub pilot_xds_push_time: Histogram,
    pub pilot_xds_send_time: Histogram,
    pub pilot_services: Gauge,
    pub pilot_virt_services: Gauge,
    pub pilot_xds_expired_nonce: Tally,
    pub pilot_xds_write_timeout: Tally,
    pub pilot_total_xds_internal_errors: Tally,
    pub pilot_total_rejected_configs: Gauge,
    pub streams: Gauge,
    pub connections: Gauge,
    pub viewpoints: Gauge,
}

impl Metrics {
    /// Registers everything; `version` is that of this program.
    #[must_use]
    pub fn new(version: &'static str) -> Self {
        let mut r = Registry::default();
        let rejects = |name: &'static str, r: &mut Registry| {
            let tally = Tally::default();
            r.register(name, "Responses of this type that proxies rejected", tally.clone());
            tally
        };
        let info: Family<Label, Gauge> = family(&mut r, "pilot_info", "The version of the control plane");
        info.get_or_create(&[("version", version)]).set(1);
        let build: Family<[(&'static str, &'static str); 2], Gauge> = Family::default();
        r.register("istio_build", "The build of the control plane", build.clone());
        build.get_or_create(&[("component", "pilot"), ("tag", version)]).set(1);
        let metrics = Self {
            versions: Mutex::default(),
            pilot_xds: family(&mut r, "pilot_xds", "Proxies connected, by the version that they name"),
            pilot_xds_pushes: family(&mut r, "pilot_xds_pushes", "Responses sent"),
            pilot_total_xds_rejects: family(&mut r, "pilot_total_xds_rejects", "Responses that proxies rejected"),
            rejects: [
                Some(rejects("pilot_xds_cds_reject", &mut r)),
                Some(rejects("pilot_xds_eds_reject", &mut r)),
                Some(rejects("pilot_xds_lds_reject", &mut r)),
                Some(rejects("pilot_xds_rds_reject", &mut r)),
                None,
                None,
            ],
            pilot_xds_config_size_bytes: histograms(
                &mut r,
                "pilot_xds_config_size_bytes",
                "Sizes of responses, in bytes",
                || Histogram::new([1e4, 1e5, 1e6, 4e6, 1e7, 4e7]),
            ),
            pilot_inbound_updates: family(&mut r, "pilot_inbound_updates", "Changes received from the source"),
            pilot_push_triggers: family(&mut r, "pilot_push_triggers", "Pushes by what triggered them"),
            sent_bytes: family(&mut r, "mainsheet_sent_bytes", "Bytes of responses handed to HTTP/2"),
            sent_messages: family(&mut r, "mainsheet_sent_messages", "Responses handed to HTTP/2"),
            sent_resources: family(&mut r, "mainsheet_sent_resources", "Resources and removals in responses"),
            bodies: family(&mut r, "mainsheet_bodies", "Shared bodies of several resources that were put together"),
            recompiles: family(&mut r, "mainsheet_recompiles", "Units of the mesh that were compiled"),
            encodes: family(&mut r, "mainsheet_encodes", "Resources that were encoded"),
            problems: family(&mut r, "mainsheet_problems", "Problems of the configuration as it stands"),
            change_to_ack: histograms(
                &mut r,
                "mainsheet_change_to_ack_seconds",
                "From the arrival of a change to its acknowledgement by a proxy",
                latencies,
            ),
            refused_streams: family(
                &mut r,
                "mainsheet_refused_streams",
                "Streams and connections refused or broken off",
            ),
            unserved_types: registered(&mut r, "mainsheet_unserved_types", "Requests for a type that is not served"),
            watch_answers: family(
                &mut r,
                "mainsheet_watch_last_answer_timestamp_seconds",
                "When the API server last answered a list or watch, in seconds since 1970; a watch is renewed every 30 s",
            ),
            watch_failures: family(
                &mut r,
                "mainsheet_watch_failures",
                "Lists and watches of the API server that failed",
            ),
            watch_failing: family(
                &mut r,
                "mainsheet_watch_failing",
                "1 while the list or watch of a resource fails and what was seen last stays in force, else 0",
            ),
            validation_passed: family(&mut r, "galley_validation_passed", "Objects that the webhook let pass"),
            validation_failed: family(&mut r, "galley_validation_failed", "Objects that the webhook refused"),
            validation_http_error: family(
                &mut r,
                "galley_validation_http_error",
                "Requests that the webhook could not answer with a verdict",
            ),
            leader: registered(
                &mut r,
                "mainsheet_leader",
                "1 while this replica leads and writes the status of objects",
            ),
            status_writes: family(
                &mut r,
                "mainsheet_status_writes",
                "Writes of the status of objects, by what became of them",
            ),
            events: family(&mut r, "mainsheet_events", "Events about objects, by what became of them"),
            status_waiting: registered(
                &mut r,
                "mainsheet_status_waiting",
                "Objects whose status is not yet what it should be",
            ),
            status_look: histogram(
                &mut r,
                "mainsheet_status_look_seconds",
                "How long it takes to see which objects have another status than they should",
            ),
            pilot_proxy_convergence_time: histogram(
                &mut r,
                "pilot_proxy_convergence_time",
                "From the arrival of a change until a proxy has acknowledged all that follows from it, in seconds",
            ),
            pilot_xds_push_time: histogram(
                &mut r,
                "pilot_xds_push_time",
                "From the arrival of a change until its snapshots are published, in seconds",
            ),
            pilot_xds_send_time: histogram(
                &mut r,
                "pilot_xds_send_time",
                "How long a response waits until HTTP/2 takes it, in seconds",
            ),
            pilot_services: registered(&mut r, "pilot_services", "Services in the mesh"),
            pilot_virt_services: registered(&mut r, "pilot_virt_services", "Virtual services in the mesh"),
            pilot_xds_expired_nonce: registered(&mut r, "pilot_xds_expired_nonce", "Requests with a nonce of the past"),
            pilot_xds_write_timeout: registered(
                &mut r,
                "pilot_xds_write_timeout",
                "Streams closed because the proxy stopped reading",
            ),
            pilot_total_xds_internal_errors: registered(
                &mut r,
                "pilot_total_xds_internal_errors",
                "Streams that ended by a fault of the control plane",
            ),
            pilot_total_rejected_configs: registered(
                &mut r,
                "pilot_total_rejected_configs",
                "Objects and fields that are not in force because they are wrong",
            ),
            streams: registered(&mut r, "mainsheet_streams", "ADS streams that are open"),
            connections: registered(&mut r, "mainsheet_connections", "Connections to the xDS port that are open"),
            viewpoints: registered(&mut r, "mainsheet_viewpoints", "Viewpoints from which proxies look at the mesh"),
            registry: Registry::default(),
        };
        r.register_collector(Box::new(process::Process));
        Self { registry: r, ..metrics }
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(64 << 10);
        match text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing into a string does not fail.
            Err(std::fmt::Error) => String::new(),
        }
    }

    /// Counts a response of type `kind` with `resources` resources and `removed` removals, and `len` bytes.
    pub fn sent(&self, kind: &'static str, resources: usize, removed: usize, len: usize) {
        self.pilot_xds_pushes.get_or_create(&[("type", kind)]).inc();
        self.sent_messages.get_or_create(&[("type", kind)]).inc();
        self.sent_resources.get_or_create(&[("type", kind)]).inc_by((resources + removed) as u64);
        self.sent_bytes.get_or_create(&[("type", kind)]).inc_by(len as u64);
        #[allow(clippy::cast_precision_loss, reason = "a histogram has no use for the last digit")]
        self.pilot_xds_config_size_bytes.get_or_create(&[("type", kind)]).observe(len as f64);
    }

    /// Counts a shared body that was put together.
    pub fn body_encoded(&self, kind: &'static str) {
        self.bodies.get_or_create(&[("type", kind)]).inc();
    }

    /// Counts a rejected response of the type with this place in the push order.
    pub fn rejected(&self, kind: &'static str, index: usize) {
        self.pilot_total_xds_rejects.get_or_create(&[("type", kind)]).inc();
        if let Some(Some(tally)) = self.rejects.get(index) {
            tally.inc();
        }
    }

    /// Notes how long it took from a change to the acknowledgement of a response of this type.
    pub fn acknowledged(&self, kind: &'static str, after: Duration) {
        self.change_to_ack.get_or_create(&[("type", kind)]).observe(after.as_secs_f64());
    }

    /// Counts changes of one kind that the source brought.
    pub fn inbound(&self, kind: &'static str, count: u64) {
        self.pilot_inbound_updates.get_or_create(&[("type", kind)]).inc_by(count);
    }

    /// Counts a push by what triggered it.
    pub fn triggered(&self, reason: &'static str) {
        self.pilot_push_triggers.get_or_create(&[("type", reason)]).inc();
    }

    /// Brings the number of units compiled so far up to date.
    pub fn recompiled(&self, unit: &'static str, so_far: u64) {
        raise(&self.recompiles.get_or_create(&[("unit", unit)]), so_far);
    }

    /// Brings the number of resources encoded so far up to date.
    pub fn encoded(&self, kind: &'static str, so_far: u64) {
        raise(&self.encodes.get_or_create(&[("type", kind)]), so_far);
    }

    /// Sets how many problems of a severity there are.
    pub fn problems(&self, severity: &'static str, count: usize) {
        self.problems.get_or_create(&[("severity", severity)]).set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Counts a stream or connection that was refused or broken off.
    pub fn refused(&self, reason: &'static str) {
        self.refused_streams.get_or_create(&[("reason", reason)]).inc();
    }

    /// Notes that the API server answered a list or watch of a resource.
    pub fn watch_answered(&self, resource: &'static str, at: SystemTime) {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.watch_answers.get_or_create(&[("resource", resource)]).set(i64::try_from(seconds).unwrap_or(i64::MAX));
        self.watch_failing.get_or_create(&[("resource", resource)]).set(0);
    }

    /// Counts a list or watch that failed.
    pub fn watch_failed(&self, resource: &'static str) {
        self.watch_failures.get_or_create(&[("resource", resource)]).inc();
        self.watch_failing.get_or_create(&[("resource", resource)]).set(1);
    }

    /// Forgets whether and when a resource was heard of that is not watched any more.
    pub fn watch_stopped(&self, resource: &'static str) {
        self.watch_answers.remove(&[("resource", resource)]);
        self.watch_failing.remove(&[("resource", resource)]);
    }

    /// Counts an object of a resource (`virtualservices`) that the webhook let pass or refused.
    pub fn validated(&self, resource: &'static str, allowed: bool) {
        let family = if allowed { &self.validation_passed } else { &self.validation_failed };
        family.get_or_create(&[("resource", resource)]).inc();
    }

    /// Counts a request that the webhook answered with an HTTP status other than 200.
    pub fn validation_http_error(&self, status: &'static str) {
        self.validation_http_error.get_or_create(&[("status", status)]).inc();
    }

    /// Says whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Counts a write of an object's status.
    pub fn status_written(&self, result: &'static str) {
        self.status_writes.get_or_create(&[("result", result)]).inc();
    }

    /// Counts an event about an object.
    pub fn event(&self, result: &'static str) {
        self.events.get_or_create(&[("result", result)]).inc();
    }

    /// Counts a request for a type that is not served.
    pub fn unserved_type(&self) {
        self.unserved_types.inc();
    }

    /// The gauge of proxies that name this version.
    #[must_use]
    pub fn proxies(&self, version: &str) -> Gauge {
        let label = self.version_label(version);
        self.pilot_xds.get_or_create(&[("version", label)]).clone()
    }

    /// A label for a version: one of a bounded set, with nothing in it that a version does not have.
    fn version_label(&self, version: &str) -> &'static str {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+');
        if version.is_empty() || version.len() > VERSION_LEN_MAX || !version.chars().all(plain) {
            return "unknown";
        }
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = versions.get(version) {
            return known;
        }
        if versions.len() >= VERSIONS_MAX {
            return "other";
        }
        // At most `VERSIONS_MAX` short strings live for ever, as the metrics labelled with them do.
        let label: &'static str = Box::leak(version.to_owned().into_boxed_str());
        versions.insert(label);
        label
    }
}

fn raise(counter: &Counter, so_far: u64) {
    counter.inner().fetch_max(so_far, std::sync::atomic::Ordering::Relaxed);
}

fn registered<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Clone + Default,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

fn family<S, M>(registry: &mut Registry, name: &str, help: &str) -> Family<S, M>
where
    Family<S, M>: prometheus_client::registry::Metric + Clone + Default,
{
    registered(registry, name, help)
}

fn histogram(registry: &mut Registry, name: &str, help: &str) -> Histogram {
    let metric = latencies();
    registry.register(name, help, metric.clone());
    metric
}

fn histograms(
    registry: &mut Registry,
    name: &str,
    help: &str,
    constructor: fn() -> Histogram,
) -> Family<Label, Histogram, fn() -> Histogram> {
    let metric = Family::new_with_constructor(constructor);
    registry.register(name, help, metric.clone());
    metric
}

/// From half a millisecond, which a push takes at best, to the half minute after which a proxy counts as stuck.
fn latencies() -> Histogram {
    Histogram::new([0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn istios_names_have_no_suffix_and_ours_follow_the_conventions() {
        let metrics = Metrics::new("1.2.3");
        metrics.sent("cds", 2, 1, 100);
        metrics.rejected("cds", 0);
        metrics.proxies("0.1.0").inc();
        metrics.recompiled("cluster", 3);
        metrics.recompiled("cluster", 2);
        metrics.problems("error", 4);
        metrics.acknowledged("cds", Duration::from_millis(3));
        let text = metrics.text();
        for line in [
            "pilot_xds_pushes{type=\"cds\"} 1",
            "pilot_total_xds_rejects{type=\"cds\"} 1",
            "pilot_xds_cds_reject 1",
            "pilot_xds{version=\"0.1.0\"} 1",
            "mainsheet_sent_bytes_total{type=\"cds\"} 100",
            "mainsheet_sent_resources_total{type=\"cds\"} 3",
            "mainsheet_recompiles_total{unit=\"cluster\"} 3",
            "mainsheet_problems{severity=\"error\"} 4",
            "pilot_info{version=\"1.2.3\"} 1",
            "istio_build{component=\"pilot\",tag=\"1.2.3\"} 1",
            "mainsheet_change_to_ack_seconds_count{type=\"cds\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
    }

    #[test]
    fn labels_from_proxies_are_bounded_and_plain() {
        let metrics = Metrics::new("1");
        assert_eq!(metrics.version_label("1.30\"} 1\n"), "unknown");
        assert_eq!(metrics.version_label(&"1".repeat(VERSION_LEN_MAX + 1)), "unknown");
        for number in 0..VERSIONS_MAX {
            assert_ne!(metrics.version_label(&number.to_string()), "other");
        }
        assert_eq!(metrics.version_label("one.too.many"), "other");
        assert_eq!(metrics.version_label("0"), "0");
    }
}
