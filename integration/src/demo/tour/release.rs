//! New versions: round robin, blue-green, canaries.

use anyhow::{Result, ensure};

use crate::{
    client::Call,
    demo::tour::guide::{Guide, ensure_share, errors, told},
    tally::Tally,
};

/// A split between versions of reviews.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Canary {
    pub(super) title: &'static str,
    sample: &'static str,
    /// Percentages.
    shares: [(&'static str, u32); 3],
}

pub(super) const CANARY_95_5: Canary =
    Canary { title: "95/5", sample: "tasks/canary-95-5.yaml", shares: [("v1", 95), ("v2", 5), ("v3", 0)] };
pub(super) const CANARY_90_10: Canary =
    Canary { title: "90/10", sample: "tasks/canary-90-10.yaml", shares: [("v1", 90), ("v2", 10), ("v3", 0)] };
pub(super) const CANARY_50_50: Canary =
    Canary { title: "50/50", sample: "tasks/canary-50-50.yaml", shares: [("v1", 50), ("v2", 0), ("v3", 50)] };
pub(super) const CANARY_100: Canary =
    Canary { title: "100", sample: "seeds/canary-100.yaml", shares: [("v1", 0), ("v2", 100), ("v3", 0)] };

pub(super) async fn round_robin(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/round-robin.yaml").await?;
    let tally = guide.to_reviews().await;
    ensure_thirds(&tally)?;
    Ok(told(&tally))
}

pub(super) async fn blue_green(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("seeds/blue-green-v1.yaml").await?;
    let blue = guide.to_reviews().await;
    blue.ensure_only("v1")?;
    guide.apply("seeds/blue-green-v2.yaml").await?;
    let green = guide.to_reviews().await;
    green.ensure_only("v2")?;
    guide.delete().await?;
    let both = guide.to_reviews().await;
    both.ensure_all_ok()?;
    ensure!(["v1", "v2", "v3"].iter().all(|version| both.version(version) > 0), "{both}");
    let counts = |tally: &Tally| ["v1", "v2", "v3"].map(|version| tally.version(version).to_string()).join("/");
    let lost = errors(&blue) + errors(&green) + errors(&both);
    Ok(format!(
        "v1/v2/v3 {} → {} → {} of {} each; errors {lost}",
        counts(&blue),
        counts(&green),
        counts(&both),
        blue.total()
    ))
}

pub(super) async fn canary(guide: &mut Guide<'_>, canary: &Canary) -> Result<String> {
    guide.apply(canary.sample).await?;
    let tally = guide.to_reviews().await;
    tally.ensure_all_ok()?;
    for (version, percent) in canary.shares {
        ensure_share(&tally, version, tally.version(version), f64::from(percent) / 100.0)?;
    }
    Ok(told(&tally))
}

pub(super) async fn auth_canary(guide: &mut Guide<'_>) -> Result<String> {
    let before = guide.taken().await?;
    guide.add("tasks/auth-service.yaml")?;
    guide.add("tasks/auth-canary-subsets.yaml")?;
    guide.settled(before).await?;
    guide.apply("seeds/auth-canary.yaml").await?;
    let call = Call::get("guane-ocr-auth-service.default.svc.cluster.local:9080", "/reviews/0");
    let tally = guide.load_by_page(&call).connections(4).run(guide.requests()).await;
    tally.ensure_all_ok()?;
    // The sample lets reviews v1 and v2 play the safe and the risky version.
    let (safe, risky) = (tally.version("v1"), tally.version("v2"));
    ensure_share(&tally, "risky", risky, 0.1)?;
    ensure_share(&tally, "safe", safe, 0.9)?;
    Ok(format!("safe {safe}, risky {risky} of {}; errors {}", tally.total(), errors(&tally)))
}

fn ensure_thirds(tally: &Tally) -> Result<()> {
    tally.ensure_all_ok()?;
    ["v1", "v2", "v3"].iter().try_for_each(|version| ensure_share(tally, version, tally.version(version), 1.0 / 3.0))
}
