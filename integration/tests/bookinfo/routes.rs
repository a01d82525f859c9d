//! Routes that are applied with kubectl.

use std::time::Instant;

use anyhow::Result;

use crate::world::{World, note, reviews, stopped};

const REQUESTS: u64 = 2_000;

pub(crate) async fn are_applied(world: &World) -> Result<()> {
    let begun = Instant::now();
    let load = world.load(&reviews(), 100);

    world.run("kubectl apply --server-side -f manifests/samples/tasks/canary-90-10.yaml").await?;
    for caller in &world.callers {
        caller.eventually("v3 to get nothing", &reviews(), |tally| tally.version("v3") == 0).await?;
        caller.ensure_shares(&reviews(), REQUESTS, &[("v1", 0.9), ("v2", 0.1)]).await?;
    }

    world.run("kubectl apply --server-side -f manifests/samples/tasks/route-by-user.yaml").await?;
    let as_jason = reviews().header("end-user", "jason");
    for caller in &world.callers {
        for (call, version) in [(&as_jason, "v2"), (&reviews(), "v1")] {
            let what = format!("only {version} to answer");
            caller.eventually(&what, call, |tally| tally.ensure_only(version).is_ok()).await?;
            caller.load(call).run(200).await.ensure_only(version)?;
        }
    }

    world.run("kubectl delete -f manifests/samples/tasks/route-by-user.yaml").await?;
    for caller in &world.callers {
        caller.eventually("v3 to answer again", &reviews(), |tally| tally.version("v3") > 0).await?;
    }
    let tally = stopped(load).await;
    note("a canary, a route by header, and neither", begun, &tally);
    tally.ensure_all_ok()
}
