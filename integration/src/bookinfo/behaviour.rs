//! Misbehaviour on demand: a service can be told to be slow or to fail, and says how often it was asked.
//!
//! `POST /behaviour?delay_ms=100&status=500&every=2` makes it answer each second request with 500, all of them 100 ms later;
//! `POST /behaviour` heals it. Both set the counters that `GET /behaviour` shows back to zero.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::{Deserialize, Serialize};

/// The longest delay that can be asked for.
const DELAY_MS_MAX: u64 = 60_000;

/// What a service was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Behaviour {
    /// Waited before each answer.
    pub delay_ms: u64,
    /// The status of answers that fail; 0 for none.
    pub status: u16,
    /// Each so many requests, one fails: 1 for all of them; 0 counts as 1.
    pub every: u64,
}

/// What a service has seen since it was last told how to behave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Requests.
    pub requests: u64,
    /// The most of them at one time.
    pub in_progress_max: u64,
}

/// The behaviour and counters of a service.
#[derive(Clone, Debug, Default)]
pub struct Knobs {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    behaviour: Mutex<Behaviour>,
    requests: AtomicU64,
    in_progress: AtomicU64,
    in_progress_max: AtomicU64,
}

/// Lowers the number of requests in progress, also when the caller went away before the answer.
struct InProgress(Arc<Inner>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Knobs {
    /// The route at which the knobs are turned.
    pub fn router(&self) -> Router {
        Router::new().route("/behaviour", get(show).post(turn)).with_state(self.clone())
    }

    fn begin(&self) -> (Behaviour, u64, InProgress) {
        let inner = &self.inner;
        let number = inner.requests.fetch_add(1, Ordering::Relaxed);
        let in_progress = inner.in_progress.fetch_add(1, Ordering::Relaxed) + 1;
        inner.in_progress_max.fetch_max(in_progress, Ordering::Relaxed);
        let behaviour = *inner.behaviour.lock().unwrap_or_else(PoisonError::into_inner);
        (behaviour, number, InProgress(Arc::clone(inner)))
    }
}

impl Behaviour {
    /// The status with which request `number` (from 0) fails, if it does.
    fn failure(&self, number: u64) -> Option<StatusCode> {
        if self.status == 0 || !number.is_multiple_of(self.every.max(1)) {
            return None;
        }
        StatusCode::from_u16(self.status).ok()
    }
}

/// Counts a request, and delays or fails it as told.
pub async fn misbehave(State(knobs): State<Knobs>, request: Request, next: Next) -> Response {
    let (behaviour, number, _in_progress) = knobs.begin();
    if behaviour.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(behaviour.delay_ms.min(DELAY_MS_MAX))).await;
    }
    match behaviour.failure(number) {
        Some(status) => (status, "told to fail\n").into_response(),
        None => next.run(request).await,
    }
}

async fn show(State(knobs): State<Knobs>) -> Json<Seen> {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Json(Seen { requests: load(&knobs.inner.requests), in_progress_max: load(&knobs.inner.in_progress_max) })
}

async fn turn(State(knobs): State<Knobs>, Query(behaviour): Query<Behaviour>) -> Json<Behaviour> {
    *knobs.inner.behaviour.lock().unwrap_or_else(PoisonError::into_inner) = behaviour;
    knobs.inner.requests.store(0, Ordering::Relaxed);
    knobs.inner.in_progress_max.store(0, Ordering::Relaxed);
    Json(behaviour)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_request_fails_when_told_so() {
        let told = Behaviour { status: 500, every: 2, ..Behaviour::default() };
        let failed: Vec<_> = (0..4).map(|number| told.failure(number).is_some()).collect();
        assert_eq!(failed, [true, false, true, false]);
        assert!((0..4).all(|number| Behaviour { every: 0, ..told }.failure(number).is_some()));
        assert!((0..4).all(|number| Behaviour::default().failure(number).is_none()));
    }

    #[test]
    fn requests_in_progress_are_counted_down_when_they_end() {
        let knobs = Knobs::default();
        drop((knobs.begin(), knobs.begin()));
        let _third = knobs.begin();
        assert_eq!(knobs.inner.in_progress.load(Ordering::Relaxed), 1);
        assert_eq!(knobs.inner.in_progress_max.load(Ordering::Relaxed), 2);
        assert_eq!(knobs.inner.requests.load(Ordering::Relaxed), 3);
    }
}
