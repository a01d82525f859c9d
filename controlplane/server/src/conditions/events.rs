//! What became so of an object, as events beside it: a fixed set of reasons, repeated ones joined into series.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until, timeout},
};

use super::{
    pace::Pace,
    verdict::{Aspect, Truth, Verdict, Verdicts},
    written::Written,
};
use crate::{
    leader::{Term, WRITE_TIMEOUT},
    metrics::Metrics,
    source::standing::Standing,
};

/// Who reports.
const CONTROLLER: &str = "mainsheet";
/// In the course of what: our one action.
const ACTION: &str = "Programming";
/// Events in a second, and at once after a rest.
const EVENTS_PER_SECOND: u32 = 5;
const EVENTS_BURST: u32 = 25;
/// Events that wait; more are left out, since the status says the same.
const WAITING_MAX: usize = 256;
/// Longest note, in characters: the API server takes 1,024 bytes.
const NOTE_LEN_MAX: usize = 250;

/// What happened to an object.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct News {
    is_warning: bool,
    reason: &'static str,
    note: String,
    regarding: ObjectReference,
}

/// The way to the one who sends events.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    waiting: mpsc::Sender<News>,
    metrics: Arc<Metrics>,
}

/// A desk, and what is put on it.
pub(super) fn desk(metrics: Arc<Metrics>) -> (Desk, mpsc::Receiver<News>) {
    let (waiting, news) = mpsc::channel(WAITING_MAX);
    (Desk { waiting, metrics }, news)
}

impl Desk {
    /// Reports what a write has changed. Never waits.
    pub(super) fn report(&self, standing: &Standing, written: &Verdicts) {
        let before = Written::of(standing);
        for verdict in written {
            let Some((is_warning, reason)) = reason(&before, verdict) else { continue };
            let note = verdict.message.chars().take(NOTE_LEN_MAX).collect();
            let news = News { is_warning, reason, note, regarding: reference(standing) };
            if self.waiting.try_send(news).is_err() {
                self.metrics.event("left_out");
            }
        }
    }
}

/// Sends what is reported for as long as the term lasts.
pub(super) async fn send(
    client: Client,
    identity: String,
    mut news: mpsc::Receiver<News>,
    metrics: &Metrics,
    term: &Term,
) {
    let reporter = Reporter { controller: CONTROLLER.into(), instance: Some(identity) };
    let recorder = Recorder::new(client, reporter);
    let mut pace = Pace::new(EVENTS_PER_SECOND, EVENTS_BURST, Instant::now());
    while let Some(News { is_warning, reason, note, regarding }) = news.recv().await {
        sleep_until(pace.ready_at(Instant::now())).await;
        if !pace.take(Instant::now()) || !term.is_held() {
            metrics.event("left_out");
            continue;
        }
        let event = Event {
            type_: if is_warning { EventType::Warning } else { EventType::Normal },
            reason: reason.into(),
            note: Some(note),
            action: ACTION.into(),
            secondary: None,
        };
        match timeout(WRITE_TIMEOUT, recorder.publish(&event, &regarding)).await {
            Ok(Ok(())) => metrics.event("sent"),
            Ok(Err(error)) => {
                metrics.event("failed");
                tracing::debug!(reason, %error, "an event could not be written");
            }
            Err(_) => metrics.event("failed"),
        }
    }
}

/// Whether a verdict is news, as a warning or not, and under which reason.
fn reason(before: &Written, now: &Verdict) -> Option<(bool, &'static str)> {
    let was = before.status(now.aspect);
    let was_false = was.is_some_and(|(status, _)| status == Truth::False.as_str());
    let is_same = was == Some((now.truth.as_str(), now.reason));
    match (now.aspect, now.truth) {
        (Aspect::Accepted | Aspect::ResolvedRefs, Truth::False) if !is_same => Some((true, now.reason)),
        (Aspect::Programmed, Truth::False) if !is_same && now.reason == "Refused" => Some((true, now.reason)),
        (Aspect::Accepted | Aspect::ResolvedRefs, Truth::True) if was_false => Some((false, now.aspect.as_str())),
        (Aspect::Programmed, Truth::True) if was.is_some_and(|(_, reason)| reason == "Refused") => {
            Some((false, now.reason))
        }
        (Aspect::Accepted | Aspect::ResolvedRefs | Aspect::Programmed, _) => None,
    }
}

fn reference(standing: &Standing) -> ObjectReference {
    ObjectReference {
        api_version: Some(standing.api_version()),
        kind: Some(standing.kind.name.into()),
        namespace: Some(standing.namespace.to_string()),
        name: Some(standing.name.to_string()),
        uid: Some(standing.uid.to_string()),
        ..ObjectReference::default()
    }
}
