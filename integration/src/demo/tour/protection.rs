//! Protection from faults: retries, the circuit breaker, outlier detection.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    bookinfo::behaviour::Behaviour,
    demo::tour::guide::{Guide, errors, ratings, reviews, told},
    wait,
};

/// Requests at one time at the circuit breaker.
const CROWD: u32 = 10;
/// How slow ratings are there, so that the crowd meets.
const SLOW_MS: u64 = 200;
/// Consecutive failures after which the sample ejects.
const FAILURES: u64 = 3;
/// The sample ejects for 5 s and looks every second.
const RETURN_MAX: Duration = Duration::from_secs(20);

pub(super) async fn retries(guide: &mut Guide<'_>) -> Result<String> {
    let failing = Behaviour { status: 500, every: 2, ..Behaviour::default() };
    guide.behave("ratings-v1", failing).await?;
    let load = guide.load_by_reviews(&ratings())?;
    let total = guide.requests() / 2;
    let before = load.run(total).await;
    ensure!(before.status(500) == total.div_ceil(2), "every second request is to fail: {before}");
    guide.apply("tasks/ratings-retries.yaml").await?;
    guide.behave("ratings-v1", failing).await?;
    let after = load.run(total).await;
    after.ensure_only("v1")?;
    let (asked, _) = guide.seen("ratings-v1").await?;
    ensure!(asked == 2 * total, "ratings were asked {asked} times for {total} requests");
    Ok(format!(
        "errors {} of {total} without, 0 of {total} with retries; ratings were asked {asked} times",
        errors(&before)
    ))
}

pub(super) async fn circuit_breaker(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/ratings-circuit-breaker.yaml").await?;
    guide.behave("ratings-v1", Behaviour { delay_ms: SLOW_MS, ..Behaviour::default() }).await?;
    let tally = guide.load_by_reviews(&ratings())?.connections(CROWD).run(u64::from(CROWD) * 5).await;
    let (answered, refused) = (tally.status(200), tally.status(503));
    ensure!(answered > 0 && refused > 0 && answered + refused == tally.total(), "{tally}");
    let (_, at_one_time) = guide.seen("ratings-v1").await?;
    ensure!(at_one_time == 1, "ratings had {at_one_time} requests at one time");
    Ok(format!(
        "{CROWD} callers, ratings take {SLOW_MS} ms: {answered} answered, {refused} refused at once (503); \
         ratings had {at_one_time} request at one time"
    ))
}

pub(super) async fn outlier_detection(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/reviews-outlier-detection.yaml").await?;
    guide.behave("reviews-v3", Behaviour { status: 500, every: 1, ..Behaviour::default() }).await?;
    let load = guide.load_by_page(&reviews());
    let ill = load.run(guide.requests() / 2).await;
    // A slow machine may need longer than an ejection lasts: then v3 is tried, and ejected, again.
    let failed = ill.status(500);
    ensure!((FAILURES..=FAILURES * 4).contains(&failed), "{ill}");
    ensure!(failed + ill.status(200) == ill.total(), "{ill}");
    guide.behave("reviews-v3", Behaviour::default()).await?;
    let well = wait::until_within(RETURN_MAX, "v3 to come back", async || {
        let tally = load.run(30).await;
        tally.ensure_all_ok()?;
        ensure!(tally.version("v3") > 0, "{tally}");
        Ok(tally)
    })
    .await?;
    Ok(format!(
        "v3 fails: errors {failed} of {}, then it is left out; healed, it comes back: {}",
        ill.total(),
        told(&well)
    ))
}
