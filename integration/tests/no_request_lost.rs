//! Steady load while the mesh is edited at random and its control plane is killed twice; `make soak` is the long form.

use std::time::Duration;

use anyhow::Result;
use integration::soak::{self, Plan};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_while_the_mesh_is_edited_and_its_control_plane_killed() -> Result<()> {
    let plan = Plan { seed: 20_261, duration: Duration::from_secs(15), edits: 500, kills: 2, per_second: 150 };
    soak::scenario("no_request_is_lost_while_the_mesh_is_edited_and_its_control_plane_killed")
        .run(async |mesh| {
            let outcome = soak::run(mesh, plan, |_| ()).await?;
            println!("{outcome}");
            outcome.ensure_nothing_lost()
        })
        .await
}
