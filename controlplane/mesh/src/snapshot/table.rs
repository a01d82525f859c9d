//! Values by key, each with a number by which it is found without comparing keys.

use std::{collections::HashMap, hash::Hash};

/// A table of values in use. A number stays with its value until the value is let go.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    numbers: HashMap<K, usize>,
    slots: Vec<Option<(K, V)>>,
    free: Vec<usize>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { numbers: HashMap::new(), slots: Vec::new(), free: Vec::new() }
    }
}

impl<K: Hash + Eq + Clone, V> Table<K, V> {
    /// The number of a key, if it is in use.
    pub(super) fn number(&self, key: &K) -> Option<usize> {
        self.numbers.get(key).copied()
    }

    /// Puts a value in.
    pub(super) fn insert(&mut self, key: K, value: V) -> usize {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        });
        self.numbers.insert(key.clone(), number);
        if let Some(slot) = self.slots.get_mut(number) {
            *slot = Some((key, value));
        }
        number
    }

    pub(super) fn get(&self, number: usize) -> Option<&V> {
        self.slots.get(number).and_then(Option::as_ref).map(|(_, value)| value)
    }

    pub(super) fn entry_mut(&mut self, number: usize) -> Option<(&K, &mut V)> {
        self.slots.get_mut(number).and_then(Option::as_mut).map(|(key, value)| (&*key, value))
    }

    /// Keeps the values that `keep` names.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(&V) -> bool) {
        for (number, slot) in self.slots.iter_mut().enumerate() {
            if let Some((key, _)) = slot.take_if(|(_, value)| !keep(value)) {
                self.numbers.remove(&key);
                self.free.push(number);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_given_again_only_when_its_value_is_gone() {
        let mut table = Table::default();
        let a = table.insert("a", 1);
        let b = table.insert("b", 2);
        assert_eq!((table.number(&"a"), table.get(b)), (Some(a), Some(&2)));
        table.retain(|value| *value != 1);
        assert_eq!((table.number(&"a"), table.get(a), table.len()), (None, None, 1));
        assert_eq!(table.insert("c", 3), a);
    }
}
