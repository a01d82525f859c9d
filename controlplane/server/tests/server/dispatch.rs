//! What the owner of the mesh publishes, to whom, and when it keeps still.

use std::{sync::Arc, time::Instant};

use futures::FutureExt as _;
use mainsheet::{
    dispatch::{Gone, Handle, Published, start},
    metrics::Metrics,
    source,
};
use mesh::{
    compile::viewpoint::ProxyDescription,
    model::{Change, Kind, Namespace, ObjectId},
};
use proto::{ResourceType, envoy::config::core::v3::Node};

fn objects(text: &str) -> Vec<Change> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mesh.yaml");
    std::fs::write(&path, text).unwrap();
    let update = source::load(&[path], &source::Settings::default());
    assert!(update.problems.is_empty(), "{:?}", update.problems);
    update.changes
}

fn service(name: &str) -> Vec<Change> {
    objects(&format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}, namespace: shop}}\n\
         spec: {{clusterIP: 10.0.0.1, ports: [{{name: http, port: 80}}]}}\n"
    ))
}

fn pod(labels: &str) -> Vec<Change> {
    objects(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web, namespace: shop, labels: {{{labels}}}}}\n\
         spec: {{containers: [{{name: app}}]}}\nstatus: {{phase: Running, podIP: 10.1.0.1}}\n"
    ))
}

fn sidecar() -> Vec<Change> {
    objects(
        "apiVersion: networking.istio.io/v1\nkind: Sidecar\nmetadata: {name: narrow, namespace: shop}\n\
         spec: {workloadSelector: {labels: {tier: front}}, egress: [{hosts: [\"./a.shop.svc.cluster.local\"]}]}\n",
    )
}

fn proxy(pod: &str) -> ProxyDescription {
    let id = format!("sidecar~10.1.0.1~{pod}.shop~shop.svc.cluster.local");
    ProxyDescription::of_node(&Node { id, ..Node::default() }).unwrap()
}

fn clusters(published: &Published) -> Vec<String> {
    let names = published.snapshot.of(ResourceType::Cluster).iter().map(|resource| resource.name.to_string());
    names.filter(|name| name.starts_with("outbound|")).collect()
}

fn handle() -> Handle {
    start(Arc::new(Metrics::new("test"))).unwrap()
}

async fn apply(handle: &Handle, changes: Vec<Change>) {
    handle.apply(changes, Instant::now()).await.unwrap();
    // Messages are taken in order, and what one batch publishes is published before it answers a newcomer.
    handle.subscribe(proxy("probe")).await.unwrap().next().await.unwrap();
}

#[tokio::test]
async fn nobody_is_served_before_the_mesh_is_complete() {
    let handle = handle();
    let mut early = handle.subscribe(proxy("web")).await.unwrap();
    assert!(early.next().now_or_never().is_none());
    assert!(!handle.view().ready);
    apply(&handle, service("a")).await;
    assert_eq!(clusters(&early.next().await.unwrap()), ["outbound|80||a.shop.svc.cluster.local"]);
    assert!(handle.view().ready);
}

#[tokio::test]
async fn an_empty_mesh_is_complete_too() {
    let handle = handle();
    apply(&handle, Vec::new()).await;
    let published = handle.subscribe(proxy("web")).await.unwrap().next().await.unwrap();
    assert!(clusters(&published).is_empty());
}

#[tokio::test]
async fn only_what_differs_is_published() {
    let handle = handle();
    apply(&handle, service("a")).await;
    let mut web = handle.subscribe(proxy("web")).await.unwrap();
    web.next().await.unwrap();
    apply(&handle, service("a")).await;
    assert!(web.next().now_or_never().is_none(), "equal is silent");
    apply(&handle, service("b")).await;
    let published = web.next().now_or_never().unwrap().unwrap();
    assert_eq!(published.cause.text, "Service shop/b");
    assert_eq!(clusters(&published).len(), 2);
}

#[tokio::test]
async fn who_does_not_look_finds_the_newest_and_has_lost_nothing() {
    let handle = handle();
    apply(&handle, service("a")).await;
    let mut web = handle.subscribe(proxy("web")).await.unwrap();
    web.next().await.unwrap();
    for name in ["b", "c", "d"] {
        apply(&handle, service(name)).await;
    }
    assert_eq!(clusters(&web.next().now_or_never().unwrap().unwrap()).len(), 4);
    assert!(web.next().now_or_never().is_none());
}

#[tokio::test]
async fn proxies_that_look_from_the_same_place_share_one_snapshot() {
    let handle = handle();
    apply(&handle, service("a")).await;
    let mut one = handle.subscribe(proxy("one")).await.unwrap();
    let mut other = handle.subscribe(proxy("other")).await.unwrap();
    assert!(Arc::ptr_eq(&one.next().await.unwrap().snapshot, &other.next().await.unwrap().snapshot));
}

#[tokio::test]
async fn a_proxy_moves_when_its_pod_does() {
    let handle = handle();
    apply(&handle, [service("a"), service("b"), sidecar(), pod("tier: back")].concat()).await;
    let mut web = handle.subscribe(proxy("web")).await.unwrap();
    let mut other = handle.subscribe(proxy("other")).await.unwrap();
    assert_eq!(clusters(&web.next().await.unwrap()).len(), 2);
    other.next().await.unwrap();
    apply(&handle, pod("tier: front")).await;
    assert_eq!(clusters(&web.next().now_or_never().unwrap().unwrap()).len(), 1);
    assert!(other.next().now_or_never().is_none(), "whom it does not concern hears nothing");
    apply(&handle, vec![Change::Remove(ObjectId::new(Kind::Sidecar, Namespace::parse("shop").unwrap(), "narrow"))])
        .await;
    assert_eq!(clusters(&web.next().now_or_never().unwrap().unwrap()).len(), 2);
}

#[tokio::test]
async fn a_place_that_nobody_looks_from_is_forgotten() {
    let mut handle = handle();
    apply(&handle, service("a")).await;
    let web = handle.subscribe(proxy("web")).await.unwrap();
    while handle.view().viewpoints != 1 {
        handle.changed().await.unwrap();
    }
    drop(web);
    while handle.view().viewpoints != 0 {
        handle.changed().await.unwrap();
    }
}

#[tokio::test]
async fn changes_that_gather_are_taken_as_one() {
    let handle = handle();
    apply(&handle, Vec::new()).await;
    let before = handle.view().pushes;
    // All at once: while the first is compiled the others gather, so that there are at most as many pushes as changes.
    for number in 0..50 {
        handle.apply(service(&format!("s{number}")), Instant::now()).await.unwrap();
    }
    apply(&handle, Vec::new()).await;
    assert!(handle.view().pushes - before <= 50);
    let published = handle.subscribe(proxy("web")).await.unwrap().next().await.unwrap();
    assert_eq!(clusters(&published).len(), 50);
}

#[tokio::test]
async fn it_ends_when_nobody_needs_it() {
    let handle = handle();
    apply(&handle, service("a")).await;
    let mut web = handle.subscribe(proxy("web")).await.unwrap();
    web.next().await.unwrap();
    drop(handle);
    assert_eq!(web.next().await.unwrap_err(), Gone);
}
