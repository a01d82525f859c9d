//! What must not move: broken files, misprints, and a control plane that ends and comes back.

use anyhow::{Context, Result, ensure};
use integration::{
    client::Call,
    control_plane::Write,
    envoy::Envoy,
    envoy::Protocol,
    manifest::{destination_rule, virtual_service, weighted},
    mesh::Mesh,
    outside::sample,
    scenario::Scenario,
    wait,
};

const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

fn call() -> Call {
    Call::get("reviews:9080", "/reviews/0")
}

fn ratings() -> Call {
    Call::get("ratings:9080", "/")
}

fn only(host: &str, subset: &str) -> String {
    virtual_service(host, &[&weighted(host, &[(subset, 100)])])
}

/// Reviews in three versions, all requests to v1 by `route.yaml`; beside it, ratings in two, to v1.
fn pinned(name: &str, protocol: Protocol) -> Scenario {
    Scenario::new(name)
        .service("reviews", 9080, &VERSIONS)
        .service("ratings", 9080, &["v1", "v2"])
        .caller_by("productpage-v1", protocol)
        .file("rule.yaml", destination_rule("reviews", &VERSIONS, ""))
        .file("ratings-rule.yaml", destination_rule("ratings", &["v1", "v2"], ""))
        .file("route.yaml", only("reviews", "v1"))
        .file("ratings-route.yaml", only("ratings", "v1"))
}

/// Each of `contents` in place of `route.yaml` changes nothing, while an edit elsewhere is followed.
async fn ensure_changes_nothing(mesh: &Mesh, contents: &[String]) -> Result<()> {
    mesh.eventually_only("v1", &call()).await?;
    let load = mesh.caller()?.load(&call()).connections(2).start(200);
    for (number, content) in contents.iter().enumerate() {
        mesh.apply("route.yaml", content)?;
        // An edit made later is in force, so this one has been read.
        let elsewhere = if number % 2 == 0 { "v2" } else { "v1" };
        mesh.apply("ratings-route.yaml", &only("ratings", elsewhere))?;
        mesh.eventually_only(elsewhere, &ratings()).await?;
        mesh.run(&call(), 20).await?.ensure_only("v1").with_context(|| format!("after\n{content}"))?;
    }
    load.stop().await.ensure_only("v1")?;
    let updates = mesh.caller()?.envoy().updates().await?;
    ensure!(updates.refused == 0, "{updates:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_changes_nothing() -> Result<()> {
    let good = only("reviews", "v2");
    let contents = [
        "}{ this: [is no YAML".to_owned(),
        String::from_utf8_lossy(&good.as_bytes()[..good.len() / 2]).into_owned(),
        good.replace("route:", "rute:"),
        good.replace("kind: VirtualService", "kind: 7"),
        good.replace("hosts: [reviews]", "hosts: {reviews: 1}"),
        good.replace("weight: 100", "weight: -100"),
    ];
    for protocol in [Protocol::Delta, Protocol::Sotw] {
        let scenario = pinned("a_broken_file_changes_nothing", protocol);
        scenario.run(async |mesh| ensure_changes_nothing(mesh, &contents).await).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_misprint_in_a_route_keeps_the_last_good_form() -> Result<()> {
    let misprints =
        ["canary-90-10-misplaced-weight.yaml", "canary-50-50-misplaced-weight.yaml", "reviews-timeout-misplaced.yaml"];
    let contents: Vec<_> = misprints.iter().map(|file| sample(&format!("mistakes/{file}"))).collect::<Result<_>>()?;
    let scenario = pinned("a_misprint_in_a_route_keeps_the_last_good_form", Protocol::Delta);
    scenario.run(async |mesh| ensure_changes_nothing(mesh, &contents).await).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_followed_however_it_is_edited() -> Result<()> {
    pinned("a_file_is_followed_however_it_is_edited", Protocol::Delta)
        .run(async |mesh| {
            mesh.eventually_only("v1", &call()).await?;
            let load = mesh.caller()?.load(&call()).connections(2).start(200);
            let config = mesh.config();
            config.write_by(Write::Truncate, "route.yaml", &only("reviews", "v2"))?;
            mesh.eventually_only("v2", &call()).await?;
            config.write_by(Write::Rename, "route.yaml", &only("reviews", "v3"))?;
            mesh.eventually_only("v3", &call()).await?;
            config.rename("route.yaml", "moved.yml")?;
            config.write("moved.yml", &only("reviews", "v1"))?;
            mesh.eventually_only("v1", &call()).await?;
            // The same object from another file, the old one deleted: no moment without it.
            config.write("again.json", &as_json("v1"))?;
            config.remove("moved.yml")?;
            config.write("ratings-route.yaml", &only("ratings", "v2"))?;
            mesh.eventually_only("v2", &ratings()).await?;
            mesh.run(&call(), 20).await?.ensure_only("v1")?;
            load.stop().await.ensure_all_ok()
        })
        .await
}

fn as_json(subset: &str) -> String {
    serde_json::json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "reviews", "namespace": "default"},
        "spec": {"hosts": ["reviews"], "http": [{"route": [{"destination": {"host": "reviews", "subset": subset}}]}]},
    })
    .to_string()
}

/// What Envoy took of clusters, endpoints and listeners: everything that comes before routes.
async fn taken_before_routes(envoy: &Envoy) -> Result<u64> {
    let clusters = envoy.stat_sum(r"^cluster_manager\.cds\.update_success$").await?;
    let listeners = envoy.stat_sum(r"^listener_manager\.lds\.update_success$").await?;
    let endpoints = envoy.stat_sum(r"^cluster\..*\.update_success$").await?;
    Ok(clusters + listeners + endpoints)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_control_plane_resends_nothing() -> Result<()> {
    pinned("a_restarted_control_plane_resends_nothing", Protocol::Delta)
        .caller_by("productpage-v2", Protocol::Sotw)
        .run(async |mesh| {
            mesh.eventually_only("v1", &call()).await?;
            let load = mesh.caller()?.load(&call()).connections(2).start(200);
            let before = taken(mesh).await?;
            mesh.control_plane().kill();
            mesh.run(&call(), 100).await?.ensure_only("v1")?;
            mesh.control_plane().restart().await?;
            connected(mesh).await?;
            // Routes are sent last: when this edit is in force, all that would be sent again has been.
            mesh.apply("route.yaml", &only("reviews", "v2"))?;
            for caller in mesh.callers() {
                let in_force = async || caller.load(&call()).run(20).await.ensure_only("v2");
                wait::until("the edit to be in force", in_force).await?;
            }
            let after = taken(mesh).await?;
            ensure!(
                before == after,
                "clusters, endpoints and listeners taken: {before:?}, after the restart {after:?}"
            );
            load.stop().await.ensure_all_ok()
        })
        .await
}

async fn taken(mesh: &Mesh) -> Result<Vec<u64>> {
    let mut all = Vec::new();
    for caller in mesh.callers() {
        all.push(taken_before_routes(caller.envoy()).await?);
    }
    Ok(all)
}

async fn connected(mesh: &Mesh) -> Result<()> {
    for caller in mesh.callers() {
        wait::until("the Envoy to be connected", async || {
            ensure!(caller.envoy().updates().await?.connected, "{} is not", caller.envoy().name());
            Ok(())
        })
        .await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_made_while_the_control_plane_is_down_are_in_force_after_its_start() -> Result<()> {
    pinned("edits_made_while_the_control_plane_is_down_are_in_force_after_its_start", Protocol::Delta)
        .run(async |mesh| {
            mesh.eventually_only("v1", &call()).await?;
            let load = mesh.caller()?.load(&call()).connections(2).start(200);
            mesh.control_plane().kill();
            mesh.apply("route.yaml", &only("reviews", "v3"))?;
            mesh.run(&call(), 50).await?.ensure_only("v1")?;
            mesh.control_plane().restart().await?;
            mesh.eventually_only("v3", &call()).await?;
            load.stop().await.ensure_all_ok()
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edit_of_one_service_is_not_sent_to_a_proxy_that_does_not_see_it() -> Result<()> {
    let sidecar = "apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: productpage, namespace: default}
spec:
  workloadSelector: {labels: {app: productpage}}
  egress: [{hosts: [./reviews.default.svc.cluster.local]}]
";
    pinned("an_edit_of_one_service_is_not_sent_to_a_proxy_that_does_not_see_it", Protocol::Delta)
        .caller("details-v1")
        .file("sidecar.yaml", sidecar)
        .run(async |mesh| {
            mesh.eventually_only("v1", &call()).await?;
            let (narrow, wide) = (mesh.caller()?, mesh.callers().last().context("two callers")?);
            let start = narrow.envoy().updates().await?.taken;
            mesh.apply("route.yaml", &only("reviews", "v2"))?;
            mesh.eventually_only("v2", &call()).await?;
            let seen_alone = narrow.envoy().updates().await?.taken;
            mesh.apply("ratings-route.yaml", &only("ratings", "v2"))?;
            wait::until("the edit to be in force", async || wide.load(&ratings()).run(20).await.ensure_only("v2"))
                .await?;
            mesh.apply("route.yaml", &only("reviews", "v3"))?;
            mesh.eventually_only("v3", &call()).await?;
            let seen_after = narrow.envoy().updates().await?.taken;
            ensure!(seen_after - seen_alone == seen_alone - start, "taken: {start}, {seen_alone}, {seen_after}");
            Ok(())
        })
        .await
}
