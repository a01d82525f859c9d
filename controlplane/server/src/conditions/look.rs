//! One look at everything: which objects have other conditions than they should.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use imbl::ordmap::DiffItem;
use mesh::{
    compile::check::PROBLEMS_MAX,
    model::{ObjectId, Problem},
};

use super::{
    Checked,
    coverage::{Coverage, Holder, Tally},
    ledger::Wanted,
    verdict::{Aspect, Facts, judge},
    written::Known,
};
use crate::{
    ads::{Proxies, Proxy},
    source::standing::Standings,
};

/// What is kept from look to look.
#[derive(Debug, Default)]
pub(super) struct Looker {
    standings: Standings,
    known: BTreeMap<Arc<str>, Known>,
    coverage: Coverage,
}

impl Looker {
    /// Every object of which the conditions are not what they should be, with what they should be. Objects whose newest
    /// form has not reached the mesh yet are left out.
    pub(super) fn look(
        &mut self,
        standings: Standings,
        checked: &Checked,
        holders: &[Holder],
    ) -> HashMap<Arc<str>, Wanted> {
        let Some(mesh) = &checked.mesh else { return HashMap::new() };
        self.follow(standings);
        let proven = proven(&self.known);
        self.coverage.count(holders, |object| proven.contains(object));
        let mut between: HashMap<&str, Vec<&Problem>> = HashMap::new();
        for problem in checked.problems.iter() {
            between.entry(&problem.object).or_default().push(problem);
        }
        let nobody = Tally::default();
        let mut differing = HashMap::new();
        for (title, known) in &self.known {
            let standing = &known.standing;
            let in_force = known.object.as_ref().and_then(|object| mesh.written(object)?.generation);
            let tally = known.object.as_ref().and_then(|object| self.coverage.of(object)).unwrap_or(&nobody);
            let facts = Facts {
                generation: standing.generation,
                own: &standing.problems,
                between: between.get(&**title).map_or(&[], Vec::as_slice),
                between_is_complete: checked.problems.len() < PROBLEMS_MAX,
                is_compiled: known.object.is_some(),
                in_force,
                tally,
            };
            let Some(verdicts) = judge(&facts) else { continue };
            let Some(urgency) = known.written.differs(&verdicts, standing.generation) else { continue };
            let is_pending = verdicts.iter().any(|of| of.aspect == Aspect::Programmed && of.reason == "Pending");
            let seen = Arc::clone(&standing.resource_version);
            let wanted = Wanted { generation: standing.generation, verdicts, urgency, is_pending, seen };
            differing.insert(Arc::clone(title), wanted);
        }
        differing
    }

    /// Brings what is known up to date with how objects stand; costs what differs.
    fn follow(&mut self, standings: Standings) {
        for item in self.standings.diff(&standings) {
            match item {
                DiffItem::Add(title, standing) | DiffItem::Update { new: (title, standing), .. } => {
                    self.known.insert(Arc::clone(title), Known::of(standing));
                }
                DiffItem::Remove(title, _) => {
                    self.known.remove(title);
                }
            }
        }
        self.standings = standings;
    }
}

/// The objects of which proxies have taken the newest form before.
fn proven(known: &BTreeMap<Arc<str>, Known>) -> HashSet<&ObjectId> {
    let is_programmed = |known: &&Known| known.written.is_programmed(known.standing.generation);
    known.values().filter(is_programmed).filter_map(|known| known.object.as_ref()).collect()
}

/// What the connected proxies hold at this moment.
pub(super) fn holders(proxies: &Proxies) -> Vec<Holder> {
    proxies.list().iter().filter_map(|proxy| holder(proxy)).collect()
}

fn holder(proxy: &Proxy) -> Option<Holder> {
    let state = proxy.state();
    let newest = state.newest?.snapshot()?;
    Some(Holder { stream: proxy.stream, newest, held: state.held })
}

#[cfg(test)]
mod tests;
