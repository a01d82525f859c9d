//! What happened to files since they were last looked at, and how long to wait before they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

/// A file that was put in place or written and closed is whole by itself. It waits only so long, for others that may
/// belong to it: programs that change several files do so within this.
pub(super) const REST: Duration = Duration::from_millis(4);
/// Several files, files that vanish and directories are whole when nothing has happened for so long.
pub(super) const QUIET: Duration = Duration::from_millis(40);
/// But nobody waits longer than this, not even for a file that someone has open and writes to.
pub(super) const QUIET_MAX: Duration = Duration::from_millis(500);
/// Most files that are looked at one by one; when there are more, the whole directory is.
const FILES_MAX: usize = 4096;

/// What happened to a file last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Someone has made or changed it, and not closed it yet.
    Open,
    /// It was put in place, or written and closed.
    Whole,
    /// Nothing else happened than that its owner, permissions or times changed.
    Touched,
    /// It was removed or moved away: another is often about to take its place.
    Gone,
}

/// How much is to be looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Extent {
    /// Files one by one.
    #[default]
    Files,
    /// The whole directory: which files there are, and whether they look as before.
    Tree,
    /// As [`Extent::Tree`], and every file is read again.
    Content,
}

/// What to look at.
#[derive(Debug, Clone, Default)]
pub(super) struct Dirty {
    /// Files to read even if they look as before: two edits within a tick of the clock look alike.
    pub(super) files: BTreeSet<PathBuf>,
    /// What else.
    pub(super) extent: Extent,
}

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Batch {
    files: BTreeMap<PathBuf, Stage>,
    extent: Extent,
    /// It began soon after the end of the one before, and so is likely to go on as well.
    pub(super) follows: bool,
}

impl Batch {
    /// Whether nothing has happened.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.extent == Extent::Files
    }

    /// Something has happened to a file.
    pub(super) fn file(&mut self, path: PathBuf, stage: Stage) {
        if self.files.len() >= FILES_MAX && !self.files.contains_key(&path) {
            return self.all(Extent::Content);
        }
        let last = self.files.entry(path).or_insert(stage);
        if stage != Stage::Touched {
            *last = stage;
        }
    }

    /// Something has happened that makes it necessary to look at more than single files.
    pub(super) fn all(&mut self, extent: Extent) {
        self.extent = self.extent.max(extent);
    }

    /// How long nothing more must happen before files are looked at.
    pub(super) fn rest(&self) -> Duration {
        if self.files.values().any(|stage| *stage == Stage::Open) {
            return QUIET_MAX;
        }
        let is_whole = self.files.len() == 1 && self.files.values().all(|stage| *stage == Stage::Whole);
        if is_whole && self.extent == Extent::Files && !self.follows { REST } else { QUIET }
    }

    /// What to look at because of it; nothing has happened then.
    pub(super) fn take(&mut self) -> Dirty {
        let Self { files, extent, follows: _ } = std::mem::take(self);
        Dirty { files: files.into_keys().collect(), extent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(stages: &[(&str, Stage)]) -> Batch {
        let mut batch = Batch::default();
        for (name, stage) in stages {
            batch.file(name.into(), *stage);
        }
        batch
    }

    #[test]
    fn one_whole_file_hardly_waits_and_others_do() {
        use Stage::{Gone, Open, Touched, Whole};
        let cases = [
            (&[("a", Whole)][..], REST),
            (&[("a", Open), ("a", Whole)], REST),
            (&[("a", Gone), ("a", Open), ("a", Whole)], REST),
            (&[("a", Open), ("a", Touched), ("a", Whole), ("a", Touched)], REST),
            (&[("a", Open)], QUIET_MAX),
            (&[("a", Whole), ("a", Open)], QUIET_MAX),
            (&[("a", Open), ("a", Touched)], QUIET_MAX),
            (&[("a", Whole), ("b", Open)], QUIET_MAX),
            (&[("a", Whole), ("b", Whole)], QUIET),
            (&[("a", Gone)], QUIET),
            (&[("a", Touched)], QUIET),
        ];
        for (stages, rest) in cases {
            assert_eq!(batch(stages).rest(), rest, "{stages:?}");
        }
    }

    #[test]
    fn what_comes_soon_after_another_waits_as_several_files_do() {
        let mut batch = batch(&[("a", Stage::Whole)]);
        batch.follows = true;
        assert_eq!(batch.rest(), QUIET);
    }

    #[test]
    fn directories_wait_as_several_files_do() {
        let mut batch = batch(&[("a", Stage::Whole)]);
        batch.all(Extent::Tree);
        assert_eq!(batch.rest(), QUIET);
    }

    #[test]
    fn more_files_than_are_kept_are_all_looked_at() {
        let mut batch = Batch::default();
        (0..FILES_MAX).for_each(|index| batch.file(index.to_string().into(), Stage::Whole));
        batch.file("0".into(), Stage::Gone);
        assert_eq!(batch.extent, Extent::Files);
        batch.file("one more".into(), Stage::Whole);
        let dirty = batch.take();
        assert_eq!((dirty.files.len(), dirty.extent), (FILES_MAX, Extent::Content));
        assert!(batch.is_empty());
    }
}
