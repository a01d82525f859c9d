//! Faults on purpose and protection from real ones: delays, aborts, timeouts, retries, circuit breakers, outlier ejection.

use std::time::Duration;

use anyhow::{Result, ensure};
use hyper::StatusCode;
use integration::{
    app::Behaviour,
    client::Call,
    manifest::{destination_rule, virtual_service},
    outside::sample,
    scenario::Scenario,
    wait,
};

/// Envoy counts a timer from when its event loop last looked at the clock, which is a little before the request came.
const CLOCK_SLACK: Duration = Duration::from_millis(20);
const TO_RATINGS: &str = "route: [{destination: {host: ratings}}]";

fn call() -> Call {
    Call::get("ratings:9080", "/ratings/0")
}

fn ratings(name: &str, replicas: &[&str]) -> Scenario {
    Scenario::new(name).service("ratings", 9080, replicas).caller("reviews-v2")
}

/// The rule that sends to `ratings` with something more.
fn rule(more: &str) -> String {
    virtual_service("ratings", &[&format!("{more}\n{TO_RATINGS}")])
}

fn failing(status: StatusCode) -> Behaviour {
    Behaviour { status, ..Behaviour::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_of_two_seconds_holds_every_request_up() -> Result<()> {
    ratings("a_delay_of_two_seconds_holds_every_request_up", &["v1"])
        .file("rule.yaml", destination_rule("ratings", &["v1"], ""))
        .file("route.yaml", sample("tasks/ratings-delay-2s.yaml")?)
        .run(async |mesh| {
            let tally = mesh.caller()?.load(&call()).connections(5).run(10).await;
            tally.ensure_only("v1")?;
            let (fastest, slowest) = (tally.percentile(0.0), tally.percentile(1.0));
            ensure!(fastest + CLOCK_SLACK >= Duration::from_secs(2) && slowest < Duration::from_secs(3), "{tally}");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_of_all_requests_lets_none_through() -> Result<()> {
    ratings("an_abort_of_all_requests_lets_none_through", &["v1"])
        .file("route.yaml", rule("fault: {abort: {httpStatus: 418, percentage: {value: 100}}}"))
        .run(async |mesh| {
            let tally = mesh.run(&call(), 200).await?;
            ensure!(tally.status(418) == 200 && mesh.app("ratings-v1")?.requests() == 0, "{tally}");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_abort_of_half_of_the_requests_hits_half() -> Result<()> {
    ratings("an_abort_of_half_of_the_requests_hits_half", &["v1"])
        .file("route.yaml", rule("fault: {abort: {httpStatus: 500, percentage: {value: 50}}}"))
        .run(async |mesh| {
            let mut seen = Vec::new();
            // Half falls outside three standard deviations once in some hundred samples: a second one decides.
            for _ in 0..2 {
                let tally = mesh.caller()?.load(&call()).connections(8).run(4_000).await;
                ensure!(tally.status(200) + tally.status(500) == 4_000, "{tally}");
                if tally.fits(tally.status(500), 0.5) {
                    return Ok(());
                }
                seen.push(tally.status(500));
            }
            anyhow::bail!("aborted of 4000: {seen:?}")
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_can_be_kept_to_one_user() -> Result<()> {
    let jason = format!(
        "match:\n- headers: {{end-user: {{exact: jason}}}}\nfault: {{abort: {{httpStatus: 503, percentage: {{value: 100}}}}}}\n{TO_RATINGS}"
    );
    ratings("a_fault_can_be_kept_to_one_user", &["v1"])
        .file("route.yaml", virtual_service("ratings", &[&jason, TO_RATINGS]))
        .run(async |mesh| {
            let tally = mesh.run(&call().header("end-user", "jason"), 20).await?;
            ensure!(tally.status(503) == 20, "{tally}");
            mesh.run(&call(), 20).await?.ensure_only("v1")
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_timeout_of_half_a_second_ends_a_slow_request() -> Result<()> {
    ratings("a_timeout_of_half_a_second_ends_a_slow_request", &["v1"])
        .file("route.yaml", rule("timeout: 0.5s"))
        .run(async |mesh| {
            mesh.run(&call(), 10).await?.ensure_only("v1")?;
            mesh.app("ratings-v1")?.behave(Behaviour { delay: Duration::from_secs(5), ..Behaviour::default() });
            let answer = mesh.send(&call()).await?;
            ensure!(answer.status == StatusCode::GATEWAY_TIMEOUT, "{answer:?}");
            let took = answer.took.as_millis();
            // Envoy reads the clock once for each turn of its event loop, so that a timer may seem to end a little early.
            ensure!((490..1_500).contains(&took), "it took {took} ms");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_are_made_until_the_server_answers_well() -> Result<()> {
    ratings("retries_are_made_until_the_server_answers_well", &["v1"])
        .file("route.yaml", rule("retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}"))
        .run(async |mesh| {
            let app = mesh.app("ratings-v1")?;
            app.behave(Behaviour { fail_first: 2, ..Behaviour::default() });
            ensure!(mesh.send(&call()).await?.status == 200);
            ensure!(app.requests() == 3, "the server was asked {} times", app.requests());

            app.behave(failing(StatusCode::SERVICE_UNAVAILABLE));
            ensure!(mesh.send(&call()).await?.status == 503);
            ensure!(app.requests() == 3 + 4, "the server was asked {} times", app.requests());
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_of_the_application_is_not_retried_by_default() -> Result<()> {
    ratings("an_error_of_the_application_is_not_retried_by_default", &["v1"])
        .run(async |mesh| {
            let app = mesh.app("ratings-v1")?;
            app.behave(Behaviour { fail_first: 1, ..Behaviour::default() });
            ensure!(mesh.send(&call()).await?.status == 503 && app.requests() == 1, "{} requests", app.requests());
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_connection_is_retried_elsewhere_by_default() -> Result<()> {
    ratings("a_refused_connection_is_retried_elsewhere_by_default", &["v1.a", "v1.b"])
        .run(async |mesh| {
            mesh.run(&call(), 20).await?.ensure_only("v1")?;
            mesh.stop_app("ratings-v1-a");
            // Kept connections break once; from then on each attempt at the dead endpoint is refused.
            mesh.eventually_only("v1", &call()).await?;
            mesh.run(&call(), 200).await?.ensure_only("v1")
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_of_zero_turn_retries_off() -> Result<()> {
    ratings("attempts_of_zero_turn_retries_off", &["v1"])
        .file("route.yaml", rule("retries: {attempts: 0}"))
        .run(async |mesh| {
            mesh.run(&call(), 5).await?.ensure_only("v1")?;
            mesh.stop_app("ratings-v1");
            mesh.eventually("refusals", &call(), |tally| tally.status(503) == tally.total()).await?;
            let retries = mesh.caller()?.envoy().stat_sum(r"^cluster\.outbound.*upstream_rq_retry$").await?;
            ensure!(retries == 0, "{retries} retries");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_breaker_lets_one_request_work_and_one_wait() -> Result<()> {
    let policy = "{connectionPool: {tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}}}";
    ratings("a_circuit_breaker_lets_one_request_work_and_one_wait", &["v1"])
        .file("rule.yaml", destination_rule("ratings", &[], policy))
        .run(async |mesh| {
            let app = mesh.app("ratings-v1")?;
            mesh.send(&call()).await?;
            app.behave(Behaviour { delay: Duration::from_secs(1), ..Behaviour::default() });
            let tally = mesh.caller()?.load(&call()).connections(10).run(10).await;
            ensure!(tally.status(200) == 2 && tally.status(503) == 8, "{tally}");
            ensure!(app.in_progress_max() == 1 && app.connections() == 1, "{} connections", app.connections());
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_breaker_keeps_to_its_connections_while_others_wait() -> Result<()> {
    let policy = "{connectionPool: {tcp: {maxConnections: 3}, http: {http1MaxPendingRequests: 100}}}";
    ratings("a_circuit_breaker_keeps_to_its_connections_while_others_wait", &["v1"])
        .file("rule.yaml", destination_rule("ratings", &[], policy))
        .run(async |mesh| {
            let app = mesh.app("ratings-v1")?;
            app.behave(Behaviour { delay: Duration::from_millis(20), ..Behaviour::default() });
            let tally = mesh.caller()?.load(&call()).connections(20).run(100).await;
            tally.ensure_only("v1")?;
            ensure!(app.connections() == 3 && app.in_progress_max() == 3, "{} connections", app.connections());
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_closed_after_its_last_request() -> Result<()> {
    let policy = "{connectionPool: {http: {maxRequestsPerConnection: 1}}}";
    ratings("a_connection_is_closed_after_its_last_request", &["v1"])
        .file("rule.yaml", destination_rule("ratings", &[], policy))
        .run(async |mesh| {
            mesh.run(&call(), 10).await?.ensure_only("v1")?;
            let connections = mesh.app("ratings-v1")?.connections();
            ensure!(connections == 10, "{connections} connections for 10 requests");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_fails_is_ejected_and_comes_back() -> Result<()> {
    let policy = "{loadBalancer: {simple: ROUND_ROBIN}, outlierDetection: {consecutive5xxErrors: 3, interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 100}}";
    ratings("an_endpoint_that_fails_is_ejected_and_comes_back", &["v1", "v2", "v3"])
        .file("rule.yaml", destination_rule("ratings", &[], policy))
        .run(async |mesh| {
            let sick = mesh.app("ratings-v2")?;
            sick.behave(failing(StatusCode::INTERNAL_SERVER_ERROR));
            let well = |tally: &integration::tally::Tally| tally.ensure_all_ok().is_ok();
            let tally = mesh.eventually("the sick one to be ejected", &call(), well).await?;
            ensure!(tally.version("v2") == 0, "{tally}");
            let ejected = mesh.caller()?.envoy().stat_sum(r"outlier_detection\.ejections_enforced_total$").await?;
            ensure!(ejected >= 1, "nothing was ejected");

            sick.behave(Behaviour::default());
            wait::until("the healed one to come back", async || {
                let tally = mesh.run(&call(), 30).await?;
                tally.ensure_all_ok()?;
                ensure!(tally.version("v2") == 10, "{tally}");
                Ok(())
            })
            .await
        })
        .await
}
