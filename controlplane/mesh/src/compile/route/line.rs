//! The lines of a VirtualService: one for each route that comes of it, a rule with one of its matches.

use std::borrow::Cow;

use super::{ChosenRule, delegate};
use crate::model::{
    Object, Origin,
    virtual_service::{HttpMatch, HttpRule, VirtualService},
};

/// What one route is made of.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// The rule: what happens.
    pub(super) rule: Cow<'a, HttpRule>,
    /// When it happens.
    pub(super) condition: Cow<'a, HttpMatch>,
    /// What of which object says so.
    pub(super) origins: Vec<Origin>,
}

/// The lines of the chosen rules, in the order in which they are tried.
pub(super) fn lines<'a>(
    virtual_service: &'a Object<VirtualService>,
    rules: &'a [ChosenRule],
) -> impl Iterator<Item = Line<'a>> {
    rules.iter().flat_map(move |chosen| {
        let roots = own_lines(virtual_service, chosen);
        match &chosen.delegate {
            None => roots,
            Some(delegated) => delegated
                .rules
                .iter()
                .flat_map(|chosen| delegate::merge(&roots, own_lines(&delegated.virtual_service, chosen)))
                .collect(),
        }
    })
}

fn own_lines<'a>(virtual_service: &'a Object<VirtualService>, chosen: &'a ChosenRule) -> Vec<Line<'a>> {
    let Some(rule) = virtual_service.spec.http.get(chosen.rule) else { return Vec::new() };
    let line = |condition, field: &str| Line {
        rule: Cow::Borrowed(rule),
        condition,
        origins: vec![Origin::field(&virtual_service.id, field)],
    };
    if rule.matches.is_empty() {
        return vec![line(Cow::Owned(HttpMatch::default()), &format!("spec.http[{}]", chosen.rule))];
    }
    let of_match = |place: &usize| {
        let condition = rule.matches.get(*place)?;
        Some(line(Cow::Borrowed(condition), &format!("spec.http[{}].match[{place}]", chosen.rule)))
    };
    chosen.matches.iter().filter_map(of_match).collect()
}
