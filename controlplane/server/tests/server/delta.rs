//! What a proxy asks for, and what it is sent, in the incremental protocol.

use proto::{
    ResourceType::{Cluster, Endpoint, Route},
    envoy::service::discovery::v3::{DeltaDiscoveryRequest, DeltaDiscoveryResponse},
};

use crate::{
    house::House,
    objects::{cluster, pod, route, rule, service, sidecar},
    proxy::{Delta, names},
};

/// The outbound clusters among what a response has or removes.
fn outbound<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    names.into_iter().filter(|name| name.starts_with("outbound|")).map(str::to_owned).collect()
}

fn sent(response: &DeltaDiscoveryResponse) -> Vec<String> {
    outbound(names(response))
}

#[tokio::test]
async fn a_request_without_names_asks_for_all_clusters() {
    let house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let response = proxy.take(Cluster).await;
    assert_eq!(sent(&response), [cluster("a"), cluster("b")]);
    assert!(names(&response).contains(&"BlackHoleCluster"));
    proxy.expect_silence().await;
}

#[tokio::test]
async fn a_star_asks_for_all_clusters() {
    let house = House::start(&[service("a", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &["*"]).await;
    assert_eq!(sent(&proxy.take(Cluster).await), [cluster("a")]);
    proxy.expect_silence().await;
}

#[tokio::test]
async fn names_ask_for_these_only_and_missing_ones_are_said_to_be_missing() {
    let house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[&cluster("b"), "nowhere"]).await;
    let response = proxy.take(Cluster).await;
    assert_eq!(names(&response), [cluster("b")]);
    assert_eq!(response.removed_resources, ["nowhere"]);
    proxy.expect_silence().await;
}

#[tokio::test]
async fn only_what_changed_is_sent() {
    let mut house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    house.set(&[service("a", &[]), service("b", &[]), rule("b", "3s")]).await;
    let response = proxy.take(Cluster).await;
    assert_eq!(names(&response), [cluster("b")]);
    assert!(response.removed_resources.is_empty());
    proxy.expect_silence().await;
}

#[tokio::test]
async fn what_means_the_same_is_not_sent() {
    let mut house = House::start(&[service("a", &[]), rule("a", "3s")]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    house.set(&[rule("a", "3000ms"), service("a", &[])]).await;
    proxy.expect_silence().await;
}

#[tokio::test]
async fn a_new_service_comes_to_those_who_want_all_and_to_nobody_else() {
    let mut house = House::start(&[service("a", &[])]).await;
    let mut all = Delta::connect(&house, "all").await;
    let mut some = Delta::connect(&house, "some").await;
    all.subscribe(Cluster, &[]).await;
    some.subscribe(Cluster, &[&cluster("a")]).await;
    all.take(Cluster).await;
    some.take(Cluster).await;
    house.set(&[service("a", &[]), service("b", &[])]).await;
    assert_eq!(names(&all.take(Cluster).await), [cluster("b")]);
    all.expect_silence().await;
    some.expect_silence().await;
}

#[tokio::test]
async fn what_was_missing_is_sent_when_it_comes() {
    let mut house = House::start(&[service("a", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[&cluster("b")]).await;
    assert_eq!(proxy.take(Cluster).await.removed_resources, [cluster("b")]);
    house.set(&[service("a", &[]), service("b", &[])]).await;
    assert_eq!(names(&proxy.take(Cluster).await), [cluster("b")]);
}

#[tokio::test]
async fn what_is_gone_is_removed() {
    let mut house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    house.set(&[service("b", &[])]).await;
    let response = proxy.take(Cluster).await;
    assert_eq!(response.removed_resources, [cluster("a")]);
    assert!(response.resources.is_empty());
    proxy.expect_silence().await;
}

#[tokio::test]
async fn what_is_no_longer_wanted_is_no_longer_sent() {
    let mut house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[&cluster("a"), &cluster("b")]).await;
    proxy.take(Cluster).await;
    proxy.unsubscribe(Cluster, &[&cluster("a")]).await;
    proxy.expect_silence().await;
    house.set(&[service("a", &[]), service("b", &[]), rule("a", "3s"), rule("b", "3s")]).await;
    assert_eq!(names(&proxy.take(Cluster).await), [cluster("b")]);
    proxy.expect_silence().await;
}

#[tokio::test]
async fn several_types_share_a_stream_and_endpoints_come_after_their_clusters() {
    let mut house = House::start(&[service("a", &["10.2.0.1"])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let clusters = proxy.next().await;
    proxy.subscribe(Endpoint, &[&cluster("a")]).await;
    proxy.ack(&clusters).await;
    assert_eq!(names(&proxy.take(Endpoint).await), [cluster("a")]);

    house.set(&[service("a", &["10.2.0.1", "10.2.0.2"])]).await;
    assert_eq!(names(&proxy.take(Endpoint).await), [cluster("a")]);
    proxy.expect_silence().await;

    // A changed cluster keeps warming until its endpoints come again, though they did not change.
    house.set(&[service("a", &["10.2.0.1", "10.2.0.2"]), rule("a", "3s")]).await;
    let clusters = proxy.next().await;
    assert_eq!(names(&clusters), [cluster("a")]);
    let endpoints = proxy.next().await;
    assert_eq!((endpoints.type_url.as_str(), names(&endpoints)), (Endpoint.type_url(), vec![cluster("a").as_str()]));
    proxy.ack(&endpoints).await;
    proxy.ack(&clusters).await;
    proxy.expect_silence().await;
}

#[tokio::test]
async fn a_route_waits_for_the_cluster_that_it_names() {
    let mut house = House::start(&[service("a", &["10.2.0.1"])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    proxy.subscribe(Endpoint, &[&cluster("a")]).await;
    proxy.take(Endpoint).await;
    proxy.subscribe(Route, &["80"]).await;
    proxy.take(Route).await;

    house.set(&[service("a", &["10.2.0.1"]), service("b", &["10.2.0.2"]), route("a", "b", "/b")]).await;
    let clusters = proxy.next().await;
    assert_eq!(names(&clusters), [cluster("b")]);
    proxy.expect_silence().await;
    proxy.subscribe(Endpoint, &[&cluster("b")]).await;
    proxy.take(Endpoint).await;
    proxy.expect_silence().await;
    proxy.ack(&clusters).await;
    assert_eq!(names(&proxy.take(Route).await), ["80"]);
    proxy.expect_silence().await;
}

#[tokio::test]
async fn an_answer_from_the_past_changes_nothing() {
    let mut house = House::start(&[service("a", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    let first = proxy.take(Cluster).await;
    house.set(&[service("a", &[]), rule("a", "3s")]).await;
    proxy.take(Cluster).await;
    proxy.ack(&first).await;
    let never_sent = DeltaDiscoveryRequest {
        type_url: Cluster.type_url().into(),
        response_nonce: "made up".into(),
        ..Default::default()
    };
    proxy.send(never_sent).await;
    proxy.expect_silence().await;
    assert_eq!(house.metric("pilot_xds_expired_nonce") as u64, 2);
}

#[tokio::test]
async fn a_proxy_whose_pod_changes_its_labels_sees_the_mesh_from_there() {
    let objects = |labels: &str| {
        [service("a", &[]), service("b", &[]), sidecar("tier: front", "a.shop.svc.cluster.local"), pod("web", labels)]
    };
    let mut house = House::start(&objects("tier: back")).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    assert_eq!(sent(&proxy.take(Cluster).await), [cluster("a"), cluster("b")]);
    house.set(&objects("tier: front")).await;
    let response = proxy.take(Cluster).await;
    assert_eq!(outbound(response.removed_resources.iter().map(String::as_str)), [cluster("b")]);
    house.set(&objects("tier: back")).await;
    assert_eq!(sent(&proxy.take(Cluster).await), [cluster("b")]);
}

#[tokio::test]
async fn nothing_is_served_before_the_source_was_read_whole() {
    let mut house = House::empty().await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    house.wait_status("web", |status| status.is_some()).await;
    house.set(&[service("a", &[])]).await;
    assert_eq!(sent(&proxy.take(Cluster).await), [cluster("a")]);
    proxy.expect_silence().await;
}

#[tokio::test]
async fn a_hundred_proxies_share_what_was_encoded_once() {
    let mut house = House::start(&[service("a", &[]), service("b", &[])]).await;
    let mut proxies = Vec::new();
    for number in 0..100 {
        let mut proxy = Delta::connect(&house, &format!("web-{number}")).await;
        proxy.subscribe(Cluster, &[]).await;
        proxy.take(Cluster).await;
        proxies.push(proxy);
    }
    house.set(&[service("a", &[]), service("b", &[]), rule("a", "3s"), rule("b", "3s")]).await;
    for proxy in &mut proxies {
        assert_eq!(names(&proxy.take(Cluster).await), [cluster("a"), cluster("b")]);
    }
    assert_eq!(house.metric("mainsheet_sent_messages_total{type=\"cds\"}") as u64, 200);
    assert_eq!(house.metric("mainsheet_bodies_total{type=\"cds\"}") as u64, 2, "the first push and the second");
}
