//! Retries, faults, mirrors and cross-origin rules of an HTTP rule.

use std::time::Duration;

use mesh::model::{
    code,
    string_match::StringMatch,
    virtual_service::{AbortStatus, Cors, Fault, FaultAbort, FaultDelay, Millionths, Mirror, Retries},
};

use super::{Conversion, values::MILLISECOND};
use crate::source::{path::Path, wire::http_route as wire, wire::virtual_service::Destination};

/// All requests.
const ALL: Millionths = Millionths(1_000_000);
/// Most retries of one request.
const ATTEMPTS_MAX: u32 = 1000;

/// The conditions that Envoy knows.
const RETRY_CONDITIONS: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "envoy-ratelimited",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];

/// The names of gRPC's statuses, by number.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

impl Conversion<'_> {
    pub(super) fn retries(&mut self, value: wire::HttpRetry, path: Path<'_>) -> Retries {
        let wire::HttpRetry {
            attempts,
            per_try_timeout,
            retry_on,
            retry_remote_localities,
            retry_ignore_previous_hosts,
            backoff,
        } = value;
        let attempts = match u32::try_from(attempts.unwrap_or_default()) {
            Ok(attempts) if attempts <= ATTEMPTS_MAX => attempts,
            _ => {
                let reason = format!("must be from 0 to {ATTEMPTS_MAX}");
                self.error(code::BAD_VALUE, path.field("attempts"), reason, "");
                0
            }
        };
        let says_more = per_try_timeout.is_some() || retry_on.is_some() || retry_remote_localities.is_some();
        if attempts == 0 && says_more {
            let reason = "is 0, which turns retries off, so that nothing else of them holds";
            self.error(code::BAD_VALUE, path.field("attempts"), reason, "say how many, or leave the other fields out");
        }
        if attempts == 0 && !says_more {
            for (field, is_given) in
                [("backoff", backoff.is_some()), ("retryIgnorePreviousHosts", retry_ignore_previous_hosts.is_some())]
            {
                if is_given {
                    self.error(
                        code::DOES_NOTHING,
                        path.field(field),
                        "attempts is 0, which turns retries off",
                        "say how many",
                    );
                }
            }
        }
        let (conditions, retriable_status_codes) = self.retry_on(retry_on.as_deref(), path.field("retryOn"));
        Retries {
            attempts,
            per_try_timeout: self.duration(per_try_timeout.as_ref(), MILLISECOND, path.field("perTryTimeout")),
            retry_on: conditions,
            retriable_status_codes,
            remote_localities: retry_remote_localities,
            ignore_previous_hosts: retry_ignore_previous_hosts,
            backoff: self.duration(backoff.as_ref(), MILLISECOND, path.field("backoff")),
        }
    }

    fn retry_on(&mut self, text: Option<&str>, path: Path<'_>) -> (Vec<String>, Vec<u32>) {
        let (mut conditions, mut codes) = (Vec::new(), Vec::new());
        for part in text.unwrap_or_default().split(',').map(str::trim).filter(|part| !part.is_empty()) {
            match part.parse::<u32>() {
                Ok(code @ 100..=599) => codes.push(code),
                _ if RETRY_CONDITIONS.contains(&part) => conditions.push(part.to_owned()),
                _ => self.error(
                    code::UNKNOWN_VALUE,
                    path,
                    format!("{part:?} is neither a condition nor a status code"),
                    format!("use some of: {}", RETRY_CONDITIONS.join(", ")),
                ),
            }
        }
        (conditions, codes)
    }

    pub(super) fn fault(&mut self, value: wire::HttpFaultInjection, path: Path<'_>) -> Fault {
        let wire::HttpFaultInjection { delay, abort } = value;
        if delay.is_none() && abort.is_none() {
            self.error(code::MISSING_FIELD, path, "injects nothing", "add delay or abort");
        }
        Fault {
            delay: delay.and_then(|delay| self.fault_delay(delay, path.field("delay"))),
            abort: abort.and_then(|abort| self.fault_abort(abort, path.field("abort"))),
        }
    }

    fn fault_delay(&mut self, value: wire::FaultDelay, path: Path<'_>) -> Option<FaultDelay> {
        let wire::FaultDelay { percent, fixed_delay, exponential_delay, percentage } = value;
        self.ignore(exponential_delay.as_ref(), path.field("exponentialDelay"), "no proxy has ever done this");
        if fixed_delay.is_none() {
            self.error(code::MISSING_FIELD, path.field("fixedDelay"), "the field is missing", "say how long");
        }
        if percent.is_some() {
            self.error(
                code::DEPRECATED,
                path.field("percent"),
                "deprecated, but in force",
                format!("write percentage: {{value: {}}}", percent.unwrap_or_default()),
            );
        }
        let old = self
            .whole_percent(percent, path.field("percent"))
            .map(|percent| Millionths(percent.saturating_mul(10_000)));
        let share = percentage.map(|percent| self.share(percent, path.field("percentage"))).or(old);
        Some(FaultDelay {
            duration: self.duration(fixed_delay.as_ref(), MILLISECOND, path.field("fixedDelay"))?,
            share: self.fault_share(share, path),
        })
    }

    fn fault_abort(&mut self, value: wire::FaultAbort, path: Path<'_>) -> Option<FaultAbort> {
        let wire::FaultAbort { http_status, grpc_status, http2_error, percentage } = value;
        self.ignore(http2_error.as_ref(), path.field("http2Error"), "no proxy has ever done this");
        self.exclusive((http_status.is_some(), "httpStatus"), (grpc_status.is_some(), "grpcStatus"), path);
        let status = match (http_status, grpc_status) {
            (Some(status), _) => match u16::try_from(status) {
                Ok(status @ 200..=599) => AbortStatus::Http(status),
                _ => {
                    let reason = format!("{status} is not a status from 200 to 599");
                    self.error(code::BAD_STATUS, path.field("httpStatus"), reason, "");
                    return None;
                }
            },
            (None, Some(name)) => AbortStatus::Grpc(self.grpc_status(&name, path.field("grpcStatus"))?),
            (None, None) => {
                self.error(code::MISSING_FIELD, path, "says no status", "add httpStatus or grpcStatus");
                return None;
            }
        };
        let share = percentage.map(|percent| self.share(percent, path.field("percentage")));
        Some(FaultAbort { status, share: self.fault_share(share, path) })
    }

    fn grpc_status(&mut self, name: &str, path: Path<'_>) -> Option<u32> {
        let found = GRPC_STATUSES.iter().position(|status| status.eq_ignore_ascii_case(name));
        let number = found.and_then(|place| u32::try_from(place).ok());
        if number.is_none() {
            let remedy = format!("use one of: {}", GRPC_STATUSES.join(", "));
            self.error(code::UNKNOWN_VALUE, path, format!("{name:?} is not a gRPC status"), remedy);
        }
        number
    }

    fn fault_share(&mut self, share: Option<Millionths>, path: Path<'_>) -> Millionths {
        share.unwrap_or_else(|| {
            self.error(
                code::FAULT_NEVER_FIRES,
                path,
                "without a percentage the fault happens to no request",
                "add percentage: {value: 100}",
            );
            Millionths(0)
        })
    }

    pub(super) fn mirrors(&mut self, values: MirrorFields, path: Path<'_>) -> Vec<Mirror> {
        let MirrorFields { mirror, mirrors, percent_old, percent, percentage } = values;
        self.exclusive((mirror.is_some(), "mirror"), (!mirrors.is_empty(), "mirrors"), path);
        for (name, value) in [("mirror_percent", percent_old), ("mirrorPercent", percent)] {
            if let Some(percent) = value {
                let remedy = format!("write mirrorPercentage: {{value: {percent}}}");
                self.error(code::DEPRECATED, path.field(name), "deprecated, but in force", remedy);
            }
        }
        let old = percent.or(percent_old).and_then(|percent| {
            let whole = i32::try_from(percent).ok().or(Some(i32::MAX));
            self.whole_percent(whole, path.field("mirrorPercent"))
                .map(|percent| Millionths(percent.saturating_mul(10_000)))
        });
        let share =
            percentage.map(|percent| self.share(percent, path.field("mirrorPercentage"))).or(old).unwrap_or(ALL);
        let mut list = Vec::new();
        if let Some(destination) = mirror
            && let Some(destination) = self.destination(destination, path.field("mirror"))
        {
            list.push(Mirror { destination, share });
        }
        let mirrors_path = path.field("mirrors");
        for (place, wire::HttpMirrorPolicy { destination, percentage }) in mirrors.into_iter().enumerate() {
            let path = mirrors_path.index(place);
            let share = percentage.map_or(ALL, |percent| self.share(percent, path.field("percentage")));
            if let Some(destination) = self.destination(destination, path.field("destination")) {
                list.push(Mirror { destination, share });
            }
        }
        list.retain(|mirror| mirror.share > Millionths(0));
        list
    }

    pub(super) fn cors(&mut self, value: wire::CorsPolicy, path: Path<'_>) -> Cors {
        let wire::CorsPolicy {
            allow_origin,
            allow_origins,
            allow_methods,
            allow_headers,
            expose_headers,
            max_age,
            allow_credentials,
            unmatched_preflights,
        } = value;
        if !allow_origin.is_empty() {
            self.error(
                code::DEPRECATED,
                path.field("allowOrigin"),
                "deprecated, but in force",
                "write allowOrigins: [{exact: ...}]",
            );
        }
        let origins_path = path.field("allowOrigins");
        let mut origins: Vec<StringMatch> = Vec::new();
        for (place, origin) in allow_origins.into_iter().enumerate() {
            origins.extend(self.string_match(Some(origin), origins_path.index(place)));
        }
        // As in Istio, the old field counts only when the new one is not given.
        if origins.is_empty() {
            origins.extend(allow_origin.into_iter().map(StringMatch::Exact));
        }
        Cors {
            allow_origins: origins,
            allow_methods: self.tokens(allow_methods, path.field("allowMethods")),
            allow_headers: self.tokens(allow_headers, path.field("allowHeaders")),
            expose_headers: self.tokens(expose_headers, path.field("exposeHeaders")),
            max_age: self.duration(max_age.as_ref(), Duration::ZERO, path.field("maxAge")),
            allow_credentials,
            forward_unmatched_preflights: unmatched_preflights.map(|choice| match choice {
                wire::UnmatchedPreflights::Unspecified | wire::UnmatchedPreflights::Forward => true,
                wire::UnmatchedPreflights::Ignore => false,
            }),
        }
    }

    /// Words that are joined into a header.
    fn tokens(&mut self, list: Vec<String>, path: Path<'_>) -> Vec<String> {
        for (place, text) in list.iter().enumerate() {
            if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_control()) {
                self.error(code::BAD_VALUE, path.index(place), "must be a word", "");
            }
        }
        list
    }
}

/// The fields of a rule that say where copies go.
#[derive(Debug)]
pub(super) struct MirrorFields {
    pub(super) mirror: Option<Destination>,
    pub(super) mirrors: Vec<wire::HttpMirrorPolicy>,
    pub(super) percent_old: Option<u32>,
    pub(super) percent: Option<u32>,
    pub(super) percentage: Option<crate::source::wire::Percent>,
}
