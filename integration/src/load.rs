//! Load: the same request many times over kept connections, as fast as answers come or at a steady rate.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Result;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior},
};

use crate::{
    client::{Answer, Call, Connection},
    tally::Tally,
};

/// What each request of a load is: its number from 0, counted per connection.
type Calls = Arc<dyn Fn(u64) -> Call + Send + Sync>;
/// What is wrong with an answer, if anything is.
type Check = Arc<dyn Fn(&Call, &Answer) -> Option<String> + Send + Sync>;

/// A load to run.
#[derive(Clone)]
pub struct Load {
    address: SocketAddr,
    calls: Calls,
    check: Check,
    connections: u32,
}

impl std::fmt::Debug for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Load")
            .field("address", &self.address)
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// A steady load that is running.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    workers: JoinSet<Tally>,
}

impl Load {
    /// The same request again and again, through the listener at `address`, over one connection.
    #[must_use]
    pub fn new(address: SocketAddr, call: Call) -> Self {
        Self::varied(address, move |_| call.clone())
    }

    /// Requests that depend on their number.
    #[must_use]
    pub fn varied(address: SocketAddr, calls: impl Fn(u64) -> Call + Send + Sync + 'static) -> Self {
        Self { address, calls: Arc::new(calls), check: Arc::new(|_, _| None), connections: 1 }
    }

    /// The same over so many connections at once.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Self {
        self.connections = connections.max(1);
        self
    }

    /// The same where an answer for which `check` has words counts as failed.
    #[must_use]
    pub fn checked(mut self, check: impl Fn(&Call, &Answer) -> Option<String> + Send + Sync + 'static) -> Self {
        self.check = Arc::new(check);
        self
    }

    /// Sends `total` requests, each connection its next one as soon as it has the answer to the last.
    pub async fn run(&self, total: u64) -> Tally {
        let mut workers = JoinSet::new();
        let connections = u64::from(self.connections);
        for worker in 0..connections {
            let share = total / connections + u64::from(worker < total % connections);
            let load = self.clone();
            workers.spawn(async move { load.closed_loop(share).await });
        }
        joined(workers).await
    }

    /// Starts sending `per_second` requests each second, spread evenly over time and connections, until stopped.
    ///
    /// Times are counted from when a request was due, so that a stall shows in all that it held up.
    #[must_use]
    pub fn start(&self, per_second: u32) -> Running {
        let (stop, stopped) = watch::channel(false);
        let period = Duration::from_secs(1) * self.connections / per_second.max(1);
        let mut workers = JoinSet::new();
        let started = Instant::now();
        for worker in 0..self.connections {
            let first = started + period * worker / self.connections;
            workers.spawn(self.clone().open_loop(started, first, period, stopped.clone()));
        }
        Running { stop, workers }
    }

    async fn closed_loop(self, total: u64) -> Tally {
        let started = Instant::now();
        let mut connection = Connection::to(self.address);
        let mut tally = Tally::default();
        for number in 0..total {
            let due = Instant::now();
            self.one(&mut connection, number, due, &mut tally, started).await;
        }
        tally.add_opened(connection.opened());
        tally
    }

    async fn open_loop(
        self,
        started: Instant,
        first: Instant,
        period: Duration,
        mut stopped: watch::Receiver<bool>,
    ) -> Tally {
        let mut connection = Connection::to(self.address);
        let mut tally = Tally::default();
        let mut ticks = tokio::time::interval_at(first, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut number = 0;
        loop {
            tokio::select! {
                _ = stopped.changed() => break,
                due = ticks.tick() => self.one(&mut connection, number, due, &mut tally, started).await,
            }
            number += 1;
        }
        tally.add_opened(connection.opened());
        tally
    }

    async fn one(&self, connection: &mut Connection, number: u64, due: Instant, tally: &mut Tally, started: Instant) {
        let call = (self.calls)(number);
        let outcome: Result<Answer> = connection.send(&call).await;
        let at = started.elapsed();
        match &outcome {
            Ok(answer) => {
                tally.add_answer(answer, due.elapsed());
                if let Some(wrong) = (self.check)(&call, answer) {
                    tally.add_wrong(at, &wrong);
                }
            }
            Err(error) => tally.add_error(at, &format!("{error:#}")),
        }
    }
}

impl Running {
    /// Stops the load and counts it.
    pub async fn stop(self) -> Tally {
        // Fails only if every worker is gone, which the tally shows.
        let _ = self.stop.send(true);
        joined(self.workers).await
    }
}

async fn joined(mut workers: JoinSet<Tally>) -> Tally {
    let mut tally = Tally::default();
    while let Some(part) = workers.join_next().await {
        match part {
            Ok(part) => tally.join(part),
            Err(error) => tally.add_wrong(Duration::ZERO, &format!("a worker of the load ended early: {error}")),
        }
    }
    tally
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;

    #[tokio::test]
    async fn a_closed_loop_sends_exactly_what_it_is_told_over_kept_connections() {
        let app = App::start("ratings", "v1", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let tally = Load::new(app.address(), Call::get("ratings", "/")).connections(4).run(50).await;
        tally.ensure_only("v1").unwrap();
        assert_eq!((tally.total(), app.requests(), app.connections()), (50, 50, 4));
    }

    #[tokio::test]
    async fn a_steady_load_keeps_its_rate_and_counts_wrong_answers() {
        let app = App::start("ratings", "v1", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let load = Load::varied(app.address(), |number| Call::get("ratings", &format!("/{number}"))).connections(2);
        let load = load.checked(|_, answer| (answer.header("x-path") == "/3").then(|| "three".to_owned()));
        let running = load.start(200);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let tally = running.stop().await;
        assert!((20..=70).contains(&tally.total()), "{tally}");
        assert_eq!(tally.failed(), 2, "{tally}");
    }
}
