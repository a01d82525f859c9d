//! The way of one rotation, step by step; every interleaving is in `tests/rotation_model.rs`.

use super::*;

const TIMING: Timing = Timing { propagation_s: 10, clock_skew_s: 5 };

fn root(name: &str) -> Root {
    Root { fingerprint: Fingerprint::of(name.as_bytes()), lifetime_max_s: 100 }
}

fn proxies(names: &[&str]) -> BTreeSet<ProxyName> {
    names.iter().map(|name| ProxyName((*name).to_owned())).collect()
}

fn held(names: &[&str], roots: &[Root]) -> BTreeMap<ProxyName, BTreeSet<Fingerprint>> {
    let roots: BTreeSet<Fingerprint> = roots.iter().map(|root| root.fingerprint).collect();
    proxies(names).into_iter().map(|proxy| (proxy, roots.clone())).collect()
}

/// Lets the store take what is written, at `now_s`, and gives what is to be done then.
fn stored(rotation: &mut Rotation, actions: Vec<Action>, now_s: u64) -> Vec<Action> {
    let [Action::Write(record)] = actions.as_slice() else { panic!("one record is written: {actions:?}") };
    assert_eq!(record.generation(), rotation.record().generation() + 1);
    rotation.step(Event::Loaded(record.clone()), now_s)
}

/// A rotation from `old` to `new` that is published, and seen by `a` but not by `b`, at second 120.
fn published() -> Rotation {
    let mut rotation = Rotation::new(Record::new(root("old")), TIMING, 0);
    let actions = rotation.command(Command::Begin { next: root("new") }).unwrap();
    assert_eq!(stored(&mut rotation, actions, 100), []);
    let census = Event::Census { taken_s: 115, proxies: proxies(&["a", "b", "c"]) };
    assert_eq!(rotation.step(census, 120), []);
    let report = held(&["a"], &[root("old"), root("new")]).into_iter().chain(held(&["b"], &[root("old")])).collect();
    assert_eq!(rotation.step(Event::Report { taken_s: 116, held: report }, 120), []);
    rotation
}

#[test]
fn a_rotation_waits_for_every_proxy_and_names_the_stragglers() {
    let mut rotation = published();
    let stragglers: Vec<(&str, Lag)> = rotation.stragglers().map(|(proxy, lag)| (proxy.0.as_str(), lag)).collect();
    assert_eq!(stragglers, [("c", Lag::NotSeen), ("b", Lag::Lacks(root("new").fingerprint))]);
    let both = [root("old"), root("new")];
    assert_eq!(rotation.step(Event::Report { taken_s: 121, held: held(&["b"], &both) }, 121), []);
    let actions = rotation.step(Event::Report { taken_s: 122, held: held(&["c"], &both) }, 122);
    let drained = stored(&mut rotation, actions, 200);
    assert_eq!(rotation.record().signing(), root("new"));
    let drained = stored(&mut rotation, drained, 201);
    assert_eq!((drained, rotation.due_s()), (vec![], Some(200 + 10 + 5 + 100)), "from when the switch was in force");
    assert_eq!(rotation.step(Event::Tick, 314), []);
    let actions = rotation.step(Event::Tick, 315);
    let forget = stored(&mut rotation, actions, 316);
    assert_eq!(forget, [Action::Forget(root("old").fingerprint)]);
    assert_eq!(rotation.record().trusted().collect::<Vec<_>>(), [root("new").fingerprint]);
    let actions = rotation.step(Event::Forgotten(root("old").fingerprint), 317);
    assert_eq!(stored(&mut rotation, actions, 318), []);
    assert_eq!(rotation.record().phase(), &Phase::Steady { signing: root("new"), retired: None });
}

#[test]
fn who_is_gone_holds_nothing_up() {
    let mut rotation = published();
    let actions = rotation.step(Event::Census { taken_s: 130, proxies: proxies(&["a"]) }, 130);
    assert!(matches!(actions.as_slice(), [Action::Write(record)] if record.signing() == root("new")));
}

#[test]
fn what_was_seen_too_early_does_not_count() {
    let mut rotation = Rotation::new(Record::new(root("old")), TIMING, 0);
    let actions = rotation.command(Command::Begin { next: root("new") }).unwrap();
    assert_eq!(stored(&mut rotation, actions, 100), []);
    let report = Event::Report { taken_s: 114, held: held(&["a"], &[root("old"), root("new")]) };
    assert_eq!(rotation.step(report, 130), []);
    assert_eq!(rotation.step(Event::Census { taken_s: 114, proxies: proxies(&[]) }, 130), []);
    assert_eq!(rotation.step(Event::Census { taken_s: 115, proxies: proxies(&["a"]) }, 130), []);
    assert_eq!(rotation.stragglers().count(), 1);
}

#[test]
fn a_leader_that_starts_anew_does_not_take_silence_for_consent() {
    let mut leader = Rotation::new(published().record().clone(), TIMING, 500);
    assert_eq!(leader.step(Event::Tick, 10_000), []);
    assert_eq!(leader.stragglers().count(), 0, "it knows of nobody yet");
}

#[test]
fn an_abort_leads_back_from_every_step() {
    let mut rotation = published();
    let actions = rotation.command(Command::Abort).unwrap();
    let actions = stored(&mut rotation, actions, 130);
    assert_eq!(rotation.record().signing(), root("old"));
    let _ = stored(&mut rotation, actions, 131);
    let actions = rotation.command(Command::Abort).unwrap();
    let _ = stored(&mut rotation, actions, 132);
    assert_eq!(rotation.record().phase(), &Phase::Publishing { signing: root("old"), next: root("new") });
    let mut steady = Rotation::new(Record::new(root("old")), TIMING, 0);
    assert_eq!(steady.command(Command::Abort), Err(Refused::NothingToAbort));
}

#[test]
fn commands_that_do_not_fit_are_refused() {
    let mut rotation = published();
    assert_eq!(rotation.command(Command::Begin { next: root("third") }), Err(Refused::UnderWay));
    assert_eq!(rotation.command(Command::AllowLifetime(1000)), Err(Refused::UnderWay));
    let mut steady = Rotation::new(Record::new(root("old")), TIMING, 0);
    assert_eq!(steady.command(Command::Begin { next: root("old") }), Err(Refused::InUse));
    assert_eq!(steady.command(Command::AllowLifetime(50)), Ok(vec![]), "what was allowed is remembered");
    let _ = steady.command(Command::AllowLifetime(1000)).unwrap();
    assert_eq!(steady.command(Command::Abort), Err(Refused::Writing));
}

#[test]
fn a_leader_whose_record_is_overtaken_follows_the_newer_one() {
    let (mut late, mut fast) = (published(), published());
    let written = fast.command(Command::Abort).unwrap();
    let _ = late.command(Command::Abort).unwrap();
    let _ = stored(&mut fast, written, 130);
    let _ = late.step(Event::Loaded(fast.record().clone()), 131);
    assert_eq!(late.record(), fast.record());
    assert_eq!(late.step(Event::Loaded(published().record().clone()), 132).len(), 0, "an older answer is not believed");
    assert_eq!(late.record(), fast.record());
}

#[test]
fn a_record_reads_back_and_damage_is_noticed() {
    let record = published().record().clone();
    let text = record.encode();
    assert_eq!(Record::decode(&text), Ok(record.clone()));
    assert!(text.len() < RECORD_LEN_MAX);
    for place in 0..text.len() {
        for change in [1_u8, 2, 4, 8, 16, 32, 64] {
            let mut bytes = text.clone().into_bytes();
            bytes[place] ^= change;
            let read = String::from_utf8(bytes).map(|damaged| Record::decode(&damaged));
            assert!(!matches!(read, Ok(Ok(ref other)) if *other != record), "{read:?}");
        }
        assert!(Record::decode(&text[..place]).is_err());
    }
    assert_eq!(record.restored().generation(), record.generation() + 1);
}

#[test]
fn a_lease_ends() {
    assert!(TIMING.may_serve(100, 109));
    assert!(!TIMING.may_serve(100, 110));
}
