//! Our conditions among those of an object: what is written, and what the list becomes.

use std::sync::Arc;

use mesh::model::ObjectId;
use serde_json::{Value as Json, json};

use super::verdict::{Aspect, Truth, Verdict, Verdicts};
use crate::source::standing::Standing;

/// Our conditions as they stand.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written([Option<Line>; Aspect::ALL.len()]);

/// One condition as it stands.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    status: String,
    reason: String,
    message: String,
    generation: Option<i64>,
}

/// How pressing a difference is, the most pressing first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// Something else is so than is written.
    Urgent,
    /// The same is so, of another number of proxies.
    Count,
}

impl Written {
    /// What is written in a status.
    pub(super) fn of(standing: &Standing) -> Self {
        let list = list(standing);
        let line = |aspect: Aspect| {
            let condition = list.iter().find(|condition| is_of(condition, aspect))?;
            let text = |field: &str| condition.get(field).and_then(Json::as_str).unwrap_or_default().to_owned();
            Some(Line {
                status: text("status"),
                reason: text("reason"),
                message: text("message"),
                generation: condition.get("observedGeneration").and_then(Json::as_i64),
            })
        };
        Self(Aspect::ALL.map(line))
    }

    /// Whether it says that proxies have taken the object in its form of this generation.
    pub(super) fn is_programmed(&self, generation: i64) -> bool {
        let [.., programmed] = &self.0;
        let is_so = |line: &Line| line.status == Truth::True.as_str() && line.generation == Some(generation);
        programmed.as_ref().is_some_and(is_so)
    }

    /// The `status` of a condition, if it is written.
    pub(super) fn status(&self, aspect: Aspect) -> Option<(&str, &str)> {
        let at = Aspect::ALL.iter().position(|other| *other == aspect)?;
        self.0.get(at)?.as_ref().map(|line| (line.status.as_str(), line.reason.as_str()))
    }

    /// Whether something else should be written, and how pressing that is.
    pub(super) fn differs(&self, wanted: &Verdicts, generation: i64) -> Option<Urgency> {
        let differs = |(line, verdict): (&Option<Line>, &Verdict)| {
            let Some(line) = line else { return Some(Urgency::Urgent) };
            let is_so = line.status == verdict.truth.as_str()
                && line.reason == verdict.reason
                && line.generation == Some(generation);
            let is_count = verdict.aspect == Aspect::Programmed;
            match (is_so, line.message == verdict.message) {
                (true, true) => None,
                (true, false) if is_count => Some(Urgency::Count),
                (true | false, _) => Some(Urgency::Urgent),
            }
        };
        self.0.iter().zip(wanted).filter_map(differs).min()
    }
}

/// The list of conditions with ours as they should be, and all others as they are. `now` is when what differs in
/// `status` began to be so.
pub(super) fn merged(standing: &Standing, wanted: &Verdicts, generation: i64, now: &str) -> Vec<Json> {
    let mut list = list(standing);
    for verdict in wanted {
        let Verdict { aspect, truth, reason, message } = verdict;
        let before = list.iter_mut().find(|condition| is_of(condition, *aspect));
        let since =
            before.as_ref().filter(|before| before.get("status").and_then(Json::as_str) == Some(truth.as_str()));
        let since = since.and_then(|before| before.get("lastTransitionTime")).and_then(Json::as_str).unwrap_or(now);
        let condition = json!({
            "type": aspect.as_str(), "status": truth.as_str(), "reason": reason, "message": message,
            "observedGeneration": generation, "lastTransitionTime": since,
        });
        match before {
            Some(before) => *before = condition,
            None => list.push(condition),
        }
    }
    list
}

/// An object of which the status is watched over.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) standing: Arc<Standing>,
    pub(super) object: Option<ObjectId>,
    pub(super) written: Written,
}

impl Known {
    pub(super) fn of(standing: &Arc<Standing>) -> Self {
        Self { standing: Arc::clone(standing), object: standing.object(), written: Written::of(standing) }
    }
}

fn list(standing: &Standing) -> Vec<Json> {
    standing.conditions.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn is_of(condition: &Json, aspect: Aspect) -> bool {
    condition.get("type").and_then(Json::as_str) == Some(aspect.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::istio;

    fn standing(conditions: &Json) -> Standing {
        Standing {
            kind: &istio::VIRTUAL_SERVICE,
            version: "v1".into(),
            namespace: "shop".into(),
            name: "web".into(),
            uid: "u".into(),
            generation: 2,
            resource_version: "7".into(),
            conditions: Some(conditions.to_string().into()),
            problems: Arc::default(),
        }
    }

    fn verdicts(count: &str) -> Verdicts {
        Aspect::ALL.map(|aspect| Verdict {
            aspect,
            truth: Truth::True,
            reason: aspect.as_str(),
            message: if aspect == Aspect::Programmed { count.to_owned() } else { String::new() },
        })
    }

    #[test]
    fn what_was_written_does_not_differ_and_others_stay() {
        let other = json!({"type": "Ready", "status": "True", "extra": {"kept": 1}});
        let empty = standing(&json!([other]));
        assert_eq!(Written::of(&empty).differs(&verdicts("1/1"), 2), Some(Urgency::Urgent));
        let list = merged(&empty, &verdicts("1/1"), 2, "2026-01-01T00:00:00Z");
        assert_eq!((list.len(), &list[0]), (4, &other));
        let full = standing(&Json::Array(list));
        let written = Written::of(&full);
        assert_eq!(written.differs(&verdicts("1/1"), 2), None);
        assert_eq!(written.differs(&verdicts("2/2"), 2), Some(Urgency::Count));
        assert_eq!(written.differs(&verdicts("1/1"), 3), Some(Urgency::Urgent));
        assert!(written.is_programmed(2) && !written.is_programmed(3));
    }

    #[test]
    fn the_time_of_transition_changes_with_the_status_alone() {
        let first = merged(&standing(&json!([])), &verdicts("1/1"), 1, "2026-01-01T00:00:00Z");
        let mut next = verdicts("2/2");
        next[0].truth = Truth::False;
        let second = merged(&standing(&Json::Array(first)), &next, 2, "2026-02-02T00:00:00Z");
        let times: Vec<&str> = second.iter().filter_map(|of| of["lastTransitionTime"].as_str()).collect();
        assert_eq!(times, ["2026-02-02T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"]);
    }
}
