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
    watches: BTreeMap<&'static str, Vital>,
    metrics: Arc<Metrics>,
    now: fn() -> SystemTime,
}

/// What is known of one watch.
#[derive(Debug, Default)]
struct Vital {
    /// It was answered once.
    seen: AtomicBool,
    /// The last thing heard of it was a failure.
    failing: AtomicBool,
}

impl Pulse {
    pub(super) fn new(metrics: Arc<Metrics>, now: fn() -> SystemTime) -> Self {
        let watches = resource::watched().map(|plural| (plural, Vital::default())).collect();
        Self { watches, metrics, now }
    }

    /// The API server has answered a request for a resource.
    fn beat(&self, plural: &str) {
        let Some((plural, vital)) = self.watches.get_key_value(plural) else { return };
        self.metrics.watch_answered(plural, (self.now)());
        vital.seen.store(true, Ordering::Relaxed);
        if vital.failing.swap(false, Ordering::Relaxed) {
            tracing::info!(resource = plural, "the watch works again");
        }
    }

    /// A list or watch has failed, and will be tried again.
    pub(super) fn failed(&self, plural: &'static str, error: &dyn Error) {
        self.metrics.watch_failed(plural);
        let Some(vital) = self.watches.get(plural) else { return };
        if vital.failing.swap(true, Ordering::Relaxed) {
            return;
        }
        let reason = reason(error);
        if vital.seen.load(Ordering::Relaxed) {
            tracing::warn!(resource = plural, reason, "the watch fails; what was seen last stays in force");
        } else {
            tracing::warn!(resource = plural, reason, "the watch fails; none of these objects is in force yet");
        }
    }

    /// There is nothing to watch any more.
    pub(super) fn stopped(&self, plural: &'static str) {
        self.metrics.watch_stopped(plural);
        if let Some(vital) = self.watches.get(plural) {
            vital.failing.store(false, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::UNIX_EPOCH};

    use http::StatusCode;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_a_sign_of_life_and_a_refusal_is_none() {
        let metrics = Arc::new(Metrics::new("test"));
        let pulse = Arc::new(Pulse::new(Arc::clone(&metrics), || UNIX_EPOCH + std::time::Duration::from_secs(7)));
        let server = tower::service_fn(|request: Request<()>| {
            let forbidden = request.uri().path().ends_with("/pods");
            let status = if forbidden { StatusCode::FORBIDDEN } else { StatusCode::OK };
            let response = Response::builder().status(status).body(()).unwrap();
            std::future::ready(Ok::<_, Infallible>(response))
        });
        let server = PulseLayer(Arc::clone(&pulse)).layer(server);
        for path in ["/api/v1/pods", "/api/v1/namespaces/istio-system/configmaps", "/apis/a.b/v1/strangers"] {
            server.clone().oneshot(Request::get(path).body(()).unwrap()).await.unwrap();
        }
        pulse.failed("pods", &std::io::Error::other("no"));
        let text = metrics.text();
        assert!(text.contains("mainsheet_watch_last_answer_timestamp_seconds{resource=\"configmaps\"} 7"), "{text}");
        assert!(!text.contains("{resource=\"strangers\"}") && !text.contains("seconds{resource=\"pods\"}"), "{text}");
        assert!(text.contains("mainsheet_watch_failures_total{resource=\"pods\"} 1"), "{text}");
        assert!(text.contains("mainsheet_watch_failing{resource=\"pods\"} 1"), "{text}");
        assert!(text.contains("mainsheet_watch_failing{resource=\"configmaps\"} 0"), "{text}");
        pulse.stopped("configmaps");
        assert!(!metrics.text().contains("{resource=\"configmaps\"}"));
    }

    #[test]
    fn the_reason_of_a_failure_is_its_first_cause() {
        let inner = std::io::Error::other("connection refused");
        let chain = kube::Error::Service(Box::new(inner));
        assert_eq!(reason(&chain), "connection refused");
    }
}
