//! Durations as Envoy takes them.

use std::time::Duration;

use proto::google::protobuf::Duration as ProtoDuration;

/// The shortest time that is not zero: Envoy counts most in whole milliseconds, and below one its timers would spin.
const MIN: Duration = Duration::from_millis(1);
/// The longest: ten years, as the model's parser has it; Envoy refuses what does not fit 64 bits of nanoseconds.
const MAX: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A duration within what Envoy takes; zero stays zero, which some fields read as "never".
#[must_use]
pub fn of(duration: Duration) -> ProtoDuration {
    let clamped = if duration.is_zero() { duration } else { duration.clamp(MIN, MAX) };
    ProtoDuration {
        // At most ten years: it fits, as do the nanoseconds of one second.
        seconds: i64::try_from(clamped.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(clamped.subsec_nanos()).unwrap_or(0),
    }
}

/// A duration for a field where Envoy refuses zero; zero counts as not said, as in Istio.
#[must_use]
pub fn positive(duration: Option<Duration>) -> Option<ProtoDuration> {
    duration.filter(|d| !d.is_zero()).map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_stay_within_what_envoy_takes() {
        let parts = |d| (of(d).seconds, of(d).nanos);
        assert_eq!(parts(Duration::from_millis(1500)), (1, 500_000_000));
        assert_eq!(parts(Duration::from_nanos(1)), (0, 1_000_000));
        assert_eq!(parts(Duration::MAX), (315_360_000, 0));
        assert_eq!(parts(Duration::ZERO), (0, 0));
        assert_eq!(positive(Some(Duration::ZERO)), None);
        assert_eq!(positive(None), None);
    }
}
