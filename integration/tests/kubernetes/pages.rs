//! The pages over TLS: who is shown what, as a real API server knows them.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use ca::TrustBundle;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use integration::{bench::fleet::Fleet, outside, wait};
use serde_json::{Value, json};

use crate::{
    webhook::{PAGES_PORT, SYSTEM, bundle, connect_to, prepare},
    world::{NAMESPACE, World, pod, service},
};

/// What tokens are for that are for nobody else.
const OURS: &str = "mainsheet";
/// Tokens of tools, such as Kiali's, are for the API server.
const API_SERVER: &str = "https://kubernetes.default.svc.cluster.local";
const OTHER: &str = "bank";
/// Of which each shows what belongs to a namespace, and those that cannot be divided.
const DIVIDED: [&str; 5] = ["syncz", "registryz", "endpointz", "configz", "problems"];
const WHOLE: [&str; 2] = ["/metrics", "/debug/push_status"];

/// The objects of the manifest by which the reader may read.
pub(crate) fn reader() -> Result<Vec<Value>> {
    let manifest = std::fs::read_to_string(outside::repository().join("manifests/install.yaml"))?;
    let mut objects = Vec::new();
    for document in manifest.split("\n---\n").filter(|document| document.contains("-reader\n")) {
        let object: Value = serde_saphyr::from_str(document)?;
        if object["metadata"]["name"].as_str().is_some_and(|name| name.ends_with("-reader")) {
            objects.push(object);
        }
    }
    Ok(objects)
}

fn elsewhere(mut object: Value) -> Value {
    object["metadata"]["namespace"] = OTHER.into();
    object
}

/// The status of a page, and what it says.
async fn get(world: &World, trusted: &TrustBundle, path: &str, token: Option<&str>) -> Result<(u16, String)> {
    let stream = connect_to(world.home.at(PAGES_PORT), trusted).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = http::Request::get(path).header("host", "mainsheet");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let response = sender.send_request(request.body(http_body_util::Empty::<bytes::Bytes>::new())?).await?;
    let status = response.status().as_u16();
    let text = String::from_utf8(response.into_body().collect().await?.to_bytes().to_vec())?;
    connection.abort();
    Ok((status, text))
}

/// The names of the proxies that the owner of a token sees.
async fn proxies(world: &World, trusted: &TrustBundle, token: &str) -> Result<Vec<String>> {
    let (status, text) = get(world, trusted, "/debug/syncz", Some(token)).await?;
    ensure!(status == 200, "{status} {text}");
    let list: Vec<Value> = serde_json::from_str(&text)?;
    Ok(list.iter().filter_map(|proxy| proxy["proxy"].as_str()).map(str::to_owned).collect())
}

/// Row 54 of the faults: a debug page without a token, and with a foreign one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_show_nothing_without_a_token_and_with_a_foreign_one_its_own_namespace_only() -> Result<()> {
    const NAME: &str = "pages_show_nothing_without_a_token_and_with_a_foreign_one_its_own_namespace_only";
    let Some(mut world) = prepare(NAME).await? else { return Ok(()) };
    world.apply(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": OTHER}})).await?;
    let account = |namespace| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": namespace}});
    world.apply(account(OTHER)).await?;
    for object in [service("web", 80), pod("web", "v1")] {
        world.apply(object.clone()).await?;
        world.apply(elsewhere(object)).await?;
    }
    for object in reader()? {
        world.apply(object).await?;
    }
    world.until("both services", |held| held.has("Service", "web")).await?;
    let node = |namespace| format!("sidecar~10.0.0.1~web.{namespace}~{namespace}.svc.cluster.local");
    let fleet =
        Fleet::connect(&world.control_plane.xds().to_string(), vec![node(NAMESPACE), node(OTHER)], BTreeMap::new());
    let trusted = wait::until("a root", async || bundle(&world.client).await).await?;
    let token =
        async |namespace: &str, name: &str, audience: &str| world.server.token_for(namespace, name, audience).await;

    let stranger = token(NAMESPACE, "default", "vault").await?;
    for path in DIVIDED.map(|page| format!("/debug/{page}")).iter().map(String::as_str).chain(WHOLE).chain(["/version"])
    {
        for token in [None, Some("garbage"), Some(stranger.as_str())] {
            let (status, text) = get(&world, &trusted, path, token).await?;
            ensure!(status == 401 && !text.contains("web"), "{path} with {token:?}: {status} {text}");
        }
    }
    let (status, text) = get(&world, &trusted, "/readyz", None).await?;
    ensure!(status == 200, "{status} {text}");

    let reader = token(SYSTEM, "mainsheet-reader", OURS).await?;
    wait::until("the reader to see both proxies", async || {
        let seen = proxies(&world, &trusted, &reader).await?;
        ensure!(seen == ["web.bank", "web.default"], "{seen:?}");
        Ok(())
    })
    .await?;

    for audience in [API_SERVER, OURS, "istio-ca"] {
        let foreign = token(NAMESPACE, "default", audience).await?;
        ensure!(proxies(&world, &trusted, &foreign).await? == ["web.default"]);
        for page in DIVIDED {
            let (status, text) = get(&world, &trusted, &format!("/debug/{page}"), Some(&foreign)).await?;
            ensure!(status == 200 && !text.contains(OTHER), "{page}: {status} {text}");
        }
        for path in WHOLE {
            let (status, text) = get(&world, &trusted, path, Some(&foreign)).await?;
            ensure!(status == 403 && text.contains(path), "{path}: {status} {text}");
        }
        for (proxy, expected) in [("web.default", 200), ("web", 200), ("web.bank", 404), ("nobody.bank", 404)] {
            let path = format!("/debug/config_dump?proxyID={proxy}");
            let (status, text) = get(&world, &trusted, &path, Some(&foreign)).await?;
            ensure!(status == expected, "{proxy}: {status} {text}");
        }
    }
    let (_, dump) = get(&world, &trusted, "/debug/config_dump?proxyID=web.bank", Some(&reader)).await?;
    ensure!(dump.contains("ClustersConfigDump"), "{dump}");
    fleet.stop().await.context("the proxies")?;

    // Nobody says who asks, and so nothing is shown; a page of that kind was not asked for before.
    world.server.kill();
    let (status, text) = get(&world, &trusted, "/debug", Some(&reader)).await?;
    ensure!(status == 503, "{status} {text}");
    Ok(())
}
