//! Calls to other services: through the Envoy beside the caller, or by their names.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header::HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;

/// The largest answer that is read.
const BODY_BYTES_MAX: usize = 1024 * 1024;
/// The port that every service of the application has.
const SERVICE_PORT: u16 = 9080;

/// A service that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callee {
    /// Asked by `productpage`.
    Details,
    /// Asked by `productpage`.
    Reviews,
    /// Asked by versions 2 and 3 of `reviews`.
    Ratings,
}

impl Callee {
    /// The name of the service.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::Reviews => "reviews",
            Self::Ratings => "ratings",
        }
    }

    /// How long an answer is waited for; `reviews` itself waits for `ratings`, so it gets longer.
    fn patience(self) -> Duration {
        match self {
            Self::Details | Self::Ratings => Duration::from_secs(3),
            Self::Reviews => Duration::from_secs(6),
        }
    }
}

/// Why a service gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Its answer has another status than 200.
    Status(StatusCode),
    /// Its answer came too late.
    Late(Duration),
    /// No connection, or an answer that breaks off or is no JSON of the expected shape.
    Broken(String),
}

impl std::fmt::Display for CallError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Status(status) => write!(f, "it answered {status}"),
            Self::Late(patience) => write!(f, "it did not answer within {} s", patience.as_secs()),
            Self::Broken(why) => write!(f, "the call failed: {why}"),
        }
    }
}

impl std::error::Error for CallError {}

impl CallError {
    /// The status to hand on to whoever asked.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Status(status) if status.is_client_error() || status.is_server_error() => *status,
            Self::Status(_) | Self::Broken(_) => StatusCode::BAD_GATEWAY,
            Self::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        }
    }
}

/// Makes calls to the other services.
#[derive(Clone, Debug)]
pub struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    outbound: Option<SocketAddr>,
}

impl Caller {
    /// Sends all calls to `outbound`, where the Envoy beside this service listens; without one, each goes where the name of its service leads.
    #[must_use]
    pub fn through(outbound: Option<SocketAddr>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self { client: Client::builder(TokioExecutor::new()).build(connector), outbound }
    }

    /// Asks `callee` for `path` and reads its JSON.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get<T: DeserializeOwned>(
        &self,
        callee: Callee,
        path: &str,
        headers: &HeaderMap,
    ) -> Result<T, CallError> {
        let patience = callee.patience();
        let answer = tokio::time::timeout(patience, self.exchange(callee, path, headers));
        let body = answer.await.map_err(|_| CallError::Late(patience))??;
        serde_json::from_slice(&body).map_err(|error| CallError::Broken(error.to_string()))
    }

    async fn exchange(&self, callee: Callee, path: &str, headers: &HeaderMap) -> Result<Bytes, CallError> {
        let request = self.request(callee, path, headers)?;
        let response = self.client.request(request).await.map_err(|error| CallError::Broken(error.to_string()))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| CallError::Broken(error.to_string()))?.to_bytes();
        if status == StatusCode::OK { Ok(body) } else { Err(CallError::Status(status)) }
    }

    fn request(&self, callee: Callee, path: &str, headers: &HeaderMap) -> Result<Request<Full<Bytes>>, CallError> {
        let broken = |error: http::Error| CallError::Broken(error.to_string());
        let host = format!("{}:{SERVICE_PORT}", callee.name());
        let authority = self.outbound.map_or_else(|| host.clone(), |outbound| outbound.to_string());
        let uri = Uri::builder().scheme("http").authority(authority).path_and_query(path);
        let mut request = Request::builder().method(Method::GET).uri(uri.build().map_err(broken)?);
        if let Some(all) = request.headers_mut() {
            all.extend(headers.clone());
            let host = HeaderValue::try_from(host);
            all.insert(HOST, host.map_err(|error| CallError::Broken(error.to_string()))?);
        }
        request.body(Full::default()).map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_handed_on_with_a_status_that_says_whose_it_is() {
        assert_eq!(CallError::Status(StatusCode::NOT_FOUND).status(), StatusCode::NOT_FOUND);
        assert_eq!(CallError::Status(StatusCode::FOUND).status(), StatusCode::BAD_GATEWAY);
        assert_eq!(CallError::Late(Duration::from_secs(3)).status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(CallError::Late(Duration::from_secs(3)).to_string(), "it did not answer within 3 s");
    }

    #[test]
    fn a_call_goes_to_the_envoy_or_the_service_and_names_the_service() {
        let mut headers = HeaderMap::new();
        headers.insert("end-user", "jason".parse().unwrap());
        for (outbound, uri) in [
            (Some("127.0.1.10:9080".parse().unwrap()), "http://127.0.1.10:9080/reviews/0"),
            (None, "http://reviews:9080/reviews/0"),
        ] {
            let request = Caller::through(outbound).request(Callee::Reviews, "/reviews/0", &headers).unwrap();
            assert_eq!(request.uri().to_string(), uri);
            assert_eq!(
                (&request.headers()["host"], &request.headers()["end-user"]),
                (&HeaderValue::from_static("reviews:9080"), &HeaderValue::from_static("jason"))
            );
        }
    }
}
