//! Bookinfo in a whole cluster, with the commands of the README: real pods come and go, and Envoys beside the cluster follow.

#![allow(clippy::indexing_slicing, reason = "an index into JSON that is not there gives null")]

mod node;
mod pods;
mod routes;
mod world;

use anyhow::Result;
use integration::{
    cluster::isolate,
    outside::{self, Program},
};
use world::World;

const NAME: &str = "envoys_follow_every_change_of_real_pods";

#[test]
fn envoys_follow_every_change_of_real_pods() -> Result<()> {
    if !outside::all_present(NAME, &[Program::Envoy, Program::ControlPlane, Program::Agent, Program::Bookinfo])? {
        return Ok(());
    }
    isolate::test(NAME, async || {
        let mut world = World::start().await?;
        let outcome = steps(&mut world).await;
        outcome.map_err(|error| error.context(world.report()))
    })
}

async fn steps(world: &mut World) -> Result<()> {
    pods::are_scaled_and_rolled(world).await?;
    routes::are_applied(world).await?;
    node::is_lost_and_comes_back(world).await?;
    world.ensure_nothing_was_refused().await
}
