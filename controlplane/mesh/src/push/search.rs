//! The search for the resources of a refused response that the proxy will not take.
//!
//! A refusal does not say what was applied: an error of decoding refuses the whole response and names nothing, an error
//! of one resource refuses that one and may name it. So the resources are sent again in parts until the culprits are
//! alone. The name in an error text only decides how to part them. A resource that must be a culprit because the rest
//! of its response was accepted is not sent a second time.

use std::{collections::VecDeque, sync::Arc};

use super::error_text;
use crate::snapshot::Version;

/// A resource that may be at fault, in the version that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Suspect {
    pub(super) name: Arc<str>,
    pub(super) version: Version,
}

/// A resource that is known to be at fault, and what the proxy said.
#[derive(Debug)]
pub(super) struct Culprit {
    pub(super) suspect: Suspect,
    pub(super) error: Arc<str>,
}

/// What is still to be tried in one type. Only the first trial is ever under way.
#[derive(Debug, Clone, Default, Hash)]
pub(super) struct Search {
    trials: VecDeque<Trial>,
}

/// Some resources to be sent by themselves.
#[derive(Debug, Clone, Hash)]
struct Trial {
    members: Vec<Suspect>,
    /// What was refused together with the members.
    rest: Vec<Suspect>,
    /// Whether a culprit is in the rest if the members are accepted.
    sure: bool,
    error: Arc<str>,
}

impl Search {
    pub(super) fn is_over(&self) -> bool {
        self.trials.is_empty()
    }

    /// Whether the search still has to do with a resource.
    pub(super) fn suspects(&self, name: &str) -> bool {
        self.trials.iter().any(|trial| trial.members.iter().chain(&trial.rest).any(|suspect| &*suspect.name == name))
    }

    /// The resources to be sent next. Those for which `stands` is false were superseded or are no longer wanted, and
    /// leave the search; without them nothing follows from what is accepted.
    pub(super) fn members(&mut self, stands: impl Fn(&Suspect) -> bool) -> Option<&[Suspect]> {
        while let Some(trial) = self.trials.front_mut() {
            let before = trial.members.len() + trial.rest.len();
            trial.members.retain(&stands);
            trial.rest.retain(&stands);
            trial.sure &= trial.members.len() + trial.rest.len() == before;
            if trial.members.is_empty() {
                trial.members = std::mem::take(&mut trial.rest);
                trial.sure = false;
            }
            if trial.members.is_empty() {
                self.trials.pop_front();
            } else {
                break;
            }
        }
        self.trials.front().map(|trial| trial.members.as_slice())
    }

    /// A response was refused that held these. `sure` says that a culprit is among them, `is_under_way` that the first
    /// trial was sent and not answered, so that it has to stay the first.
    pub(super) fn refused(
        &mut self,
        suspects: Vec<Suspect>,
        sure: bool,
        error: &Arc<str>,
        is_under_way: bool,
    ) -> Option<Culprit> {
        if suspects.is_empty() {
            return None;
        }
        if !sure {
            self.trials.push_back(Trial { members: suspects, rest: Vec::new(), sure, error: Arc::clone(error) });
            return None;
        }
        match <[Suspect; 1]>::try_from(suspects) {
            Ok([suspect]) => Some(Culprit { suspect, error: Arc::clone(error) }),
            Err(suspects) => {
                let (members, rest) = part(suspects, error);
                let place = usize::from(is_under_way).min(self.trials.len());
                self.trials.insert(place, Trial { members, rest, sure, error: Arc::clone(error) });
                None
            }
        }
    }

    /// The trial under way was refused; its members are reported by [`Search::refused`].
    pub(super) fn trial_refused(&mut self) {
        if let Some(trial) = self.trials.pop_front()
            && !trial.rest.is_empty()
        {
            self.trials.push_back(Trial { members: trial.rest, rest: Vec::new(), sure: false, error: trial.error });
        }
    }

    /// The trial under way was accepted: the fault, if it is sure that there is one, is in the rest.
    pub(super) fn trial_accepted(&mut self, stands: impl Fn(&Suspect) -> bool) -> Option<Culprit> {
        let trial = self.trials.pop_front()?;
        let before = trial.rest.len();
        let rest: Vec<Suspect> = trial.rest.into_iter().filter(stands).collect();
        let sure = trial.sure && rest.len() == before;
        self.refused(rest, sure, &trial.error, false)
    }
}

/// Parts the suspects in two, neither empty: those that the error does not name, which are tried first, and those that
/// it does; or by halves when it names none or all.
fn part(suspects: Vec<Suspect>, error: &str) -> (Vec<Suspect>, Vec<Suspect>) {
    let (named, mut others): (Vec<_>, Vec<_>) =
        suspects.into_iter().partition(|suspect| error_text::names(error, &suspect.name));
    if !named.is_empty() && !others.is_empty() {
        return (others, named);
    }
    others.extend(named);
    let rest = others.split_off(others.len() / 2);
    (others, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suspects(names: &[&str]) -> Vec<Suspect> {
        names.iter().map(|name| Suspect { name: (*name).into(), version: Version::from_hash(1) }).collect()
    }

    /// Runs a search to its end against a proxy that refuses whatever holds a bad name; returns culprits and responses.
    fn run(names: &[&str], bad: &[&str], error: &str) -> (Vec<String>, usize) {
        let error: Arc<str> = error.into();
        let mut search = Search::default();
        let mut culprits: Vec<String> = Vec::new();
        let mut found = search.refused(suspects(names), true, &error, false);
        let mut responses = 0;
        loop {
            culprits.extend(found.take().map(|culprit| culprit.suspect.name.to_string()));
            let Some(members) = search.members(|_| true).map(<[Suspect]>::to_vec) else { break };
            responses += 1;
            if members.iter().any(|suspect| bad.contains(&&*suspect.name)) {
                search.trial_refused();
                found = search.refused(members, true, &error, false);
            } else {
                found = search.trial_accepted(|_| true);
            }
        }
        culprits.sort();
        (culprits, responses)
    }

    #[test]
    fn a_resource_refused_alone_is_the_culprit_at_once() {
        assert_eq!(run(&["a"], &["a"], "no"), (vec!["a".to_owned()], 0));
    }

    #[test]
    fn one_culprit_among_many_is_found_in_few_responses() {
        let names: Vec<String> = (0..600).map(|i| format!("c{i:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for bad in ["c000", "c299", "c300", "c599"] {
            let (culprits, responses) = run(&names, &[bad], "no");
            assert_eq!(culprits, [bad]);
            assert!(responses <= 20, "{responses} responses");
        }
    }

    #[test]
    fn a_named_culprit_is_found_without_sending_it_again() {
        assert_eq!(run(&["a", "b", "c"], &["b"], "error adding b: no"), (vec!["b".to_owned()], 1));
    }

    #[test]
    fn a_wrong_hint_only_costs_time() {
        assert_eq!(run(&["a", "b", "c"], &["c"], "error adding b: no").0, ["c"]);
    }

    #[test]
    fn all_culprits_are_found_and_the_search_ends() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        assert_eq!(run(&names, &["a", "d", "e"], "no").0, ["a", "d", "e"]);
        let (culprits, responses) = run(&names, &names, "no");
        assert_eq!(culprits, names);
        assert!(responses <= 2 * names.len());
    }

    #[test]
    fn nothing_follows_for_the_rest_when_a_suspect_was_superseded() {
        let mut search = Search::default();
        assert!(search.refused(suspects(&["a", "b"]), true, &"no".into(), false).is_none());
        let members = search.members(|suspect| &*suspect.name != "a").unwrap().to_vec();
        assert_eq!(members, suspects(&["b"]), "`a` may have been the culprit, so `b` is tried");
        assert!(search.trial_accepted(|_| true).is_none());
        assert!(search.is_over());
    }
}
