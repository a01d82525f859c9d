//! How requests to the API server are put, and its answers taken, whoever asks.

use std::time::Duration;

use http::{Request, Response, StatusCode, header::RETRY_AFTER};
use tower::BoxError;

/// Longest time that an API server is left alone for because it asked for that.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Has a streamed list begin with the state of the store. The watcher asks for any state that the API server happens to
/// hold in memory, and that of a second API server may be older than what was seen with the first.
pub(super) fn up_to_date<B>(mut request: Request<B>) -> Request<B> {
    let Some(query) = request.uri().query() else { return request };
    if !query.contains("sendInitialEvents=true") {
        return request;
    }
    let kept: Vec<&str> = query.split('&').filter(|part| *part != "resourceVersion=0").collect();
    let target = format!("{}?{}", request.uri().path(), kept.join("&"));
    if let Ok(target) = target.parse() {
        *request.uri_mut() = target;
    }
    request
}

/// Holds an answer that says "later" back until then, so that whoever asks again does so in time.
pub(super) async fn in_time<B>(response: Response<B>) -> Result<Response<B>, BoxError> {
    if let Some(pause) = retry_after(&response) {
        tracing::debug!(status = response.status().as_u16(), ?pause, "the API server asks for time");
        tokio::time::sleep(pause).await;
    }
    Ok(response)
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(RETRY_AFTER_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_streamed_lists_are_asked_for_otherwise() {
        let asked = |target: &str| up_to_date(Request::get(target).body(()).unwrap()).uri().to_string();
        let streamed = "/api/v1/pods?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan";
        assert_eq!(asked(&format!("{streamed}&resourceVersion=0")), streamed);
        for other in ["/api/v1/pods?watch=true&resourceVersion=0", "/api/v1/pods?limit=500", "/version"] {
            assert_eq!(asked(other), other);
        }
    }

    #[test]
    fn an_answer_that_says_later_is_held_back_for_a_bounded_time() {
        for (status, header, expected) in [
            (429, "3", Some(3)),
            (503, "1", Some(1)),
            (429, "4000000000", Some(RETRY_AFTER_MAX.as_secs())),
            (429, "soon", None),
            (200, "3", None),
        ] {
            let response = Response::builder().status(status).header(RETRY_AFTER, header).body(()).unwrap();
            assert_eq!(retry_after(&response), expected.map(Duration::from_secs), "{status} {header}");
        }
    }
}
