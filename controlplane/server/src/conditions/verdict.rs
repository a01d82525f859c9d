//! What is to be said of an object. Pure: from what is wrong with it and how far proxies have it, to its conditions.

use std::fmt::Write as _;

use mesh::model::{
    Problem, Severity,
    code::{self, Code},
};

use super::coverage::{Refusal, Tally};

/// Problems that are told in one message; how many more there are is said.
const TOLD_MAX: usize = 5;
/// Longest message, in characters.
const MESSAGE_LEN_MAX: usize = 1024;

/// Codes that say that an object as a whole is not in force.
const NOT_IN_FORCE: [Code; 2] = [code::KIND_NOT_IN_FORCE, code::SECURITY_NOT_IN_FORCE];
/// Codes that say that something is named which is not there.
const UNRESOLVED: [Code; 10] = [
    code::UNKNOWN_HOST,
    code::UNKNOWN_SUBSET,
    code::UNKNOWN_PORT,
    code::UNKNOWN_DELEGATE,
    code::BAD_DELEGATE,
    code::UNKNOWN_IMPORT,
    code::UNKNOWN_RULE_HOST,
    code::NOT_EXPORTED,
    code::NAME_NOT_RESOLVED,
    code::HALF_QUALIFIED_HOST,
];

/// A condition that we keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Aspect {
    /// The object is right, and in force.
    Accepted,
    /// What it names is there.
    ResolvedRefs,
    /// The proxies that need it have it.
    Programmed,
}

impl Aspect {
    pub(super) const ALL: [Self; 3] = [Self::Accepted, Self::ResolvedRefs, Self::Programmed];

    /// The `type` of the condition.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
        }
    }
}

/// The `status` of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    Unknown,
}

impl Truth {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) aspect: Aspect,
    pub(super) truth: Truth,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The three conditions of an object, in the order of [`Aspect::ALL`].
pub(super) type Verdicts = [Verdict; 3];

/// What is known of one form of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The generation of that form.
    pub(super) generation: i64,
    /// What is wrong with the form taken by itself.
    pub(super) own: &'a [Problem],
    /// What is wrong between it and other objects.
    pub(super) between: &'a [&'a Problem],
    /// Whether all that is wrong between objects is known.
    pub(super) between_is_complete: bool,
    /// Whether its kind is compiled at all.
    pub(super) is_compiled: bool,
    /// The generation in force, if any.
    pub(super) in_force: Option<i64>,
    /// How far proxies have it.
    pub(super) tally: &'a Tally,
}

/// The conditions that follow; `None` while this form has not reached the mesh yet.
pub(super) fn judge(facts: &Facts<'_>) -> Option<Verdicts> {
    let errors = || facts.own.iter().filter(|problem| problem.severity == Severity::Error);
    if errors().next().is_some() {
        let stays = match facts.in_force {
            Some(generation) => format!("generation {generation} stays in force"),
            None => "nothing of it is in force".to_owned(),
        };
        return Some(rejected("Invalid", format!("{stays}: {}", tell(errors()))));
    }
    let mut not_in_force = facts.own.iter().filter(|problem| is_among(problem, &NOT_IN_FORCE)).peekable();
    if not_in_force.peek().is_some() {
        return Some(rejected("NotInForce", tell(not_in_force)));
    }
    if facts.is_compiled && facts.in_force != Some(facts.generation) {
        return None;
    }
    Some([accepted(facts), resolved(facts), programmed(facts.tally)])
}

fn rejected(reason: &'static str, message: String) -> Verdicts {
    let follows = "this form of the object is not in force; see Accepted".to_owned();
    [
        verdict(Aspect::Accepted, Truth::False, reason, message),
        verdict(Aspect::ResolvedRefs, Truth::Unknown, "NotAccepted", follows.clone()),
        verdict(Aspect::Programmed, Truth::False, "NotAccepted", follows),
    ]
}

fn accepted(facts: &Facts<'_>) -> Verdict {
    let between = facts.between.iter().copied().filter(|problem| !is_among(problem, &UNRESOLVED));
    let warnings = facts.own.iter().chain(between).filter(|problem| problem.severity == Severity::Warning);
    let message = tell(warnings);
    let reason = if message.is_empty() { "Accepted" } else { "Warnings" };
    verdict(Aspect::Accepted, Truth::True, reason, message)
}

fn resolved(facts: &Facts<'_>) -> Verdict {
    let unresolved = || facts.between.iter().copied().filter(|problem| is_among(problem, &UNRESOLVED));
    let aspect = Aspect::ResolvedRefs;
    match unresolved().next() {
        Some(_) if unresolved().all(|problem| is_among(problem, &[code::NOT_EXPORTED])) => {
            verdict(aspect, Truth::False, "RefNotPermitted", tell(unresolved()))
        }
        Some(_) => verdict(aspect, Truth::False, "RefNotFound", tell(unresolved())),
        None if !facts.between_is_complete => {
            let message = "there are too many problems in the mesh to look at this object".to_owned();
            verdict(aspect, Truth::Unknown, "NotChecked", message)
        }
        None => verdict(aspect, Truth::True, "ResolvedRefs", String::new()),
    }
}

fn programmed(tally: &Tally) -> Verdict {
    let Tally { proxies, holding, refusing, refusal } = tally;
    let count = format!("{holding}/{proxies} proxies");
    let (truth, reason, message) = match refusal {
        Some(Refusal { error, kind, resource, field }) => {
            let place = if field.is_empty() { String::new() } else { format!(", made by {field}") };
            let what = format!("{} {resource}{place}", kind.short_name());
            (Truth::False, "Refused", format!("{count}; {refusing} refuse it: {error} ({what})"))
        }
        None if *proxies == 0 => {
            (Truth::Unknown, "NoProxies", format!("{count}: nothing that a connected proxy needs is made of it"))
        }
        None if holding < proxies => (Truth::False, "Pending", count),
        None => (Truth::True, "Programmed", count),
    };
    verdict(Aspect::Programmed, truth, reason, message)
}

fn verdict(aspect: Aspect, truth: Truth, reason: &'static str, message: String) -> Verdict {
    let end = message.char_indices().nth(MESSAGE_LEN_MAX).map(|(at, _)| at);
    let message = match end {
        Some(end) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message,
    };
    Verdict { aspect, truth, reason, message }
}

fn is_among(problem: &Problem, codes: &[Code]) -> bool {
    codes.iter().any(|code| code.id == problem.code)
}

/// `MS0501 spec.http[0]: no Service or ServiceEntry is called x (did you mean y?); and 3 more`.
fn tell<'a>(problems: impl Iterator<Item = &'a Problem>) -> String {
    let mut told = String::new();
    let mut count = 0usize;
    for problem in problems {
        count += 1;
        if count > TOLD_MAX {
            continue;
        }
        let Problem { severity: _, code, object: _, field, location: _, reason, remedy } = problem;
        let separator = if told.is_empty() { "" } else { "; " };
        let field = if field.is_empty() { String::new() } else { format!(" {field}") };
        let remedy = if remedy.is_empty() { String::new() } else { format!(" ({remedy})") };
        // Writing to a string cannot fail.
        let _ = write!(told, "{separator}{code}{field}: {reason}{remedy}");
    }
    if let Some(more) = count.checked_sub(TOLD_MAX).filter(|more| *more > 0) {
        let _ = write!(told, "; and {more} more");
    }
    told
}

#[cfg(test)]
mod tests {
    use proto::ResourceType;

    use super::*;

    fn problem(code: Code) -> Problem {
        Problem {
            severity: code.severity,
            code: code.id,
            object: "VirtualService shop/web".into(),
            field: "spec.x".into(),
            location: None,
            reason: "wrong".into(),
            remedy: "mend it".into(),
        }
    }

    fn facts<'a>(own: &'a [Problem], between: &'a [&'a Problem], tally: &'a Tally) -> Facts<'a> {
        Facts { generation: 2, own, between, between_is_complete: true, is_compiled: true, in_force: Some(2), tally }
    }

    fn shown(facts: &Facts<'_>) -> Vec<String> {
        let verdicts = judge(facts).unwrap();
        verdicts
            .iter()
            .map(|of| format!("{} {} {} {}", of.aspect.as_str(), of.truth.as_str(), of.reason, of.message))
            .collect()
    }

    fn tally(proxies: u32, holding: u32) -> Tally {
        Tally { proxies, holding, ..Tally::default() }
    }

    #[test]
    fn a_good_object_is_accepted_resolved_and_programmed() {
        let expected =
            ["Accepted True Accepted ", "ResolvedRefs True ResolvedRefs ", "Programmed True Programmed 3/3 proxies"];
        assert_eq!(shown(&facts(&[], &[], &tally(3, 3))), expected);
    }

    #[test]
    fn a_broken_object_says_what_stays_in_force() {
        let broken = [problem(code::UNKNOWN_FIELD), problem(code::DEPRECATED)];
        let tally = Tally::default();
        let mut facts = Facts { in_force: Some(1), ..facts(&broken, &[], &tally) };
        let said = shown(&facts);
        assert_eq!(said[0], "Accepted False Invalid generation 1 stays in force: MS0201 spec.x: wrong (mend it)");
        assert!(said[1].starts_with("ResolvedRefs Unknown NotAccepted"), "{said:?}");
        assert!(said[2].starts_with("Programmed False NotAccepted"), "{said:?}");
        facts.in_force = None;
        assert!(shown(&facts)[0].contains("nothing of it is in force"));
    }

    #[test]
    fn a_form_that_has_not_reached_the_mesh_is_not_judged() {
        let tally = Tally::default();
        assert_eq!(judge(&Facts { in_force: Some(1), ..facts(&[], &[], &tally) }), None);
    }

    #[test]
    fn a_kind_without_force_is_not_accepted() {
        let own = [problem(code::SECURITY_NOT_IN_FORCE)];
        let tally = Tally::default();
        let facts = Facts { is_compiled: false, in_force: None, ..facts(&own, &[], &tally) };
        assert_eq!(shown(&facts)[0], "Accepted False NotInForce MS0303 spec.x: wrong (mend it)");
    }

    #[test]
    fn names_that_lead_nowhere_are_told_apart_from_other_warnings() {
        let (host, hidden, taken) =
            (problem(code::UNKNOWN_HOST), problem(code::NOT_EXPORTED), problem(code::HOST_TAKEN));
        let tally = tally(0, 0);
        let said = shown(&facts(&[], &[&host, &hidden, &taken], &tally));
        assert_eq!(said[0], "Accepted True Warnings MS0507 spec.x: wrong (mend it)");
        assert!(said[1].starts_with("ResolvedRefs False RefNotFound MS0501"), "{said:?}");
        assert!(said[2].starts_with("Programmed Unknown NoProxies 0/0 proxies"), "{said:?}");
        assert!(shown(&facts(&[], &[&hidden], &tally))[1].starts_with("ResolvedRefs False RefNotPermitted MS0516"));
        let unsure = Facts { between_is_complete: false, ..facts(&[], &[], &tally) };
        assert!(shown(&unsure)[1].starts_with("ResolvedRefs Unknown NotChecked"));
    }

    #[test]
    fn a_refusal_is_told_in_the_proxys_words_with_the_field() {
        let refusal = Refusal {
            error: "no such thing".into(),
            kind: ResourceType::Cluster,
            resource: "outbound|80||web".into(),
            field: "spec.trafficPolicy".into(),
        };
        let tally = Tally { proxies: 3, holding: 2, refusing: 1, refusal: Some(refusal) };
        let said = "Programmed False Refused 2/3 proxies; 1 refuse it: no such thing (cds outbound|80||web, made by spec.trafficPolicy)";
        assert_eq!(shown(&facts(&[], &[], &tally))[2], said);
        let waiting = Tally { proxies: 3, holding: 2, ..Tally::default() };
        assert_eq!(shown(&facts(&[], &[], &waiting))[2], "Programmed False Pending 2/3 proxies");
    }

    #[test]
    fn a_message_has_an_end() {
        let many: Vec<Problem> =
            (0..100).map(|_| Problem { reason: "é".repeat(400), ..problem(code::UNKNOWN_FIELD) }).collect();
        let tally = Tally::default();
        let [accepted, ..] = judge(&facts(&many, &[], &tally)).unwrap();
        assert_eq!(accepted.message.chars().count(), MESSAGE_LEN_MAX + 1);
        let few = vec![problem(code::UNKNOWN_FIELD); TOLD_MAX + 2];
        let [accepted, ..] = judge(&facts(&few, &[], &tally)).unwrap();
        assert!(accepted.message.ends_with("; and 2 more"), "{}", accepted.message);
    }
}
