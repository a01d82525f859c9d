//! What happened to files since they were last looked at, and when each of them may be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::Instant;

/// A file that was put in place or written and closed is whole by itself. It waits only so long, for others that may
/// belong to it: programs that change several files do so within this.
pub(super) const REST: Duration = Duration::from_millis(4);
/// Several files, files that vanish and directories are whole when nothing has happened for so long.
pub(super) const QUIET: Duration = Duration::from_millis(40);
/// But nobody waits longer than this. A file that someone has open and writes to waits so long by itself: others do not
/// wait for it, and it does not pay for theirs.
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
    /// Files that someone has open. Those that are not among `files` are left as they are, whatever `extent` says.
    pub(super) open: BTreeSet<PathBuf>,
}

impl Dirty {
    /// Whether a file is to be left as it is.
    pub(super) fn leaves(&self, path: &Path) -> bool {
        self.open.contains(path) && !self.files.contains(path)
    }
}

/// What happened, and was not looked at.
#[derive(Debug, Default)]
pub(super) struct Batch {
    files: BTreeMap<PathBuf, Happened>,
    extent: Extent,
    /// When something was told last; that an open file is written to once more is not.
    last: Option<Instant>,
    /// Something was told since the last look.
    told: bool,
    /// That began soon after the end of what was told before, and so is likely to go on as well.
    follows: bool,
}

#[derive(Debug, Clone, Copy)]
struct Happened {
    stage: Stage,
    /// When the stage began.
    since: Instant,
}

impl Batch {
    /// Something has happened to a file.
    pub(super) fn file(&mut self, path: PathBuf, stage: Stage, now: Instant) {
        match self.files.get_mut(&path) {
            Some(happened) if stage == happened.stage || stage == Stage::Touched => {
                if happened.stage == Stage::Open {
                    return;
                }
            }
            Some(happened) => *happened = Happened { stage, since: now },
            None => self.add(path, Happened { stage, since: now }),
        }
        self.tell(now);
    }

    /// Something has happened that makes it necessary to look at more than single files.
    pub(super) fn all(&mut self, extent: Extent, now: Instant) {
        self.extent = self.extent.max(extent);
        self.tell(now);
    }

    /// The whole directory is to be looked at, though nothing was told.
    pub(super) fn look_around(&mut self) {
        self.extent = self.extent.max(Extent::Tree);
    }

    /// A file is to be looked at again, though nothing was told.
    pub(super) fn look_again(&mut self, path: PathBuf, now: Instant) {
        if !self.files.contains_key(&path) {
            self.add(path, Happened { stage: Stage::Touched, since: now });
        }
    }

    /// When there is something to look at, should nothing more happen; `None` when nothing has happened. But for files
    /// that are open, that is no later than `deadline`.
    pub(super) fn due(&self, now: Instant, deadline: Instant) -> Option<Instant> {
        let is_open = |happened: &&Happened| happened.stage == Stage::Open;
        if self.extent == Extent::Files && self.files.values().all(|happened| is_open(&happened)) {
            return self.files.values().map(|happened| happened.since + QUIET_MAX).min();
        }
        Some(self.last.map_or(now, |last| last + self.rest()).min(deadline))
    }

    /// What to look at: all but files that were opened a short time ago, which stay here.
    pub(super) fn take(&mut self, now: Instant) -> Dirty {
        self.told = false;
        let mut dirty = Dirty { extent: std::mem::take(&mut self.extent), ..Dirty::default() };
        for (path, happened) in std::mem::take(&mut self.files) {
            let is_open = happened.stage == Stage::Open;
            if is_open {
                dirty.open.insert(path.clone());
            }
            if is_open && now < happened.since + QUIET_MAX {
                self.files.insert(path, happened);
            } else {
                dirty.files.insert(path);
            }
        }
        dirty
    }

    /// Whether nothing has happened since `taken` was, but to files that were open then.
    pub(super) fn is_still(&self, taken: &Dirty) -> bool {
        let was_open =
            |(path, happened): (&PathBuf, &Happened)| happened.stage == Stage::Open && taken.open.contains(path);
        self.extent == Extent::Files && self.files.iter().all(was_open)
    }

    fn add(&mut self, path: PathBuf, happened: Happened) {
        if self.files.len() < FILES_MAX {
            self.files.insert(path, happened);
        } else {
            self.extent = Extent::Content;
        }
    }

    fn tell(&mut self, now: Instant) {
        let before = self.last.replace(now);
        if !std::mem::replace(&mut self.told, true) {
            self.follows = before.is_some_and(|before| now.duration_since(before) < QUIET);
        }
    }

    /// How long nothing more must happen before files are looked at.
    fn rest(&self) -> Duration {
        let is_whole = self.files.len() == 1 && self.files.values().all(|happened| happened.stage == Stage::Whole);
        if is_whole && self.extent == Extent::Files && !self.follows { REST } else { QUIET }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of stages one after another, when there is something to look at.
    fn due(stages: &[(&str, Stage)]) -> Duration {
        let start = Instant::now();
        let mut batch = Batch::default();
        for (name, stage) in stages {
            batch.file(name.into(), *stage, start);
        }
        batch.due(start, start + QUIET_MAX).unwrap() - start
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
            (&[("a", Open), ("b", Open)], QUIET_MAX),
            (&[("a", Whole), ("b", Open)], QUIET),
            (&[("a", Whole), ("b", Whole)], QUIET),
            (&[("a", Gone)], QUIET),
            (&[("a", Touched)], QUIET),
        ];
        for (stages, rest) in cases {
            assert_eq!(due(stages), rest, "{stages:?}");
        }
    }

    #[test]
    fn an_open_file_waits_for_itself_and_nobody_for_it() {
        let start = Instant::now();
        let deadline = start + QUIET_MAX;
        let mut batch = Batch::default();
        batch.file("others".into(), Stage::Whole, start);
        batch.file("open".into(), Stage::Open, start + 3 * REST);
        let due = batch.due(start, deadline).unwrap();
        assert_eq!(due, start + 3 * REST + QUIET);
        // Writing on keeps nobody waiting.
        batch.file("open".into(), Stage::Open, start + QUIET);
        assert_eq!(batch.due(start, deadline), Some(due));
        let dirty = batch.take(due);
        assert_eq!(dirty.files, ["others".into()].into());
        assert!(dirty.leaves(Path::new("open")) && batch.is_still(&dirty));
        // The end of another's wait is not its own.
        let end = start + 3 * REST + QUIET_MAX;
        assert_eq!(batch.due(due, due), Some(end));
        batch.file("open".into(), Stage::Open, end - REST);
        let dirty = batch.take(end);
        assert_eq!(dirty.files, ["open".into()].into());
        assert!(!dirty.leaves(Path::new("open")));
        // Who writes on does not keep it from being seen; one that is opened meanwhile was perhaps read half.
        batch.file("open".into(), Stage::Open, end);
        assert!(batch.is_still(&dirty));
        batch.file("others".into(), Stage::Open, end);
        assert!(!batch.is_still(&dirty));
    }

    #[test]
    fn what_comes_soon_after_another_waits_as_several_files_do() {
        let start = Instant::now();
        for (pause, rest) in [(QUIET / 2, QUIET), (QUIET, REST)] {
            let mut batch = Batch::default();
            batch.file("a".into(), Stage::Whole, start);
            batch.take(start + REST);
            let next = start + pause;
            batch.file("b".into(), Stage::Open, next);
            batch.file("b".into(), Stage::Whole, next);
            assert_eq!(batch.due(next, next + QUIET_MAX), Some(next + rest));
        }
    }

    #[test]
    fn directories_wait_as_several_files_do_and_a_look_around_does_not() {
        let start = Instant::now();
        let mut batch = Batch::default();
        batch.look_around();
        assert_eq!(batch.due(start, start + QUIET_MAX), Some(start));
        batch.all(Extent::Tree, start);
        assert_eq!(batch.due(start, start + QUIET_MAX), Some(start + QUIET));
    }

    #[test]
    fn more_files_than_are_kept_are_all_looked_at() {
        let now = Instant::now();
        let mut batch = Batch::default();
        (0..FILES_MAX).for_each(|index| batch.file(index.to_string().into(), Stage::Whole, now));
        batch.file("0".into(), Stage::Gone, now);
        assert_eq!(batch.extent, Extent::Files);
        batch.file("one more".into(), Stage::Whole, now);
        let dirty = batch.take(now);
        assert_eq!((dirty.files.len(), dirty.extent), (FILES_MAX, Extent::Content));
        assert_eq!(batch.due(now, now), None);
    }
}
