//! The command as users run it: what it prints, what it refuses, and whether the real Envoy takes it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, also in what it calls")]

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::{Value, json};

const NODE_ID: &str = "sidecar~127.0.0.2~reviews-v1.default~default.svc.cluster.local";

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mainsheet-agent")).arg("bootstrap").args(arguments).output().unwrap()
}

fn bootstrap(arguments: &[&str]) -> Value {
    let output = run(&[&["--node-id", NODE_ID], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Where the real Envoy is, if there is one; a test that must not skip fails without.
fn envoy() -> Option<PathBuf> {
    let envoy = std::env::var_os("MAINSHEET_ENVOY").map(PathBuf::from).filter(|path| path.exists());
    let required = std::env::var_os("MAINSHEET_REQUIRE_ENVOY").is_some_and(|value| value == "1");
    assert!(envoy.is_some() || !required, "no Envoy: set MAINSHEET_ENVOY to its path (make envoy fetches it)");
    if envoy.is_none() {
        eprintln!("skipped: no Envoy; set MAINSHEET_ENVOY to its path (make envoy fetches it)");
    }
    envoy
}

#[test]
fn a_bootstrap_names_the_node_and_the_control_plane() {
    let printed = bootstrap(&["--xds-address", "127.0.0.1:25010", "--metadata", r#"LABELS={"app":"reviews"}"#]);
    assert_eq!(printed["node"]["id"], NODE_ID);
    assert_eq!(printed["node"]["cluster"], "reviews.default");
    assert_eq!(printed["node"]["metadata"]["NAMESPACE"], "default");
    assert_eq!(printed["dynamic_resources"]["ads_config"]["api_type"], "DELTA_GRPC");
    let cluster = &printed["static_resources"]["clusters"][0];
    assert_eq!(
        cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"],
        json!({"socket_address": {"address": "127.0.0.1", "port_value": 25010}})
    );
}

#[test]
fn every_replica_of_the_control_plane_is_an_endpoint() {
    let addresses = ["--xds-address", "127.0.0.1:1", "--xds-address", "xds.example:2"];
    let printed = bootstrap(&addresses);
    let cluster = &printed["static_resources"]["clusters"][0];
    let endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"].as_array().unwrap();
    let port = |of: &Value| of["endpoint"]["address"]["socket_address"]["port_value"].clone();
    assert_eq!(endpoints.iter().map(port).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(cluster["type"], "STRICT_DNS");
    let printed = bootstrap(&["--grpc", "--xds-address", "127.0.0.1:1", "--xds-address", "127.0.0.1:2"]);
    assert_eq!(printed["xds_servers"][1]["server_uri"], "127.0.0.1:2");
}

#[test]
fn a_bootstrap_is_a_message_of_envoys_api() {
    for arguments in [&[][..], &["--sotw", "--xds-address", "unix:/run/xds", "--locality", "r/z/s"]] {
        let printed = bootstrap(arguments);
        proto::text::from_json("type.googleapis.com/envoy.config.bootstrap.v3.Bootstrap", &printed).unwrap();
    }
}

#[test]
fn a_grpc_client_gets_its_own_form() {
    let printed = bootstrap(&["--grpc"]);
    assert_eq!(printed["xds_servers"][0]["server_uri"], "127.0.0.1:15010");
    assert_eq!(printed["node"]["metadata"]["GENERATOR"], "grpc");
}

#[test]
fn a_refusal_names_flag_value_and_remedy_and_exits_with_2() {
    for (arguments, parts) in [
        (&["--node-id", "web"][..], &["--node-id", "'web'", "as in sidecar~"][..]),
        (&["--node-id", NODE_ID, "--xds-address", "here"], &["--xds-address", "'here'", "here:15010"]),
        (&["--node-id", NODE_ID, "--metadata", "LABELS={a}"], &["--metadata", "LABELS={a}", "quote keys"]),
        (
            &["--node-id", NODE_ID, "--admin-address", "0.0.0.0:15000"],
            &["--admin-address", "0.0.0.0:15000", "127.0.0.1:15000"],
        ),
        (&["--node-id", NODE_ID, "--grpc", "--xds-address", "a.b:1"], &["--xds-address a.b:1", "loopback"]),
        (&["--node-id", NODE_ID, "--xds-address", "a.b:1", "--xds-address", "unix:/x"], &["unix:/x", "beside names"]),
        (&["--xds-address", "127.0.0.1:1"], &["--node-id"]),
        (&["--node-id", NODE_ID, "--xds-address", "foo:0"], &["--xds-address", "foo:0", "127.0.0.1:15010"]),
        (&["--node-id", NODE_ID, "--admin-address", "x"], &["--admin-address", "x:15000"]),
        (&["--node-id", NODE_ID, "--cluster", ""], &["--cluster", "reviews.default"]),
        (&["--node-id", NODE_ID, "--cluster", "a\nb"], &["--cluster", "control characters"]),
        (&["--node-id", NODE_ID, "--metadata", "INTERCEPTION_MODE=BOGUS"], &["--metadata", "BOGUS", "REDIRECT"]),
    ] {
        let output = run(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(output.stdout.is_empty());
        for part in parts {
            assert!(error.contains(part), "no {part:?} in {error}");
        }
    }
}

#[test]
fn output_that_cannot_be_written_is_said() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mainsheet-agent"));
    let output = command.args(["bootstrap", "--node-id", NODE_ID]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("standard output cannot be written"), "{error}");
}

#[test]
fn the_real_envoy_accepts_every_form() {
    let Some(envoy) = envoy() else { return };
    let directory = tempfile::tempdir().unwrap();
    for (name, arguments) in [
        ("delta", &[][..]),
        ("sotw", &["--sotw"]),
        ("name", &["--xds-address", "localhost:15010", "--locality", "r/z/s"]),
        ("replicas", &["--xds-address", "127.0.0.1:1", "--xds-address", "localhost:2", "--xds-address", "[::1]:3"]),
        ("unix", &["--xds-address", "unix:/run/mainsheet/xds", "--metadata", r#"LABELS={"app":"web"}"#]),
    ] {
        let path = directory.path().join(name).with_extension("json");
        std::fs::write(&path, bootstrap(arguments).to_string()).unwrap();
        let output = Command::new(&envoy)
            .args(["--mode", "validate", "--disable-hot-restart", "-l", "warning", "-c"])
            .arg(&path)
            .output()
            .unwrap();
        let notes = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name}: {notes}");
        assert!(!notes.contains("[warning]") && !notes.contains("eprecat"), "{name}: {notes}");
    }
}
