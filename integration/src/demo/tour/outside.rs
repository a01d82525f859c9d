//! Hosts outside the mesh, known and unknown, and files that are not to take effect.

use anyhow::{Result, ensure};

use crate::{
    client::Call,
    demo::tour::guide::{Guide, reviews, told},
};

pub(super) async fn host(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/outside-host.yaml").await?;
    let call = Call::get("publisher.example.com:8081", "/stock/0");
    let tally = guide.load_by_page(&call).connections(2).run(guide.requests() / 4).await;
    tally.ensure_all_ok()?;
    let answered = tally.apps().get("publisher").copied().unwrap_or_default();
    ensure!(answered == tally.total(), "{tally}");
    Ok(format!("publisher.example.com answered {answered} of {}; errors 0", tally.total()))
}

pub(super) async fn registry_only(guide: &mut Guide<'_>) -> Result<String> {
    let unknown = Call::get("nowhere.example.com:9080", "/");
    let before = guide.ask(&unknown).await?.status;
    ensure!(before != 502, "unknown hosts are blocked before they should be");
    guide.apply("tasks/registry-only.yaml").await?;
    let blocked = guide.load_by_page(&unknown).run(guide.requests() / 10).await;
    ensure!(blocked.failed() == 0 && blocked.status(502) == blocked.total(), "{blocked}");
    let known = guide.load_by_page(&reviews()).run(guide.requests() / 10).await;
    known.ensure_all_ok()?;
    Ok(format!("unknown host: 502 for {} of {}; reviews: {}", blocked.status(502), blocked.total(), told(&known)))
}

/// What is in force stays in force while a file with a misprint takes its place.
pub(super) async fn misprint(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("seeds/blue-green-v1.yaml").await?;
    guide.put("mistakes/canary-90-10-misplaced-weight.yaml")?;
    guide.put("mistakes/reviews-timeout-misplaced.yaml")?;
    // The proof that the control plane has read them: a file that came later is in force.
    let before = guide.taken().await?;
    guide.add("tasks/outside-host.yaml")?;
    guide.settled(before).await?;
    let tally = guide.to_reviews().await;
    tally.ensure_only("v1")?;
    Ok(format!("{}: the last good route stays in force", told(&tally)))
}
