//! Two real Envoys with certificates talk mutual TLS by what is compiled for them: who may come, who is refused, and who
//! the caller insists on.

mod agent;

use std::net::SocketAddr;

use agent::Agent;
use anyhow::{Context, Result, ensure};
use ca::{Authority, KeyAlgorithm, PrivateKey, Serial, TrustDomain};
use integration::{
    app::App,
    client::{self, Call},
    envoy::{Envoy, Protocol, Sidecar},
    mesh::Mesh,
    ports::Loopback,
    scenario::Scenario,
    wait,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

/// The ports of the server: declared as HTTP, declared as TCP, and of unknown protocol.
const HTTP: u16 = 9080;
const TCP: u16 = 9081;
const SNIFFED: u16 = 9082;
const PORTS: [u16; 3] = [HTTP, TCP, SNIFFED];
const ADMIN: u16 = 15_000;
const SDS: u16 = 15_999;
const IDENTITIES: &str = "spiffe://cluster.local/ns/default/sa/";
/// The header that tells an application who calls.
const CALLER: &str = "x-forwarded-client-cert";

fn pod(name: &str, app: &str, account: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: default, labels: {{app: {app}, security.istio.io/tlsMode: istio}}}}
spec: {{serviceAccountName: {account}, containers: [{{name: app, image: none}}]}}
"
    )
}

/// The server: a Service, the endpoint that its Envoy is, and where that Envoy hands connections on to.
fn server(address: SocketAddr, app: SocketAddr) -> String {
    let ip = address.ip();
    format!(
        "apiVersion: v1
kind: Service
metadata: {{name: server, namespace: default}}
spec:
  selector: {{app: server}}
  ports: [{{name: http, port: {HTTP}}}, {{name: tcp, port: {TCP}}}, {{name: any, port: {SNIFFED}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: server-1, namespace: default, labels: {{kubernetes.io/service-name: server}}}}
addressType: IPv4
ports: [{{name: http, port: {HTTP}}}, {{name: tcp, port: {TCP}}}, {{name: any, port: {SNIFFED}}}]
endpoints:
- {{addresses: [{ip}], conditions: {{ready: true}}, targetRef: {{kind: Pod, name: server-v1, namespace: default}}}}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {{name: server, namespace: default}}
spec:
  workloadSelector: {{labels: {{app: server}}}}
  ingress:
  - {{port: {{number: {HTTP}, name: http, protocol: HTTP}}, defaultEndpoint: \"{app}\"}}
  - {{port: {{number: {TCP}, name: tcp, protocol: TCP}}, defaultEndpoint: \"{app}\"}}
  - {{port: {{number: {SNIFFED}, name: any}}, defaultEndpoint: \"{app}\"}}
"
    )
}

fn demand(mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: default}}
spec: {{mtls: {{mode: {mode}}}}}
"
    )
}

/// An Envoy with a certificate, and the agent that serves it.
struct Identified {
    address: Loopback,
    envoy: Envoy,
    _agent: Agent,
}

impl Identified {
    async fn start(mesh: &mut Mesh, authority: &Authority, app: &str, address: Loopback) -> Result<Self> {
        let agent = Agent::start(authority, &format!("{IDENTITIES}{app}"), address.at(SDS)).await?;
        let name = format!("{app}-v1");
        let sidecar = Sidecar {
            pod: &name,
            app,
            version: "v1",
            ip: address.ip(),
            service_account: app,
            xds: &[mesh.control_plane().xds()],
            admin: address.at(ADMIN),
            protocol: Protocol::Delta,
        };
        let mut bootstrap: Value = serde_json::from_str(&sidecar.bootstrap()?)?;
        give_agent(&mut bootstrap, agent.address()).context("the bootstrap has no place for an agent")?;
        let mut envoy = Envoy::start(&name, &bootstrap.to_string(), address.at(ADMIN), mesh.directory())?;
        envoy.ready().await.with_context(|| envoy.log_tail())?;
        Ok(Self { address, envoy, _agent: agent })
    }
}

/// Says in a bootstrap that there is an agent with an identity, and where.
fn give_agent(bootstrap: &mut Value, agent: SocketAddr) -> Option<()> {
    let metadata = bootstrap.pointer_mut("/node/metadata")?.as_object_mut()?;
    metadata.insert("PROXY_CONFIG".to_owned(), json!({"controlPlaneAuthPolicy": "MUTUAL_TLS"}));
    let address = json!({"socket_address": {"address": agent.ip(), "port_value": agent.port()}});
    let clusters = bootstrap.pointer_mut("/static_resources/clusters")?.as_array_mut()?;
    clusters.retain(|cluster| cluster["name"] != "sds-grpc");
    clusters.push(json!({
        "name": "sds-grpc",
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": "sds-grpc",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        },
    }));
    Some(())
}

/// What a request brings.
#[derive(Debug, PartialEq)]
enum Outcome {
    /// It is answered, and this is who the application was told calls.
    Answered(Option<String>),
    /// It is not answered by the application.
    Refused,
}

async fn call(app: &App, envoy: &Loopback, port: u16) -> Outcome {
    let Ok(answer) = client::send(envoy.at(port), &Call::get(&format!("server:{port}"), "/")).await else {
        return Outcome::Refused;
    };
    let seen = app.recorded().pop().filter(|_| answer.status.is_success());
    let caller = |told: &String| told.split(';').find_map(|part| part.strip_prefix("URI=")).map(str::to_owned);
    seen.map_or(Outcome::Refused, |request| Outcome::Answered(request.headers.get(CALLER).and_then(caller)))
}

/// Waits until requests to each port come to this, and come to it again.
async fn comes_to(what: &str, app: &App, envoy: &Loopback, wanted: [&Outcome; 3]) -> Result<()> {
    wait::until(what, async || {
        for _ in 0..2 {
            for (port, wanted) in PORTS.into_iter().zip(wanted) {
                let outcome = call(app, envoy, port).await;
                ensure!(outcome == *wanted, "port {port}: {outcome:?}");
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_envoys_speak_mutual_tls_as_peer_authentications_demand() -> Result<()> {
    Scenario::new("two_envoys_speak_mutual_tls_as_peer_authentications_demand")
        .run(async |mesh| {
            let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
            let trust_domain = TrustDomain::parse("cluster.local")?;
            let now = OffsetDateTime::now_utc();
            let authority = Authority::self_signed(&trust_domain, key, Serial::from_random([1; 16]), now)?;
            let (at_server, at_client) = (Loopback::claim()?, Loopback::claim()?);
            let app = App::start("server", "v1", mesh.home().at(0)).await?;
            mesh.apply("pod-client.yaml", &pod("client-v1", "client", "client"))?;
            mesh.apply("pod-server.yaml", &pod("server-v1", "server", "server"))?;
            mesh.apply("server.yaml", &server(at_server.at(HTTP), app.address()))?;
            let server = Identified::start(mesh, &authority, "server", at_server).await?;
            let client = Identified::start(mesh, &authority, "client", at_client).await?;
            speak(mesh, &app, &server, &client)
                .await
                .with_context(|| format!("{}\n{}", server.envoy.log_tail(), client.envoy.log_tail()))
        })
        .await
}

async fn speak(mesh: &Mesh, app: &App, server: &Identified, client: &Identified) -> Result<()> {
    let told = Outcome::Answered(Some(format!("{IDENTITIES}client")));
    // Bytes are not requests: nothing is told. That they came by TLS shows where nothing else is taken.
    let untold = Outcome::Answered(None);
    let refused = Outcome::Refused;

    // Nobody demands anything.
    comes_to("mutual TLS", app, &client.address, [&told, &untold, &told]).await?;
    comes_to("clear text beside it", app, &server.address, [&untold; 3]).await?;
    let handshakes = client.envoy.stat_sum("outbound.*ssl.handshake").await?;
    ensure!(handshakes >= 3, "{handshakes} handshakes");
    let newest = client.envoy.stat_sum("outbound.*ssl.versions.TLSv1.3").await?;
    ensure!(newest == handshakes, "{newest} of {handshakes} handshakes were TLS 1.3");

    mesh.apply("demand.yaml", &demand("STRICT"))?;
    comes_to("clear text to be refused", app, &server.address, [&refused; 3]).await?;
    comes_to("mutual TLS alone", app, &client.address, [&told, &untold, &told]).await?;

    // The server has the certificate of another account than its Pod says.
    mesh.apply("pod-server.yaml", &pod("server-v1", "server", "impostor"))?;
    comes_to("a false server to be refused", app, &client.address, [&refused; 3]).await?;
    mesh.apply("pod-server.yaml", &pod("server-v1", "server", "server"))?;
    comes_to("the true one to be taken again", app, &client.address, [&told, &untold, &told]).await?;

    mesh.apply("demand.yaml", &demand("DISABLE"))?;
    comes_to("clear text alone", app, &client.address, [&untold; 3]).await?;
    comes_to("clear text from anyone", app, &server.address, [&untold; 3]).await
}
