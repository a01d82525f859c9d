//! What a stream subscribes to in one type: everything, names, or both.

use std::{collections::BTreeSet, sync::Arc};

use proto::type_url::ResourceType;

use super::names::Names;

/// The name that stands for everything.
const WILDCARD: &str = "*";

/// The subscription of one type.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Interest {
    /// Whether the type was asked for at all.
    pub(super) began: bool,
    /// Whether everything is wanted, also what does not exist yet.
    pub(super) wildcard: bool,
    /// Whether names were ever given: from then on an empty list of the state of the world means none and not all.
    named: bool,
    /// What is wanted by name.
    pub(super) names: Names,
}

/// What a request changed in a subscription.
#[derive(Debug, Default)]
pub(super) struct Shift {
    /// Everything is wanted from now on.
    pub(super) wildcard_began: bool,
    /// Not everything is wanted any more.
    pub(super) wildcard_ended: bool,
    /// Names that were asked for; on delta also those that were wanted before.
    pub(super) added: Vec<Arc<str>>,
    /// Names that are not wanted any more.
    pub(super) dropped: Vec<Arc<str>>,
    /// Names that are wanted only as part of everything from now on: the proxy has to be told how they stand.
    pub(super) loosened: Vec<Arc<str>>,
}

impl Shift {
    pub(super) fn is_nothing(&self) -> bool {
        !self.wildcard_began
            && !self.wildcard_ended
            && self.added.is_empty()
            && self.dropped.is_empty()
            && self.loosened.is_empty()
    }
}

impl Interest {
    /// Whether a resource of this name is wanted.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.wildcard || self.names.contains(name)
    }

    /// Takes a delta request: names to add and to drop. `intern` gives the shared form of a name.
    pub(super) fn change(
        &mut self,
        kind: ResourceType,
        subscribe: &[String],
        unsubscribe: &[String],
        intern: impl Fn(&str) -> Arc<str>,
    ) -> Shift {
        let mut shift = Shift::default();
        let wildcard_before = self.wildcard;
        // The first request for clusters or listeners that names nothing asks for everything: Envoy writes it so.
        let asks_for_all = |name: &String| has_wildcard(kind) && name == WILDCARD;
        let legacy = !self.began && subscribe.is_empty() && has_wildcard(kind);
        self.began = true;
        if unsubscribe.iter().any(asks_for_all) {
            self.wildcard = false;
        }
        if legacy || subscribe.iter().any(asks_for_all) {
            self.wildcard = true;
        }
        for name in unsubscribe.iter().filter(|name| !asks_for_all(name)) {
            let Some(name) = self.names.take(name) else { continue };
            if self.wildcard {
                shift.loosened.push(name);
            } else if !wildcard_before {
                shift.dropped.push(name);
            }
        }
        for name in subscribe.iter().filter(|name| !asks_for_all(name)) {
            let name = intern(name);
            self.names.insert(Arc::clone(&name));
            shift.dropped.retain(|dropped| *dropped != name);
            shift.loosened.retain(|loosened| *loosened != name);
            shift.added.push(name);
        }
        self.named |= !self.names.is_empty();
        shift.wildcard_began = self.wildcard && !wildcard_before;
        shift.wildcard_ended = wildcard_before && !self.wildcard;
        shift
    }

    /// Takes a request of the state of the world: all names that are wanted from now on.
    pub(super) fn replace(&mut self, kind: ResourceType, names: &[String], intern: impl Fn(&str) -> Arc<str>) -> Shift {
        let mut shift = Shift::default();
        let wildcard_before = self.wildcard;
        let asks_for_all = |name: &String| has_wildcard(kind) && name == WILDCARD;
        self.began = true;
        self.named |= !names.is_empty();
        self.wildcard = has_wildcard(kind) && (!self.named || names.iter().any(asks_for_all));
        let wanted: BTreeSet<&str> = names.iter().filter(|name| !asks_for_all(name)).map(String::as_str).collect();
        for name in wanted.iter().filter(|name| !self.names.contains(**name)) {
            shift.added.push(intern(name));
        }
        let gone: Vec<Arc<str>> = self.names.iter().filter(|name| !wanted.contains(&***name)).cloned().collect();
        for name in gone {
            self.names.take(&name);
            if self.wildcard {
                shift.loosened.push(name);
            } else if !wildcard_before {
                shift.dropped.push(name);
            }
        }
        shift.added.iter().for_each(|name| self.names.insert(Arc::clone(name)));
        shift.wildcard_began = self.wildcard && !wildcard_before;
        shift.wildcard_ended = wildcard_before && !self.wildcard;
        shift
    }
}

/// Whether everything of a type can be asked for. The protocol knows it for clusters and listeners; for the others,
/// secrets above all, a name has to be given.
fn has_wildcard(kind: ResourceType) -> bool {
    match kind {
        ResourceType::Cluster | ResourceType::Listener => true,
        ResourceType::Endpoint | ResourceType::Route | ResourceType::Secret | ResourceType::ExtensionConfig => false,
    }
}

/// Whether a response of the state of the world holds all resources of the type, so that what it lacks is gone.
pub(super) fn is_complete(kind: ResourceType) -> bool {
    has_wildcard(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn change(interest: &mut Interest, kind: ResourceType, subscribe: &[&str], unsubscribe: &[&str]) -> Shift {
        interest.change(kind, &strings(subscribe), &strings(unsubscribe), |name| Arc::from(name))
    }

    fn replace(interest: &mut Interest, kind: ResourceType, names: &[&str]) -> Shift {
        interest.replace(kind, &strings(names), |name| Arc::from(name))
    }

    #[test]
    fn a_first_request_without_names_wants_all_clusters_and_listeners_and_nothing_else() {
        for kind in ResourceType::ALL {
            let (mut delta, mut sotw) = (Interest::default(), Interest::default());
            change(&mut delta, kind, &[], &[]);
            replace(&mut sotw, kind, &[]);
            let expected = matches!(kind, ResourceType::Cluster | ResourceType::Listener);
            assert_eq!((delta.wildcard, sotw.wildcard), (expected, expected), "{kind}");
        }
    }

    #[test]
    fn a_star_wants_all_and_names_stay_beside_it() {
        let mut interest = Interest::default();
        change(&mut interest, ResourceType::Cluster, &["*", "a"], &[]);
        assert!(interest.wants("anything"));
        let shift = change(&mut interest, ResourceType::Cluster, &[], &["*"]);
        assert!(shift.wildcard_ended);
        assert!(interest.wants("a") && !interest.wants("anything"));
    }

    #[test]
    fn names_after_a_nameless_first_request_leave_the_wildcard_on_delta() {
        let mut interest = Interest::default();
        change(&mut interest, ResourceType::Cluster, &[], &[]);
        change(&mut interest, ResourceType::Cluster, &["a"], &[]);
        assert!(interest.wildcard);
        let shift = change(&mut interest, ResourceType::Cluster, &[], &["a"]);
        assert_eq!(shift.loosened.len(), 1, "the proxy has to be told how `a` stands");
    }

    #[test]
    fn names_after_a_nameless_first_request_end_the_wildcard_in_the_state_of_the_world() {
        let mut interest = Interest::default();
        replace(&mut interest, ResourceType::Cluster, &[]);
        assert!(replace(&mut interest, ResourceType::Cluster, &["a"]).wildcard_ended);
        replace(&mut interest, ResourceType::Cluster, &[]);
        assert!(!interest.wants("a"), "an empty list after names means none");
    }

    #[test]
    fn a_star_is_an_ordinary_name_where_nothing_can_be_asked_for_as_a_whole() {
        let mut interest = Interest::default();
        change(&mut interest, ResourceType::Secret, &["*"], &[]);
        assert!(!interest.wants("default"));
    }

    #[test]
    fn a_name_dropped_and_asked_for_in_one_request_is_asked_for() {
        let mut interest = Interest::default();
        change(&mut interest, ResourceType::Route, &["a"], &[]);
        let shift = change(&mut interest, ResourceType::Route, &["a"], &["a"]);
        assert!(shift.dropped.is_empty() && shift.added.len() == 1 && interest.wants("a"));
    }

    #[test]
    fn the_same_names_again_change_nothing() {
        let mut interest = Interest::default();
        replace(&mut interest, ResourceType::Endpoint, &["b", "a", "b"]);
        assert!(replace(&mut interest, ResourceType::Endpoint, &["a", "b"]).is_nothing());
    }
}
