//! How one certificate follows another without a refused connection: which roots the API servers are to trust, and when
//! which authority is to sign. Pure: the time is an argument.
//!
//! A certificate is served only when the API servers have trusted its root for a while, and a root is taken out of their
//! bundle only when no replica can be serving a certificate from it any more. So the new root may come together with its
//! key, or be added to the roots before.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use ca::{Authority, Fingerprint, TrustBundle};

/// How long a root is in the configuration before a certificate from it is served: API servers hear of the configuration
/// by watches, which take well below a second.
pub(super) const TRUSTED_FOR: Duration = Duration::from_secs(5);
/// How long roots that are not wanted any more stay in the bundle after a change, and after a start: other replicas may
/// still serve certificates from them. Longer than a silent watch takes to be noticed.
pub(super) const KEPT_FOR: Duration = Duration::from_secs(90);

/// What is served, what signs, and what the API servers trust.
#[derive(Debug)]
pub(super) struct Rollover {
    authority: Option<Arc<Authority>>,
    adopted_at: Instant,
    served: Option<Served>,
    /// The bundle of each webhook of the configuration; `None` when there is no configuration.
    published: Option<Vec<Option<TrustBundle>>>,
    /// The roots that all of them have, and since when.
    trusted: BTreeMap<Fingerprint, Instant>,
    keep_until: Instant,
}

/// The certificate that is served.
#[derive(Debug)]
struct Served {
    authority: Arc<Authority>,
    renew_at: Instant,
    end: Instant,
}

impl Rollover {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            authority: None,
            adopted_at: now,
            served: None,
            published: None,
            trusted: BTreeMap::new(),
            keep_until: now + KEPT_FOR,
        }
    }

    /// This authority is to sign from now on.
    pub(super) fn adopt(&mut self, authority: Arc<Authority>, now: Instant) {
        self.adopted_at = now;
        // Of the first one nothing is left over; what others serve is kept for as long as after any start.
        if self.authority.replace(authority).is_some() {
            self.keep_until = now + KEPT_FOR;
        }
    }

    /// The configuration has these bundles now, one for each webhook; `None` is no configuration.
    pub(super) fn observe(&mut self, published: Option<Vec<Option<TrustBundle>>>, now: Instant) {
        let mut bundles = published.iter().flatten().map(fingerprints);
        let first = bundles.next().unwrap_or_default();
        let in_all = bundles.fold(first, |all, bundle| &all & &bundle);
        self.trusted = in_all.into_iter().map(|root| (root, *self.trusted.get(&root).unwrap_or(&now))).collect();
        self.published = published;
    }

    /// The authority that is to sign now.
    pub(super) fn signer(&self, now: Instant) -> Option<&Arc<Authority>> {
        self.authority.as_ref().filter(|_| self.sign_at().is_some_and(|at| at <= now))
    }

    /// A certificate of this authority is served from now on; half of its life is over at `renew_at`.
    pub(super) fn served(&mut self, authority: Arc<Authority>, renew_at: Instant, end: Instant, now: Instant) {
        let before = self.served.replace(Served { authority, renew_at, end });
        let differs =
            |before: &Served| self.served.as_ref().is_some_and(|now| before.authority.root() != now.authority.root());
        if before.as_ref().is_some_and(differs) {
            self.keep_until = now + KEPT_FOR;
        }
    }

    /// The bundle that the configuration is to have, when it has another.
    pub(super) fn wanted(&self, now: Instant) -> Option<TrustBundle> {
        let authority = self.authority.as_ref()?;
        let published = self.published.as_ref()?;
        let mut wanted = authority.bundle().clone();
        if let Some(root) = self.served.as_ref().and_then(|served| root_of(&served.authority)) {
            // Of too many roots those of the authority count.
            wanted = wanted.join(&root).unwrap_or(wanted);
        }
        if now < self.keep_until {
            for bundle in published.iter().flatten() {
                wanted = wanted.join(bundle).unwrap_or(wanted);
            }
        }
        let as_wanted = |bundle: &Option<TrustBundle>| bundle.as_ref() == Some(&wanted);
        (!published.iter().all(as_wanted)).then_some(wanted)
    }

    /// When to look again though nothing has happened.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        [self.sign_at(), Some(self.keep_until)].into_iter().flatten().filter(|at| *at > now).min()
    }

    /// When the next certificate is to be signed; `None` when that depends on others.
    fn sign_at(&self) -> Option<Instant> {
        let authority = self.authority.as_ref()?;
        // While nothing is served, nothing can become worse.
        let Some(served) = &self.served else { return Some(self.adopted_at) };
        if Arc::ptr_eq(authority, &served.authority) {
            return Some(served.renew_at);
        }
        if self.published.as_ref().is_none_or(Vec::is_empty) {
            // Nobody calls.
            return Some(self.adopted_at);
        }
        let trusted = self.trusted.get(&authority.root()).map(|since| *since + TRUSTED_FOR);
        // A certificate that has ended is of no use to anybody.
        Some(trusted.map_or(served.end, |at| at.min(served.end)))
    }
}

fn fingerprints(bundle: &Option<TrustBundle>) -> BTreeSet<Fingerprint> {
    bundle.iter().flat_map(TrustBundle::roots).map(|(root, _)| root).collect()
}

/// The root alone in which the path of an authority ends.
fn root_of(authority: &Authority) -> Option<TrustBundle> {
    let bundle = authority.bundle();
    let root = bundle.roots().find(|(fingerprint, _)| *fingerprint == authority.root()).map(|(_, root)| root)?;
    TrustBundle::new(bundle.trust_domain().clone(), [root]).ok()
}

#[cfg(test)]
mod tests;
