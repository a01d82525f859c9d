//! The numbers of a run, as a table for people and JSON for tools.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde_json::{Value, json};

use super::{churn::Churn, run::Change, shape::Shape};

/// What one change cost.
#[derive(Debug, Clone, Default)]
pub struct Push {
    /// When each proxy had it, from the change of the file.
    pub latencies: Vec<Duration>,
    /// CPU seconds of the server.
    pub cpu: f64,
    /// Proxies that need the change.
    pub watchers: usize,
    /// Responses to all.
    pub messages: usize,
    /// Resources in them.
    pub resources: usize,
    /// Names removed.
    pub removed: usize,
    /// Bytes of the resources.
    pub bytes: usize,
}

impl Push {
    fn last_ms(&self) -> f64 {
        self.latencies.iter().max().map_or(0.0, |last| last.as_secs_f64() * 1e3)
    }

    fn median_ms(&self) -> f64 {
        let all: Vec<f64> = self.latencies.iter().map(|latency| latency.as_secs_f64() * 1e3).collect();
        median(all)
    }

    fn cpu_us_per_proxy(&self) -> f64 {
        self.cpu * 1e6 / self.watchers.max(1) as f64
    }
}

/// What it cost to connect everyone.
#[derive(Debug, Clone, Default)]
pub struct Storm {
    /// Proxies.
    pub proxies: usize,
    /// Until the last one was complete.
    pub wall: Duration,
    /// CPU seconds of the server.
    pub cpu: f64,
    /// Responses to all.
    pub messages: usize,
    /// Resources in them.
    pub resources: usize,
    /// Bytes of the resources.
    pub bytes: usize,
}

/// All numbers of a run.
#[derive(Debug)]
pub struct Report {
    shape: Shape,
    /// The first proxy of each viewpoint connects.
    pub compile: Option<Storm>,
    /// Everyone connects for the first time, here and at the floor.
    pub connect: Option<(Storm, Storm)>,
    /// Everyone comes back with what it held.
    pub resume: Option<Storm>,
    /// Each change, beside the floor's push of the same bytes to as many proxies.
    pub pushes: Vec<(Change, Push, Push)>,
    /// Messages sent for changes that nobody depends on.
    pub useless: Option<usize>,
    /// Steady changes of endpoints.
    pub churns: Vec<Churn>,
    /// Many pods replaced at once.
    pub roll: Option<Churn>,
    /// A steady rate without and with proxies that do not read.
    pub stall: Option<(Churn, Churn)>,
    /// Times until one more proxy was complete, here and at the floor.
    pub first: Option<(Vec<Duration>, Vec<Duration>)>,
    /// The share of a core that is taken while nothing happens, here and by the floor.
    pub idle: Option<(f64, f64)>,
    /// Resident bytes with the mesh loaded and nobody connected.
    pub rss_loaded: u64,
    /// The same with one proxy of each viewpoint connected.
    pub rss_model: u64,
    /// Resident bytes with everyone connected and complete.
    pub rss_connected: u64,
    /// Resident bytes of the floor for each stream.
    pub floor_rss_per_proxy: u64,
    /// Counters of the control plane at the end.
    pub counters: BTreeMap<String, u64>,
    /// A push of about a megabyte, and the resident bytes that it added at most.
    pub large: Option<(Push, u64)>,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            compile: None,
            connect: None,
            resume: None,
            pushes: Vec::new(),
            useless: None,
            churns: Vec::new(),
            roll: None,
            stall: None,
            first: None,
            idle: None,
            rss_loaded: 0,
            rss_model: 0,
            rss_connected: 0,
            floor_rss_per_proxy: 0,
            counters: BTreeMap::new(),
            large: None,
        }
    }

    /// Bytes that one more proxy adds to those of its viewpoint.
    fn rss_per_proxy(&self) -> u64 {
        self.rss_connected.saturating_sub(self.rss_model) / self.shape.proxies.max(1) as u64
    }

    fn of(&self, change: Change) -> impl Iterator<Item = (&Push, &Push)> {
        self.pushes.iter().filter(move |(kind, ..)| *kind == change).map(|(_, push, floor)| (push, floor))
    }

    /// The same numbers for tools.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let storm = |storm: &Storm| {
            json!({"wall_ms": storm.wall.as_secs_f64() * 1e3, "cpu_s": storm.cpu, "messages": storm.messages,
                   "resources": storm.resources, "bytes": storm.bytes})
        };
        let push = |push: &Push| {
            json!({"last_ms": push.last_ms(), "p50_ms": push.median_ms(), "cpu_s": push.cpu, "watchers": push.watchers,
                   "messages": push.messages, "resources": push.resources, "removed": push.removed, "bytes": push.bytes})
        };
        let churn = |churn: &Churn| {
            json!({"rate": churn.rate, "changes": churn.changes, "p50_ms": churn.percentile_ms(50),
                   "p99_ms": churn.percentile_ms(99), "push": push(&churn.push)})
        };
        let rounds: Vec<Value> = self
            .pushes
            .iter()
            .map(
                |(change, ours, floor)| json!({"change": change.name(), "mainsheet": push(ours), "floor": push(floor)}),
            )
            .collect();
        json!({
            "apiVersion": "mainsheet.dev/v1", "kind": "BenchReport", "shape": self.shape.name,
            "proxies": self.shape.proxies, "services": self.shape.services, "visible": self.shape.visible,
            "compile": self.compile.as_ref().map(storm),
            "connect": self.connect.as_ref().map(|(ours, floor)| json!({"mainsheet": storm(ours), "floor": storm(floor)})),
            "resume": self.resume.as_ref().map(storm), "rounds": rounds,
            "useless_messages": self.useless, "rss_loaded": self.rss_loaded, "rss_model": self.rss_model,
            "rss_connected": self.rss_connected, "rss_per_proxy": self.rss_per_proxy(),
            "churn": self.churns.iter().map(churn).collect::<Vec<_>>(), "roll": self.roll.as_ref().map(churn),
            "stall": self.stall.as_ref().map(|(alone, beside)| json!({"without": churn(alone), "with": churn(beside)})),
            "first": self.first.as_ref().map(|(ours, floor)| json!({"mainsheet_ms": millis(ours), "floor_ms": millis(floor)})),
            "idle": self.idle.map(|(ours, floor)| json!({"mainsheet_cores": ours, "floor_cores": floor})),
            "floor_rss_per_proxy": self.floor_rss_per_proxy, "counters": self.counters,
            "large": self.large.as_ref().map(|(ours, rss)| json!({"push": push(ours), "rss_added": rss})),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shape { name, services, endpoints, proxies, visible } = self.shape;
        writeln!(
            f,
            "shape {name}: {services} services x {endpoints} endpoints, {proxies} proxies that see {visible} each\n"
        )?;
        self.fmt_changes(f)?;
        for (label, storm) in [
            ("compile", &self.compile),
            ("connect", &self.connect.as_ref().map(|(ours, _)| ours.clone())),
            ("floor", &self.connect.as_ref().map(|(_, floor)| floor.clone())),
            ("resume", &self.resume),
        ] {
            if let Some(storm) = storm {
                writeln!(
                    f,
                    "{label:10} {} proxies in {:.2} s, {:.2} s CPU, {} messages, {} resources, {} bytes",
                    storm.proxies,
                    storm.wall.as_secs_f64(),
                    storm.cpu,
                    storm.messages,
                    storm.resources,
                    storm.bytes
                )?;
            }
        }
        writeln!(
            f,
            "memory     {} MB loaded, {} MB with one proxy of each viewpoint, then {} kB per proxy (floor {} kB)",
            self.rss_loaded >> 20,
            self.rss_model >> 20,
            self.rss_per_proxy() >> 10,
            self.floor_rss_per_proxy >> 10
        )?;
        if let Some(useless) = self.useless {
            writeln!(f, "useless    {useless} messages for changes that nobody depends on")?;
        }
        self.fmt_churns(f)?;
        if let Some((ours, floor)) = &self.first {
            let (of, at) = (percentile_ms(ours, 50), percentile_ms(floor, 50));
            writeln!(
                f,
                "first      one more proxy is complete after {of:.1} ms, at the floor after {at:.1} ms (medians)"
            )?;
        }
        if let Some((ours, floor)) = self.idle {
            writeln!(f, "idle       {:.2} m cores, floor {:.2}", ours * 1e3, floor * 1e3)?;
        }
        if let Some((push, rss)) = &self.large {
            writeln!(
                f,
                "large      {} bytes to {} proxies: last after {:.0} ms, {} MB more at most",
                push.bytes / push.watchers.max(1),
                push.watchers,
                push.last_ms(),
                rss >> 20
            )?;
        }
        Ok(())
    }
}

impl Report {
    fn fmt_changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pushes.is_empty() {
            return Ok(());
        }
        writeln!(
            f,
            "{:10} {:>9} {:>9} {:>9} {:>7} {:>9} {:>9} {:>7} {:>10} {:>10} {:>9}",
            "change",
            "proxies",
            "last ms",
            "floor ms",
            "ratio",
            "us/proxy",
            "floor us",
            "ratio",
            "messages",
            "resources",
            "bytes"
        )?;
        for change in Change::ALL {
            let rows: Vec<_> = self.of(change).collect();
            let of = |pick: &dyn Fn(&(&Push, &Push)) -> f64| median(rows.iter().map(pick).collect());
            let per_watcher = |count: usize, push: &Push| count as f64 / push.watchers.max(1) as f64;
            writeln!(
                f,
                "{:10} {:>9} {:>9.1} {:>9.1} {:>7.2} {:>9.0} {:>9.0} {:>7.2} {:>10.2} {:>10.2} {:>9.0}",
                change.name(),
                of(&|(ours, _)| ours.watchers as f64),
                of(&|(ours, _)| ours.last_ms()),
                of(&|(_, floor)| floor.last_ms()),
                of(&|(ours, floor)| ours.last_ms() / floor.last_ms().max(1e-3)),
                of(&|(ours, _)| ours.cpu_us_per_proxy()),
                of(&|(_, floor)| floor.cpu_us_per_proxy()),
                of(&|(ours, floor)| ours.cpu_us_per_proxy() / floor.cpu_us_per_proxy().max(1.0)),
                of(&|(ours, _)| per_watcher(ours.messages, ours)),
                of(&|(ours, _)| per_watcher(ours.resources, ours)),
                of(&|(ours, _)| per_watcher(ours.bytes, ours)),
            )?;
        }
        writeln!(
            f,
            "(messages, resources and bytes are per proxy that needs the change; medians of {} rounds)\n",
            self.of(Change::Endpoint).count()
        )?;
        Ok(())
    }

    fn fmt_churns(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stalls = self.stall.iter().flat_map(|(alone, beside)| [("without", alone), ("stalled", beside)]);
        for (label, churn) in self.churns.iter().map(|churn| ("churn", churn)).chain(stalls) {
            writeln!(
                f,
                "{label:10} {} pods/s: p50 {:.1} ms, p99 {:.1} ms, last {:.1} ms; {:.0} us CPU for each of {} deliveries; {} messages, {} bytes",
                churn.rate,
                churn.percentile_ms(50),
                churn.percentile_ms(99),
                churn.push.last_ms(),
                churn.push.cpu_us_per_proxy(),
                churn.push.watchers,
                churn.push.messages,
                churn.push.bytes
            )?;
        }
        if let Some(roll) = &self.roll {
            writeln!(
                f,
                "roll       {} pods: {} proxies have all {:.1} ms after the last was written; {:.3} s CPU, {} messages, {} bytes",
                roll.changes,
                roll.push.watchers,
                roll.push.last_ms(),
                roll.push.cpu,
                roll.push.messages,
                roll.push.bytes
            )?;
        }
        Ok(())
    }
}

/// The value that so many of a hundred do not exceed, in milliseconds.
pub(super) fn percentile_ms(all: &[Duration], percent: usize) -> f64 {
    let mut all = all.to_vec();
    all.sort_unstable();
    let at = (all.len() * percent).div_ceil(100).saturating_sub(1);
    all.get(at).map_or(0.0, |duration| duration.as_secs_f64() * 1e3)
}

fn millis(all: &[Duration]) -> Vec<f64> {
    all.iter().map(|duration| duration.as_secs_f64() * 1e3).collect()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}
