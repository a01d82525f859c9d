//! A limit on warnings: a thousand proxies that refuse the same resource are one piece of news.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Warnings that are written in one span of time.
const LINES_MAX: u32 = 20;
/// The span.
const SPAN: Duration = Duration::from_secs(10);

/// Decides which warnings are written. A lock, because all streams ask it; warnings are rare.
#[derive(Debug, Default)]
pub(super) struct Quiet(Mutex<Option<Span>>);

#[derive(Debug, Clone, Copy)]
struct Span {
    began: Instant,
    lines: u32,
}

impl Quiet {
    /// How many warnings were left out before this one, if it may be written.
    pub(super) fn speak(&self, now: Instant) -> Option<u32> {
        let mut span = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match span.as_mut() {
            Some(current) if now.saturating_duration_since(current.began) < SPAN => {
                current.lines = current.lines.saturating_add(1);
                (current.lines <= LINES_MAX).then_some(0)
            }
            before => {
                let left_out = before.map_or(0, |before| before.lines.saturating_sub(LINES_MAX));
                *span = Some(Span { began: now, lines: 1 });
                Some(left_out)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_left_out_and_counted() {
        let (quiet, start) = (Quiet::default(), Instant::now());
        let written = (0..50).filter(|_| quiet.speak(start).is_some()).count();
        assert_eq!(written, 20);
        assert_eq!(quiet.speak(start + SPAN), Some(30));
        assert_eq!(quiet.speak(start + SPAN), Some(0));
    }
}
