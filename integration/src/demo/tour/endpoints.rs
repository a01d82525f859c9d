//! Change under load: endpoints come and go, routes are edited, the control plane dies; no request may be lost.

use std::time::Duration;

use anyhow::Result;

use crate::{
    demo::tour::guide::{Guide, errors, reviews, times},
    load::Running,
    tally::Tally,
};

/// As many callers at one time as in the load tests that elastic platforms were measured with.
const CALLERS: u32 = 40;
const PER_SECOND: u32 = 200;
/// How long a load runs before and after a change.
const PAUSE: Duration = Duration::from_millis(500);
const EDITS: [&str; 5] = [
    "seeds/blue-green-v1.yaml",
    "seeds/blue-green-v2.yaml",
    "tasks/canary-50-50.yaml",
    "tasks/route-by-user.yaml",
    "seeds/canary-100.yaml",
];

pub(super) async fn come_and_go(guide: &mut Guide<'_>) -> Result<String> {
    let load = steady(guide);
    tokio::time::sleep(PAUSE).await;
    for file in ["endpoints-reviews-v3.yaml", "endpoints-reviews-v2.yaml"] {
        let before = guide.taken().await?;
        guide.take_away(file)?;
        guide.settled(before).await?;
    }
    let one = guide.to_reviews().await;
    one.ensure_only("v1")?;
    for _ in 0..2 {
        let before = guide.taken().await?;
        guide.bring_back()?;
        guide.settled(before).await?;
    }
    Ok(format!("3 → 2 → 1 → 2 → 3 endpoints, {}", lost_none(load).await?))
}

pub(super) async fn edits_under_load(guide: &mut Guide<'_>) -> Result<String> {
    let load = steady(guide);
    for edit in EDITS {
        guide.apply(edit).await?;
    }
    guide.delete().await?;
    Ok(format!("{} edits, {}", EDITS.len() + 1, lost_none(load).await?))
}

pub(super) async fn restart(guide: &mut Guide<'_>) -> Result<String> {
    let load = steady(guide);
    tokio::time::sleep(PAUSE).await;
    guide.stage().control_plane().kill();
    tokio::time::sleep(PAUSE).await;
    guide.stage().control_plane().restart().await?;
    guide.all_synced().await?;
    // It is the one that serves now: an edit takes effect.
    guide.apply("seeds/blue-green-v2.yaml").await?;
    guide.to_reviews().await.ensure_only("v2")?;
    Ok(format!("killed, restarted, edited, {}", lost_none(load).await?))
}

fn steady(guide: &Guide<'_>) -> Running {
    guide.load_by_page(&reviews()).connections(CALLERS).start(PER_SECOND)
}

async fn lost_none(load: Running) -> Result<String> {
    tokio::time::sleep(PAUSE).await;
    let tally: Tally = load.stop().await;
    tally.ensure_all_ok()?;
    Ok(format!("{CALLERS} callers, {} requests: errors {}; {}", tally.total(), errors(&tally), times(&tally)))
}
