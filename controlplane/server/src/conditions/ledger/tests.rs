//! What is written when.

use super::*;
use crate::conditions::verdict::{Aspect, Truth, Verdict};

fn wanted(count: &str, seen: &str) -> Wanted {
    let verdicts = Aspect::ALL.map(|aspect| Verdict {
        aspect,
        truth: Truth::True,
        reason: aspect.as_str(),
        message: count.to_owned(),
    });
    Wanted { generation: 1, verdicts, urgency: Urgency::Urgent, is_pending: false, seen: seen.into() }
}

fn differing(list: &[(&str, Wanted)]) -> HashMap<Arc<str>, Wanted> {
    list.iter().map(|(title, wanted)| (Arc::from(*title), wanted.clone())).collect()
}

/// The titles of what is begun at `now`.
fn begun(ledger: &mut Ledger, now: Instant) -> Vec<String> {
    std::iter::from_fn(|| ledger.begin(now)).map(|(title, _)| title.to_string()).collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_difference_rests_and_the_newest_form_of_it_is_written() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    ledger.take(differing(&[("a", wanted("1", "1")), ("b", wanted("1", "1"))]), start);
    assert_eq!(begun(&mut ledger, start), [""; 0]);
    ledger.take(differing(&[("a", wanted("2", "1"))]), start + REST / 2);
    assert_eq!(ledger.next(start), Some(start + REST), "a wish that changes is not put off");
    let (title, written) = ledger.begin(start + REST).unwrap();
    assert_eq!((&*title, written), ("a", wanted("2", "1")));
    assert_eq!((ledger.begin(start + REST), ledger.next(start + REST)), (None, None), "b has mended itself");
}

#[test]
fn what_was_written_is_not_written_again_before_the_watch_brings_it() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    ledger.take(differing(&[("a", wanted("1", "7"))]), start);
    let (title, written) = ledger.begin(start + REST).unwrap();
    ledger.done(&title, written, &Outcome::Written, start + REST);
    ledger.take(differing(&[("a", wanted("1", "7"))]), start + 9 * SECOND);
    assert_eq!(ledger.next(start), None);
}

#[test]
fn an_object_that_others_undo_is_written_more_and_more_rarely() {
    let mut now = Instant::now();
    let mut ledger = Ledger::new(now);
    let mut pauses = Vec::new();
    for round in 0..9 {
        ledger.take(differing(&[("a", wanted("1", &round.to_string()))]), now);
        let due = ledger.next(now).unwrap();
        pauses.push((due - now).as_secs());
        now = due;
        let (title, written) = ledger.begin(now).unwrap();
        ledger.done(&title, written, &Outcome::Written, now);
        ledger.take(HashMap::new(), now);
    }
    assert_eq!(pauses, [1, 10, 20, 40, 80, 160, 320, 600, 600]);
}

#[test]
fn proxies_that_come_and_go_are_counted_now_and_then() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    ledger.take(differing(&[("a", wanted("1", "1"))]), start);
    let (title, written) = ledger.begin(start + REST).unwrap();
    ledger.done(&title, written, &Outcome::Written, start + REST);
    let counted = |count: u32| Wanted { urgency: Urgency::Count, ..wanted(&count.to_string(), "2") };
    for second in 2..50 {
        ledger.take(differing(&[("a", counted(second))]), start + second * SECOND);
    }
    assert_eq!(ledger.next(start), Some(start + REST + COUNT_PAUSE));
}

#[test]
fn the_rate_is_kept_and_what_is_pressing_goes_first() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    let count = |title: &str| (title.to_owned(), Wanted { urgency: Urgency::Count, ..wanted("1", "1") });
    let mut all: HashMap<Arc<str>, Wanted> =
        (0..200).map(|at| count(&format!("count {at}"))).map(|(title, wanted)| (title.into(), wanted)).collect();
    all.extend((0..60).map(|at| (format!("urgent {at}").into(), wanted("1", "1"))));
    ledger.take(all, start);
    let now = start + 60 * SECOND;
    let first = begun(&mut ledger, now);
    assert_eq!(first.len(), WRITES_BURST as usize);
    assert!(first.iter().all(|title| title.starts_with("urgent")));
    let second: usize = (1..=10).map(|tenth| begun(&mut ledger, now + tenth * SECOND / 10).len()).sum();
    assert_eq!(second, WRITES_PER_SECOND as usize);
    assert_eq!(ledger.waiting(), 260 - 100);
}

#[test]
fn nothing_is_written_while_the_api_server_wants_to_be_left_alone() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    ledger.take(differing(&[("a", wanted("1", "1")), ("b", wanted("1", "1"))]), start);
    let (title, written) = ledger.begin(start + REST).unwrap();
    ledger.done(&title, written, &Outcome::Throttled(Some(30 * SECOND)), start + REST);
    assert_eq!(ledger.next(start), Some(start + REST + 30 * SECOND));
    assert_eq!(ledger.begin(start + 2 * SECOND), None);
    let later = start + REST + 30 * SECOND;
    assert_eq!(begun(&mut ledger, later).len(), 2);
}

#[test]
fn an_object_that_cannot_be_written_holds_up_no_other() {
    let start = Instant::now();
    let mut ledger = Ledger::new(start);
    ledger.take(differing(&[("a", wanted("1", "1"))]), start);
    let mut now = start + REST;
    for _ in 0..5 {
        let (title, written) = ledger.begin(now).unwrap();
        ledger.done(&title, written, &Outcome::Conflict, now);
        now = ledger.next(now).unwrap();
    }
    assert_eq!(now - start, REST + (1 + 2 + 4 + 8 + 16) * SECOND);
    // Whatever is wanted meanwhile, the pause stays; others go on.
    ledger.take(differing(&[("a", wanted("2", "2")), ("b", wanted("1", "1"))]), now - 10 * SECOND);
    assert_eq!(begun(&mut ledger, now - 9 * SECOND), ["b"]);
    assert_eq!(ledger.next(now - 9 * SECOND), Some(now));
}
