//! How often something may be done: so many a second, and after a rest so many at once.

use std::time::Duration;

use tokio::time::Instant;

/// A limit of rate: a bucket of tokens, kept as the time at which it is full again.
#[derive(Debug)]
pub(super) struct Pace {
    interval: Duration,
    burst: u32,
    full_at: Instant,
}

impl Pace {
    /// `per_second` in the long run, and `burst` at once; both at least one.
    pub(super) fn new(per_second: u32, burst: u32, now: Instant) -> Self {
        Self { interval: Duration::from_secs(1) / per_second.max(1), burst, full_at: now }
    }

    /// When the next may be done.
    pub(super) fn ready_at(&self, now: Instant) -> Instant {
        let room = self.interval * self.burst.saturating_sub(1);
        self.full_at.checked_sub(room).unwrap_or(now).max(now)
    }

    /// Whether one may be done now; it is counted.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        if self.ready_at(now) > now {
            return false;
        }
        self.full_at = self.full_at.max(now) + self.interval;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_followed_by_the_rate() {
        let start = Instant::now();
        let mut pace = Pace::new(10, 3, start);
        assert_eq!((0..5).filter(|_| pace.take(start)).count(), 3);
        let next = pace.ready_at(start);
        assert_eq!(next - start, Duration::from_millis(100));
        assert_eq!((0..5).filter(|_| pace.take(next)).count(), 1);
        let rested = start + Duration::from_secs(60);
        assert_eq!((0..5).filter(|_| pace.take(rested)).count(), 3);
    }
}
