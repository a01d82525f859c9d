//! What a proxy asks for, and what it is sent, in the state-of-the-world protocol.

use proto::ResourceType::{Cluster, Endpoint};

use crate::{
    house::House,
    objects::{cluster, rule, service},
    proxy::{Sotw, sotw_names},
};

fn outbound(names: Vec<String>) -> Vec<String> {
    names.into_iter().filter(|name| name.starts_with("outbound|")).collect()
}

#[tokio::test]
async fn a_request_without_names_asks_for_all_clusters() {
    let house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Sotw::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let response = proxy.next(Cluster).await;
    assert_eq!(outbound(sotw_names(&response)), [cluster("a"), cluster("b")]);
    assert!(!response.version_info.is_empty());
    proxy.ack(&response, &[]).await;
    proxy.expect_silence().await;
}

#[tokio::test]
async fn names_ask_for_these_only() {
    let mut house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Sotw::connect(&house, "web").await;
    let wanted = cluster("b");
    proxy.subscribe(Cluster, &[&wanted]).await;
    let response = proxy.next(Cluster).await;
    assert_eq!(sotw_names(&response), [cluster("b")]);
    proxy.ack(&response, &[&wanted]).await;
    house.set(&[service("a", &[]), service("b", &[]), rule("a", "3s")]).await;
    proxy.expect_silence().await;
}

#[tokio::test]
async fn a_change_of_one_cluster_sends_all() {
    let mut house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Sotw::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let first = proxy.next(Cluster).await;
    proxy.ack(&first, &[]).await;
    house.set(&[service("a", &[]), service("b", &[]), rule("b", "3s")]).await;
    let second = proxy.next(Cluster).await;
    assert_eq!(sotw_names(&second), sotw_names(&first));
    assert_ne!(second.version_info, first.version_info);
    proxy.ack(&second, &[]).await;
    proxy.expect_silence().await;
}

#[tokio::test]
async fn what_comes_is_added_and_what_is_gone_is_left_out() {
    let mut house = House::start(&[service("a", &[])]).await;
    let mut proxy = Sotw::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let first = proxy.next(Cluster).await;
    proxy.ack(&first, &[]).await;
    house.set(&[service("a", &[]), service("b", &[])]).await;
    let second = proxy.next(Cluster).await;
    assert_eq!(outbound(sotw_names(&second)), [cluster("a"), cluster("b")]);
    proxy.ack(&second, &[]).await;
    house.set(&[service("b", &[])]).await;
    let third = proxy.next(Cluster).await;
    assert_eq!(outbound(sotw_names(&third)), [cluster("b")]);
    proxy.ack(&third, &[]).await;
    proxy.expect_silence().await;
}

#[tokio::test]
async fn several_types_share_a_stream() {
    let mut house = House::start(&[service("a", &["10.2.0.1"]), service("b", &["10.2.0.2"])]).await;
    let mut proxy = Sotw::connect(&house, "web").await;
    let both = [cluster("a"), cluster("b")];
    let both = [both[0].as_str(), both[1].as_str()];
    proxy.subscribe(Cluster, &[]).await;
    let clusters = proxy.next(Cluster).await;
    proxy.subscribe(Endpoint, &both).await;
    proxy.ack(&clusters, &[]).await;
    let endpoints = proxy.next(Endpoint).await;
    assert_eq!(sotw_names(&endpoints), both);
    proxy.ack(&endpoints, &both).await;

    house.set(&[service("a", &["10.2.0.1"]), service("b", &["10.2.0.3"])]).await;
    let endpoints = proxy.next(Endpoint).await;
    assert!(sotw_names(&endpoints).contains(&cluster("b")));
    // No longer wanted, no longer sent.
    proxy.ack(&endpoints, &both[..1]).await;
    proxy.expect_silence().await;
    house.set(&[service("a", &["10.2.0.1"]), service("b", &["10.2.0.4"])]).await;
    proxy.expect_silence().await;
}

#[tokio::test]
async fn a_refused_version_is_not_sent_again() {
    let mut house = House::start(&[service("a", &[])]).await;
    let mut proxy = Sotw::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let first = proxy.next(Cluster).await;
    proxy.ack(&first, &[]).await;
    house.set(&[service("a", &[]), rule("a", "3s")]).await;
    let second = proxy.next(Cluster).await;
    proxy.nack(&second, &first.version_info, "no such timeout").await;
    house
        .wait_status("web", |status| status.is_some_and(|s| s.mainsheet.state == mainsheet::status::Sync::Nacked))
        .await;
    proxy.expect_silence().await;
    house.set(&[service("a", &[]), rule("a", "4s")]).await;
    let third = proxy.next(Cluster).await;
    proxy.ack(&third, &[]).await;
    house
        .wait_status("web", |status| status.is_some_and(|s| s.mainsheet.state == mainsheet::status::Sync::Synced))
        .await;
    assert_eq!(house.metric("pilot_xds_cds_reject") as u64, 1);
}

#[tokio::test]
async fn a_proxy_that_comes_back_with_the_same_version_is_told_nothing_it_knows() {
    let house = House::start(&[service("a", &[])]).await;
    let mut proxy = Sotw::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let first = proxy.next(Cluster).await;
    drop(proxy);
    let mut proxy = Sotw::connect(&house, "web").await;
    proxy
        .send(proto::envoy::service::discovery::v3::DiscoveryRequest {
            type_url: Cluster.type_url().into(),
            version_info: first.version_info.clone(),
            ..Default::default()
        })
        .await;
    proxy.expect_silence().await;
}
