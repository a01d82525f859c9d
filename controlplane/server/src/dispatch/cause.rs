//! What led to a push: said in one line of the log, and measured from.

use std::time::Instant;

use mesh::model::{Change, Kind, ObjectId};

/// What led to a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// Counts pushes, from 1.
    pub number: u64,
    /// When the earliest change of it arrived.
    pub received: Instant,
    /// The object that changed, and how many more: `VirtualService default/reviews and 2 more`.
    pub text: String,
}

impl Cause {
    /// The cause of a push for these changes.
    pub(super) fn of(number: u64, received: Instant, changes: &[Change]) -> Self {
        let text = match changes {
            [] => "no change".to_owned(),
            [only] => object(only).to_string(),
            [first, more @ ..] => format!("{} and {} more", object(first), more.len()),
        };
        Self { number, received, text }
    }
}

fn object(change: &Change) -> &ObjectId {
    match change {
        Change::Set(config) => config.id(),
        Change::SetEndpoints(slice) => &slice.id,
        Change::Remove(id) => id,
    }
}

/// The word that Istio's `pilot_inbound_updates` has for a change.
pub(super) fn inbound_label(change: &Change) -> &'static str {
    match (change, object(change).kind) {
        (Change::SetEndpoints(_), _) | (Change::Remove(_), Kind::EndpointSlice) => "eds",
        (Change::Set(_), Kind::Service) => "svc",
        (Change::Remove(_), Kind::Service) => "svcdelete",
        (Change::Set(_) | Change::Remove(_), _) => "config",
    }
}

#[cfg(test)]
mod tests {
    use mesh::model::Namespace;

    use super::*;

    fn removal(name: &str) -> Change {
        Change::Remove(ObjectId::new(Kind::Service, Namespace::parse("shop").unwrap(), name))
    }

    #[test]
    fn a_cause_names_the_first_object() {
        let text = |changes: &[Change]| Cause::of(1, Instant::now(), changes).text;
        assert_eq!(text(&[removal("web")]), "Service shop/web");
        assert_eq!(text(&[removal("web"), removal("db"), removal("queue")]), "Service shop/web and 2 more");
    }
}
