//! New versions: blue-green and canary, with the files that users wrote.

use anyhow::{Result, ensure};
use integration::{
    client::Call,
    envoy::Protocol,
    manifest::{destination_rule, virtual_service, weighted},
    outside::sample,
    scenario::Scenario,
};

const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

fn call() -> Call {
    Call::get("reviews:9080", "/reviews/0")
}

fn reviews(name: &str) -> Scenario {
    Scenario::reviews(name, &VERSIONS).file("rule.yaml", destination_rule("reviews", &VERSIONS, ""))
}

/// 10,000 requests are split as the weights of this VirtualService say.
async fn canary(name: &str, route: String, shares: &[(&str, f64)]) -> Result<()> {
    let scenario = reviews(name).file("route.yaml", route);
    scenario.run(async |mesh| mesh.ensure_shares(&call(), 10_000, shares).await).await
}

fn split(first: u32, second: u32) -> String {
    virtual_service("reviews", &[&weighted("reviews", &[("v1", first), ("v2", second)])])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_moves_all_requests_with_one_edit_and_its_removal_restores_round_robin() -> Result<()> {
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        Scenario::new("blue_green_moves_all_requests_with_one_edit_and_its_removal_restores_round_robin")
            .service("reviews", 9080, &VERSIONS)
            .caller_by("productpage-v1", protocol)
            .file("rule.yaml", destination_rule("reviews", &VERSIONS, ""))
            .file("route.yaml", sample("tasks/blue-green-v1.yaml")?)
            .run(async |mesh| {
                mesh.run(&call(), 100).await?.ensure_only("v1")?;
                let load = mesh.caller()?.load(&call()).connections(4).start(200);
                mesh.apply("route.yaml", &sample("tasks/blue-green-v2.yaml")?)?;
                mesh.eventually_only("v2", &call()).await?;
                mesh.run(&call(), 100).await?.ensure_only("v2")?;
                mesh.config().remove("route.yaml")?;
                let all = |tally: &integration::tally::Tally| VERSIONS.iter().all(|version| tally.version(version) > 0);
                mesh.eventually("all versions to answer", &call(), all).await?;
                load.stop().await.ensure_all_ok()?;
                mesh.ensure_shares(&call(), 1_500, &VERSIONS.map(|version| (version, 1.0 / 3.0))).await
            })
            .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_of_90_and_10_splits_ten_thousand_requests() -> Result<()> {
    canary("a_canary_of_90_and_10_splits_ten_thousand_requests", split(90, 10), &[("v1", 0.9), ("v2", 0.1)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_of_95_and_5_splits_ten_thousand_requests() -> Result<()> {
    canary("a_canary_of_95_and_5_splits_ten_thousand_requests", split(95, 5), &[("v1", 0.95), ("v2", 0.05)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_of_50_and_50_splits_ten_thousand_requests() -> Result<()> {
    canary("a_canary_of_50_and_50_splits_ten_thousand_requests", split(50, 50), &[("v1", 0.5), ("v2", 0.5)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_of_100_takes_every_one_of_ten_thousand_requests() -> Result<()> {
    let route = sample("tasks/canary-100.yaml")?;
    canary("a_canary_of_100_takes_every_one_of_ten_thousand_requests", route, &[("v2", 1.0)]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_by_subsets_named_for_risk_splits_a_service_named_in_full() -> Result<()> {
    let service = "guane-ocr-auth-service";
    let rule = format!(
        "apiVersion: networking.istio.io/v1alpha3
kind: DestinationRule
metadata: {{name: auth-canary-dr, namespace: default}}
spec:
  host: {service}
  subsets:
  - {{name: safe-group, labels: {{version: safe}}}}
  - {{name: risky-group, labels: {{version: risky}}}}
"
    );
    Scenario::new("a_canary_by_subsets_named_for_risk_splits_a_service_named_in_full")
        .service(service, 8080, &["safe", "risky"])
        .caller("web-v1")
        .file("rule.yaml", rule)
        .file("route.yaml", sample("tasks/auth-canary.yaml")?)
        .run(async |mesh| {
            let call = Call::get(&format!("{service}.default.svc.cluster.local:8080"), "/login");
            mesh.ensure_shares(&call, 2_000, &[("safe", 0.9), ("risky", 0.1)]).await
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_grows_step_by_step_without_a_lost_request() -> Result<()> {
    reviews("a_canary_grows_step_by_step_without_a_lost_request")
        .file("route.yaml", split(100, 0))
        .run(async |mesh| {
            mesh.eventually_only("v1", &call()).await?;
            let load = mesh.caller()?.load(&call()).connections(4).start(300);
            for canary in [1, 10, 50, 90, 99] {
                mesh.apply("route.yaml", &split(100 - canary, canary))?;
                mesh.run(&call(), 100).await?.ensure_all_ok()?;
            }
            mesh.apply("route.yaml", &split(0, 100))?;
            mesh.eventually_only("v2", &call()).await?;
            let tally = load.stop().await;
            tally.ensure_all_ok()?;
            ensure!(tally.version("v3") == 0, "a version that no rule names answered: {tally}");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blue_green_by_the_selector_of_endpoints_loses_no_request() -> Result<()> {
    Scenario::reviews("blue_green_by_the_selector_of_endpoints_loses_no_request", &["v1"])
        .run(async |mesh| {
            mesh.eventually_only("v1", &call()).await?;
            let load = mesh.caller()?.load(&call()).connections(4).start(200);
            let green = mesh.add_app("reviews", "v2").await?;
            mesh.set_endpoints("reviews", &[green])?;
            mesh.eventually_only("v2", &call()).await?;
            load.stop().await.ensure_all_ok()
        })
        .await
}
