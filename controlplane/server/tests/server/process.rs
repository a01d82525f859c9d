//! The binary as it is run: two processes that agree, memory that is shared, and an end that is clean.

use std::{
    fs,
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use proto::ResourceType::Cluster;

use crate::{
    binary::{Server, replace},
    house::PATIENCE,
    objects::{cluster, pod, rule, service},
    proxy::Delta,
};

fn many(count: usize, seconds: u32) -> String {
    let objects = (0..count).map(|number| {
        let name = format!("service-with-quite-a-long-name-{number:05}");
        service(&name, &[]) + &rule(&name, &format!("{seconds}s"))
    });
    objects.collect()
}

#[test]
fn two_processes_compile_the_same_bytes_in_any_order_of_files() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let files = [service("a", &["10.2.0.1", "10.2.0.2"]), service("b", &[]), rule("a", "3s"), pod("web", "app: web")];
    for (number, text) in files.iter().enumerate() {
        fs::write(one.path().join(format!("{number}.yaml")), text).unwrap();
        fs::write(other.path().join(format!("{}.yaml", files.len() - number)), text).unwrap();
    }
    let compiled = |directory: &Path, output: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_mainsheet"))
            .args(["compile", "--proxy", "web.shop", "-o", output, "--config-dir"])
            .arg(directory)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(compiled(one.path(), "json"), compiled(other.path(), "json"));
    let versions = |table: String| -> Vec<String> {
        table.lines().map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(versions(compiled(one.path(), "table")), versions(compiled(other.path(), "table")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_push_to_many_streams_is_held_in_memory_once() {
    const STREAMS: usize = 60;
    const SERVICES: usize = 1_400;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), many(SERVICES, 1)).unwrap();
    let server = Server::start(directory.path());
    let mut proxies = Vec::new();
    for number in 0..STREAMS {
        // They take little ahead of what they read, so that what is sent stays with the server.
        let mut proxy = Delta::open(server.xds, &format!("web-{number}"), Some(65_535)).await;
        proxy.subscribe(Cluster, &[]).await;
        proxies.push(proxy);
    }
    let mut len = 0;
    for proxy in &mut proxies {
        let response = proxy.take(Cluster).await;
        len = response.resources.iter().map(|of| of.resource.as_ref().map_or(0, |any| any.value.len())).sum();
    }
    assert!(len > 1 << 20, "{len} bytes are not a large push");
    // What reading and compiling such a mesh takes at its peak is taken by the first change, and is not the question.
    replace(directory.path(), &many(SERVICES, 2));
    for proxy in &mut proxies {
        proxy.take(Cluster).await;
    }
    let before = server.resident();
    replace(directory.path(), &many(SERVICES, 3));
    // When the first proxy has read all of it, the others have it under way.
    proxies[0].take(Cluster).await;
    let deadline = Instant::now() + Duration::from_secs(1);
    let mut most = 0;
    while Instant::now() < deadline {
        most = most.max(server.resident());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let grown = most.saturating_sub(before);
    let copied = (STREAMS * len) as u64;
    eprintln!("{STREAMS} streams, {len} bytes each: {} kB more resident", grown >> 10);
    assert!(grown < copied / 3, "{grown} bytes more for {copied} bytes under way: copied for each stream");
    for proxy in &mut proxies[1..] {
        assert_eq!(proxy.take(Cluster).await.resources.len(), SERVICES);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_stream_costs_little_memory() {
    const STREAMS: u64 = 300;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), many(20, 1)).unwrap();
    let server = Server::start(directory.path());
    let mut warm = Delta::open(server.xds, "warm", None).await;
    warm.subscribe(Cluster, &[]).await;
    warm.take(Cluster).await;
    let before = server.resident();
    let mut proxies = Vec::new();
    for number in 0..STREAMS {
        let mut proxy = Delta::open(server.xds, &format!("web-{number}"), None).await;
        proxy.subscribe(Cluster, &[]).await;
        proxy.take(Cluster).await;
        proxies.push(proxy);
    }
    let each = server.resident().saturating_sub(before) / STREAMS;
    eprintln!("{} kB for each stream", each >> 10);
    assert!(each < 96 << 10, "{each} bytes for each stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_shows_who_is_connected_and_how_far() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), service("a", &[]) + &rule("gone", "1s")).unwrap();
    let server = Server::start(directory.path());
    let mut proxy = Delta::open(server.xds, "web", None).await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    proxy.expect_silence().await;
    let status = |output: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_mainsheet"))
            .args(["status", "-o", output, "--http-address", &server.http.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // The objects are held against each other beside the way of a push.
    let deadline = Instant::now() + PATIENCE;
    let table = loop {
        let table = status("table");
        if table.contains("The configuration has") {
            break table;
        }
        assert!(Instant::now() < deadline, "no problems: {table}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert!(
        table.contains("has 1 warning, 1 for information:\n  warning: DestinationRule shop/gone: spec.host"),
        "{table}"
    );
    assert!(table.contains(&format!("and 1 more: http://{}/debug/problems", server.http)), "{table}");
    let row: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..3], ["web.shop", "SYNCED", "SYNCED"], "{table}");
    let json: serde_json::Value = serde_json::from_str(&status("json")).unwrap();
    assert_eq!(json[0]["cluster_sent"], json[0]["cluster_acked"]);

    for name in ["web.shop", "web"] {
        let dump = Command::new(env!("CARGO_BIN_EXE_mainsheet"))
            .args(["proxy-config", name, "--type", "cds", "--http-address", &server.http.to_string()])
            .output()
            .unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let dump: serde_json::Value = serde_json::from_slice(&dump.stdout).unwrap();
        let clusters = dump["configs"][0]["dynamic_active_clusters"].as_array().unwrap();
        assert!(clusters.iter().any(|of| of["cluster"]["name"] == cluster("a")), "{dump}");
    }
}

#[test]
fn the_wrong_one_of_two_ports_is_named() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), service("a", &[])).unwrap();
    let server = Server::start(directory.path());
    let asked = Command::new(env!("CARGO_BIN_EXE_mainsheet"))
        .args(["status", "--http-address", &server.xds.to_string()])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(1), "{error}");
    assert!(error.contains("--xds-address") && error.contains("give the --http-address"), "{error}");
}

#[test]
fn compile_notes_what_is_wrong_beside_what_it_prints() {
    let directory = tempfile::tempdir().unwrap();
    let mesh = pod("web", "app: web") + &service("a", &[]) + &rule("gone", "1s");
    fs::write(directory.path().join("mesh.yaml"), mesh).unwrap();
    let compiled = Command::new(env!("CARGO_BIN_EXE_mainsheet"))
        .args(["compile", "--proxy", "web.shop", "-o", "table", "--config-dir"])
        .arg(directory.path())
        .output()
        .unwrap();
    assert!(compiled.status.success());
    let notes = String::from_utf8_lossy(&compiled.stderr).into_owned();
    assert!(
        notes.starts_with("warning: DestinationRule shop/gone: spec.host: ") && notes.lines().count() == 1,
        "{notes}"
    );
}

#[test]
fn a_refusal_says_what_why_and_how_to_mend_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), pod("productpage-v1", "app: web")).unwrap();
    let (file, empty) = (directory.path().join("mesh.yaml"), directory.path().join("empty"));
    let pipe = directory.path().join("pipe");
    fs::create_dir(&empty).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let [directory, file, empty, pipe] = [directory.path(), &file, &empty, &pipe].map(|path| path.to_str().unwrap());
    for (arguments, code, parts) in [
        (&["compile", "--config-dir", directory, "--proxy", "productpag.shop"][..], 1, &["productpage-v1.shop?"][..]),
        (&["compile", "--config-dir", "/nowhere", "--proxy", "web"], 2, &["--config-dir", "/nowhere", "exists"]),
        (&["compile", "--config-dir", directory, "--proxy", "web", "--metadata", "x"], 2, &["'x'", "KEY=VALUE"]),
        (&["serve", "--config-dir", "/nowhere"], 2, &["--config-dir", "/nowhere", "exists"]),
        (&["serve", "--config-dir", file], 2, &["mesh.yaml", "the directory that holds it"]),
        (&["analyze", "/nowhere"], 2, &["/nowhere", "No such file"]),
        (&["analyze", empty, pipe], 1, &["1 error"]),
        (&["analyze", empty], 2, &["nothing to analyze", empty, "give files"]),
        (&["compile", "--config-dir", directory, "--proxy", ""], 2, &["--proxy", "reviews-v1.default"]),
        (
            &["compile", "--config-dir", directory, "--proxy", "web", "--metadata", "INTERCEPTION_MODE=BOGUS"],
            2,
            &["BOGUS", "REDIRECT"],
        ),
        (&["analyze", directory, "--domain", "a b"], 2, &["--domain", "'a b'", "cluster.local"]),
        (&["analyze", directory, "--domain", ""], 2, &["--domain", "cluster.local"]),
        (&["serve", "--config-dir", directory, "--log-level", ""], 2, &["--log-level", "debug"]),
        (&["serve", "--config-dir", directory, "--xds-address", "here"], 2, &["--xds-address", "IP:PORT"]),
        (&["serve", "--config-dir", directory, "--log-level", "loud"], 2, &["'loud'", "debug"]),
        (&["serve"], 2, &["--config-dir", "--kubeconfig", "pod"]),
        (&["serve", "--kubeconfig", "/nowhere"], 1, &["--kubeconfig /nowhere", "kubectl"]),
        (&["serve", "--kubeconfig", "a", "--config-dir", directory], 2, &["--kubeconfig", "--config-dir", "cannot"]),
        (&["status", "--http-address", "127.0.0.1:1"], 1, &["127.0.0.1:1", "mainsheet serve"]),
        (&["status", "--http-address", "localhost"], 2, &["--http-address", "IP:PORT"]),
        (&["proxy-config", "a b"], 2, &["'a b'", "reviews-v1.default"]),
        (&["sail"], 2, &["sail"]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainsheet"));
        let output = command.args(arguments).env_remove("KUBERNETES_SERVICE_HOST").output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty() || code == 1 && arguments.contains(&"analyze"));
        for part in parts {
            assert!(error.contains(part), "{arguments:?}: no {part:?} in {error}");
        }
    }
}

#[test]
fn no_problems_are_said_only_of_what_was_read() {
    let directory = tempfile::tempdir().unwrap();
    let analyze = || {
        let output =
            Command::new(env!("CARGO_BIN_EXE_mainsheet")).arg("analyze").arg(directory.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    fs::write(directory.path().join("a.yaml"), "# nothing yet\n").unwrap();
    let name = directory.path().to_str().unwrap();
    assert_eq!(analyze(), format!("warning: no object in {name}: the file there holds none\n"));
    fs::write(directory.path().join("b.yaml"), pod("a", "app: a")).unwrap();
    assert_eq!(analyze(), format!("no problems in {name}\n"));
}

#[test]
fn problems_are_logged_when_they_come_and_go_and_never_all_of_many() {
    let directory = tempfile::tempdir().unwrap();
    let bad = |index: usize| directory.path().join(format!("bad{index:03}.yaml"));
    let service = |index: usize, field: &str| {
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: bad{index:03}}}\nspec: {{{field}: [{{port: 80}}]}}\n")
    };
    (0..50).for_each(|index| fs::write(bad(index), service(index, "prots")).unwrap());
    let server = Server::start(directory.path());
    let mut read = 0;
    let mut until = |message: &str| {
        let mut lines = Vec::new();
        loop {
            let line = server.line(read);
            read += 1;
            let line: serde_json::Value = serde_json::from_str(&line).unwrap();
            let found = line["message"].as_str().unwrap().starts_with(message);
            lines.push(line);
            if found {
                return lines;
            }
        }
    };
    let count =
        |lines: &[serde_json::Value], message: &str| lines.iter().filter(|line| line["message"] == message).count();
    let lines = until("more configuration problems");
    assert_eq!(
        (count(&lines, "configuration problem"), &lines.last().unwrap()["count"]),
        (20, &30.into()),
        "{lines:#?}"
    );
    // Nothing of them was ever read.
    let first = lines.iter().find(|line| line["message"] == "configuration problem").unwrap();
    assert_eq!(first["in_force"], false, "{first}");
    fs::write(bad(7), service(7, "ports")).unwrap();
    let lines = until("configuration problem is mended");
    assert!(lines.last().unwrap()["problem"].as_str().unwrap().contains("bad007"), "{lines:#?}");
    // One that has only moved to another line is neither new nor mended.
    fs::write(bad(8), format!("# Moved.\n{}", service(8, "prots"))).unwrap();
    fs::write(bad(9), service(9, "ports")).unwrap();
    let lines = until("configuration problem is mended");
    assert!(lines.iter().all(|line| !line.to_string().contains("bad008")), "{lines:#?}");
    fs::write(bad(7), service(7, "prots")).unwrap();
    let lines = until("configuration problem");
    assert_eq!(lines.last().unwrap()["in_force"], true, "its last good form is: {lines:#?}");
    // A directory that is lost, and comes back.
    let aside = directory.path().with_extension("aside");
    fs::rename(directory.path(), &aside).unwrap();
    let lines = until("configuration problem");
    assert!(lines.last().unwrap()["problem"].as_str().unwrap().contains("cannot be read"), "{lines:#?}");
    fs::rename(&aside, directory.path()).unwrap();
    let lines = until("configuration problem is mended");
    assert!(lines.last().unwrap()["problem"].as_str().unwrap().contains("cannot be read"), "{lines:#?}");
}

#[test]
fn it_ends_cleanly_when_it_is_asked_to() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), service("a", &[])).unwrap();
    let mut server = Server::start(directory.path());
    let asked = Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
}

#[test]
fn plain_text_is_for_this_machine_only() {
    let directory = tempfile::tempdir().unwrap();
    for (flag, address) in [("--xds-address", "0.0.0.0:15010"), ("--http-address", "[::]:15014")] {
        let output = Command::new(env!("CARGO_BIN_EXE_mainsheet"))
            .args(["serve", flag, address, "--config-dir"])
            .arg(directory.path())
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(flag) && error.contains(address) && error.contains("127.0.0.1"), "{error}");
    }
}
