//! Hosts outside the mesh, known and unknown, and files that are not to take effect.

use anyhow::{Context, Result, ensure};

use crate::{
    client::Call,
    demo::tour::guide::{Guide, reviews, told},
    wait,
};

/// Published files with misprints, and what the answer must name.
const MISPRINTED_ROUTES: [(&str, &str); 2] = [
    ("mistakes/canary-90-10-misplaced-weight.yaml", "did you mean spec.http[0].route[0].weight?"),
    ("mistakes/reviews-timeout-misplaced.yaml", "did you mean spec.http[0].timeout?"),
];
/// Another object, so it stands beside the routes.
const MISPRINTED_RULE: (&str, &str) =
    ("mistakes/auth-canary-subsets-misplaced-name.yaml", "did you mean spec.subsets[0].name?");

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

/// What is in force stays in force while a file with a misprint takes its place, and each misprint is answered with what was meant.
pub(super) async fn misprint(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("seeds/blue-green-v1.yaml").await?;
    let mut answers = Vec::new();
    for (file, meant) in MISPRINTED_ROUTES {
        guide.put(file)?;
        answers.push(answer(guide, meant).await?);
    }
    let (file, meant) = MISPRINTED_RULE;
    guide.add(file)?;
    answers.push(answer(guide, meant).await?);
    let tally = guide.to_reviews().await;
    tally.ensure_only("v1")?;
    Ok(format!("{}: the last good route stays in force\n       {}", told(&tally), answers.join("\n       ")))
}

/// The line of the control plane that names what was meant.
async fn answer(guide: &Guide<'_>, meant: &str) -> Result<String> {
    wait::until("the control plane to say what was meant", async || {
        let problems = guide.problems().await?;
        let answer = problems.iter().find(|line| line.contains(meant)).cloned();
        answer.with_context(|| format!("it says {problems:?}, not {meant}"))
    })
    .await
}
