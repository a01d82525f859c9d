//! A proxy that notes all that it is sent.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use integration::{
    bench::fleet::{Arrival, Fleet},
    wait::DEADLINE,
};
use proto::ResourceType;
use serde_json::Value;

use crate::world::{World, service};

/// Services of these ports are marks, one after the other.
const FIRST_MARK: u16 = 9000;

/// A connected proxy.
pub(crate) struct Witness {
    fleet: Fleet,
    marks: u16,
}

impl Witness {
    /// A proxy that has all that there is for it, from a control plane that takes changes.
    pub(crate) async fn new(world: &World) -> Result<Self> {
        let mut witness = Self::early(world);
        witness.until_marked(world).await?;
        Ok(witness)
    }

    /// A proxy that has nothing yet.
    pub(crate) fn early(world: &World) -> Self {
        Self { fleet: connect(world), marks: 0 }
    }

    /// The first that it is sent.
    pub(crate) async fn first(&mut self) -> Result<Arrival> {
        self.fleet.arrival(Instant::now() + DEADLINE * 2).await
    }

    /// All that was sent until a change that is made now has come, without what that change itself is. What is sent comes
    /// in order, so nothing else is under way then.
    pub(crate) async fn sent(&mut self, world: &World) -> Result<Vec<Arrival>> {
        let mark = self.marks;
        let all = self.until_marked(world).await?;
        let (name, port) = (mark_name(mark), (FIRST_MARK + mark).to_string());
        let is_of_the_mark = |arrival: &Arrival| {
            arrival.removed == 0
                && arrival.resources == arrival.names.len()
                && arrival.names.iter().all(|resource| resource.contains(&name) || resource.ends_with(&port))
        };
        Ok(all.into_iter().filter(|arrival| !is_of_the_mark(arrival)).collect())
    }

    /// Fails if anything was sent that the next change does not explain.
    pub(crate) async fn nothing_was_sent(&mut self, world: &World) -> Result<()> {
        let sent = self.sent(world).await?;
        ensure!(sent.is_empty(), "sent again: {sent:#?}");
        Ok(())
    }

    async fn until_marked(&mut self, world: &World) -> Result<Vec<Arrival>> {
        let port = FIRST_MARK + self.marks;
        world.apply(mark(self.marks)).await?;
        self.marks += 1;
        // The last of a new service is the route of its port.
        let port = port.to_string();
        self.until(|arrival| arrival.kind == ResourceType::Route && arrival.names.iter().any(|name| **name == *port))
            .await
    }

    /// All that comes up to the first that `is_last`.
    pub(crate) async fn until(&mut self, is_last: impl Fn(&Arrival) -> bool) -> Result<Vec<Arrival>> {
        let deadline = Instant::now() + DEADLINE * 2;
        let mut all = Vec::new();
        loop {
            let arrival =
                self.fleet.arrival(deadline).await.map_err(|error| error.context(format!("after {all:#?}")))?;
            let ends = is_last(&arrival);
            all.push(arrival);
            if ends {
                return Ok(all);
            }
        }
    }
}

/// How long it takes a proxy that comes now to have the clusters and listeners: nothing changes meanwhile.
pub(crate) async fn first_configuration(world: &World) -> Result<Duration> {
    let begun = Instant::now();
    let mut witness = Witness::early(world);
    witness.until(|arrival| arrival.kind == ResourceType::Route).await?;
    Ok(begun.elapsed())
}

fn connect(world: &World) -> Fleet {
    let node = "sidecar~10.1.9.9~witness.default~default.svc.cluster.local".to_owned();
    Fleet::connect(&world.control_plane.xds().to_string(), vec![node], BTreeMap::new())
}

fn mark_name(number: u16) -> String {
    format!("mark-{number}")
}

fn mark(number: u16) -> Value {
    service(&mark_name(number), FIRST_MARK + number)
}
