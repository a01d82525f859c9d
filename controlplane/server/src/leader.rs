//! Which replica leads: a Lease that is taken, renewed and given back, and terms that writers hold on to.
//!
//! What is done under a term is not made right by the lease alone, since a process may sleep between a look at its term
//! and the arrival of its write. So writers look at the term before each write, a write may take no longer than
//! [`WRITE_TIMEOUT`], and each carries a precondition on the object that it changes.

mod candidate;
mod term;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use k8s_openapi::{
    api::coordination::v1::Lease,
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use self::candidate::{Act, Candidate};
use self::term::Tenure;
pub use self::term::{Seat, Term};
use crate::{metrics::Metrics, shutdown::Shutdown};

/// The Lease, in the system namespace.
pub const LEASE: &str = "mainsheet-leader";
/// Others take the lease when they have seen nothing of its holder for so long.
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// The holder gives up when its last renewal began so long ago.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// The longest that a write under a term may take: it is over before anybody else can lead.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(4);
/// Time for a request about the lease.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two looks at the lease, and between two renewals.
const PAUSE: Duration = Duration::from_secs(2);
/// Time to give the lease back at the end.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// What an election works with.
pub struct Election {
    /// The way to the API server.
    pub client: Client,
    /// The namespace of the Lease.
    pub namespace: String,
    /// Who we are: unlike any other replica, and any earlier process of this one.
    pub identity: String,
    /// Where it is said who leads.
    pub metrics: Arc<Metrics>,
    /// The clock for what people read in the Lease; nothing is decided by it.
    pub now: fn() -> SystemTime,
}

impl std::fmt::Debug for Election {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Election")
    }
}

/// A place to wait for one's term.
#[must_use]
pub fn seat() -> (watch::Sender<Option<Term>>, Seat) {
    let (sender, receiver) = watch::channel(None);
    (sender, Seat::new(receiver))
}

impl Election {
    /// Takes the lease whenever it is free and keeps it as long as possible. At shutdown the term ends and the lease is
    /// given back, so that another replica can lead at once.
    pub async fn run(self, seat: watch::Sender<Option<Term>>, mut shutdown: Shutdown) {
        let leases = Api::namespaced(self.client.clone(), &self.namespace);
        let mut desk = Desk {
            leases,
            candidate: Candidate::new(&self.identity),
            tenure: None,
            said: String::new(),
            seat,
            election: self,
        };
        loop {
            // Not broken off, since then it would not be known whether the lease is ours.
            desk.step().await;
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = shutdown.begun() => break,
            }
        }
        desk.release().await;
    }
}

struct Desk {
    election: Election,
    leases: Api<Lease>,
    candidate: Candidate,
    seat: watch::Sender<Option<Term>>,
    /// While we lead.
    tenure: Option<Tenure>,
    /// What was said last of a failure, so that it is said once.
    said: String,
}

impl Desk {
    /// Looks at the lease and does what follows.
    async fn step(&mut self) {
        let began = Instant::now();
        match timeout(REQUEST_TIMEOUT, self.try_once(began)).await {
            Ok(Ok(())) => self.said.clear(),
            Ok(Err(kube::Error::Api(status))) if status.code == 409 => {
                // Somebody was faster; the next look shows who.
                self.candidate.forget();
            }
            Ok(Err(error)) => self.failed(&error),
            Err(_) => self.failed(&format_args!("no answer within {REQUEST_TIMEOUT:?}")),
        }
        if self.tenure.as_ref().is_some_and(|tenure| !tenure.is_held()) {
            self.resign("it could not be renewed in time");
        }
    }

    async fn try_once(&mut self, began: Instant) -> kube::Result<()> {
        let lease = match self.candidate.mine().cloned() {
            // Nobody else writes it while it is ours: no need to look.
            Some(lease) => Some(lease),
            None => self.leases.get_opt(LEASE).await?,
        };
        let now = Timestamp::try_from((self.election.now)()).unwrap_or_default();
        match self.candidate.consider(lease, began) {
            Act::Wait { holder } => {
                if self.tenure.is_some() {
                    self.resign(&format!("{holder} has taken it"));
                }
            }
            Act::Create => {
                let lease = self.written(Lease::default(), 0, now);
                let lease = self.leases.create(&PostParams::default(), &lease).await?;
                self.hold(lease, began);
            }
            Act::Take(lease, transitions) => {
                // The resource version in it is the precondition: of two who take it, one succeeds.
                let lease = self.written(*lease, transitions, now);
                let lease = self.leases.replace(LEASE, &PostParams::default(), &lease).await?;
                self.hold(lease, began);
            }
            Act::Renew(lease) => {
                let mut lease = *lease;
                lease.spec.get_or_insert_default().renew_time = Some(MicroTime(now));
                let lease = self.leases.replace(LEASE, &PostParams::default(), &lease).await?;
                self.hold(lease, began);
            }
        }
        Ok(())
    }

    fn written(&self, mut lease: Lease, transitions: i32, now: Timestamp) -> Lease {
        lease.metadata =
            ObjectMeta { name: Some(LEASE.into()), namespace: Some(self.election.namespace.clone()), ..lease.metadata };
        // By which it is known as ours when the control plane is removed.
        let labels = lease.metadata.labels.get_or_insert_default();
        labels.insert("app.kubernetes.io/part-of".into(), "mainsheet".into());
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(self.election.identity.clone());
        spec.lease_duration_seconds = i32::try_from(LEASE_DURATION.as_secs()).ok();
        spec.lease_transitions = Some(transitions);
        spec.acquire_time = Some(MicroTime(now));
        spec.renew_time = Some(MicroTime(now));
        lease
    }

    fn hold(&mut self, lease: Lease, began: Instant) {
        let number = lease.spec.as_ref().and_then(|spec| spec.lease_transitions).unwrap_or_default();
        self.candidate.hold(lease);
        let until = began + RENEW_DEADLINE;
        match &self.tenure {
            // A term that has run out does not come back to life: its writers have stopped.
            Some(tenure) if tenure.is_held() => tenure.extend(until),
            _ => {
                let (tenure, term) = Tenure::new(number, until);
                self.tenure = Some(tenure);
                self.seat.send_replace(Some(term));
                self.election.metrics.leads(true);
                tracing::info!(term = number, identity = self.election.identity, "this replica leads");
            }
        }
    }

    fn resign(&mut self, why: &str) {
        self.seat.send_replace(None);
        self.tenure = None;
        self.candidate.forget();
        self.election.metrics.leads(false);
        tracing::info!(why, "this replica leads no more");
    }

    async fn release(&mut self) {
        let Some(mut lease) = self.candidate.mine().cloned() else { return };
        self.resign("the control plane is ending");
        lease.spec.get_or_insert_default().holder_identity = None;
        // Whoever has taken it meanwhile keeps it: the resource version is the precondition.
        let given = timeout(RELEASE_TIMEOUT, self.leases.replace(LEASE, &PostParams::default(), &lease)).await;
        if !matches!(given, Ok(Ok(_))) {
            tracing::info!(lease = LEASE, "the lease could not be given back; it runs out by itself");
        }
    }

    fn failed(&mut self, reason: &dyn std::fmt::Display) {
        let reason = reason.to_string();
        if self.said != reason {
            tracing::warn!(
                reason,
                lease = %format_args!("{}/{LEASE}", self.election.namespace),
                "the lease cannot be had; without it this replica writes no status"
            );
            self.said = reason;
        }
    }
}
