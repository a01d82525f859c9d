//! What a hostile or broken peer can do to the running binary: that peer is cut off or changes nothing, all others are served.

use std::{fs, io::Write as _, net::TcpStream, time::Duration};

use prost::Message as _;
use proto::{
    ResourceType::Cluster,
    envoy::{config::core::v3::Node, service::discovery::v3::DeltaDiscoveryRequest},
    google::protobuf::{ListValue, Struct, Value, ValueKind},
};

use crate::{
    binary::{Server, replace},
    objects::{rule, service},
    proxy::{Delta, node_id},
    wire::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, Wire, call, frame, prefix,
    },
};

/// Bytes that an attack may cost at most; each sends or announces far more.
const GROWTH_MAX: u64 = 48 << 20;
const CLOSED: &str = "closed for what its peer sent";

/// A control plane with one proxy that has what it wants.
async fn served() -> (tempfile::TempDir, Server, Delta) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), service("a", &[])).unwrap();
    let server = Server::start(directory.path());
    let proxy = follow(&server, "bystander").await;
    (directory, server, proxy)
}

async fn follow(server: &Server, pod: &str) -> Delta {
    let mut proxy = Delta::open(server.xds, pod, None).await;
    proxy.subscribe(Cluster, &[]).await;
    proxy.take(Cluster).await;
    proxy
}

/// Sends a call with these bytes as its body, and waits for its end.
fn say(server: &Server, body: &[u8]) -> Wire {
    let mut wire = Wire::open(server.xds);
    wire.send(&frame(HEADERS, END_HEADERS, 1, &call())).unwrap();
    wire.send(&frame(DATA, 0, 1, body)).unwrap();
    while let Some((kind, flags)) = wire.frame() {
        if kind == RST_STREAM || (kind == HEADERS && flags & END_STREAM != 0) {
            break;
        }
    }
    wire
}

fn nested(depth: usize) -> DeltaDiscoveryRequest {
    let wrap = |inner: Value| Value { kind: Some(ValueKind::ListValue(ListValue { values: vec![inner] })) };
    let value = (0..depth).fold(Value { kind: Some(ValueKind::BoolValue(true)) }, |inner, _| wrap(inner));
    let metadata = Some(Struct { fields: [("deep".to_owned(), value)].into() });
    let node = Some(Node { id: node_id("deep"), cluster: "deep".into(), metadata, ..Node::default() });
    DeltaDiscoveryRequest { node, type_url: Cluster.type_url().into(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_ends_its_own_stream_and_is_logged_with_peer_and_reason_but_not_without_bound() {
    let (directory, server, mut bystander) = served().await;
    let deep = nested(2_000).encode_to_vec();
    let garbage: [&[u8]; 3] = [&[0xff; 40], &[0x0a, 0x7f, 1], &deep];
    for (number, message) in garbage.iter().cycle().take(60).enumerate() {
        let len = u32::try_from(message.len()).unwrap();
        // What is longer than a frame takes several.
        drop(say(&server, &[&prefix(len)[..], &message[..message.len().min(16_000)]].concat()));
        assert_eq!(server.metric("mainsheet_refused_streams_total{reason=\"message\"}") as usize, number + 1);
    }
    let line = server.wait_logged(CLOSED);
    assert!(line.contains("127.0.0.1:") && line.contains("malformed request"), "{line}");
    let lines = server.logged(CLOSED).len();
    assert!(lines < 60, "{lines} lines for 60 streams");
    replace(directory.path(), &(service("a", &[]) + &rule("a", "3s")));
    bystander.take(Cluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_64_megabytes_is_refused_by_its_length_alone() {
    let (_directory, server, mut bystander) = served().await;
    let before = server.resident();
    let open: Vec<Wire> = (0..20).map(|_| say(&server, &prefix(64 << 20))).collect();
    let grown = server.resident().saturating_sub(before);
    assert!(grown < GROWTH_MAX, "{grown} bytes for {} messages that never came", open.len());
    assert!(server.wait_logged(CLOSED).contains("67108864 bytes"));
    bystander.expect_silence().await;
}

/// Floods a connection with so many frames. Whether the server closed it.
fn flood(server: &Server, start: &[u8], count: u32, frames: impl Fn(u32) -> Vec<u8>) -> bool {
    let mut wire = Wire::open(server.xds);
    if wire.send(start).is_err() {
        return true;
    }
    let mut chunk = Vec::new();
    for number in 0..count {
        chunk.extend(frames(number));
        // A peer that does not take answers either is stopped by its own full socket.
        if chunk.len() > 64 << 10 && wire.send(&std::mem::take(&mut chunk)).is_err() {
            break;
        }
    }
    let _ = wire.send(&chunk);
    // What the server says last may be the end; else it answers a ping as ever.
    let _ = wire.send(&frame(PING, 0, 0, b"the last"));
    loop {
        match wire.frame() {
            None => return true,
            Some((PING, _)) => return false,
            Some(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_of_frames_close_the_connection_or_change_nothing_and_others_are_served() {
    let (directory, server, mut bystander) = served().await;
    let before = server.resident();
    let resets = |number: u32| {
        let stream = number * 2 + 1;
        let reset = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS, stream, &call()), reset].concat()
    };
    assert!(flood(&server, &[], 20_000, resets), "streams opened and reset at once");
    let unfinished = frame(HEADERS, 0, 1, &call());
    let continued = |_| frame(CONTINUATION, 0, 1, &[0; 8_000]);
    assert!(flood(&server, &unfinished, 2_000, continued), "headers without an end");
    let pings = flood(&server, &[], 200_000, |number| frame(PING, 0, 0, &u64::from(number).to_be_bytes()));
    let settings = flood(&server, &[], 200_000, |_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]));
    let grown = server.resident().saturating_sub(before);
    eprintln!("closed by pings: {pings}, by settings: {settings}; {} kB more resident", grown >> 10);
    assert!(grown < GROWTH_MAX, "{grown} bytes more");
    replace(directory.path(), &(service("a", &[]) + &rule("a", "3s")));
    bystander.take(Cluster).await;
    assert_eq!(server.metric("pilot_total_xds_internal_errors") as u64, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_never_finish_are_closed_and_meanwhile_others_are_served() {
    const COUNT: usize = 400;
    let (_directory, server, mut bystander) = served().await;
    let open = |number: usize| {
        let mut socket = TcpStream::connect(server.xds).unwrap();
        // Half of them say the beginning of something.
        if number.is_multiple_of(2) {
            socket.write_all(b"PRI * HTTP/2.0\r\n").unwrap();
        }
        socket
    };
    let sockets: Vec<TcpStream> = (0..COUNT).map(open).collect();
    server.wait_metric("mainsheet_connections", |count| count as usize == COUNT + 1);
    drop(follow(&server, "late").await);
    server.wait_metric("mainsheet_connections", |count| count as usize == 1);
    assert_eq!(server.metric("mainsheet_refused_streams_total{reason=\"no_request\"}") as usize, COUNT);
    drop(sockets);
    bystander.expect_silence().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_file_descriptors_it_keeps_serving_and_takes_new_connections_when_there_are_some_again() {
    const FILES: u32 = 64;
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("mesh.yaml"), service("a", &[])).unwrap();
    let server = Server::with_files(FILES, directory.path());
    let mut bystander = follow(&server, "bystander").await;
    let crowd: Vec<Wire> = (0..2 * FILES).map(|_| Wire::open(server.xds)).collect();
    server.wait_logged("cannot accept a connection");
    bystander.expect_silence().await;
    drop(crowd);
    drop(follow(&server, "late").await);
    replace(directory.path(), &(service("a", &[]) + &rule("a", "3s")));
    bystander.take(Cluster).await;
    assert!(server.metric("mainsheet_refused_streams_total{reason=\"accept\"}") >= 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_answers_no_ping_is_closed_though_its_socket_is_open() {
    let (_directory, server, mut bystander) = served().await;
    let mut wire = Wire::open(server.xds);
    wire.send(&frame(HEADERS, END_HEADERS, 1, &call())).unwrap();
    let started = std::time::Instant::now();
    tokio::task::spawn_blocking(move || wire.read_to_close()).await.unwrap();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
    bystander.expect_silence().await;
}
