//! From an HTTP request to a verdict, with a limit on everything that whoever calls could grow.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use serde::Deserialize;
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::review::{self, Judged, Verdict, review};
use crate::{dispatch::Handle, metrics::Metrics, source::Settings};

/// Longest request, in bytes: etcd takes objects of 1.5 MiB, and an update brings the old one too.
const BODY_LEN_MAX: usize = 4 << 20;
/// Longest body that is read to its end though it is too long, in bytes.
const DISCARDED_LEN_MAX: usize = 64 << 20;
/// Time for a request, its body included. Less than the five seconds after which the API server gives up, so that it
/// learns why.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(4);
/// Requests under way: each may hold a body. More wait for their turn.
const REQUESTS_MAX: usize = 32;

/// What every request is answered with.
pub(super) struct Desk {
    mesh: Handle,
    metrics: Arc<Metrics>,
    settings: Settings,
    places: Arc<Semaphore>,
}

impl Desk {
    pub(super) fn new(mesh: Handle, metrics: Arc<Metrics>, settings: Settings) -> Self {
        Self { mesh, metrics, settings, places: Arc::new(Semaphore::new(REQUESTS_MAX)) }
    }

    /// The one path that there is.
    pub(super) fn router(self) -> Router {
        Router::new().route("/validate", post(validate)).with_state(Arc::new(self))
    }
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the content type is not application/json; send an AdmissionReview of admission.k8s.io/v1 as JSON")]
    NotJson,
    #[error("the body is longer than {BODY_LEN_MAX} bytes; no object in a cluster is")]
    TooLong,
    #[error("the body ended early: {0}")]
    Broken(String),
    #[error("not an AdmissionReview of admission.k8s.io/v1 with a request: {0}")]
    Malformed(String),
    #[error("not judged within {REQUEST_TIMEOUT:?}: too much is asked at once; try again")]
    TooSlow,
    #[error("the judge has died; please report the log of the control plane")]
    Died,
}

impl Fault {
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotJson => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "415"),
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, "413"),
            Self::Broken(_) | Self::Malformed(_) => (StatusCode::BAD_REQUEST, "400"),
            Self::TooSlow => (StatusCode::SERVICE_UNAVAILABLE, "503"),
            Self::Died => (StatusCode::INTERNAL_SERVER_ERROR, "500"),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AdmissionReview {
    api_version: String,
    kind: String,
    request: review::Request,
}

async fn validate(State(desk): State<Arc<Desk>>, request: Request) -> Response {
    let answered = timeout(REQUEST_TIMEOUT, answer(&desk, request)).await.unwrap_or(Err(Fault::TooSlow));
    match answered {
        Ok(answer) => ([(CONTENT_TYPE, "application/json")], answer).into_response(),
        Err(fault) => {
            let (status, label) = fault.status();
            desk.metrics.validation_http_error(label);
            tracing::debug!(%fault, "a request to the webhook without a verdict");
            (status, format!("{fault}\n")).into_response()
        }
    }
}

async fn answer(desk: &Arc<Desk>, request: Request) -> Result<String, Fault> {
    let is_json = |kind: &str| kind.split(';').next().is_some_and(|kind| kind.trim() == "application/json");
    if !request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).is_some_and(is_json) {
        return Err(Fault::NotJson);
    }
    // Nobody closes the semaphore.
    let place = Arc::clone(&desk.places).acquire_owned().await.map_err(|_| Fault::Died)?;
    let body = read(request.into_body()).await?;
    let desk = Arc::clone(desk);
    // Whoever stops waiting does not end the work: the place is kept until it is done.
    let judged = spawn_blocking(move || {
        let _place = place;
        desk.judge(&body)
    });
    judged.await.map_err(|_| Fault::Died)?
}

/// Reads a body that is too long to its end too, and keeps none of it: who writes all before reading anything is told why it
/// is refused.
async fn read(mut body: Body) -> Result<Bytes, Fault> {
    let (mut kept, mut len) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Fault::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        len = len.saturating_add(data.len());
        if len > DISCARDED_LEN_MAX {
            break;
        }
        if len <= BODY_LEN_MAX { kept.extend_from_slice(&data) } else { kept = BytesMut::new() }
    }
    if len <= BODY_LEN_MAX { Ok(kept.freeze()) } else { Err(Fault::TooLong) }
}

impl Desk {
    /// The parser refuses what is nested more than 128 deep, and so bounds all that comes after it.
    fn judge(&self, body: &[u8]) -> Result<String, Fault> {
        let asked: AdmissionReview =
            serde_json::from_slice(body).map_err(|error| Fault::Malformed(error.to_string()))?;
        if asked.api_version != "admission.k8s.io/v1" || asked.kind != "AdmissionReview" {
            return Err(Fault::Malformed("another apiVersion or kind".into()));
        }
        let mut request = asked.request;
        let verdict = match Judged::of(&mut request) {
            Some((judged, object)) => {
                let view = self.mesh.view();
                // Before the source was read whole, everything would seem to be missing.
                review(object, &judged, view.ready.then_some(&view.mesh), &self.settings)
            }
            None => Verdict::default(),
        };
        if let Some(resource) = verdict.resource {
            self.metrics.validated(resource, verdict.refusal.is_none());
        }
        Ok(request.answer(&verdict).to_string())
    }
}
