//! Waiting for a condition, with a deadline and a readable failure.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Long enough for anything here on a busy machine; reached only on failure.
pub const DEADLINE: Duration = Duration::from_secs(20);

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Calls `probe` until it answers `Ok`, and hands that on. An `Err` of the probe says what is still missing.
///
/// # Errors
/// The deadline of [`DEADLINE`] passed: what was waited for, and the probe's last word.
pub async fn until<T>(what: &str, probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    until_within(DEADLINE, what, probe).await
}

/// As [`until`], with a deadline of one's own.
///
/// # Errors
/// The deadline passed.
pub async fn until_within<T>(limit: Duration, what: &str, mut probe: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        match probe().await {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() >= limit => {
                return Err(anyhow!("waited {} s for {what}; at the end: {error:#}", limit.as_secs_f32()));
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_that_comes_true_ends_the_wait() {
        let mut probes = 0;
        let seen = until("the third probe", async || {
            probes += 1;
            if probes == 3 { Ok(probes) } else { Err(anyhow!("{probes}")) }
        });
        assert_eq!(seen.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn a_failure_says_what_was_waited_for_and_what_was_seen_last() {
        let never = until_within(Duration::ZERO, "rain", async || Err::<(), _>(anyhow!("the sky is blue")));
        assert_eq!(never.await.unwrap_err().to_string(), "waited 0 s for rain; at the end: the sky is blue");
    }
}
