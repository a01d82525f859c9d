//! Steady load while the mesh is edited at random and its control plane is killed; `make soak` is the long form.

use std::time::Duration;

use anyhow::Result;
use integration::{
    envoy::Protocol,
    soak::{self, Plan},
};

async fn ensure_nothing_lost(name: &str, plan: Plan) -> Result<()> {
    soak::scenario(name, plan.protocol)
        .run(async |mesh| {
            let outcome = soak::run(mesh, plan, |_| ()).await?;
            println!("{outcome}");
            outcome.ensure_nothing_lost()
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_the_mesh_is_edited_and_its_control_plane_killed() -> Result<()> {
    let name = "no_request_is_lost_while_the_mesh_is_edited_and_its_control_plane_killed";
    let duration = Duration::from_secs(15);
    let plan = Plan { protocol: Protocol::Delta, seed: 20_261, duration, edits: 500, kills: 2, per_second: 100 };
    ensure_nothing_lost(name, plan).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_in_the_state_of_the_world_if_edits_rest_while_the_control_plane_is_dead() -> Result<()> {
    let name = "no_request_is_lost_in_the_state_of_the_world_if_edits_rest_while_the_control_plane_is_dead";
    let duration = Duration::from_secs(10);
    let plan = Plan { protocol: Protocol::Sotw, seed: 20_262, duration, edits: 250, kills: 2, per_second: 100 };
    ensure_nothing_lost(name, plan).await
}
