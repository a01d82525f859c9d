//! The names of a subscription, told by how they differ from those of the target.

use std::{
    collections::BTreeSet,
    hash::{Hash, Hasher},
    sync::Arc,
};

use crate::snapshot::{Difference, ResourceSet};

/// A set of names: those of `base` without `missing`, and `extra`. A stream that subscribes to just what its target has,
/// as every Envoy does, keeps no name of its own.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    /// Nothing, or the set of the target.
    base: ResourceSet,
    /// Names that the base has and the set has not.
    missing: BTreeSet<Arc<str>>,
    /// Names that the set has and the base has not.
    extra: BTreeSet<Arc<str>>,
}

impl Names {
    pub(super) fn contains(&self, name: &str) -> bool {
        if self.base.contains(name) { !self.missing.contains(name) } else { self.extra.contains(name) }
    }

    pub(super) fn len(&self) -> usize {
        (self.base.len() + self.extra.len()).saturating_sub(self.missing.len())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All names, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        let of_base = self.base.iter().map(|resource| &resource.name);
        of_base.filter(|name| !self.missing.contains(*name)).chain(&self.extra)
    }

    pub(super) fn insert(&mut self, name: Arc<str>) {
        if self.base.contains(&name) {
            self.missing.remove(&name);
        } else {
            self.extra.insert(name);
        }
    }

    /// Takes a name out; none if it was not there.
    pub(super) fn take(&mut self, name: &str) -> Option<Arc<str>> {
        let Some(resource) = self.base.get(name) else { return self.extra.take(name) };
        self.missing.insert(Arc::clone(&resource.name)).then(|| Arc::clone(&resource.name))
    }

    /// Tells the set by the names of the target if that takes less memory, else by itself. Costs a look at each name.
    pub(super) fn compact(&mut self, target: &ResourceSet) {
        let shared = self.iter().filter(|name| target.contains(name)).count();
        let own = (target.len() + self.len()).saturating_sub(2 * shared);
        if own < self.len() {
            self.rebase(target);
        } else {
            self.rebase(&ResourceSet::default());
        }
    }

    /// Goes along with a new target. Costs what differs.
    pub(super) fn follow(&mut self, target: &ResourceSet) {
        if !self.base.is_empty() {
            self.rebase(target);
        }
    }

    fn rebase(&mut self, base: &ResourceSet) {
        for difference in base.differences(&self.base) {
            match difference {
                Difference::Changed(resource) => {
                    if !self.base.contains(&resource.name) && !self.extra.remove(&resource.name) {
                        self.missing.insert(Arc::clone(&resource.name));
                    }
                }
                Difference::Removed(name) => {
                    if !self.missing.remove(name) {
                        self.extra.insert(Arc::clone(name));
                    }
                }
            }
        }
        self.base = base.clone();
    }
}

/// Equal sets feed the same, whatever they are told by.
impl Hash for Names {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.iter().collect::<BTreeSet<_>>().hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use proto::type_url::ResourceType;

    use super::*;
    use crate::snapshot::{References, Resource};

    fn set(names: &BTreeSet<u8>) -> ResourceSet {
        let resource = |name: &u8| {
            let (name, parts) = (name.to_string(), [Bytes::from_static(b"a")]);
            Resource::encode(ResourceType::Endpoint, name.into(), &parts, References::default(), Vec::new())
        };
        names.iter().map(|name| Arc::new(resource(name))).collect()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8),
        Take(u8),
        Compact,
        Follow(BTreeSet<u8>),
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = 0..12_u8;
        prop_oneof![
            name.clone().prop_map(Step::Insert),
            name.clone().prop_map(Step::Take),
            Just(Step::Compact),
            proptest::collection::btree_set(name, 0..12).prop_map(Step::Follow),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_set_whatever_it_is_told_by(steps in proptest::collection::vec(step(), 0..40)) {
            let (mut names, mut expected, mut target) = (Names::default(), BTreeSet::new(), ResourceSet::default());
            for step in steps {
                match step {
                    Step::Insert(name) => {
                        names.insert(name.to_string().into());
                        expected.insert(name.to_string());
                    }
                    Step::Take(name) => {
                        let taken = names.take(&name.to_string()).map(|name| name.to_string());
                        prop_assert_eq!(taken, expected.take(&name.to_string()));
                    }
                    Step::Compact => names.compact(&target),
                    Step::Follow(aimed) => {
                        target = set(&aimed);
                        names.follow(&target);
                    }
                }
                prop_assert_eq!(names.len(), expected.len());
                prop_assert_eq!(names.iter().map(|name| name.to_string()).collect::<BTreeSet<_>>(), expected.clone());
                prop_assert!((0..12_u8).all(|n| names.contains(&n.to_string()) == expected.contains(&n.to_string())));
            }
        }
    }

    #[test]
    fn a_subscription_to_all_that_the_target_has_keeps_no_names() {
        let mut names = Names::default();
        (0..12).for_each(|name: u8| names.insert(name.to_string().into()));
        names.compact(&set(&(0..12).collect()));
        assert!(names.extra.is_empty() && names.missing.is_empty());
        names.follow(&set(&(1..13).collect()));
        assert_eq!((names.extra.len(), names.missing.len(), names.len()), (1, 1, 12));
    }

    #[test]
    fn a_few_names_of_many_are_kept_as_they_are() {
        let mut names = Names::default();
        names.insert("3".into());
        names.compact(&set(&(0..12).collect()));
        assert_eq!((names.extra.len(), names.missing.len()), (1, 0));
    }
}
