//! Pods that come and go because somebody said so: no request is lost.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::world::{World, note, page, reviews, stopped};

pub(crate) async fn are_scaled_and_rolled(world: &World) -> Result<()> {
    let begun = Instant::now();
    let (to_reviews, to_page) = (world.load(&reviews(), 100), world.load(&page(), 10));

    world.run("kubectl scale deployment/reviews-v1 --replicas=5").await?;
    let five = world.settled("reviews", "v1", 5).await?;
    world.answered_by(&reviews(), "v1", &five).await?;

    world.run("kubectl set image deployment/reviews-v1 reviews=registry.example/bookinfo:2").await?;
    world.run("kubectl rollout restart deployment/productpage-v1").await?;
    let rolled = world.settled("reviews", "v1", 5).await?;
    ensure!(rolled.is_disjoint(&five), "{rolled:?} were {five:?}");
    world.answered_by(&reviews(), "v1", &rolled).await?;

    world.run("kubectl scale deployment/reviews-v1 --replicas=1").await?;
    let one = world.settled("reviews", "v1", 1).await?;
    ensure!(one.is_subset(&rolled), "{one:?} was not one of {rolled:?}");
    world.answered_by(&reviews(), "v1", &one).await?;

    world.settled("productpage", "v1", 1).await?;
    for (what, load) in [("reviews scaled, rolled, scaled back", to_reviews), ("pages meanwhile", to_page)] {
        let tally = stopped(load).await;
        note(what, begun, &tally);
        tally.ensure_all_ok()?;
    }
    Ok(())
}
