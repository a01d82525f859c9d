//! API servers of all kinds, played by a function.

use std::{io, sync::Mutex, time::UNIX_EPOCH};

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Client, client::Body};
use serde_json::{Value, json};

use super::*;
use crate::metrics::Metrics;

/// What was asked of an API server, in order.
type Asked = Arc<Mutex<Vec<&'static str>>>;

const STREAM: &str = "streaming list";
const PAGE: &str = "page";
const WATCH: &str = "watch";

/// The answer of an API server that is not there.
const AWAY: (u16, String) = (0, String::new());

/// The events of an API server that answers each kind of request as `answer` says.
fn events(answer: impl Fn(&'static str) -> (u16, String) + Send + Sync + 'static) -> (Events<ConfigMap>, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let server = tower::service_fn(move |request: Request<Body>| {
        let query = request.uri().query().unwrap_or_default();
        let kind = match (query.contains("watch=true"), query.contains("sendInitialEvents=true")) {
            (true, true) => STREAM,
            (true, false) => WATCH,
            (false, _) => PAGE,
        };
        seen.lock().unwrap().push(kind);
        let (status, text) = answer(kind);
        let refused = (status == AWAY.0).then(|| io::Error::from(io::ErrorKind::ConnectionRefused));
        let respond = || Response::builder().status(status).body(Body::from(text.into_bytes())).unwrap();
        std::future::ready(refused.map_or_else(|| Ok(respond()), Err))
    });
    let pulse = Arc::new(Pulse::new(Arc::new(Metrics::new("test")), || UNIX_EPOCH));
    let api = Api::all(Client::new(server, "default"));
    (Events::new(api, "configmaps", None, pulse), asked)
}

fn map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "resourceVersion": "7"}})
}

fn line(kind: &str, object: &Value) -> String {
    format!("{}\n", json!({"type": kind, "object": object}))
}

fn page() -> String {
    json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "8"}, "items": [map("a")]})
        .to_string()
}

fn end_of_list() -> String {
    let annotations = json!({"k8s.io/initial-events-end": "true"});
    let metadata = json!({"resourceVersion": "8", "annotations": annotations, "creationTimestamp": null});
    line("BOOKMARK", &json!({"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}))
}

async fn until_listed(events: &mut Events<ConfigMap>) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let event = events.next().await;
        seen.push(event.to_string());
        if matches!(event, Event::InitDone) {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_list_is_streamed_where_that_can_be_done() {
    let (mut events, asked) =
        events(|_| (200, line("ADDED", &map("a")) + &end_of_list() + &line("MODIFIED", &map("a"))));
    assert_eq!(until_listed(&mut events).await, ["Init", "InitApply(a)", "InitDone"]);
    assert_eq!(events.next().await.to_string(), "Apply(a)");
    assert_eq!(*asked.lock().unwrap(), [STREAM]);
}

#[tokio::test]
async fn an_api_server_that_refuses_to_stream_is_asked_for_pages() {
    let refusal = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "reason": "Invalid",
        "message": "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled",
    });
    let (mut events, asked) =
        events(move |kind| if kind == STREAM { (422, refusal.to_string()) } else { (200, page()) });
    assert_eq!(until_listed(&mut events).await, ["Init", "InitApply(a)", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), [STREAM, PAGE]);
}

#[tokio::test]
async fn streams_that_never_come_to_the_end_of_the_list_give_way_to_pages() {
    // As with servers that do not know the option, and with lists that take longer than a watch.
    let (mut events, asked) = events(|kind| (200, if kind == STREAM { line("ADDED", &map("a")) } else { page() }));
    let seen = until_listed(&mut events).await;
    assert_eq!(seen, ["Init", "InitApply(a)", "Init", "InitApply(a)", "Init", "InitApply(a)", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), [STREAM, STREAM, STREAM, PAGE]);
}

#[tokio::test]
async fn whatever_fails_is_tried_again() {
    let tries = Mutex::new(0);
    let (mut events, asked) = events(move |_| {
        let mut tries = tries.lock().unwrap();
        *tries += 1;
        if *tries < 3 { (503, "not now".into()) } else { (200, line("ADDED", &map("a")) + &end_of_list()) }
    });
    assert_eq!(until_listed(&mut events).await, ["Init", "InitApply(a)", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), [STREAM, STREAM, STREAM]);
}

#[tokio::test]
async fn an_api_server_that_was_away_is_asked_for_the_list_again() {
    // It may have come back with older objects, and would say nothing of them to a watch that goes on where it was.
    let times = Mutex::new(0);
    let (mut events, asked) = events(move |kind| {
        let mut times = times.lock().unwrap();
        *times += 1;
        match (kind, *times) {
            (_, 2 | 3) => AWAY,
            (STREAM, 1) => (200, line("ADDED", &map("a")) + &end_of_list()),
            _ => (200, line("ADDED", &map("b")) + &end_of_list()),
        }
    });
    assert_eq!(until_listed(&mut events).await, ["Init", "InitApply(a)", "InitDone"]);
    assert_eq!(until_listed(&mut events).await, ["Init", "InitApply(b)", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), [STREAM, WATCH, STREAM, STREAM]);
}

#[tokio::test]
async fn what_is_no_event_makes_the_list_be_asked_for_again() {
    // Whatever it was to say is lost, in a list as in a watch.
    let cut = line("ADDED", &map("a")).replace("\"metadata\"", "metadata");
    let times = Mutex::new(0);
    let (mut events, asked) = events(move |_| {
        let mut times = times.lock().unwrap();
        *times += 1;
        let text = match *times {
            1 => line("ADDED", &map("b")) + &cut + &end_of_list(),
            2 => line("ADDED", &map("a")) + &end_of_list() + &cut + &line("MODIFIED", &map("b")),
            _ => line("ADDED", &map("a")) + &line("ADDED", &map("b")) + &end_of_list(),
        };
        (200, text)
    });
    assert_eq!(until_listed(&mut events).await, ["Init", "InitApply(b)", "Init", "InitApply(a)", "InitDone"]);
    assert_eq!(until_listed(&mut events).await, ["Init", "InitApply(a)", "InitApply(b)", "InitDone"]);
    assert_eq!(*asked.lock().unwrap(), [STREAM, STREAM, STREAM]);
}
