//! The validating webhook, called by a real API server: what it says, and that it is trusted at every moment.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use ca::{Authority, Fingerprint, KeyAlgorithm, PrivateKey, Serial, TrustBundle, TrustDomain};
use http_body_util::BodyExt as _;
use integration::{ports::Loopback, wait};
use k8s_openapi::{
    ByteString,
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    client::Body,
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    permissions::{USER, binding, documented},
    world::{NAMESPACE, World, control_plane, istio, networking, route, service},
};

pub(crate) const SYSTEM: &str = "istio-system";
/// With the authority that signs the webhook's certificates.
pub(crate) const SECRET: &str = "mainsheet-ca";
const CONFIGURATION: &str = "mainsheet-istio-system";
const PORT: u16 = 15_017;
/// Of the pages over TLS, with the webhook's certificate.
pub(crate) const PAGES_PORT: u16 = 15_114;
const ROUTES: &str = "/apis/networking.istio.io/v1/namespaces/default/virtualservices";

/// A control plane with the documented permissions, whose webhook the API server calls.
pub(crate) async fn prepare(name: &str) -> Result<Option<World>> {
    let Some(world) = World::prepare(name, &[]).await? else { return Ok(None) };
    Ok(Some(installed(world).await?))
}

/// The same, on an API server that is there.
pub(crate) async fn installed(mut world: World) -> Result<World> {
    world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM}})).await?;
    // Without a schema, so that it is the webhook that refuses.
    world.apply(networking("VirtualService", "virtualservices")).await?;
    let [everywhere, in_system] = documented()?;
    for object in [&everywhere, &in_system, &binding("ClusterRole", &everywhere), &binding("Role", &in_system)] {
        world.apply(object.clone()).await?;
    }
    world.become_user(USER)?;
    world.control_plane.add_argument("--webhook-address", &world.home.at(PORT).to_string());
    world.control_plane.add_argument("--https-address", &world.home.at(PAGES_PORT).to_string());
    lead_to(&world, &world.home).await?;
    world.apply(configuration()).await?;
    world.control_plane.restart().await?;
    Ok(world)
}

/// The Service by whose name the webhook is called leads to this address: there is no network of the cluster.
async fn lead_to(world: &World, home: &Loopback) -> Result<()> {
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "mainsheet", "namespace": SYSTEM},
        "spec": {"type": "ExternalName", "externalName": home.ip().to_string()},
    });
    world.apply(service).await
}

fn configuration() -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": CONFIGURATION},
        "webhooks": [{
            "name": "validation.mainsheet.dev",
            "clientConfig": {"service": {"name": "mainsheet", "namespace": SYSTEM, "path": "/validate", "port": PORT}},
            "rules": [{
                "apiGroups": ["networking.istio.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE"],
                "resources": ["*"],
            }],
            "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "matchPolicy": "Equivalent",
            "sideEffects": "None", "timeoutSeconds": 5,
        }],
    })
}

/// What the API server answers to an apply: status, body, warnings.
async fn applied(client: &Client, object: &Value) -> Result<(u16, Value, Vec<String>)> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).context("no name")?;
    let request = http::Request::patch(format!("{ROUTES}/{name}?fieldManager=tests&force=true"))
        .header("content-type", "application/apply-patch+yaml")
        .body(Body::from(serde_json::to_vec(object)?))?;
    let response = client.send(request).await?;
    let warnings = response.headers().get_all("warning").iter();
    let warnings = warnings.filter_map(|warning| warning.to_str().ok()).map(str::to_owned).collect();
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    Ok((status, serde_json::from_slice(&body)?, warnings))
}

fn misplaced_weight() -> Value {
    let leg = json!({"destination": {"host": "reviews", "weight": 90}});
    istio("VirtualService", "reviews", json!({"hosts": ["reviews"], "http": [{"route": [leg]}]}))
}

/// The webhook refuses what it should refuse, through the API server.
pub(crate) async fn until_it_judges(world: &World) -> Result<()> {
    wait::until("a refusal by the webhook", async || {
        let (status, body, _) = applied(&world.client, &misplaced_weight()).await?;
        let message = body["message"].as_str().unwrap_or_default();
        ensure!(status == 422 && message.contains("destination.weight"), "{status} {message}");
        Ok(())
    })
    .await
}

/// The certificates in the bundle of the configuration.
pub(crate) async fn bundle(client: &Client) -> Result<TrustBundle> {
    let api: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let webhooks = api.get(CONFIGURATION).await?.webhooks.unwrap_or_default();
    let pem = webhooks.into_iter().next().and_then(|webhook| webhook.client_config.ca_bundle).context("no bundle")?;
    Ok(TrustBundle::from_pem(trust_domain()?, &pem.0)?)
}

fn trust_domain() -> Result<TrustDomain> {
    Ok(TrustDomain::parse("cluster.local")?)
}

/// A connection to the webhook as the API server opens it.
async fn connect(home: &Loopback, trusted: &TrustBundle) -> Result<TlsStream<TcpStream>> {
    connect_to(home.at(PORT), trusted).await
}

/// A connection to what is the control plane, or to nothing.
pub(crate) async fn connect_to(address: SocketAddr, trusted: &TrustBundle) -> Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    trusted.roots().try_for_each(|(_, root)| roots.add(root.clone()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("mainsheet.istio-system.svc")?;
    Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
}

#[tokio::test]
async fn errors_refuse_and_the_rest_are_warnings() -> Result<()> {
    let Some(world) = prepare("errors_refuse_and_the_rest_are_warnings").await? else { return Ok(()) };
    until_it_judges(&world).await?;
    let (_, body, _) = applied(&world.client, &misplaced_weight()).await?;
    let message = body["message"].as_str().unwrap_or_default();
    for part in [
        "admission webhook \"validation.mainsheet.dev\" denied the request: ",
        "VirtualService default/reviews: spec.http[0].route[0].destination.weight: ",
        "did you mean spec.http[0].route[0].weight?",
    ] {
        ensure!(message.contains(part), "{message}");
    }
    let (status, _, warnings) = applied(&world.client, &route("reviews", "nowhere")).await?;
    ensure!(status == 201, "{status}");
    ensure!(warnings.iter().any(|warning| warning.contains("spec.http[0].route[0].destination.host")), "{warnings:?}");
    world.apply(service("reviews", 80)).await?;
    world.until("the service", |held| held.has("Service", "reviews")).await?;
    let (status, _, warnings) = applied(&world.client, &route("reviews", "reviews")).await?;
    ensure!(status == 200 && warnings.is_empty(), "{status} {warnings:?}");
    world.delete(route("reviews", "reviews")).await?;
    let metrics = world.control_plane.metrics().await?;
    ensure!(metrics.sum("galley_validation_failed") >= 2.0, "{metrics:?}");
    ensure!(metrics.sum("galley_validation_passed") >= 2.0, "{metrics:?}");
    Ok(())
}

#[tokio::test]
async fn a_bundle_that_is_wiped_or_replaced_is_restored() -> Result<()> {
    let Some(world) = prepare("a_bundle_that_is_wiped_or_replaced_is_restored").await? else { return Ok(()) };
    until_it_judges(&world).await?;
    let right = bundle(&world.client).await?;
    let api: Api<ValidatingWebhookConfiguration> = Api::all(world.client.clone());
    for wrong in [Value::Null, json!(ByteString(world.server.authority_pem().into_bytes()))] {
        let patch = json!([{"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": wrong}]);
        let patch: kube::core::params::Patch<Value> = Patch::Json(serde_json::from_value(patch)?);
        api.patch(CONFIGURATION, &PatchParams::default(), &patch).await?;
        wait::until_within(Duration::from_secs(5), "the bundle", async || {
            let now = bundle(&world.client).await?;
            ensure!(right.roots().all(|(root, _)| now.roots().any(|(other, _)| other == root)), "{now:?}");
            Ok(())
        })
        .await?;
    }
    // The manifest as it was, applied again by whoever wrote it, leaves the bundle alone.
    world.apply(configuration()).await?;
    bundle(&world.client).await?;
    until_it_judges(&world).await
}

#[tokio::test]
async fn replicas_share_the_root_and_a_deleted_secret_comes_back_as_it_was() -> Result<()> {
    const NAME: &str = "replicas_share_the_root_and_a_deleted_secret_comes_back_as_it_was";
    let Some(mut world) = prepare(NAME).await? else { return Ok(()) };
    until_it_judges(&world).await?;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), SYSTEM);
    let before = secrets.get(SECRET).await?;
    let home = Loopback::claim()?;
    let directory = tempfile::tempdir()?;
    let mut second = control_plane(&world.server.kubeconfig_for(USER, None)?, &home, directory.path());
    second.add_argument("--webhook-address", &home.at(PORT).to_string());
    second.restart().await?;
    let trusted = bundle(&world.client).await?;
    ensure!(trusted.roots().count() == 1, "{trusted:?}");
    wait::until("a certificate of the second", async || connect(&home, &trusted).await).await?;
    connect(&world.home, &trusted).await?;
    lead_to(&world, &home).await?;
    world.control_plane.kill();
    until_it_judges(&world).await?;
    secrets.delete(SECRET, &Default::default()).await?;
    let after = wait::until("the Secret", async || Ok(secrets.get(SECRET).await?)).await?;
    ensure!(after.data == before.data && after.metadata.uid != before.metadata.uid);
    Ok(())
}

#[tokio::test]
async fn a_new_authority_under_load_fails_no_admission() -> Result<()> {
    let Some(world) = prepare("a_new_authority_under_load_fails_no_admission").await? else { return Ok(()) };
    until_it_judges(&world).await?;
    let old = bundle(&world.client).await?;
    let (ended, count) = (AtomicBool::new(false), AtomicU32::new(0));
    // Applies go over connections that the API server keeps.
    let applies = async || {
        while !ended.load(Ordering::Relaxed) {
            let number = count.fetch_add(1, Ordering::Relaxed);
            let mut object = route("reviews", "reviews");
            object["metadata"]["annotations"] = json!({"number": number.to_string()});
            let (status, body, _) = applied(&world.client, &object).await?;
            ensure!(matches!(status, 200 | 201), "apply {number}: {status} {body}");
        }
        Ok(())
    };
    // What a connection that is opened now finds, as the API server would that has read the bundle just before.
    let handshakes = async || {
        while !ended.load(Ordering::Relaxed) {
            let trusted = bundle(&world.client).await?;
            connect(&world.home, &trusted).await.with_context(|| format!("trusting {trusted:?}"))?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    };
    let replace = async || {
        let new = new_authority()?;
        let data = BTreeMap::from([
            ("ca-cert.pem", new.certificate_pem()),
            ("ca-key.pem", new.key().to_pem().to_string()),
            ("root-cert.pem", new.certificate_pem()),
        ]);
        let secrets: Api<Secret> = Api::namespaced(world.client.clone(), SYSTEM);
        secrets.patch(SECRET, &PatchParams::default(), &Patch::Merge(json!({"stringData": data}))).await?;
        let swapped = wait::until("a certificate of the new root", async || {
            connect(&world.home, new.bundle()).await.map(|_| Instant::now())
        });
        let swapped = swapped.await?;
        // The old one goes later; for a moment the load goes on with the new certificate.
        wait::until("the load to go on", async || {
            ensure!(swapped.elapsed() > Duration::from_secs(2), "going on");
            Ok(())
        })
        .await?;
        ended.store(true, Ordering::Relaxed);
        let roots: Vec<Fingerprint> = bundle(&world.client).await?.roots().map(|(root, _)| root).collect();
        ensure!(roots.contains(&new.root()) && old.roots().all(|(root, _)| roots.contains(&root)), "{roots:?}");
        ensure!(connect(&world.home, &old).await.is_err(), "the old root has signed what is served");
        Ok::<_, anyhow::Error>(())
    };
    let load = async { tokio::try_join!(applies(), applies(), applies(), handshakes()) };
    tokio::try_join!(async { load.await.map(|_| ()) }, replace())?;
    ensure!(count.into_inner() > 100, "too little load to say anything");
    until_it_judges(&world).await
}

fn new_authority() -> Result<Authority> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
    let now = OffsetDateTime::now_utc();
    Ok(Authority::self_signed(&trust_domain()?, key, Serial::from_random([7; 16]), now)?)
}

#[tokio::test]
async fn garbage_is_answered_with_a_reason_and_harms_nobody() -> Result<()> {
    let Some(world) = prepare("garbage_is_answered_with_a_reason_and_harms_nobody").await? else { return Ok(()) };
    until_it_judges(&world).await?;
    let trusted = bundle(&world.client).await?;
    let json_type = "application/json";
    let nested = format!("{{\"apiVersion\":{}", "[".repeat(1 << 20));
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"});
    for (method, kind, body, expected) in [
        ("POST", json_type, b"\xff\x00garbage".to_vec(), 400),
        ("POST", json_type, Vec::new(), 400),
        ("POST", json_type, nested.into_bytes(), 400),
        ("POST", json_type, review.to_string().into_bytes(), 400),
        ("POST", json_type, vec![b' '; 10 << 20], 413),
        ("POST", "text/plain", b"{}".to_vec(), 415),
        ("GET", json_type, Vec::new(), 405),
    ] {
        let stream = connect(&world.home, &trusted).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let request = http::Request::builder().method(method).uri("/validate").header("host", "mainsheet");
        let request = request.header("content-type", kind).body(http_body_util::Full::<bytes::Bytes>::from(body))?;
        let response = sender.send_request(request).await?;
        ensure!(response.status() == expected, "{method} {kind}: {} and not {expected}", response.status());
        connection.abort();
    }
    let mut plain = TcpStream::connect(world.home.at(PORT)).await?;
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET /validate HTTP/1.1\r\n\r\n").await?;
    until_it_judges(&world).await?;
    ensure!(world.control_plane.metrics().await?.sum("galley_validation_http_error") >= 6.0);
    if !world.is_ready().await {
        bail!("not ready any more in namespace {NAMESPACE}");
    }
    Ok(())
}
