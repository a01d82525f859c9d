//! Whatever a peer sends, an automaton neither panics nor grows without bound; and a peer that behaves ends with the target.

#![allow(clippy::panic, reason = "a test fails by panicking, in its helpers too")]

#[path = "push/snapshots.rs"]
mod snapshots;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use mesh::{
    push::{Automaton, Limits, Protocol, Request, Response, SyncState},
    snapshot::{Snapshot, Version},
};
use proptest::prelude::*;
use proto::type_url::ResourceType;

use self::snapshots::{Part, cluster, endpoints, fixed, listener, plain, route, snapshot};

const NAMES: [&str; 4] = ["a", "b", "c", "*"];

#[derive(Debug, Clone)]
enum Event {
    Receive(Request),
    Aim(usize),
    Silence,
    Send(usize),
    /// Answers one of the unanswered responses.
    Answer {
        place: usize,
        error: Option<String>,
    },
}

fn kinds() -> impl Strategy<Value = ResourceType> {
    prop::sample::select(ResourceType::ALL.to_vec())
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(prop::sample::select(NAMES.map(String::from).to_vec()), 0..3)
}

fn errors() -> impl Strategy<Value = Option<String>> {
    prop::option::weighted(0.4, prop::sample::select(vec!["no".to_owned(), "a: no".to_owned(), "b c".to_owned()]))
}

fn nonces() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(String::new()),
        2 => (kinds(), 0u64..12).prop_map(|(kind, count)| format!("{}{count:x}", kind.short_name())),
        1 => ".{0,6}",
    ]
}

fn versions() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<u64>().prop_map(|v| format!("{v:016x}")), ".{0,20}"]
}

fn requests(protocol: Protocol) -> BoxedStrategy<Request> {
    match protocol {
        Protocol::Delta => (
            kinds(),
            names(),
            names(),
            prop::collection::btree_map(prop::sample::select(NAMES.map(String::from).to_vec()), versions(), 0..3),
            nonces(),
            errors(),
        )
            .prop_map(|(kind, subscribe, unsubscribe, initial_versions, nonce, error)| Request::Delta {
                kind,
                subscribe,
                unsubscribe,
                initial_versions,
                nonce,
                error,
            })
            .boxed(),
        Protocol::StateOfTheWorld => (kinds(), names(), versions(), nonces(), errors())
            .prop_map(|(kind, names, version, nonce, error)| Request::Sotw { kind, names, version, nonce, error })
            .boxed(),
    }
}

fn events(protocol: Protocol) -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => requests(protocol).prop_map(Event::Receive),
        2 => (0usize..5).prop_map(Event::Aim),
        1 => Just(Event::Silence),
        4 => (1usize..5).prop_map(Event::Send),
        5 => (0usize..4, errors()).prop_map(|(place, error)| Event::Answer { place, error }),
    ];
    prop::collection::vec(event, 1..60)
}

/// Snapshots of every shape over the same few names.
fn target(which: usize) -> Arc<Snapshot> {
    let content = u32::try_from(which).expect("a small number");
    let mut parts: Vec<Part> = Vec::new();
    for (place, name) in ["a", "b", "c"].into_iter().enumerate() {
        if (which + place).is_multiple_of(3) {
            continue;
        }
        parts
            .extend([if place == 2 { fixed(name, content) } else { cluster(name, content) }, endpoints(name, content)]);
        parts.extend([listener(name, content % 2).to("a").route("a"), route(name, content).to(name).to("b")]);
        parts.extend([plain(ResourceType::Secret, name, content), plain(ResourceType::ExtensionConfig, name, 1)]);
    }
    snapshot(parts)
}

fn answer(protocol: Protocol, names: &[String], response: &Response, error: Option<String>) -> Request {
    let (kind, nonce) = (response.kind, response.nonce.to_string());
    match protocol {
        Protocol::Delta => Request::Delta {
            kind,
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            initial_versions: BTreeMap::new(),
            nonce,
            error,
        },
        Protocol::StateOfTheWorld => {
            Request::Sotw { kind, names: names.to_vec(), version: response.version.clone(), nonce, error }
        }
    }
}

/// A proxy that says anything, but remembers what it says.
struct Wild {
    protocol: Protocol,
    automaton: Automaton,
    unanswered: VecDeque<Response>,
    names: BTreeMap<ResourceType, Vec<String>>,
    /// What it refused alone and was not changed since.
    refused: BTreeMap<(ResourceType, Arc<str>), Version>,
}

impl Wild {
    fn new(protocol: Protocol) -> Self {
        let automaton = Automaton::new(protocol, Limits::default(), target(0));
        Self { protocol, automaton, unanswered: VecDeque::new(), names: BTreeMap::new(), refused: BTreeMap::new() }
    }

    fn step(&mut self, event: Event) {
        match event {
            Event::Receive(request) => {
                if let Request::Sotw { kind, names, .. } = &request {
                    self.names.insert(*kind, names.clone());
                }
                // Anything may have been answered or dropped by it.
                self.refused.clear();
                self.automaton.receive(request).expect("within the limits");
            }
            Event::Aim(which) => {
                self.automaton.aim(target(which));
                let target = Arc::clone(self.automaton.target());
                self.refused.retain(|(kind, name), version| {
                    target.of(*kind).get(name).is_some_and(|resource| resource.version == *version)
                });
            }
            Event::Silence => self.automaton.hear_silence(),
            Event::Send(count) => (0..count).for_each(|_| self.send_if_any()),
            Event::Answer { place, error } => {
                if let Some(response) = self.unanswered.remove(place) {
                    self.answer(&response, error);
                }
            }
        }
    }

    fn send_if_any(&mut self) {
        self.send();
    }

    /// Takes the next response; whether there is one.
    fn send(&mut self) -> bool {
        let Some(response) = self.automaton.next() else { return false };
        let in_flight = self.automaton.sync().iter().find(|sync| sync.kind == response.kind).map(|sync| sync.in_flight);
        assert!(in_flight.is_some_and(|in_flight| in_flight <= Limits::default().in_flight_max));
        if self.protocol == Protocol::Delta {
            for resource in &response.resources {
                let refused = self.refused.get(&(response.kind, Arc::clone(&resource.name)));
                assert_ne!(refused, Some(&resource.version), "{} was refused in this version", resource.name);
            }
        }
        self.unanswered.push_back(response);
        true
    }

    fn answer(&mut self, response: &Response, error: Option<String>) {
        let names = self.names.get(&response.kind).cloned().unwrap_or_default();
        let request = answer(self.protocol, &names, response, error);
        let received = self.automaton.receive(request).expect("within the limits");
        for nack in received.quarantined {
            self.refused.insert((nack.kind, nack.resource), nack.version);
        }
    }

    /// Accepts everything from here on, and must come to rest.
    fn settle(&mut self) {
        self.automaton.hear_silence();
        for _ in 0..1_000 {
            while self.send() {}
            let Some(response) = self.unanswered.pop_front() else { return };
            self.answer(&response, None);
        }
        panic!("no end of responses");
    }
}

fn run(protocol: Protocol, events: Vec<Event>) {
    let mut wild = Wild::new(protocol);
    events.into_iter().for_each(|event| wild.step(event));
    wild.settle();
    assert!(!wild.automaton.is_listening());
    for sync in wild.automaton.sync() {
        assert_eq!(sync.in_flight, 0, "{sync:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_delta_peer_sends_does_harm(events in events(Protocol::Delta)) {
        run(Protocol::Delta, events);
    }

    #[test]
    fn nothing_that_a_peer_of_the_state_of_the_world_sends_does_harm(events in events(Protocol::StateOfTheWorld)) {
        run(Protocol::StateOfTheWorld, events);
    }

    /// A client that follows everything by name holds the last target, whichever it saw on the way.
    #[test]
    fn a_slow_stream_skips_what_it_missed_and_ends_with_the_target(
        aims in prop::collection::vec((0usize..5, 0usize..3), 1..20),
    ) {
        let kinds = [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Secret, ResourceType::ExtensionConfig];
        let mut wild = Wild::new(Protocol::Delta);
        let mut held: BTreeMap<(ResourceType, Arc<str>), Version> = BTreeMap::new();
        for kind in kinds {
            let subscribe = ["a", "b", "c"].map(String::from).to_vec();
            wild.automaton.receive(Request::Delta {
                kind, subscribe, unsubscribe: Vec::new(), initial_versions: BTreeMap::new(), nonce: String::new(), error: None,
            }).unwrap();
        }
        let mut take = |wild: &mut Wild| {
            let Some(response) = wild.unanswered.pop_front() else { return false };
            for resource in &response.resources {
                held.insert((response.kind, Arc::clone(&resource.name)), resource.version);
            }
            for name in &response.removed {
                held.remove(&(response.kind, Arc::clone(name)));
            }
            wild.answer(&response, None);
            true
        };
        for (which, count) in aims {
            wild.step(Event::Aim(which));
            (0..count).for_each(|_| wild.send_if_any());
            take(&mut wild);
        }
        loop {
            while wild.send() {}
            if !take(&mut wild) {
                break;
            }
        }
        let target = Arc::clone(wild.automaton.target());
        let aimed: BTreeMap<_, _> = kinds
            .iter()
            .flat_map(|kind| target.of(*kind).iter().map(|r| ((*kind, Arc::clone(&r.name)), r.version)))
            .collect();
        prop_assert_eq!(held, aimed);
        prop_assert!(wild.automaton.sync().iter().all(|sync| sync.state == SyncState::Synced));
    }
}
