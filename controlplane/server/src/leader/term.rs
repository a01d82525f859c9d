//! The time for which a replica leads, as a value that its writers hold.

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// A term as a writer sees it. Its number is greater than that of every earlier term of another replica.
#[derive(Debug, Clone)]
pub struct Term {
    number: i32,
    until: watch::Receiver<Instant>,
}

/// A term as the election sees it; dropping it ends the term.
#[derive(Debug)]
pub(super) struct Tenure {
    until: watch::Sender<Instant>,
}

impl Tenure {
    pub(super) fn new(number: i32, until: Instant) -> (Self, Term) {
        let (sender, receiver) = watch::channel(until);
        (Self { until: sender }, Term { number, until: receiver })
    }

    pub(super) fn extend(&self, until: Instant) {
        self.until.send_replace(until);
    }

    pub(super) fn is_held(&self) -> bool {
        Instant::now() < *self.until.borrow()
    }
}

impl Term {
    /// Its number: how often the lease has changed hands.
    #[must_use]
    pub fn number(&self) -> i32 {
        self.number
    }

    /// Whether it lasts, by a clock that runs while the process sleeps. To be asked before each write.
    #[must_use]
    pub fn is_held(&self) -> bool {
        // An error means that the election has ended it.
        self.until.has_changed().is_ok() && Instant::now() < *self.until.borrow()
    }

    /// Waits until it is over. May be cancelled without loss.
    pub async fn lost(&self) {
        let mut until = self.until.clone();
        while self.is_held() {
            let end = *until.borrow_and_update();
            tokio::select! {
                () = sleep_until(end) => {}
                changed = until.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Where one waits for one's term.
#[derive(Debug, Clone)]
pub struct Seat(watch::Receiver<Option<Term>>);

impl Seat {
    pub(super) fn new(terms: watch::Receiver<Option<Term>>) -> Self {
        Self(terms)
    }

    /// Waits for a term that lasts; `None` when there will be none any more.
    pub async fn won(&mut self) -> Option<Term> {
        let is_held = |term: &Option<Term>| term.as_ref().is_some_and(Term::is_held);
        let won = self.0.wait_for(is_held).await.ok()?;
        won.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[tokio::test]
    async fn a_term_lasts_until_its_deadline_unless_it_is_extended() {
        let now = Instant::now();
        let (tenure, term) = Tenure::new(1, now);
        assert!(!term.is_held() && !tenure.is_held());
        term.lost().await;
        tenure.extend(now + HOUR);
        assert!(term.is_held() && tenure.is_held());
    }

    #[tokio::test]
    async fn a_term_is_over_when_the_election_ends_it() {
        let (tenure, term) = Tenure::new(1, Instant::now() + HOUR);
        let waiting = tokio::spawn({
            let term = term.clone();
            async move { term.lost().await }
        });
        drop(tenure);
        waiting.await.unwrap();
        assert!(!term.is_held());
    }

    #[tokio::test]
    async fn a_seat_gives_only_terms_that_last() {
        let (terms, mut seat) = crate::leader::seat();
        let (_past, over) = Tenure::new(1, Instant::now());
        terms.send_replace(Some(over));
        let (_tenure, lasting) = Tenure::new(2, Instant::now() + HOUR);
        terms.send_replace(Some(lasting));
        assert_eq!(seat.won().await.map(|term| term.number()), Some(2));
        drop(terms);
        let mut late = seat.clone();
        assert_eq!(late.won().await.map(|term| term.number()), Some(2), "it lasts, whoever is gone");
    }
}
