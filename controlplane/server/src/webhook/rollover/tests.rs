//! Changes of the authority, with the API servers as far as they matter.

use ca::{KeyAlgorithm, PrivateKey, Serial, TrustDomain};
use time::OffsetDateTime;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LIFE: Duration = Duration::from_secs(24 * 3600);

fn trust_domain() -> TrustDomain {
    TrustDomain::parse("cluster.local").unwrap()
}

fn authority(number: u8) -> Arc<Authority> {
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let serial = Serial::from_random([number; 16]);
    Arc::new(Authority::self_signed(&trust_domain(), key, serial, OffsetDateTime::UNIX_EPOCH).unwrap())
}

fn both(one: &Authority, other: &Authority) -> TrustBundle {
    one.bundle().join(other.bundle()).unwrap()
}

/// The rollover and the API servers, which have whatever was written last.
struct World {
    rollover: Rollover,
    now: Instant,
}

impl World {
    /// One that serves a certificate of `authority`, which the API servers have trusted for long.
    fn steady(authority: &Arc<Authority>) -> Self {
        let now = Instant::now();
        let mut world = Self { rollover: Rollover::new(now), now };
        world.rollover.adopt(Arc::clone(authority), now);
        world.rollover.observe(Some(vec![None]), now);
        assert!(world.signs(authority), "nothing is served, so that nothing is waited for");
        assert_eq!(world.publish(), Some(authority.bundle().clone()));
        world.pass(KEPT_FOR);
        world
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// Writes what is wanted.
    fn publish(&mut self) -> Option<TrustBundle> {
        let wanted = self.rollover.wanted(self.now)?;
        self.rollover.observe(Some(vec![Some(wanted.clone())]), self.now);
        assert_eq!(self.rollover.wanted(self.now), None, "it is content with what it has written");
        Some(wanted)
    }

    /// Serves what is to be served, and whether that is of `authority`.
    fn signs(&mut self, authority: &Arc<Authority>) -> bool {
        let Some(signer) = self.rollover.signer(self.now).cloned() else { return false };
        self.rollover.served(Arc::clone(&signer), self.now + LIFE / 2, self.now + LIFE, self.now);
        Arc::ptr_eq(&signer, authority)
    }
}

#[test]
fn a_root_that_comes_with_its_key_is_trusted_before_it_signs() {
    let (old, new) = (authority(1), authority(2));
    let mut world = World::steady(&old);
    world.rollover.adopt(Arc::clone(&new), world.now);
    assert!(!world.signs(&new));
    assert_eq!(world.publish(), Some(both(&old, &new)));
    world.pass(TRUSTED_FOR - SECOND);
    assert!(!world.signs(&new), "some API server may not know it yet");
    assert_eq!(world.rollover.wake_at(world.now), Some(world.now + SECOND));
    world.pass(SECOND);
    assert!(world.signs(&new));
    assert_eq!(world.publish(), None, "another replica may serve the old one");
    world.pass(KEPT_FOR);
    assert_eq!(world.publish(), Some(new.bundle().clone()));
}

#[test]
fn a_root_that_cannot_be_made_trusted_signs_only_when_the_old_certificate_has_ended() {
    let (old, new) = (authority(1), authority(2));
    let mut world = World::steady(&old);
    let served = world.now - KEPT_FOR;
    world.rollover.adopt(Arc::clone(&new), world.now);
    world.now = served + LIFE - SECOND;
    assert!(!world.signs(&new));
    world.pass(SECOND);
    assert!(world.signs(&new));
}

#[test]
fn trust_that_was_lost_counts_from_anew() {
    let (old, new) = (authority(1), authority(2));
    let mut world = World::steady(&old);
    world.rollover.adopt(Arc::clone(&new), world.now);
    world.publish();
    world.pass(TRUSTED_FOR - SECOND);
    world.rollover.observe(Some(vec![None]), world.now);
    assert_eq!(world.publish(), Some(both(&old, &new)), "what is served must be trusted too");
    world.pass(SECOND);
    assert!(!world.signs(&new));
    world.pass(TRUSTED_FOR);
    assert!(world.signs(&new));
}

#[test]
fn a_bundle_of_somebody_else_is_replaced_and_each_webhook_has_it() {
    let (own, other) = (authority(1), authority(2));
    let mut world = World::steady(&own);
    for published in [vec![None], vec![Some(other.bundle().clone())], vec![Some(own.bundle().clone()), None]] {
        world.rollover.observe(Some(published), world.now);
        assert_eq!(world.rollover.wanted(world.now), Some(own.bundle().clone()));
    }
    world.rollover.observe(None, world.now);
    assert_eq!(world.rollover.wanted(world.now), None, "there is nothing to write to");
}

#[test]
fn a_certificate_is_replaced_at_half_of_its_life_and_nobody_calls_an_unconfigured_webhook() {
    let (own, other) = (authority(1), authority(2));
    let mut world = World::steady(&own);
    assert!(!world.signs(&own));
    world.now += LIFE / 2;
    assert!(world.signs(&own));
    assert!(!world.signs(&own));
    world.rollover.observe(None, world.now);
    world.rollover.adopt(Arc::clone(&other), world.now);
    assert!(world.signs(&other), "nobody's trust is waited for");
}
