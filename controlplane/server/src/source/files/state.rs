//! What the files say, read again only where they have changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use inotify::EventMask;
use mesh::model::{Location, Problem, code, code::Code};
use tokio::time::Instant;

use super::{
    batch::{Batch, Dirty, Extent, Stage},
    events::{Event, Events, Watched},
    holdings::Holdings,
    read::read_file,
    scan::{DEPTH_MAX, FILES_MAX, Scan, Stamp, TOTAL_LEN_MAX, is_hidden, is_manifest},
};
use crate::source::{
    Settings, Update,
    document::{self, Reading},
};

/// How often all files are looked at again because some changed meanwhile. When they never rest, what was seen last is
/// taken.
const LOOKS_MAX: u32 = 20;

/// What a refresh has found.
#[derive(Debug, Default)]
pub(super) struct Refreshed {
    /// Files that changed and look as if they were still being written: empty, or broken where they were not before.
    pub(super) suspicious: BTreeSet<PathBuf>,
}

/// All files of a source, and what is in force because of them.
#[derive(Debug)]
pub(super) struct State {
    roots: Vec<PathBuf>,
    settings: Settings,
    watched: Watched,
    files: BTreeMap<PathBuf, FileState>,
    holdings: Holdings,
    /// Each file has one name, all could be looked at and none was left out: one that changes can be looked at alone.
    is_plain: bool,
    /// Problems of directories, not of what files say.
    scan_problems: Vec<Problem>,
    /// All problems, in order; `None` when they may have changed.
    problems: Option<Arc<Vec<Problem>>>,
}

#[derive(Debug)]
struct FileState {
    /// `None` when it cannot be looked at.
    stamp: Option<Stamp>,
    /// Of the content; `None` when it could not be read.
    hash: Option<u64>,
    /// Of the content that was read: the stamp may be older.
    is_empty: bool,
    problems: Vec<Problem>,
    unreadable: bool,
}

impl State {
    pub(super) fn new(roots: Vec<PathBuf>, settings: Settings, watched: Watched) -> Self {
        Self {
            roots,
            settings,
            watched,
            files: BTreeMap::new(),
            holdings: Holdings::default(),
            is_plain: false,
            scan_problems: Vec::new(),
            problems: None,
        }
    }

    /// Adds what has happened until now to `batch`.
    pub(super) fn hear(&mut self, events: &mut Events, batch: &mut Batch, now: Instant) {
        let is_plain = self.is_plain;
        events.drain(&mut self.watched, |event| tell(event, is_plain, batch, now));
    }

    /// Reads what has changed. What is in force stays as it is until [`State::reconcile`].
    ///
    /// Looking at a directory takes a while, and one file may change after it was looked at and before another is: a
    /// state that never was. So all are looked at once more, until nothing has changed meanwhile. When files are looked
    /// at one by one, nobody but who listens to events can tell: more events, and it must be done again.
    pub(super) fn refresh(&mut self, dirty: &Dirty) -> Refreshed {
        let mut refreshed = Refreshed::default();
        if dirty.extent == Extent::Files && self.look_at(&dirty.files, &mut refreshed) {
            return refreshed;
        }
        for look in 0..LOOKS_MAX {
            let mut scan = Scan::of(&self.roots, &mut self.watched);
            scan.files.retain(|path, _| !dirty.leaves(path));
            let is_still = look > 0 && self.is_as_read(&scan, dirty);
            let again = |path: &PathBuf| look == 0 && (dirty.extent == Extent::Content || dirty.files.contains(path));
            self.read(&scan, dirty, again, &mut refreshed);
            if is_still {
                break;
            }
        }
        refreshed
    }

    /// How many files there are.
    pub(super) fn file_count(&self) -> usize {
        self.files.len()
    }

    /// Whether there is nothing in a file, which is how one begins that is being written anew.
    pub(super) fn is_empty(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|file| file.is_empty)
    }

    /// Whether a file looks like half of one.
    pub(super) fn is_broken(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(FileState::is_broken)
    }

    /// Looks at some files alone. Gives whether that was enough.
    fn look_at(&mut self, files: &BTreeSet<PathBuf>, refreshed: &mut Refreshed) -> bool {
        if !self.is_plain {
            return false;
        }
        for path in files {
            match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_file() && metadata.nlink() == 1 => {
                    self.look(path, Stamp::of(&metadata), refreshed);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => self.forget(path),
                Ok(_) | Err(_) => return false,
            }
        }
        let total: u64 = self.files.values().filter_map(|file| file.stamp).map(|stamp| stamp.len).sum();
        self.files.len() <= FILES_MAX && total <= TOTAL_LEN_MAX
    }

    /// Whether the files are those that were read, unchanged.
    fn is_as_read(&self, scan: &Scan, dirty: &Dirty) -> bool {
        scan.files.iter().all(|(path, stamp)| self.files.get(path).is_some_and(|file| file.stamp == Some(*stamp)))
            && self.files.keys().all(|path| scan.files.contains_key(path) || scan.is_hidden(path) || dirty.leaves(path))
    }

    /// Reads files that do not look as before, and those that are to be read `again`.
    fn read(&mut self, scan: &Scan, dirty: &Dirty, again: impl Fn(&PathBuf) -> bool, refreshed: &mut Refreshed) {
        let unseen = |path: &&PathBuf| !scan.files.contains_key(*path) && !dirty.leaves(path);
        for path in self.files.keys().filter(unseen).cloned().collect::<Vec<_>>() {
            if scan.is_hidden(&path) {
                self.lose(&path);
            } else {
                self.forget(&path);
            }
        }
        for (path, stamp) in &scan.files {
            if again(path) || self.files.get(path).is_none_or(|before| before.stamp != Some(*stamp)) {
                self.look(path, *stamp, refreshed);
            }
        }
        self.is_plain = scan.is_plain();
        let problems = scan_problems(scan);
        if problems != self.scan_problems {
            self.scan_problems = problems;
            self.problems = None;
        }
    }

    /// Reads a file.
    fn look(&mut self, path: &Path, stamp: Stamp, refreshed: &mut Refreshed) {
        let outcome = read_file(path, stamp.len);
        let before = self.files.get_mut(path);
        if let (Ok((_, hash)), Some(before)) = (&outcome, before)
            && before.hash == Some(*hash)
        {
            before.stamp = Some(stamp);
            return;
        }
        let file = self.take(path, stamp, outcome);
        let is_broken = file.is_broken();
        let problems = !file.problems.is_empty();
        let before = self.files.insert(path.to_owned(), file);
        if is_broken && !before.as_ref().is_some_and(FileState::is_broken) {
            refreshed.suspicious.insert(path.to_owned());
        }
        if problems || before.is_some_and(|before| !before.problems.is_empty()) {
            self.problems = None;
        }
    }

    /// Takes what a file says.
    fn take(&mut self, path: &Path, stamp: Stamp, outcome: Result<(String, u64), (Code, String)>) -> FileState {
        let name: Arc<str> = path.to_string_lossy().into();
        match outcome {
            Ok((text, hash)) => {
                let Reading { items, problems, unreadable } = document::read(&text, &name, &self.settings);
                self.holdings.says(path, items, unreadable);
                FileState { stamp: Some(stamp), hash: Some(hash), is_empty: text.is_empty(), problems, unreadable }
            }
            Err((code, reason)) => {
                self.holdings.says(path, Vec::new(), true);
                let problems = vec![file_problem(code, &name, reason)];
                FileState { stamp: Some(stamp), hash: None, is_empty: false, problems, unreadable: true }
            }
        }
    }

    /// A file cannot be looked at any more: it declares nothing until it can be, and what it held stays only as long as no
    /// other file declares it.
    fn lose(&mut self, path: &Path) {
        let Some(file) = self.files.get_mut(path).filter(|file| file.stamp.is_some()) else { return };
        // What was wrong with it is not mended by that.
        (file.stamp, file.hash, file.unreadable) = (None, None, true);
        self.holdings.says(path, Vec::new(), true);
    }

    fn forget(&mut self, path: &Path) {
        if self.files.remove(path).is_some_and(|file| !file.problems.is_empty()) {
            self.problems = None;
        }
        self.holdings.forget(path);
    }

    /// Brings what is in force in line with what was read.
    pub(super) fn reconcile(&mut self) -> Update {
        let was_twice = self.holdings.problems().next().is_some();
        let changes = self.holdings.reconcile();
        if was_twice || self.holdings.problems().next().is_some() {
            self.problems = None;
        }
        let problems = self.problems.take().unwrap_or_else(|| Arc::new(self.all_problems()));
        self.problems = Some(Arc::clone(&problems));
        Update { changes, problems }
    }

    fn all_problems(&self) -> Vec<Problem> {
        let mut problems = self.scan_problems.clone();
        problems.extend(self.files.values().flat_map(|file| file.problems.iter().cloned()));
        problems.extend(self.holdings.problems().cloned());
        problems.sort_by(|a, b| (&a.location, a.severity, a.code).cmp(&(&b.location, b.severity, b.code)));
        problems
    }
}

impl FileState {
    /// Whether it looks like half of a file.
    fn is_broken(&self) -> bool {
        self.is_empty || self.unreadable || self.problems.iter().any(|problem| problem.code == code::SYNTAX.id)
    }
}

/// Adds what an event means to `batch`.
fn tell(event: Event, is_plain: bool, batch: &mut Batch, now: Instant) {
    let (path, mask) = match event {
        Event::Within { path, mask } => (path, mask),
        Event::Directory => return batch.all(Extent::Tree, now),
        Event::Lost => return batch.all(Extent::Content, now),
    };
    let is_directory = mask.contains(EventMask::ISDIR);
    if is_manifest(&path) && !is_hidden(&path) && !is_directory {
        return batch.file(path, stage(mask), now);
    }
    // What is hidden, or no manifest by its name, counts only if a link leads to it. Then any name may stand for any file.
    let is_link = || mask.intersects(EventMask::CREATE | EventMask::MOVED_TO) && path.is_symlink();
    if !is_plain || !is_hidden(&path) && (is_directory || is_link()) {
        batch.all(Extent::Tree, now);
    }
}

fn stage(mask: EventMask) -> Stage {
    if mask.intersects(EventMask::CLOSE_WRITE | EventMask::MOVED_TO) {
        Stage::Whole
    } else if mask.intersects(EventMask::DELETE | EventMask::MOVED_FROM) {
        Stage::Gone
    } else if mask.contains(EventMask::ATTRIB) {
        Stage::Touched
    } else {
        Stage::Open
    }
}

fn file_problem(code: Code, file: &Arc<str>, reason: String) -> Problem {
    Problem {
        severity: code.severity,
        code: code.id,
        object: String::new(),
        field: String::new(),
        location: Some(Location { file: Arc::clone(file), line: 1, column: 1 }),
        reason,
        remedy: String::new(),
    }
}

fn scan_problems(scan: &Scan) -> Vec<Problem> {
    let mut problems: Vec<Problem> = scan
        .unreadable
        .iter()
        .map(|(path, error)| {
            file_problem(code::FILE_UNREADABLE, &path.to_string_lossy().into(), format!("cannot be read: {error}"))
        })
        .collect();
    if scan.too_many {
        let reason = format!("there are more files than are read: at most {FILES_MAX}, or 512 MiB together");
        problems.push(Problem { location: None, ..file_problem(code::TOO_MANY_FILES, &"".into(), reason) });
    }
    problems.extend(scan.too_deep.iter().map(|path| {
        let reason = format!("the directory lies more than {DEPTH_MAX} levels deep; nothing in it is read");
        let remedy = "move its files up".to_owned();
        Problem { remedy, ..file_problem(code::DIRECTORY_TOO_DEEP, &path.to_string_lossy().into(), reason) }
    }));
    problems
}
