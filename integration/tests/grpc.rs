//! A second real xDS client, gRPC without a proxy: it resolves a service and is balanced over its endpoints.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use integration::{manifest, mesh::Mesh, outside::Program, process::Process, scenario::Scenario, wait};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};

const SERVICE: &str = "greeter";
const PORT: u16 = 9000;

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc_peer.py")
}

/// A gRPC server in a process of its own.
struct Server {
    name: String,
    address: SocketAddr,
    _process: Process,
}

impl Server {
    async fn start(mesh: &Mesh, name: &str) -> Result<Self> {
        let address = mesh.home().port()?.release();
        let log = mesh.directory().join(format!("{name}.log"));
        let mut command = Command::new(Program::PythonWithGrpc.find()?);
        command.arg(script()).args(["serve", &address.to_string(), name]);
        let mut process = Process::start(name, &mut command, &log)?;
        wait::until("a gRPC server to be ready", async || {
            process.check_alive()?;
            ensure!(process.log_tail().contains("ready"), "it is not");
            Ok(())
        })
        .await?;
        Ok(Self { name: name.to_owned(), address, _process: process })
    }
}

/// Writes the Service and the servers that are its endpoints.
fn write(mesh: &Mesh, servers: &[&Server]) -> Result<()> {
    let objects = servers.iter().flat_map(|server| {
        let slice = manifest::endpoint_slice(SERVICE, "grpc", &server.name, server.address);
        [manifest::pod(&server.name, SERVICE, "v1"), slice]
    });
    let service = manifest::service(SERVICE, PORT, "grpc");
    mesh.apply("greeter.yaml", &manifest::documents([service].into_iter().chain(objects)))
}

/// A gRPC client with one channel to an `xds:///` target, in a process of its own.
struct Client {
    child: tokio::process::Child,
    answers: Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Client {
    fn start(mesh: &mut Mesh, target: &str) -> Result<Self> {
        let server = serde_json::json!({
            "server_uri": mesh.control_plane().xds().to_string(),
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3"],
        });
        let node = serde_json::json!({
            "id": "sidecar~127.0.0.1~client.default~default.svc.cluster.local",
            "metadata": {"GENERATOR": "grpc"},
        });
        let bootstrap = mesh.directory().join("grpc-bootstrap.json");
        std::fs::write(&bootstrap, serde_json::json!({"xds_servers": [server], "node": node}).to_string())?;
        let mut command = tokio::process::Command::new(Program::PythonWithGrpc.find()?);
        command.arg(script()).args(["call", target]).env("GRPC_XDS_BOOTSTRAP", bootstrap);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().context("the client has no output")?;
        Ok(Self { child, answers: BufReader::new(output).lines() })
    }

    /// Makes so many calls; counts by what answered.
    async fn calls(&mut self, count: u32) -> Result<BTreeMap<String, u32>> {
        let input = self.child.stdin.as_mut().context("the client has no input")?;
        input.write_all(format!("{count}\n").as_bytes()).await?;
        let line = self.answers.next_line().await?.context("the client ended")?;
        serde_json::from_str(&line).with_context(|| format!("not counts: {line}"))
    }

    /// Repeats 30 calls until exactly these servers answer.
    async fn eventually_only(&mut self, names: &[&str]) -> Result<()> {
        wait::until(&format!("{names:?} alone to answer"), async || {
            let counts = self.calls(30).await?;
            ensure!(counts.keys().eq(names), "{counts:?}");
            Ok(())
        })
        .await
    }
}

fn scenario(name: &str) -> Scenario {
    Scenario::new(name).needs(Program::PythonWithGrpc)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxyless_client_is_balanced_over_the_endpoints_and_follows_their_changes() -> Result<()> {
    scenario("a_proxyless_client_is_balanced_over_the_endpoints_and_follows_their_changes")
        .run(async |mesh| {
            let one = Server::start(mesh, "greeter-one").await?;
            let two = Server::start(mesh, "greeter-two").await?;
            let three = Server::start(mesh, "greeter-three").await?;
            write(mesh, &[&one, &two])?;
            let mut client = Client::start(mesh, &format!("xds:///{SERVICE}.default.svc.cluster.local:{PORT}"))?;
            client.eventually_only(&["greeter-one", "greeter-two"]).await?;
            let counts = client.calls(200).await?;
            let balanced = counts.len() == 2 && counts.values().all(|count| (60..=140).contains(count));
            ensure!(balanced, "{counts:?}");

            write(mesh, &[&one, &two, &three])?;
            client.eventually_only(&["greeter-one", "greeter-three", "greeter-two"]).await?;
            write(mesh, &[&three])?;
            client.eventually_only(&["greeter-three"]).await?;
            let counts = client.calls(100).await?;
            ensure!(counts.get("greeter-three") == Some(&100), "{counts:?}");
            Ok(())
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxyless_client_goes_on_while_the_control_plane_restarts() -> Result<()> {
    scenario("a_proxyless_client_goes_on_while_the_control_plane_restarts")
        .run(async |mesh| {
            let one = Server::start(mesh, "greeter-one").await?;
            let two = Server::start(mesh, "greeter-two").await?;
            write(mesh, &[&one])?;
            let mut client = Client::start(mesh, &format!("xds:///{SERVICE}.default.svc.cluster.local:{PORT}"))?;
            client.eventually_only(&["greeter-one"]).await?;
            mesh.control_plane().kill();
            ensure!(client.calls(50).await?.get("greeter-one") == Some(&50), "a call was lost");
            write(mesh, &[&one, &two])?;
            mesh.control_plane().restart().await?;
            client.eventually_only(&["greeter-one", "greeter-two"]).await
        })
        .await
}
