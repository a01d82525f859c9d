//! Whether each watch is alive: said in the log once when that changes, and in metrics all the time.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::SystemTime,
};

use futures::future::BoxFuture;
use http::{Request, Response};
use tower::{Layer, Service};

use super::resource;
use crate::metrics::Metrics;

/// What is known of every watch.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Whether the last thing heard of a resource was a failure.
    failing: BTreeMap<&'static str, AtomicBool>,
    metrics: Arc<Metrics>,
    now: fn() -> SystemTime,
}

impl Pulse {
    pub(super) fn new(metrics: Arc<Metrics>, now: fn() -> SystemTime) -> Self {
        let failing = resource::watched().map(|plural| (plural, AtomicBool::new(false))).collect();
        Self { failing, metrics, now }
    }

    /// The API server has answered a request for a resource.
    fn beat(&self, plural: &str) {
        let Some((plural, failing)) = self.failing.get_key_value(plural) else { return };
        self.metrics.watch_answered(plural, (self.now)());
        if failing.swap(false, Ordering::Relaxed) {
            tracing::info!(resource = plural, "the watch works again");
        }
    }

    /// A list or watch has failed, and will be tried again.
    pub(super) fn failed(&self, plural: &'static str, error: &dyn Error) {
        self.metrics.watch_failed(plural);
        let was_failing = self.failing.get(plural).is_some_and(|failing| failing.swap(true, Ordering::Relaxed));
        if !was_failing {
            let reason = reason(error);
            tracing::warn!(resource = plural, reason, "the watch fails; what was seen last stays in force");
        }
    }

    /// There is nothing to watch any more.
    pub(super) fn stopped(&self, plural: &'static str) {
        self.metrics.watch_stopped(plural);
        if let Some(failing) = self.failing.get(plural) {
            failing.store(false, Ordering::Relaxed);
        }
    }
}

/// The first cause of an error: what stands above it only says that there was one.
fn reason(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Hears every answer of the API server. The watch itself does not tell when it was renewed, which a quiet one is twice
/// a minute.
#[derive(Debug, Clone)]
pub(super) struct PulseLayer(pub(super) Arc<Pulse>);

impl<S> Layer<S> for PulseLayer {
    type Service = Listening<S>;

    fn layer(&self, inner: S) -> Listening<S> {
        Listening { inner, pulse: Arc::clone(&self.0) }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Listening<S> {
    inner: S,
    pulse: Arc<Pulse>,
}

impl<S, A, B> Service<Request<A>> for Listening<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<B>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        // The last part of the path of a list or watch is the resource.
        let plural = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
        let pulse = Arc::clone(&self.pulse);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            if response.status().is_success() {
                pulse.beat(&plural);
            }
            Ok(response)
        })
    }
}
