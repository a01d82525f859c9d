//! The parts of the tests themselves, with a real Envoy and no control plane.

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use integration::{
    app::App,
    client::Call,
    envoy::Envoy,
    load::Load,
    outside::{self, Program},
    ports::Loopback,
    process::Process,
    wait,
};

/// `test.py` with five programs, two at a time, each of which starts a process in a group of its own as tests do.
const PROGRAMS: &str = "
import sys
sys.path.insert(0, sys.argv[1])
import test
begin = 'import os, signal, subprocess; signal.signal(signal.SIGINT, signal.SIG_DFL)'
start = 'child = subprocess.Popen([\"sleep\", \"1000\"], preexec_fn=os.setpgrp)'
program = f'{begin}; {start}; print(\"kept\", child.pid, flush=True); child.wait()'
def side_by_side(run, target):
    with test.concurrent.futures.ThreadPoolExecutor(test.SIDE_BY_SIDE) as pool:
        list(pool.map(lambda _: run.command(sys.executable, '-c', program), range(5)))
test.test = side_by_side
test.main()
";

fn bootstrap(admin: std::net::SocketAddr, listen: std::net::SocketAddr, app: std::net::SocketAddr) -> String {
    let address = |address: std::net::SocketAddr| serde_json::json!({"socket_address": {"address": address.ip(), "port_value": address.port()}});
    let router = serde_json::json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"});
    let routes = serde_json::json!([{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]);
    let manager = serde_json::json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    });
    let filter = serde_json::json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager});
    let endpoint = serde_json::json!({"endpoint": {"address": address(app)}});
    serde_json::json!({
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [{"name": "in", "address": address(listen), "filter_chains": [{"filters": [filter]}]}],
            "clusters": [{
                "name": "app",
                "type": "STATIC",
                "load_assignment": {"cluster_name": "app", "endpoints": [{"lb_endpoints": [endpoint]}]},
            }],
        },
    })
    .to_string()
}

#[tokio::test]
async fn an_envoy_forwards_to_an_application_and_counts_it() -> Result<()> {
    if !outside::all_present("an_envoy_forwards_to_an_application_and_counts_it", &[Program::Envoy])? {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let home = Loopback::claim()?;
    let app = App::start("ratings-v1", "v1", home.at(0)).await?;
    let (admin, listen) = (home.at(15_000), home.at(9_080));
    let mut envoy = Envoy::start("static", &bootstrap(admin, listen, app.address()), admin, directory.path())?;
    envoy.ready().await?;
    let tally = Load::new(listen, Call::get("ratings:9080", "/ratings/0")).connections(2).run(200).await;
    tally.ensure_only("v1")?;
    ensure!(tally.opened() == 2, "a connection was not kept: {tally}");
    ensure!(envoy.stat_sum(r"^cluster\.app\.upstream_rq_200$").await? == 200);
    ensure!(envoy.config_dump("").await?.get("configs").is_some());
    ensure!(envoy.clusters().await?.get("cluster_statuses").is_some());
    Ok(())
}

#[tokio::test]
async fn an_envoy_that_cannot_start_says_why() -> Result<()> {
    if !outside::all_present("an_envoy_that_cannot_start_says_why", &[Program::Envoy])? {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let home = Loopback::claim()?;
    let mut envoy = Envoy::start("broken", r#"{"no_such_field": 1}"#, home.at(15_000), directory.path())?;
    let error = envoy.ready().await.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(error.contains("no_such_field"), "it says {error:?}");
    Ok(())
}

#[tokio::test]
async fn a_run_of_all_tests_that_is_interrupted_ends_what_it_started() -> Result<()> {
    for signal in ["-INT", "-TERM"] {
        let directory = tempfile::tempdir()?;
        let log = directory.path().join("log");
        let mut command = Command::new("python3");
        command.args(["-c", PROGRAMS]).arg(outside::repository().join("integration/tools"));
        let mut tests = Process::start("test.py", &mut command, &log)?;
        let kept = wait::until("two programs to start", async || {
            let said = std::fs::read_to_string(&log)?;
            let kept: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("kept ")).map(str::to_owned).collect();
            ensure!(kept.len() == 2, "{said}");
            Ok(kept)
        });
        let kept = kept.await?;
        ensure!(Command::new("kill").args([signal, &tests.id().to_string()]).status()?.success());
        let ended = async || tests.ended()?.context("it runs on");
        let status = wait::until_within(Duration::from_secs(20), "the run to end", ended).await?;
        let said = std::fs::read_to_string(&log)?;
        ensure!(status.code() == Some(130) && said.ends_with("interrupted\n"), "{signal}: {status}: {said}");
        ensure!(!said.contains("Traceback") && said.matches("kept ").count() == 2, "{said}");
        // Their parents are gone, so somebody else collects them; until then they are zombies without an environment.
        let alive = kept.iter().find(|id| std::fs::read(format!("/proc/{id}/environ")).is_ok_and(|of| !of.is_empty()));
        ensure!(alive.is_none(), "{alive:?} of {kept:?} lives on");
    }
    Ok(())
}
