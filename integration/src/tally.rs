//! Counts of what many requests came back with.

use std::{collections::BTreeMap, fmt, time::Duration};

use anyhow::{Result, ensure};

use crate::client::Answer;

/// So many errors are kept word for word; all are counted.
const ERRORS_KEPT: usize = 10;

/// What a run of requests came back with.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    total: u64,
    failed: u64,
    by_version: BTreeMap<String, u64>,
    by_app: BTreeMap<String, u64>,
    by_status: BTreeMap<u16, u64>,
    errors: Vec<String>,
    took_us: Vec<u32>,
    opened: u64,
}

impl Tally {
    /// Adds an answer. `since_due` is the time from when the request was to be sent.
    pub fn add_answer(&mut self, answer: &Answer, since_due: Duration) {
        self.total += 1;
        *self.by_status.entry(answer.status.as_u16()).or_default() += 1;
        *self.by_version.entry(answer.header("x-version").to_owned()).or_default() += 1;
        *self.by_app.entry(answer.header("x-app").to_owned()).or_default() += 1;
        self.took_us.push(u32::try_from(since_due.as_micros()).unwrap_or(u32::MAX));
    }

    /// Adds a request that had no answer, `at` so long after the load began.
    pub fn add_error(&mut self, at: Duration, error: &str) {
        self.total += 1;
        self.add_wrong(at, error);
    }

    /// Says that a request already added was answered wrongly.
    pub fn add_wrong(&mut self, at: Duration, what: &str) {
        self.failed += 1;
        if self.errors.len() < ERRORS_KEPT {
            self.errors.push(format!("at {:.3} s: {what}", at.as_secs_f64()));
        }
    }

    /// Adds to the number of connections opened.
    pub fn add_opened(&mut self, connections: u64) {
        self.opened += connections;
    }

    /// Adds all of another tally to this one.
    pub fn join(&mut self, other: Self) {
        self.total += other.total;
        self.failed += other.failed;
        self.opened += other.opened;
        other.by_version.into_iter().for_each(|(key, count)| *self.by_version.entry(key).or_default() += count);
        other.by_app.into_iter().for_each(|(key, count)| *self.by_app.entry(key).or_default() += count);
        other.by_status.into_iter().for_each(|(key, count)| *self.by_status.entry(key).or_default() += count);
        let room = ERRORS_KEPT.saturating_sub(self.errors.len());
        self.errors.extend(other.errors.into_iter().take(room));
        self.took_us.extend(other.took_us);
    }

    /// Requests sent.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Requests without a (right) answer.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Connections opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Answers by an application of this version.
    #[must_use]
    pub fn version(&self, version: &str) -> u64 {
        self.by_version.get(version).copied().unwrap_or_default()
    }

    /// Answers by application.
    #[must_use]
    pub fn apps(&self) -> &BTreeMap<String, u64> {
        &self.by_app
    }

    /// Answers with this status.
    #[must_use]
    pub fn status(&self, status: u16) -> u64 {
        self.by_status.get(&status).copied().unwrap_or_default()
    }

    /// Answers with a status of 500 or more.
    #[must_use]
    pub fn server_errors(&self) -> u64 {
        self.by_status.range(500..).map(|(_, count)| count).sum()
    }

    /// The time within which this share (0 to 1) of the answers came.
    #[must_use]
    pub fn percentile(&self, share: f64) -> Duration {
        let mut took = self.took_us.clone();
        took.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index below the length, which is far below 2^52"
        )]
        let index = ((took.len() as f64 * share.clamp(0.0, 1.0)).ceil() as usize).saturating_sub(1);
        Duration::from_micros(u64::from(took.get(index).copied().unwrap_or_default()))
    }

    /// Every request was answered 200.
    ///
    /// # Errors
    /// One was not; all the counts are named.
    pub fn ensure_all_ok(&self) -> Result<()> {
        ensure!(
            self.total > 0 && self.failed == 0 && self.status(200) == self.total,
            "not all were answered 200: {self}"
        );
        Ok(())
    }

    /// Every request was answered 200 by this version.
    ///
    /// # Errors
    /// One was not; all the counts are named.
    pub fn ensure_only(&self, version: &str) -> Result<()> {
        self.ensure_all_ok()?;
        ensure!(self.version(version) == self.total, "not all were answered by {version}: {self}");
        Ok(())
    }

    /// Whether `count` of the requests is what a share (0 to 1) of independent draws gives, within three standard deviations.
    #[must_use]
    pub fn fits(&self, count: u64, share: f64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
        let (total, count) = (self.total as f64, count as f64);
        let deviation = (total * share * (1.0 - share)).sqrt();
        (count - total * share).abs() <= 3.0 * deviation
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} requests, {} failed", self.total, self.failed)?;
        write!(
            f,
            "; by status {:?}; by version {:?}; by application {:?}",
            self.by_status, self.by_version, self.by_app
        )?;
        write!(f, "; p50 {:?}, p99 {:?}", self.percentile(0.5), self.percentile(0.99))?;
        self.errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(version: &str, status: u16) -> Answer {
        let mut headers = hyper::HeaderMap::new();
        headers.insert("x-version", version.parse().unwrap());
        let status = hyper::StatusCode::from_u16(status).unwrap();
        Answer { status, headers, body: bytes::Bytes::new(), took: Duration::ZERO }
    }

    #[test]
    fn counts_add_up_over_joined_tallies() {
        let mut tally = Tally::default();
        tally.add_answer(&answered("v1", 200), Duration::from_millis(1));
        tally.add_error(Duration::from_millis(1_500), "cut");
        let mut other = Tally::default();
        other.add_answer(&answered("v2", 503), Duration::from_millis(3));
        tally.join(other);
        assert_eq!((tally.total(), tally.failed(), tally.server_errors()), (3, 1, 1));
        assert_eq!((tally.version("v1"), tally.version("v2"), tally.version("v3")), (1, 1, 0));
        assert_eq!(tally.percentile(0.5), Duration::from_millis(1));
        assert_eq!(tally.percentile(1.0), Duration::from_millis(3));
        assert!(tally.ensure_all_ok().unwrap_err().to_string().contains("at 1.500 s: cut"));
    }

    #[test]
    fn three_standard_deviations_of_ten_thousand_at_a_tenth_are_ninety() {
        let tally = Tally { total: 10_000, ..Tally::default() };
        assert!(tally.fits(1_000, 0.1) && tally.fits(1_090, 0.1) && tally.fits(910, 0.1));
        assert!(!tally.fits(1_091, 0.1) && !tally.fits(909, 0.1));
        assert!(tally.fits(10_000, 1.0) && !tally.fits(9_999, 1.0));
    }
}
