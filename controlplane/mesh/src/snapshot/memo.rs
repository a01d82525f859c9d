//! Results by exactly the input that they depend on.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use crate::model::Shared;

/// A memo does not sweep below this many results.
const SWEPT_MIN: usize = 1024;

/// A shared result, of which can be told whether anyone but the memo still holds it.
pub(super) trait Held: Clone {
    fn held_elsewhere(&self) -> bool;
}

impl<T: ?Sized> Held for Arc<T> {
    fn held_elsewhere(&self) -> bool {
        Self::strong_count(self) > 1
    }
}

impl<T> Held for Shared<T> {
    fn held_elsewhere(&self) -> bool {
        self.holders() > 1
    }
}

/// Results by input. One that nobody holds any more goes with the next sweep, and a memo is swept when it has doubled
/// since the last one: so it holds at most twice what is in use, and sweeping costs a constant for each result made.
#[derive(Debug)]
pub(super) struct Memo<I, O> {
    results: HashMap<I, O>,
    sweep_at: usize,
}

impl<I, O> Default for Memo<I, O> {
    fn default() -> Self {
        Self { results: HashMap::new(), sweep_at: SWEPT_MIN }
    }
}

impl<I: Hash + Eq, O: Held> Memo<I, O> {
    /// The result for `input`, made if it is not there.
    pub(super) fn get(&mut self, input: I, make: impl FnOnce(&I) -> O) -> O {
        if let Some(result) = self.results.get(&input) {
            return result.clone();
        }
        if self.results.len() >= self.sweep_at {
            self.sweep();
        }
        let result = make(&input);
        self.results.insert(input, result.clone());
        result
    }

    /// Lets go of results that nobody else holds.
    pub(super) fn sweep(&mut self) {
        self.results.retain(|_, result| result.held_elsewhere());
        self.results.shrink_to(self.results.len() * 2);
        self.sweep_at = SWEPT_MIN.max(self.results.len() * 2);
    }

    pub(super) fn len(&self) -> usize {
        self.results.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_compiled_once() {
        let mut memo = Memo::default();
        let first: Arc<u32> = memo.get("a", |_| Arc::new(1));
        let second = memo.get("a", |_| Arc::new(2));
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[test]
    fn a_memo_stays_within_twice_what_is_in_use() {
        let mut memo = Memo::default();
        let held: Vec<Arc<usize>> = (0..2000).map(|n| memo.get(n, |n| Arc::new(*n))).collect();
        for n in 2000..50_000 {
            memo.get(n, |n| Arc::new(*n));
            assert!(memo.len() <= 2 * held.len().max(SWEPT_MIN));
        }
        memo.sweep();
        assert_eq!(memo.len(), held.len());
    }
}
