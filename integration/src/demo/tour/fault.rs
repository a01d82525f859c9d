//! Faults on purpose: late and failing ratings, and what a timeout makes of them.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::{
    bookinfo::page::{NO_RATINGS, NO_REVIEWS},
    demo::tour::guide::{Guide, ensure_share, ratings, reviews, times, told},
};

const DELAY: Duration = Duration::from_secs(2);
const TIMEOUT: Duration = Duration::from_millis(500);
/// Envoy reads the clock once for each turn of its event loop, so that its timers may seem to end this much early.
const EARLY: Duration = Duration::from_millis(10);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(2);
/// Slow requests are few, all at one time.
const SLOW_REQUESTS: u32 = 20;
/// How often the page is loaded: enough to meet a version with stars.
const PAGES: u32 = 12;

pub(super) async fn delay(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("seeds/ratings-delay-2s.yaml").await?;
    let load = guide.load_by_reviews(&ratings())?.connections(SLOW_REQUESTS);
    let tally = load.run(u64::from(SLOW_REQUESTS)).await;
    tally.ensure_only("v1")?;
    let (fastest, slowest) = (tally.percentile(0.0), tally.percentile(1.0));
    ensure!(fastest >= DELAY && slowest < DELAY + SLACK, "{fastest:?} to {slowest:?}");
    Ok(format!("{}; the fastest took {fastest:.1?}", told(&tally)))
}

pub(super) async fn abort(guide: &mut Guide<'_>, percent: u8) -> Result<String> {
    guide.apply(&format!("tasks/ratings-abort-{percent}.yaml")).await?;
    let tally = guide.load_by_reviews(&ratings())?.connections(4).run(guide.requests()).await;
    let failed = tally.status(500);
    ensure!(failed + tally.status(200) == tally.total(), "{tally}");
    ensure_share(&tally, "failed", failed, f64::from(percent) / 100.0)?;
    let mut with_words = 0;
    for _ in 0..PAGES {
        let page = guide.page().await?.text();
        ensure!(!page.contains(NO_REVIEWS), "a page came without reviews");
        with_words += u32::from(page.contains(NO_RATINGS));
    }
    ensure!(percent < 100 || with_words > 0, "no page said that the stars did not come");
    Ok(format!("500 for {failed} of {}; {with_words} of {PAGES} pages came without stars and said so", tally.total()))
}

pub(super) async fn timeout(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/reviews-timeout-500ms.yaml").await?;
    let tally = guide.load_by_page(&reviews()).connections(SLOW_REQUESTS).run(u64::from(SLOW_REQUESTS)).await;
    ensure!(tally.status(504) == tally.total(), "{tally}");
    let (fastest, slowest) = (tally.percentile(0.0), tally.percentile(1.0));
    ensure!(fastest + EARLY >= TIMEOUT && slowest < TIMEOUT + SLACK, "{fastest:?} to {slowest:?}");
    let page = guide.page().await?;
    ensure!(page.text().contains(NO_REVIEWS), "the page has reviews all the same");
    Ok(format!(
        "504 for {} of {}; {}; the page says that the reviews did not come",
        tally.status(504),
        tally.total(),
        times(&tally)
    ))
}
