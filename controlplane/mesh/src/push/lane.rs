//! One type of one stream: what the proxy wants of it, holds, was sent and refused.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use proto::type_url::ResourceType;

use super::{
    error_text,
    interest::Interest,
    limits::KEPT_ERROR_LEN_MAX,
    search::{Culprit, Search, Suspect},
};
use crate::snapshot::{Resource, ResourceSet, Snapshot, Version};

/// The state of one type.
#[derive(Debug, Clone)]
pub(super) struct Lane {
    pub(super) kind: ResourceType,
    pub(super) interest: Interest,
    /// What the proxy holds once it has taken everything that was sent. Shares the snapshot's memory when nothing is due.
    pub(super) sent: Holding,
    /// What the proxy said that it holds when it came, in versions that we do not know.
    pub(super) foreign: BTreeMap<Arc<str>, Foreign>,
    /// Whether the proxy holds a set of which it could only tell a version (state of the world).
    pub(super) unknown: bool,
    /// Responses that were not answered yet, in the order in which they were sent. No name is in two of them.
    pub(super) flights: VecDeque<Flight>,
    /// Names that may have to be sent.
    pub(super) due: BTreeMap<Arc<str>, Due>,
    /// What the proxy may or may not hold beside `sent`, since it was in a refused response: a version that it may have
    /// taken, or one whose removal it may not have.
    pub(super) doubtful: BTreeMap<Arc<str>, Arc<Resource>>,
    /// Versions that the proxy will not take.
    pub(super) refused: BTreeMap<Arc<str>, Refused>,
    pub(super) search: Search,
    /// Listeners only: clusters that an older version names, which may serve until the new one has its routes.
    pub(super) retired: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Whether a response is owed though there may be nothing to send.
    pub(super) owed: bool,
    /// The nonce of the newest response, 0 before the first.
    pub(super) newest: u64,
    /// Responses sent.
    pub(super) flown: u64,
    /// The last response that was accepted, counted as `flown` counts.
    pub(super) landed: u64,
    /// The digest of what the proxy held after the last response that it accepted.
    pub(super) acked: Option<Version>,
    pub(super) last_error: Option<LastError>,
}

/// A response that was not answered yet.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) nonce: u64,
    /// Which response of the type it is.
    pub(super) number: u64,
    /// What it changes, in the order of names.
    pub(super) items: Vec<Item>,
    /// Whether `items` is still all that it changes: names that the proxy dropped are taken out.
    pub(super) intact: bool,
    pub(super) is_trial: bool,
    /// The digest of what the proxy holds once it has taken it.
    pub(super) version: Version,
    /// What was aimed at when it was sent.
    pub(super) basis: Arc<Snapshot>,
}

/// One name in a response.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) name: Arc<str>,
    pub(super) before: Option<Arc<Resource>>,
    pub(super) after: Option<Arc<Resource>>,
}

/// What is known of a name that the proxy brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Foreign {
    /// It has a version of it.
    Held,
    /// It had one, and refused a response that removed it: that part of it may have been applied.
    Doubtful,
}

/// Why a name may have to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Due {
    /// Send it even if the proxy is believed to hold it.
    pub(super) forced: bool,
    /// The response of clusters, counted as [`Lane::flown`], that carries the clusters as they were when the name became
    /// due. Once it has landed, later changes of clusters that the proxy holds are not waited for, else a resource could
    /// wait for ever behind a cluster that changes all the time.
    pub(super) after: u64,
}

/// A version that the proxy will not take.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Refused {
    pub(super) version: Version,
    pub(super) error: Arc<str>,
}

/// The newest words with which the proxy refused something.
#[derive(Debug, Clone)]
pub(super) struct LastError {
    pub(super) text: Arc<str>,
    pub(super) nonce: u64,
}

impl Lane {
    pub(super) fn new(kind: ResourceType) -> Self {
        Self {
            kind,
            interest: Interest::default(),
            sent: Holding::default(),
            foreign: BTreeMap::new(),
            unknown: false,
            flights: VecDeque::new(),
            due: BTreeMap::new(),
            doubtful: BTreeMap::new(),
            refused: BTreeMap::new(),
            search: Search::default(),
            retired: BTreeMap::new(),
            owed: false,
            newest: 0,
            flown: 0,
            landed: 0,
            acked: None,
            last_error: None,
        }
    }

    /// Makes a name due.
    pub(super) fn want(&mut self, name: &Arc<str>, forced: bool, after: u64) {
        let due = self.due.entry(Arc::clone(name)).or_insert(Due { forced, after });
        due.forced |= forced;
    }

    /// Makes a name due though the proxy may hold it, if it wants it.
    pub(super) fn want_again(&mut self, name: &Arc<str>, after: u64) {
        if self.interest.wants(name) {
            self.want(name, true, after);
        }
    }

    /// The unanswered change of a name.
    pub(super) fn in_flight(&self, name: &str) -> Option<&Item> {
        self.flights.iter().find_map(|flight| {
            let at = flight.items.binary_search_by(|item| (*item.name).cmp(name)).ok()?;
            flight.items.get(at)
        })
    }

    /// What the proxy is known to hold under a name, whatever becomes of the unanswered responses.
    pub(super) fn acknowledged(&self, name: &str) -> Option<&Arc<Resource>> {
        match self.in_flight(name) {
            Some(Item { before, after: Some(_), .. }) => before.as_ref(),
            Some(Item { after: None, .. }) => None,
            None => self.sent.get(name),
        }
    }

    /// Whether the proxy has some version of a name for certain, whatever becomes of the unanswered responses.
    pub(super) fn is_known(&self, name: &str) -> bool {
        let is_leaving = self.in_flight(name).is_some_and(|item| item.after.is_none());
        let is_foreign = self.foreign.get(name).is_some_and(|foreign| *foreign == Foreign::Held);
        self.acknowledged(name).is_some() || (is_foreign && !is_leaving)
    }

    /// Whether the proxy may hold something under a name.
    pub(super) fn may_hold(&self, name: &str) -> bool {
        self.sent.get(name).is_some() || self.foreign.contains_key(name) || self.doubtful.contains_key(name)
    }

    /// Whether the proxy will not take this version.
    pub(super) fn refuses(&self, resource: &Resource) -> bool {
        self.refused.get(&resource.name).is_some_and(|refused| refused.version == resource.version)
    }

    /// Whether a suspect is still what should be sent.
    pub(super) fn stands(&self, target: &ResourceSet, suspect: &Suspect) -> bool {
        self.due.contains_key(&suspect.name)
            && target.get(&suspect.name).is_some_and(|resource| resource.version == suspect.version)
    }

    /// Forgets all about a name, as the proxy does when it drops it.
    pub(super) fn forget(&mut self, name: &str) {
        self.sent.remove(name);
        self.foreign.remove(name);
        self.due.remove(name);
        self.doubtful.remove(name);
        self.refused.remove(name);
        for flight in &mut self.flights {
            let before = flight.items.len();
            flight.items.retain(|item| &*item.name != name);
            flight.intact &= flight.items.len() == before;
        }
    }

    /// Notes a response that goes out; `items` must be in the order of names.
    pub(super) fn depart(&mut self, nonce: u64, items: Vec<Item>, is_trial: bool, basis: &Arc<Snapshot>) -> Version {
        for item in &items {
            match &item.after {
                Some(resource) => self.sent.insert(resource),
                None => self.sent.remove(&item.name),
            }
            self.due.remove(&item.name);
        }
        if self.due.is_empty() {
            // An emptied map keeps its root, and thousands of streams are quiet most of the time.
            self.due = BTreeMap::new();
        }
        self.owed = false;
        self.newest = nonce;
        self.flown += 1;
        let version = self.sent.digest();
        self.flights.push_back(Flight {
            nonce,
            number: self.flown,
            items,
            intact: true,
            is_trial,
            version,
            basis: Arc::clone(basis),
        });
        self.share(basis.of(self.kind));
        version
    }

    /// Takes over the memory of the snapshot's set when the proxy is to hold just that.
    pub(super) fn share(&mut self, target: &ResourceSet) {
        if self.due.is_empty() && self.sent.len() == target.len() && target.same(&self.sent.set) {
            self.sent.set = target.clone();
        }
    }

    /// Forgets all that is no longer wanted.
    pub(super) fn forget_unwanted(&mut self) {
        let interest = std::mem::take(&mut self.interest);
        let names =
            self.sent.set().iter().map(|resource| &resource.name).chain(self.foreign.keys()).chain(self.due.keys());
        let unwanted: BTreeSet<Arc<str>> = names.filter(|name| !interest.wants(name)).cloned().collect();
        self.interest = interest;
        for name in unwanted {
            self.forget(&name);
        }
        self.unknown = false;
    }

    /// Where the response with a nonce is among the unanswered ones.
    pub(super) fn flight_at(&self, nonce: u64) -> Option<usize> {
        self.flights.iter().position(|flight| flight.nonce == nonce)
    }

    /// Takes the acknowledgement of a response, and with it of those before: a proxy works through a stream in order,
    /// and some answer only the last of several. Returns what is found to be at fault thereby.
    pub(super) fn accept(&mut self, at: usize, target: &ResourceSet) -> Vec<Culprit> {
        let mut culprits = Vec::new();
        for _ in 0..=at {
            let Some(flight) = self.flights.pop_front() else { break };
            self.land(&flight);
            if flight.is_trial {
                let mut search = std::mem::take(&mut self.search);
                culprits.extend(search.trial_accepted(|suspect| self.stands(target, suspect)));
                self.search = search;
            }
        }
        self.quarantine(&culprits);
        culprits
    }

    /// Takes the refusal of a response. Whether any of it was applied is not known.
    pub(super) fn refuse(&mut self, at: usize, error: &Arc<str>, after: u64, target: &ResourceSet) -> Vec<Culprit> {
        let mut culprits = at.checked_sub(1).map_or_else(Vec::new, |before| self.accept(before, target));
        let Some(flight) = self.flights.pop_front() else { return culprits };
        self.last_error = Some(LastError { text: Arc::clone(error), nonce: flight.nonce });
        if flight.is_trial {
            self.search.trial_refused();
        }
        if flight.items.iter().all(|item| item.after.is_none()) {
            // Removals only: there is nothing that could be sent instead, and sending them again would not end.
            self.land(&flight);
            return culprits;
        }
        let is_single = flight.items.len() == 1 && flight.intact;
        let mut suspects = Vec::new();
        let mut sure = flight.intact;
        for item in flight.items {
            self.restore(&item, is_single, after);
            let Some(resource) = item.after else { continue };
            let suspect = Suspect { name: item.name, version: resource.version };
            if self.stands(target, &suspect) {
                suspects.push(suspect);
            } else {
                // It is no longer aimed at and will not be sent again, but it may have been the culprit.
                sure = false;
            }
        }
        let is_under_way = self.flights.iter().any(|flight| flight.is_trial);
        let found = self.search.refused(suspects, sure, error, is_under_way);
        self.quarantine(found.as_slice());
        culprits.extend(found);
        culprits
    }

    /// Notes a response as applied.
    fn land(&mut self, flight: &Flight) {
        for item in &flight.items {
            self.foreign.remove(&item.name);
            self.doubtful.remove(&item.name);
            if self.kind == ResourceType::Listener {
                self.retire(item);
            }
        }
        self.unknown = false;
        self.landed = flight.number;
        self.acked = Some(flight.version);
    }

    /// Goes back to what the proxy has for certain after a refused change, and makes the name due again.
    fn restore(&mut self, item: &Item, is_single: bool, after: u64) {
        // A removal may have been applied: then there is nothing, else what was before.
        let (certain, possible) = match &item.after {
            Some(resource) => (item.before.as_ref(), (!is_single).then_some(resource)),
            None => (None, item.before.as_ref()),
        };
        if item.after.is_none() {
            self.foreign.entry(Arc::clone(&item.name)).and_modify(|foreign| *foreign = Foreign::Doubtful);
        }
        match certain {
            Some(resource) => self.sent.insert(resource),
            None => self.sent.remove(&item.name),
        }
        if let Some(resource) = possible {
            self.doubtful.insert(Arc::clone(&item.name), Arc::clone(resource));
        }
        self.want(&item.name, false, after);
    }

    /// An acknowledged listener may still wait for its routes, while the one before serves.
    fn retire(&mut self, item: &Item) {
        let (Some(before), Some(after)) = (&item.before, &item.after) else {
            self.retired.remove(&item.name);
            return;
        };
        if after.references.routes.is_empty() {
            self.retired.remove(&item.name);
        } else if !before.references.clusters.is_empty() && before.version != after.version {
            let clusters = self.retired.entry(Arc::clone(&item.name)).or_default();
            clusters.extend(before.references.clusters.iter().cloned());
        }
    }

    fn quarantine(&mut self, culprits: &[Culprit]) {
        for Culprit { suspect, error } in culprits {
            // Parts of a refused response were accepted without it, or it was refused alone: it was not applied.
            self.doubtful.remove(&suspect.name);
            let error = error_text::capped(error, KEPT_ERROR_LEN_MAX);
            self.refused.insert(Arc::clone(&suspect.name), Refused { version: suspect.version, error });
        }
    }
}

/// A set of resources with a digest that is kept up to date, change by change.
#[derive(Debug, Clone, Default)]
pub(super) struct Holding {
    set: ResourceSet,
    /// The sum of the hashes of all names and versions, so that the order of changes does not matter.
    sum: u64,
}

impl Holding {
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Resource>> {
        self.set.get(name)
    }

    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    pub(super) fn set(&self) -> &ResourceSet {
        &self.set
    }

    pub(super) fn digest(&self) -> Version {
        Version::from_hash(self.sum)
    }

    pub(super) fn insert(&mut self, resource: &Arc<Resource>) {
        if self.set.get(&resource.name).is_some_and(|held| held.version == resource.version) {
            return;
        }
        self.remove(&resource.name);
        self.sum = self.sum.wrapping_add(contribution(resource));
        self.set.insert(Arc::clone(resource));
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(resource) = self.set.remove(name) {
            self.sum = self.sum.wrapping_sub(contribution(&resource));
        }
    }
}

fn contribution(resource: &Resource) -> u64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    hasher.update(resource.name.as_bytes());
    hasher.update(&resource.version.to_bytes());
    hasher.digest()
}
