//! What a look at the lease leads to. Pure: the lease and the time come in.

use k8s_openapi::api::coordination::v1::Lease;
use tokio::time::Instant;

use super::LEASE_DURATION;

/// What one replica knows of the lease.
#[derive(Debug)]
pub(super) struct Candidate {
    identity: String,
    /// The lease as we wrote it last.
    mine: Option<Lease>,
    /// The version of another's lease, and when we first saw it. Clocks of others do not count.
    seen: Option<(String, Instant)>,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    /// There is none yet.
    Create,
    /// It is free, or its holder was silent for too long: take it, as the change of holders with this number.
    Take(Box<Lease>, i32),
    /// It is ours.
    Renew(Box<Lease>),
    /// Another one holds it.
    Wait {
        /// Who.
        holder: String,
    },
}

impl Candidate {
    pub(super) fn new(identity: &str) -> Self {
        Self { identity: identity.to_owned(), mine: None, seen: None }
    }

    /// The lease, if we wrote it last.
    pub(super) fn mine(&self) -> Option<&Lease> {
        self.mine.as_ref()
    }

    /// Notes that we have written it.
    pub(super) fn hold(&mut self, lease: Lease) {
        self.mine = Some(lease);
        self.seen = None;
    }

    /// Looks again before anything else.
    pub(super) fn forget(&mut self) {
        self.mine = None;
    }

    /// What to do about the lease as it is.
    pub(super) fn consider(&mut self, lease: Option<Lease>, now: Instant) -> Act {
        let Some(lease) = lease else { return Act::Create };
        let spec = lease.spec.clone().unwrap_or_default();
        let transitions = spec.lease_transitions.unwrap_or_default().saturating_add(1);
        let Some(holder) = spec.holder_identity.filter(|holder| !holder.is_empty()) else {
            return Act::Take(Box::new(lease), transitions);
        };
        if holder == self.identity {
            return Act::Renew(Box::new(lease));
        }
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let since = match &self.seen {
            Some((seen, since)) if *seen == version => *since,
            _ => {
                self.seen = Some((version, now));
                now
            }
        };
        if now.duration_since(since) >= LEASE_DURATION {
            return Act::Take(Box::new(lease), transitions);
        }
        Act::Wait { holder }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::{api::coordination::v1::LeaseSpec, apimachinery::pkg::apis::meta::v1::ObjectMeta};

    use super::*;

    fn lease(holder: &str, version: &str) -> Lease {
        Lease {
            metadata: ObjectMeta { resource_version: Some(version.into()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(holder.into()),
                lease_transitions: Some(3),
                ..LeaseSpec::default()
            }),
        }
    }

    fn waits(act: &Act) -> bool {
        matches!(act, Act::Wait { .. })
    }

    #[test]
    fn a_free_lease_is_taken_and_an_own_one_renewed() {
        let (mut me, now) = (Candidate::new("me"), Instant::now());
        assert_eq!(me.consider(None, now), Act::Create);
        assert_eq!(me.consider(Some(lease("", "1")), now), Act::Take(Box::new(lease("", "1")), 4));
        assert_eq!(me.consider(Some(lease("me", "1")), now), Act::Renew(Box::new(lease("me", "1"))));
    }

    #[test]
    fn anothers_lease_is_taken_when_nothing_was_seen_of_it_for_its_duration() {
        let (mut me, start) = (Candidate::new("me"), Instant::now());
        let almost = start + LEASE_DURATION - Duration::from_millis(1);
        assert!(waits(&me.consider(Some(lease("you", "1")), start)));
        assert!(waits(&me.consider(Some(lease("you", "1")), almost)));
        // It was renewed, whatever its clock says, and so it counts from now.
        assert!(waits(&me.consider(Some(lease("you", "2")), almost)));
        assert!(waits(&me.consider(Some(lease("you", "2")), start + LEASE_DURATION)));
        assert_eq!(
            me.consider(Some(lease("you", "2")), almost + LEASE_DURATION),
            Act::Take(Box::new(lease("you", "2")), 4)
        );
    }
}
