//! A proxy that comes back is sent what it does not have, and nothing else.

use std::collections::BTreeMap;

use proto::ResourceType::{Cluster, Endpoint};

use crate::{
    house::House,
    objects::{cluster, rule, service},
    proxy::{Delta, held, names},
};

async fn first_life(house: &House) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let mut proxy = Delta::connect(house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let clusters = proxy.take(Cluster).await;
    proxy.subscribe(Endpoint, &[&cluster("a")]).await;
    let endpoints = proxy.take(Endpoint).await;
    (held(&clusters), held(&endpoints))
}

#[tokio::test]
async fn to_another_replica_it_is_sent_nothing_that_it_has() {
    let objects = [service("a", &["10.2.0.1"]), service("b", &[]), rule("b", "3s")];
    let (clusters, endpoints) = first_life(&House::start(&objects).await).await;
    let other = House::start(&objects).await;
    let mut proxy = Delta::connect(&other, "web").await;
    proxy.resume(Cluster, &[], &clusters).await;
    proxy.resume(Endpoint, &[&cluster("a")], &endpoints).await;
    proxy.expect_silence().await;
    assert_eq!(other.metric("mainsheet_sent_resources_total{type=\"cds\"}") as u64, 0);
}

#[tokio::test]
async fn it_is_sent_what_changed_and_told_what_is_gone() {
    let mut house = House::start(&[service("a", &["10.2.0.1"]), service("b", &[])]).await;
    let (clusters, endpoints) = first_life(&house).await;
    house.wait_status("web", |status| status.is_none()).await;
    house.set(&[service("a", &["10.2.0.1"]), service("c", &[]), rule("a", "3s")]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.resume(Cluster, &[], &clusters).await;
    proxy.resume(Endpoint, &[&cluster("a")], &endpoints).await;
    let response = proxy.next().await;
    assert_eq!(response.type_url, Cluster.type_url());
    assert_eq!(names(&response), [cluster("a"), cluster("c")]);
    let again = proxy.take(Endpoint).await;
    assert_eq!(names(&again), [cluster("a")], "for the cluster that changed");
    proxy.ack(&response).await;
    // What is gone is taken away once it is sure that nothing of the proxy's names it.
    let mut removed = response.removed_resources.clone();
    if removed.is_empty() {
        removed = proxy.take(Cluster).await.removed_resources;
    }
    assert_eq!(removed, [cluster("b")]);
    proxy.expect_silence().await;
}
