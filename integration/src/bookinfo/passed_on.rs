//! The headers of a request that a service passes on to the services it asks.

use http::HeaderMap;

/// Who the person is, once they have signed in; routes are chosen by it.
pub const END_USER: &str = "end-user";

/// Names are exact.
const PASSED_ON: [&str; 17] = [
    END_USER,
    "user-agent",
    // Envoy's, and what W3C, Zipkin, Jaeger, Datadog, SkyWalking and cloud tracers need to join the spans of a request.
    "x-request-id",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-ot-span-context",
    "x-datadog-trace-id",
    "x-datadog-parent-id",
    "x-cloud-trace-context",
    "sw8",
];

/// The headers of `received` that go along with calls made for it.
#[must_use]
pub fn passed_on(received: &HeaderMap) -> HeaderMap {
    received
        .iter()
        .filter(|(name, _)| PASSED_ON.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_user_the_device_and_the_trace_go_along_and_nothing_else() {
        let mut received = HeaderMap::new();
        for name in [END_USER, "user-agent", "traceparent", "cookie", "host", "x-forwarded-for", "content-length"] {
            received.insert(name, "1".parse().unwrap());
        }
        let mut names: Vec<_> = passed_on(&received).keys().map(|name| name.to_string()).collect();
        names.sort();
        assert_eq!(names, [END_USER, "traceparent", "user-agent"]);
    }
}
