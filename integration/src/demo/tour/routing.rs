//! Where a request goes by what it says, and what happens to it on the way.

use anyhow::{Result, ensure};
use hyper::Method;

use crate::{
    bookinfo::behaviour::Behaviour,
    client::Call,
    demo::tour::guide::{Guide, reviews, told},
    tally::Tally,
    wait,
};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1";
const ANDROID: &str = "Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/128.0";
/// How many users are watched, and how often each comes.
const USERS: u64 = 30;
const VISITS: u64 = 10;

/// Requests of one kind, and the version that must answer all of them.
struct Expected {
    kind: &'static str,
    call: Call,
    version: &'static str,
}

pub(super) async fn by_device(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/route-by-device.yaml").await?;
    let from = |kind, agent: &str, version| Expected { kind, call: reviews().header("user-agent", agent), version };
    let expected = [from("iPhone", IPHONE, "v3"), from("Android", ANDROID, "v2"), from("others", "curl/8", "v1")];
    each(guide, &expected).await
}

pub(super) async fn by_user(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/route-by-user.yaml").await?;
    let user = |kind, version| Expected { kind, call: reviews().header("end-user", kind), version };
    let others = Expected { kind: "nobody", call: reviews(), version: "v1" };
    each(guide, &[user("jason", "v2"), user("ana", "v1"), others]).await
}

pub(super) async fn by_path(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/route-by-path.yaml").await?;
    let path = |kind, version| Expected { kind, call: Call::get("reviews:9080", kind), version };
    each(guide, &[path("/reviews/new", "v3"), path("/reviews/0", "v1")]).await
}

pub(super) async fn by_method(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/route-by-method.yaml").await?;
    let posted = Expected { kind: "POST", call: reviews().method(Method::POST), version: "v3" };
    each(guide, &[posted, Expected { kind: "GET", call: reviews(), version: "v1" }]).await
}

/// Sends a share of the requests for each kind.
async fn each(guide: &Guide<'_>, expected: &[Expected]) -> Result<String> {
    let mut told = Vec::new();
    let share = guide.requests() / u64::try_from(expected.len()).unwrap_or(1).max(1);
    for Expected { kind, call, version } in expected {
        let tally = guide.load_by_page(call).connections(2).run(share).await;
        tally.ensure_only(version)?;
        told.push(format!("{kind} → {version} {} of {share}", tally.version(version)));
    }
    Ok(format!("{}; errors 0", told.join(", ")))
}

pub(super) async fn redirect(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/reviews-redirect.yaml").await?;
    let call = Call::get("reviews:9080", "/opinions");
    let tally = guide.load_by_page(&call).run(guide.requests() / 10).await;
    ensure!(tally.failed() == 0 && tally.status(301) == tally.total(), "{tally}");
    let answer = guide.ask(&call).await?;
    let location = answer.header("location");
    ensure!(location.ends_with("/reviews/0"), "the place to go is {location:?}");
    Ok(format!("301 {} of {}, to {location}", tally.status(301), tally.total()))
}

pub(super) async fn rewrite(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/reviews-rewrite.yaml").await?;
    let call = Call::get("reviews:9080", "/opinions/7");
    let tally = guide.load_by_page(&call).run(guide.requests() / 10).await;
    tally.ensure_only("v1")?;
    let answer = guide.ask(&call).await?;
    ensure!(answer.header("x-path") == "/reviews/7", "reviews saw {:?}", answer.header("x-path"));
    Ok(format!("asked for /opinions/7, reviews saw {}; {}", answer.header("x-path"), told(&tally)))
}

pub(super) async fn consistent_hash(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/reviews-consistent-hash.yaml").await?;
    let versions = ["v1", "v2", "v3"];
    let mut homes = [0; 3];
    for user in 0..USERS {
        let call = reviews().header("end-user", &format!("user-{user}"));
        let tally = guide.load_by_page(&call).run(VISITS).await;
        tally.ensure_all_ok()?;
        let home = versions.iter().position(|version| tally.version(version) == VISITS);
        let Some(home) = home.and_then(|home| homes.get_mut(home)) else {
            anyhow::bail!("user-{user} was moved around: {tally}")
        };
        *home += 1;
    }
    ensure!(homes.iter().filter(|&&users| users > 0).count() > 1, "all users have the same home: {homes:?}");
    let told = versions.iter().zip(homes).map(|(version, users)| format!("{version} {users}"));
    let told = told.collect::<Vec<_>>().join(", ");
    Ok(format!("{USERS} users came {VISITS} times each and met one version only; homes: {told}; errors 0"))
}

pub(super) async fn mirror(guide: &mut Guide<'_>) -> Result<String> {
    guide.apply("tasks/reviews-mirror.yaml").await?;
    guide.behave("reviews-v3", Behaviour::default()).await?;
    let tally: Tally = guide.to_reviews().await;
    tally.ensure_only("v1")?;
    let copies = wait::until("v3 to get a copy of each request", async || {
        let (copies, _) = guide.seen("reviews-v3").await?;
        ensure!(copies == tally.total(), "it has {copies} of {}", tally.total());
        Ok(copies)
    })
    .await?;
    Ok(format!("{}; copies to v3 {copies}", told(&tally)))
}
