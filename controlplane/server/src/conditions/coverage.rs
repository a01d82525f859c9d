//! How many of the proxies that need an object hold it: from snapshots and what made their resources.
//!
//! What a snapshot is made of is reckoned once, for the next one only what differs. So a look costs one addition for
//! each object of each snapshot in use, however many proxies share it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use mesh::{
    model::{ObjectId, Origin},
    snapshot::{Difference, Resource, Snapshot},
};
use proto::ResourceType;

use crate::ads::{Held, StandingRefusal};

/// Objects that are gone and still have a number, before all is reckoned anew.
const SLACK: usize = 1024;

/// A proxy, as far as it counts.
#[derive(Debug, Clone)]
pub(super) struct Holder {
    /// Its stream.
    pub(super) stream: u64,
    /// What it is to hold.
    pub(super) newest: Arc<Snapshot>,
    /// What it holds.
    pub(super) held: Option<Held>,
}

/// How many proxies have an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Those that need something made of it.
    pub(super) proxies: u32,
    /// Of these, those that hold all of that.
    pub(super) holding: u32,
    /// Those that refuse some of that.
    pub(super) refusing: u32,
    /// What one of them says.
    pub(super) refusal: Option<Refusal>,
}

/// A proxy's refusal of something made of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The proxy's words.
    pub(super) error: Arc<str>,
    /// The type of the resource.
    pub(super) kind: ResourceType,
    /// Its name.
    pub(super) resource: Arc<str>,
    /// The field of the object that made it; empty for all of it.
    pub(super) field: Arc<str>,
}

/// The tallies of all objects, kept from look to look.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    numbers: HashMap<ObjectId, usize>,
    tallies: Vec<Tally>,
    /// By the address of the snapshot, which the group keeps alive.
    groups: HashMap<usize, Group>,
    /// The snapshot of each stream at the last look.
    last: HashMap<u64, usize>,
}

/// The proxies of one snapshot.
#[derive(Debug)]
struct Group {
    snapshot: Arc<Snapshot>,
    /// For each object by its number: how many origins of resources name it.
    uses: Vec<u32>,
    proxies: u32,
    holders: u32,
}

/// What a proxy lacks of an object, so that nothing is subtracted twice.
type Lacking = BTreeSet<usize>;

impl Coverage {
    /// How many proxies have an object, as of the last count.
    pub(super) fn of(&self, object: &ObjectId) -> Option<&Tally> {
        self.numbers.get(object).and_then(|number| self.tallies.get(*number))
    }

    /// Counts anew. `is_proven` says of which objects a proxy has taken just this form before: if anything else can be
    /// at fault for a refusal, they are not.
    pub(super) fn count(&mut self, holders: &[Holder], is_proven: impl Fn(&ObjectId) -> bool) {
        self.regroup(holders);
        self.tallies.clear();
        self.tallies.resize(self.numbers.len(), Tally::default());
        for group in self.groups.values() {
            for (tally, uses) in self.tallies.iter_mut().zip(&group.uses) {
                let counts = u32::from(*uses > 0);
                tally.proxies += counts * group.proxies;
                tally.holding += counts * group.holders;
            }
        }
        let mut differences: HashMap<(usize, usize), Lacking> = HashMap::new();
        for holder in holders {
            let Some(held) = &holder.held else { continue };
            let pair = (address(&held.snapshot), address(&holder.newest));
            if pair.0 == pair.1 && held.refused.is_empty() {
                continue;
            }
            let lacking = differences.entry(pair).or_insert_with(|| self.lacking(&held.snapshot, &holder.newest));
            let mut lacking = lacking.clone();
            for number in &lacking {
                self.take_away(*number);
            }
            for refusal in &held.refused {
                self.blame(held, refusal, &mut lacking, &is_proven);
            }
        }
    }

    /// Brings the groups up to date with who holds what.
    fn regroup(&mut self, holders: &[Holder]) {
        let used = self.tallies.iter().filter(|tally| tally.proxies > 0).count();
        if self.numbers.len() > 2 * used + SLACK {
            *self = Self::default();
        }
        for group in self.groups.values_mut() {
            (group.proxies, group.holders) = (0, 0);
        }
        let mut last = HashMap::with_capacity(holders.len());
        for holder in holders {
            let key = address(&holder.newest);
            if !self.groups.contains_key(&key) {
                let before = self.last.get(&holder.stream).copied();
                let uses = self.uses_of(&holder.newest, before);
                let snapshot = Arc::clone(&holder.newest);
                self.groups.insert(key, Group { snapshot, uses, proxies: 0, holders: 0 });
            }
            if let Some(group) = self.groups.get_mut(&key) {
                group.proxies += 1;
                group.holders += u32::from(holder.held.is_some());
            }
            last.insert(holder.stream, key);
        }
        self.last = last;
        self.groups.retain(|_, group| group.proxies > 0);
    }

    /// What a snapshot is made of; from one `before` it, if that is still known, only by what differs.
    fn uses_of(&mut self, snapshot: &Arc<Snapshot>, before: Option<usize>) -> Vec<u32> {
        let before = before.and_then(|key| self.groups.get(&key));
        let (mut uses, old) = match before {
            Some(group) => (group.uses.clone(), Arc::clone(&group.snapshot)),
            None => (Vec::new(), Arc::default()),
        };
        for kind in ResourceType::ALL {
            for difference in snapshot.of(kind).differences(old.of(kind)) {
                let (name, new) = match difference {
                    Difference::Changed(resource) => (&resource.name, Some(resource)),
                    Difference::Removed(name) => (name, None),
                };
                for origin in old.of(kind).get(name).into_iter().flat_map(|resource| origins(resource)) {
                    if let Some(uses) = self.numbers.get(&origin.object).and_then(|number| uses.get_mut(*number)) {
                        *uses = uses.saturating_sub(1);
                    }
                }
                for origin in new.into_iter().flat_map(|resource| origins(resource)) {
                    let number = self.number(&origin.object);
                    if uses.len() <= number {
                        uses.resize(number + 1, 0);
                    }
                    if let Some(uses) = uses.get_mut(number) {
                        *uses += 1;
                    }
                }
            }
        }
        uses
    }

    fn number(&mut self, object: &ObjectId) -> usize {
        if let Some(number) = self.numbers.get(object) {
            return *number;
        }
        let number = self.numbers.len();
        self.numbers.insert(object.clone(), number);
        number
    }

    /// The objects of which the proxy has another form than it is to have.
    fn lacking(&self, held: &Snapshot, newest: &Arc<Snapshot>) -> Lacking {
        let Some(group) = self.groups.get(&address(newest)) else { return Lacking::new() };
        let mut lacking = Lacking::new();
        for kind in ResourceType::ALL {
            for difference in newest.of(kind).differences(held.of(kind)) {
                let (name, new) = match difference {
                    Difference::Changed(resource) => (&resource.name, Some(resource)),
                    Difference::Removed(name) => (name, None),
                };
                let both = new.into_iter().chain(held.of(kind).get(name));
                let numbers =
                    both.flat_map(|resource| origins(resource)).filter_map(|origin| self.numbers.get(&origin.object));
                lacking.extend(numbers.filter(|number| group.uses.get(**number).is_some_and(|uses| *uses > 0)));
            }
        }
        lacking
    }

    fn blame(
        &mut self,
        held: &Held,
        refusal: &StandingRefusal,
        lacking: &mut Lacking,
        is_proven: &impl Fn(&ObjectId) -> bool,
    ) {
        let Some(resource) = held.snapshot.of(refusal.kind).get(&refusal.name) else { return };
        let anything_new = origins(resource).any(|origin| !is_proven(&origin.object));
        for origin in origins(resource).filter(|origin| !anything_new || !is_proven(&origin.object)) {
            let Some(number) = self.numbers.get(&origin.object).copied() else { continue };
            if !lacking.insert(number) {
                continue;
            }
            self.take_away(number);
            if let Some(tally) = self.tallies.get_mut(number) {
                tally.refusing += 1;
                tally.refusal.get_or_insert_with(|| Refusal {
                    error: Arc::clone(&refusal.error),
                    kind: refusal.kind,
                    resource: Arc::clone(&refusal.name),
                    field: Arc::clone(&origin.field),
                });
            }
        }
    }

    fn take_away(&mut self, number: usize) {
        if let Some(tally) = self.tallies.get_mut(number) {
            tally.holding = tally.holding.saturating_sub(1);
        }
    }
}

/// The objects of a resource that may have a status: those of Istio.
fn origins(resource: &Resource) -> impl Iterator<Item = &Origin> {
    resource.provenance.iter().filter(|origin| origin.object.kind.metadata_path().is_some())
}

fn address(snapshot: &Arc<Snapshot>) -> usize {
    Arc::as_ptr(snapshot).addr()
}

#[cfg(test)]
mod tests;
