//! Injected faults.

use proto::{
    envoy::{
        config::core::v3::RuntimeFractionalPercent,
        extensions::filters::{
            common::fault::v3::{FaultDelay, fault_delay::FaultDelaySecifier},
            http::fault::v3::{FaultAbort, HttpFault, fault_abort::ErrorType},
        },
        r#type::v3::{FractionalPercent, fractional_percent::DenominatorType},
    },
    google::protobuf::Any,
    pack,
};

use crate::{
    compile::duration,
    model::virtual_service::{AbortStatus, Fault, Millionths},
};

/// The filter that reads the configuration.
pub(crate) const FILTER: &str = "envoy.filters.http.fault";

/// A million in a million.
const ALL: u32 = 1_000_000;

/// The route's configuration of the filter; none when nothing ever fires. A fault whose share was not said never does.
pub(super) fn config(fault: &Fault) -> Option<Any> {
    let delay = fault.delay.as_ref().filter(|delay| delay.share.0 > 0).and_then(|delay| {
        let fixed = duration::positive(Some(delay.duration))?;
        Some(FaultDelay {
            percentage: Some(percentage(delay.share)),
            fault_delay_secifier: Some(FaultDelaySecifier::FixedDelay(fixed)),
        })
    });
    let abort = fault.abort.as_ref().filter(|abort| abort.share.0 > 0).map(|abort| FaultAbort {
        percentage: Some(percentage(abort.share)),
        error_type: Some(match abort.status {
            AbortStatus::Http(status) => ErrorType::HttpStatus(u32::from(status.clamp(200, 599))),
            AbortStatus::Grpc(status) => ErrorType::GrpcStatus(status),
        }),
        ..FaultAbort::default()
    });
    (delay.is_some() || abort.is_some()).then(|| pack::any(&HttpFault { delay, abort, ..HttpFault::default() }))
}

/// A share as Envoy has it.
pub(super) fn percentage(share: Millionths) -> FractionalPercent {
    FractionalPercent { numerator: share.0.min(ALL), denominator: DenominatorType::Million.into() }
}

/// A share that is not changed at run time.
pub(super) fn fraction(share: Millionths) -> RuntimeFractionalPercent {
    RuntimeFractionalPercent { default_value: Some(percentage(share)), ..RuntimeFractionalPercent::default() }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::virtual_service::{FaultAbort as Abort, FaultDelay as Delay};

    fn decoded(fault: &Fault) -> Option<HttpFault> {
        config(fault).map(|any| pack::unpack(&any).unwrap())
    }

    #[test]
    fn a_delay_of_a_share_of_requests() {
        let delay = Delay { duration: Duration::from_secs(2), share: Millionths(500_000) };
        let fault = decoded(&Fault { delay: Some(delay), abort: None }).unwrap();
        let delay = fault.delay.unwrap();
        assert_eq!(delay.percentage.unwrap().numerator, 500_000);
        let two_seconds = duration::of(Duration::from_secs(2));
        assert_eq!(delay.fault_delay_secifier, Some(FaultDelaySecifier::FixedDelay(two_seconds)));
        assert!(fault.abort.is_none());
    }

    #[test]
    fn aborts_answer_http_or_grpc() {
        let abort = |status| {
            let fault = Fault { delay: None, abort: Some(Abort { status, share: Millionths(ALL) }) };
            decoded(&fault).unwrap().abort.unwrap().error_type.unwrap()
        };
        assert_eq!(abort(AbortStatus::Http(503)), ErrorType::HttpStatus(503));
        assert_eq!(abort(AbortStatus::Grpc(14)), ErrorType::GrpcStatus(14));
    }

    #[test]
    fn what_never_fires_is_left_out() {
        let delay = Delay { duration: Duration::from_secs(2), share: Millionths(0) };
        let abort = Abort { status: AbortStatus::Http(500), share: Millionths(0) };
        assert_eq!(config(&Fault { delay: Some(delay), abort: Some(abort) }), None);
        let no_time = Delay { duration: Duration::ZERO, share: Millionths(ALL) };
        assert_eq!(config(&Fault { delay: Some(no_time), abort: None }), None);
    }
}
