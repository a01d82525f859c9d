//! What a peer can do wrong, or too much of: it hurts that peer alone.

use std::time::Duration;

use proto::{ResourceType::Cluster, envoy::service::discovery::v3::DeltaDiscoveryRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tonic::Code;

use crate::{
    house::House,
    objects::{cluster, rule, service},
    proxy::{Delta, connect, names},
};

async fn first_answer(house: &House, requests: Vec<DeltaDiscoveryRequest>) -> tonic::Status {
    let mut client = connect(house.address, None).await;
    let opened = client.delta_aggregated_resources(tokio_stream::iter(requests)).await;
    match opened {
        Ok(response) => response.into_inner().message().await.unwrap_err(),
        Err(status) => status,
    }
}

#[tokio::test]
async fn a_stream_without_a_node_is_refused() {
    let house = House::start(&[service("a", &[])]).await;
    let request = DeltaDiscoveryRequest { type_url: Cluster.type_url().into(), ..Default::default() };
    let status = first_answer(&house, vec![request]).await;
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("missing node information"), "{status}");
    assert_eq!(first_answer(&house, vec![]).await.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_request_that_is_too_long_is_refused_before_it_is_read() {
    let house = House::start(&[service("a", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    let long = "x".repeat(mainsheet::ads::REQUEST_LEN_MAX);
    proxy.subscribe(Cluster, &[&long]).await;
    assert_eq!(proxy.try_next().await.unwrap_err().code(), Code::ResourceExhausted);
    proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
}

#[tokio::test]
async fn a_request_without_a_type_ends_the_stream() {
    let house = House::start(&[service("a", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.send(DeltaDiscoveryRequest::default()).await;
    assert_eq!(proxy.try_next().await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test]
async fn another_method_is_not_there() {
    let house = House::start(&[service("a", &[])]).await;
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{}", house.address)).unwrap();
    let mut grpc = tonic::client::Grpc::new(channel.connect().await.unwrap());
    grpc.ready().await.unwrap();
    let codec = tonic_prost::ProstCodec::<DeltaDiscoveryRequest, DeltaDiscoveryRequest>::default();
    let path = http::uri::PathAndQuery::from_static("/envoy.service.cluster.v3.ClusterDiscoveryService/FetchClusters");
    let answer = grpc.unary(tonic::Request::new(DeltaDiscoveryRequest::default()), path, codec).await;
    assert_eq!(answer.unwrap_err().code(), Code::Unimplemented);
}

#[tokio::test]
async fn what_is_not_http2_is_closed() {
    let house = House::start(&[service("a", &[])]).await;
    let mut socket = tokio::net::TcpStream::connect(house.address).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut rest)).await.unwrap().ok();
}

#[tokio::test]
async fn a_slow_stream_skips_what_it_missed_and_keeps_nobody_waiting() {
    // Large enough that a response does not fit into what the slow one takes.
    let services: Vec<String> = (0..400).map(|number| service(&format!("s{number:03}"), &[])).collect();
    let with = |seconds: u32| {
        let mut objects = services.clone();
        objects.extend((0..400).map(|number| rule(&format!("s{number:03}"), &format!("{seconds}s"))));
        objects
    };
    let mut house = House::start(&with(1)).await;
    let mut slow = Delta::open(house.address, "slow", Some(65_535)).await;
    let mut quick = Delta::connect(&house, "quick").await;
    slow.subscribe(Cluster, &[]).await;
    quick.subscribe(Cluster, &[]).await;
    quick.take(Cluster).await;
    for seconds in 2..12 {
        house.set(&with(seconds)).await;
        assert_eq!(quick.take(Cluster).await.resources.len(), 400);
    }
    assert_eq!(house.metric("mainsheet_sent_messages_total{type=\"cds\"}") as u64, 11 + 1, "the slow one got one");
    // It reads on, and finds the newest without what was between.
    slow.take(Cluster).await;
    let newest = slow.take(Cluster).await;
    assert!(names(&newest).contains(&cluster("s000").as_str()));
    assert_eq!(newest.resources.len(), 400);
    slow.expect_silence().await;
    let held = |status: mainsheet::status::SyncStatus| status.mainsheet.types[0].version_sent.clone();
    assert_eq!(held(house.status("slow").unwrap()), held(house.status("quick").unwrap()));
}

#[tokio::test]
async fn a_proxy_that_stops_reading_is_closed_after_a_while() {
    let services: Vec<String> = (0..300).map(|number| service(&format!("s{number:03}"), &[])).collect();
    let mut house = House::with_write_timeout(Duration::from_millis(300)).await;
    house.set(&services).await;
    let mut stuck = Delta::open(house.address, "stuck", Some(65_535)).await;
    stuck.subscribe(Cluster, &[]).await;
    // One response is held by HTTP/2 and one by the body, so it takes a few that need no answer to get stuck.
    for number in 0..8 {
        stuck.subscribe(Cluster, &[&format!("missing-{number}")]).await;
    }
    for number in 0..8 {
        stuck.send(DeltaDiscoveryRequest { type_url: format!("type-{number}"), ..Default::default() }).await;
    }
    house.wait_status("stuck", |status| status.is_some()).await;
    house.wait_status("stuck", |status| status.is_none()).await;
    assert_eq!(house.metric("pilot_xds_write_timeout") as u64, 1);
    let mut fine = Delta::connect(&house, "fine").await;
    fine.subscribe(Cluster, &[]).await;
    fine.take(Cluster).await;
}

#[tokio::test]
async fn a_shutdown_ends_streams_with_a_word() {
    let house = House::start(&[service("a", &[])]).await;
    let mut proxy = Delta::connect(&house, "web").await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    house.shut_down();
    let status = proxy.try_next().await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
}
