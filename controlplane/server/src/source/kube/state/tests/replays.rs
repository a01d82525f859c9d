//! Row 6 of docs/FAULTS.md: events that come twice, late, or again after something newer.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*};

use super::*;

/// A change of one object in the store; its place in the history is its version.
#[derive(Debug, Clone, Copy)]
struct Write {
    object: usize,
    deletes: bool,
}

/// What goes wrong on the way.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// An event comes again, so much later.
    Again { event: usize, later: usize },
    /// An event comes only after one that overtakes it: the next of the same object.
    Late { event: usize },
}

fn write() -> impl Strategy<Value = Write> {
    (0..4usize, any::<bool>()).prop_map(|(object, deletes)| Write { object, deletes })
}

fn trouble() -> impl Strategy<Value = Trouble> {
    prop_oneof![
        (0..40usize, 0..20usize).prop_map(|(event, later)| Trouble::Again { event, later }),
        (0..40usize).prop_map(|event| Trouble::Late { event }),
    ]
}

/// The order in which the events of a history arrive.
fn arrivals(history: &[Write], troubles: &[Trouble]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..history.len()).collect();
    for trouble in troubles {
        match *trouble {
            Trouble::Again { event, later } => {
                let event = event % history.len();
                let seen = order.iter().position(|at| *at == event).unwrap();
                order.insert((seen + 1 + later).min(order.len()), event);
            }
            Trouble::Late { event } => {
                let event = event % history.len();
                let newer = |at: &usize| *at > event && history[*at].object == history[event].object;
                if let Some(overtaking) = order.iter().position(newer) {
                    let seen = order.iter().position(|at| *at == event).unwrap();
                    order.insert(overtaking + 1, event);
                    order.remove(if seen <= overtaking { seen } else { seen + 1 });
                }
            }
        }
    }
    order
}

fn event(history: &[Write], at: usize) -> Event {
    let Write { object, deletes } = history[at];
    let (name, version) = (format!("s{object}"), (at + 1).to_string());
    if deletes { gone_at(&name, &version) } else { service(&name, &version, &format!("10.0.0.{}", at + 1)) }
}

/// The version of an object, which its address says.
fn version(change: &Change) -> Option<u8> {
    let Change::Set(config) = change else { return None };
    let Config::Service(service) = &**config else { return None };
    let std::net::IpAddr::V4(ip) = service.spec.addresses[0].ip else { return None };
    Some(ip.octets()[3])
}

/// Takes the events in, and what that leads to: the version of each object. No object ever goes back.
fn led_to(history: &[Write], order: &[usize]) -> BTreeMap<ObjectId, u8> {
    let mut state = State::new([SERVICES].into_iter());
    list(&mut state, SERVICES, []);
    let (mut holds, mut newest) = (BTreeMap::new(), BTreeMap::new());
    for at in order {
        take(&mut state, SERVICES, [event(history, *at)]);
        for change in state.update(Instant::now()).into_iter().flat_map(|update| update.changes) {
            let id = id_of(&change);
            match version(&change) {
                Some(version) => {
                    let before = newest.insert(id.clone(), version);
                    assert!(before < Some(version), "{id} went from {before:?} to {version}");
                    holds.insert(id, version);
                }
                None => drop(holds.remove(&id)),
            }
        }
    }
    holds
}

proptest! {
    #[test]
    fn events_that_come_twice_or_late_lead_to_the_same_and_nothing_goes_back(
        history in vec(write(), 1..40), troubles in vec(trouble(), 0..30),
    ) {
        let in_order: Vec<usize> = (0..history.len()).collect();
        prop_assert_eq!(led_to(&history, &arrivals(&history, &troubles)), led_to(&history, &in_order));
    }
}

#[test]
fn a_list_may_go_back_as_after_a_backup_was_restored() {
    let now = Instant::now();
    let mut state = synced(now);
    take(&mut state, SERVICES, [service("web", "7", "10.0.0.7"), service("web", "6", "10.0.0.6")]);
    assert_eq!(state.update(now).unwrap().changes.iter().map(version).collect::<Vec<_>>(), [Some(7)]);
    list(&mut state, SERVICES, [service("web", "3", "10.0.0.3")]);
    assert_eq!(state.update(now).unwrap().changes.iter().map(version).collect::<Vec<_>>(), [Some(3)]);
    take(&mut state, SERVICES, [service("web", "4", "10.0.0.4"), service("new", "2", "10.0.0.2")]);
    assert_eq!(changes(&mut state, now), ["set Service shop/web"], "what the list lacks was deleted before it");
}
