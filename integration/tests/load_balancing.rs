//! Which endpoint of a service answers: round robin, consistent hash, endpoints that come and go.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use integration::{client::Call, envoy::Protocol, manifest, mesh::Mesh, scenario::Scenario};

const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

fn call() -> Call {
    Call::get("reviews:9080", "/reviews/0")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_without_rules_shares_its_requests_evenly() -> Result<()> {
    let scenario = Scenario::reviews("a_service_without_rules_shares_its_requests_evenly", &VERSIONS);
    let thirds = VERSIONS.map(|version| (version, 1.0 / 3.0));
    scenario.run(async |mesh| mesh.ensure_shares(&call(), 3_000, &thirds).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn round_robin_gives_each_of_three_endpoints_every_third_request() -> Result<()> {
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        Scenario::new("round_robin_gives_each_of_three_endpoints_every_third_request")
            .service("reviews", 9080, &VERSIONS)
            .caller_by("productpage-v1", protocol)
            .file("rule.yaml", manifest::destination_rule("reviews", &[], "{loadBalancer: {simple: ROUND_ROBIN}}"))
            .run(async |mesh| {
                let tally = mesh.run(&call(), 300).await?;
                tally.ensure_all_ok()?;
                ensure!(VERSIONS.iter().all(|version| tally.version(version) == 100), "{protocol:?}: {tally}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endpoints_that_come_and_go_are_followed_without_a_lost_request() -> Result<()> {
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        Scenario::new("endpoints_that_come_and_go_are_followed_without_a_lost_request")
            .service("reviews", 9080, &["v1", "v2"])
            .caller_by("productpage-v1", protocol)
            .run(async |mesh| {
                let load = mesh.caller()?.load(&call()).connections(4).start(200);
                let third = mesh.add_app("reviews", "v3").await?;
                mesh.set_endpoints("reviews", &["reviews-v1".into(), "reviews-v2".into(), third.clone()])?;
                mesh.eventually("the new endpoint to answer", &call(), |tally| tally.version("v3") > 0).await?;
                mesh.set_endpoints("reviews", &["reviews-v2".into(), third])?;
                mesh.eventually("the old endpoint to be left alone", &call(), |tally| tally.version("v1") == 0).await?;
                mesh.run(&call(), 100).await?.ensure_all_ok()?;
                let tally = load.stop().await;
                tally.ensure_all_ok()?;
                ensure!(tally.version("v1") > 0 && tally.version("v3") > 0, "{tally}");
                Ok(())
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_has_no_endpoint_left_says_so_until_one_returns() -> Result<()> {
    Scenario::reviews("a_service_that_has_no_endpoint_left_says_so_until_one_returns", &["v1"])
        .run(async |mesh| {
            mesh.eventually_only("v1", &call()).await?;
            mesh.set_endpoints("reviews", &[])?;
            mesh.eventually("no endpoint", &call(), |tally| tally.status(503) == tally.total()).await?;
            let answer = mesh.send(&call()).await?;
            ensure!(answer.text() == "no healthy upstream", "the body is {:?}", answer.text());
            mesh.set_endpoints("reviews", &["reviews-v1".into()])?;
            mesh.eventually_only("v1", &call()).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_service_is_reachable_without_a_restart() -> Result<()> {
    Scenario::reviews("a_new_service_is_reachable_without_a_restart", &["v1"])
        .run(async |mesh| {
            mesh.add_service("ratings", 9080, "http", &["v1"]).await?;
            mesh.add_service("stock", 9081, "http", &["v7"]).await?;
            mesh.eventually_only("v1", &Call::get("ratings:9080", "/")).await?;
            mesh.eventually_only("v7", &Call::get("stock:9081", "/")).await?;
            mesh.eventually_only("v1", &call()).await
        })
        .await
}

/// Which application answers each of 60 users.
async fn owners(mesh: &Mesh) -> Result<BTreeMap<u32, String>> {
    let mut owners = BTreeMap::new();
    for user in 0..60 {
        let answer = mesh.send(&call().header("x-user", &format!("user-{user}"))).await?;
        ensure!(answer.status == 200, "user {user}: {}", answer.status);
        owners.insert(user, answer.header("x-app").to_owned());
    }
    Ok(owners)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consistent_hash_stays_put_and_moves_only_what_it_must() -> Result<()> {
    let policy = "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}";
    Scenario::reviews("a_consistent_hash_stays_put_and_moves_only_what_it_must", &["v1.a", "v1.b", "v1.c"])
        .file("rule.yaml", manifest::destination_rule("reviews", &[], policy))
        .run(async |mesh| {
            let before = owners(mesh).await?;
            let all = ["reviews-v1-a", "reviews-v1-b", "reviews-v1-c"].map(str::to_owned);
            ensure!(all.iter().all(|app| before.values().any(|owner| owner == app)), "not all are used: {before:?}");
            ensure!(owners(mesh).await? == before, "users moved though nothing changed");

            mesh.add_service("stock", 9080, "http", &["v7"]).await?;
            mesh.eventually_only("v7", &Call::get("stock:9080", "/")).await?;
            ensure!(owners(mesh).await? == before, "users moved for a change of another service");

            let [first, second, third] = &all;
            mesh.set_endpoints("reviews", &[first.clone(), third.clone()])?;
            let fewer = settled(mesh, |owners| !owners.values().any(|owner| owner == second)).await?;
            // The ring keeps its size, so the places of the one that left move some of the others too, but few.
            let of_others = before.iter().filter(|(_, owner)| *owner != second);
            let (stayed, moved): (Vec<_>, Vec<_>) = of_others.partition(|(user, owner)| fewer.get(user) == Some(owner));
            ensure!(stayed.len() > 2 * moved.len(), "{before:?} became {fewer:?}");

            mesh.set_endpoints("reviews", &all)?;
            settled(mesh, |owners| *owners == before).await?;
            Ok(())
        })
        .await
}

/// The owners, once they are as wanted.
async fn settled(mesh: &Mesh, wanted: impl Fn(&BTreeMap<u32, String>) -> bool) -> Result<BTreeMap<u32, String>> {
    integration::wait::until("the users to move", async || {
        let owners = owners(mesh).await?;
        let fits = wanted(&owners);
        fits.then(|| owners.clone()).with_context(|| format!("{owners:?}"))
    })
    .await
}
