//! Endpoints that change all the time, as pods that come and go make them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use proto::ResourceType;

use super::{
    fleet::{Arrival, Fleet, Reading},
    report::{Push, percentile_ms},
    server::Server,
    shape::Shape,
};

/// Pods a second.
pub const RATES: [usize; 3] = [1, 10, 40];
/// How long a rate is kept up.
const SPAN: Duration = Duration::from_secs(20);
/// The last changes must have arrived after this long.
const LAST: Duration = Duration::from_secs(20);
/// When nothing has arrived for this long, nothing more is on its way.
const QUIET: Duration = Duration::from_millis(1500);
/// Pods that a roll replaces, and the services that they belong to.
const ROLLED: usize = 500;
const ROLLED_SERVICES: usize = 50;

/// Endpoints that changed at a steady rate.
#[derive(Debug, Clone, Default)]
pub struct Churn {
    /// Changes a second.
    pub rate: usize,
    /// Changes in all.
    pub changes: usize,
    /// For each change and proxy that needs it, the time from the change of the file; with CPU, messages and bytes.
    pub push: Push,
}

impl Churn {
    /// The time within which so many of a hundred deliveries were done, in milliseconds.
    #[must_use]
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        percentile_ms(&self.push.latencies, percent)
    }
}

/// A change that has not arrived everywhere.
struct Open {
    since: Instant,
    waiting: BTreeSet<usize>,
}

/// Changes endpoints at a rate and waits until all have arrived.
///
/// # Errors
/// When a change did not arrive, or not before the next one of its service.
pub async fn steady(server: &Server, fleet: &mut Fleet, mesh: (&Shape, &Path), rate: usize) -> Result<Churn> {
    let (shape, config) = mesh;
    let changes = rate * usize::try_from(SPAN.as_secs())?;
    let mut open: BTreeMap<usize, Open> = BTreeMap::new();
    let mut churn = Churn { rate, changes, ..Churn::default() };
    let before = server.usage()?;
    let start = Instant::now();
    for change in 0..changes {
        let due = start + SPAN.mul_f64(change as f64 / changes as f64);
        while let Ok(arrival) = tokio::time::timeout_at(due.into(), fleet.arrival(due + LAST)).await {
            churn.take(&mut open, &arrival?);
        }
        let service = change * 7 % shape.services;
        let waiting: BTreeSet<usize> = shape.watching(service).collect();
        churn.push.watchers += waiting.len();
        let since = Instant::now();
        // Rounds of their own for each rate, so that every change is one.
        shape.write_endpoints(config, service, rate * 50 + change / shape.services + 1)?;
        if open.insert(service, Open { since, waiting }).is_some() {
            bail!("the change before of service {service} has not arrived at a rate of {rate} a second");
        }
    }
    while !open.is_empty() {
        let arrival = fleet.arrival(start + SPAN + LAST).await;
        let arrival = arrival.with_context(|| format!("{} changes have not arrived", open.len()))?;
        churn.take(&mut open, &arrival);
    }
    churn.push.cpu = server.usage()?.cpu - before.cpu;
    Ok(churn)
}

impl Churn {
    fn take(&mut self, open: &mut BTreeMap<usize, Open>, arrival: &Arrival) {
        self.push.count(arrival);
        if arrival.kind != ResourceType::Endpoint {
            return;
        }
        for service in arrival.names.iter().filter_map(|name| Shape::service_of(name)) {
            let Some(change) = open.get_mut(&service) else { continue };
            if change.waiting.remove(&arrival.proxy) {
                self.push.latencies.push(arrival.at - change.since);
            }
            if change.waiting.is_empty() {
                open.remove(&service);
            }
        }
    }
}

/// Replaces pods as fast as can be written. The latencies count from the last one written: one for each response.
///
/// # Errors
/// When a proxy failed.
pub async fn roll(server: &Server, fleet: &mut Fleet, mesh: (&Shape, &Path)) -> Result<Churn> {
    let (shape, config) = mesh;
    let mut churn = Churn { changes: ROLLED, ..Churn::default() };
    let services: Vec<usize> = (0..shape.services).step_by(shape.namespaces()).take(ROLLED_SERVICES).collect();
    let before = server.usage()?;
    for pod in 0..ROLLED {
        let service = services.get(pod % services.len().max(1)).copied().unwrap_or_default();
        shape.write_endpoints(config, service, 100 + pod / ROLLED_SERVICES)?;
        tokio::task::yield_now().await;
    }
    let written = Instant::now();
    churn.push.watchers = services.first().map_or(0, |service| shape.watching(*service).count());
    for arrival in fleet.settle(QUIET).await? {
        churn.push.count(&arrival);
        churn.push.latencies.push(arrival.at.saturating_duration_since(written));
    }
    churn.push.cpu = server.usage()?.cpu - before.cpu;
    Ok(churn)
}

/// A rate with everyone reading, and then with a tenth as many proxies again that stopped.
///
/// # Errors
/// When a change did not arrive.
pub async fn stalled(server: &Server, fleet: &mut Fleet, mesh: (&Shape, &Path)) -> Result<(Churn, Churn)> {
    const RATE: usize = 10;
    let (shape, _) = mesh;
    let alone = steady(server, fleet, mesh, RATE).await?;
    let nodes = (0..shape.proxies.div_ceil(10)).map(|index| shape.node_id(shape.proxies + index)).collect();
    let mut idlers = Fleet::connect_reading(&server.address, nodes, BTreeMap::new(), Reading::Stops);
    idlers.settle(QUIET).await?;
    let beside = steady(server, fleet, mesh, RATE + 1).await?;
    drop(idlers);
    Ok((alone, beside))
}
