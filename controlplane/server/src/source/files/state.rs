//! What the files say, read again only where they have changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use mesh::model::{Location, Problem, code, code::Code};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    holdings::{FileView, Holdings, KeptItem},
    scan::{FILE_LEN_MAX, FILES_MAX, Scan, Stamp},
};
use crate::source::{
    Settings, Update,
    document::{self, Reading},
};

/// How often all files are looked at again because some changed meanwhile. When they never rest, what was seen last is
/// taken.
const LOOKS_MAX: u32 = 20;

/// Which files to read again though they look as before: two edits within a tick of the clock look alike.
#[derive(Debug, Default)]
pub(super) struct Dirty {
    /// These.
    pub(super) paths: BTreeSet<PathBuf>,
    /// All.
    pub(super) all: bool,
}

impl Dirty {
    fn holds(&self, path: &Path) -> bool {
        self.all || self.paths.contains(path)
    }
}

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
    files: BTreeMap<PathBuf, FileState>,
    holdings: Holdings,
    /// Problems of directories, not of what files say.
    scan_problems: Vec<Problem>,
}

#[derive(Debug)]
struct FileState {
    stamp: Stamp,
    /// Of the content; `None` when it could not be read.
    hash: Option<u64>,
    /// Of the content that was read: the stamp may be older.
    is_empty: bool,
    items: Vec<KeptItem>,
    problems: Vec<Problem>,
    unreadable: bool,
}

impl State {
    pub(super) fn new(roots: Vec<PathBuf>, settings: Settings) -> Self {
        Self { roots, settings, files: BTreeMap::new(), holdings: Holdings::default(), scan_problems: Vec::new() }
    }

    /// Reads what has changed. What is in force stays as it is until [`State::reconcile`].
    ///
    /// Looking at many files takes a while, and one may change after it was looked at and before another is: a state that
    /// never was. So all are looked at once more, until nothing has changed meanwhile.
    pub(super) fn refresh(&mut self, dirty: &Dirty) -> Refreshed {
        let broken = |(path, file): (&PathBuf, &FileState)| file.is_broken().then(|| path.clone());
        let broken_before: BTreeSet<_> = self.files.iter().filter_map(broken).collect();
        self.read(&Scan::of(&self.roots), dirty);
        for _ in 0..LOOKS_MAX {
            let scan = Scan::of(&self.roots);
            if self.is_as_read(&scan) {
                break;
            }
            self.read(&scan, &Dirty::default());
        }
        let broken_now = self.files.iter().filter_map(broken);
        Refreshed { suspicious: broken_now.filter(|path| !broken_before.contains(path)).collect() }
    }

    /// Whether there is nothing in a file, which is how one begins that is being written anew.
    pub(super) fn is_empty(&self, path: &Path) -> bool {
        self.files.get(path).is_some_and(|file| file.is_empty)
    }

    /// Whether the files are those that were read, unchanged.
    fn is_as_read(&self, scan: &Scan) -> bool {
        scan.files.iter().all(|(path, stamp)| self.files.get(path).is_some_and(|file| file.stamp == *stamp))
            && self.files.keys().all(|path| scan.files.contains_key(path) || scan.is_hidden(path))
    }

    fn read(&mut self, scan: &Scan, dirty: &Dirty) {
        self.files.retain(|path, _| scan.files.contains_key(path) || scan.is_hidden(path));
        for (path, stamp) in &scan.files {
            let before = self.files.get(path);
            if before.is_some_and(|before| before.stamp == *stamp) && !dirty.holds(path) {
                continue;
            }
            match read_file(path, stamp.len) {
                Ok((_, hash)) if before.is_some_and(|before| before.hash == Some(hash)) => {
                    if let Some(before) = self.files.get_mut(path) {
                        before.stamp = *stamp;
                    }
                }
                outcome => {
                    let file = self.parse(path, *stamp, outcome);
                    self.files.insert(path.clone(), file);
                }
            }
        }
        self.scan_problems = scan_problems(scan);
    }

    fn parse(&self, path: &Path, stamp: Stamp, outcome: Result<(String, u64), (Code, String)>) -> FileState {
        let name: Arc<str> = path.to_string_lossy().into();
        match outcome {
            Ok((text, hash)) => {
                let Reading { items, problems, unreadable } = document::read(&text, &name, &self.settings);
                let items = items.into_iter().map(KeptItem::from).collect();
                FileState { stamp, hash: Some(hash), is_empty: text.is_empty(), items, problems, unreadable }
            }
            Err((code, reason)) => {
                let problems = vec![file_problem(code, &name, reason)];
                FileState { stamp, hash: None, is_empty: false, items: Vec::new(), problems, unreadable: true }
            }
        }
    }

    /// Brings what is in force in line with what was read.
    pub(super) fn reconcile(&mut self) -> Update {
        let views =
            self.files.iter().map(|(path, file)| FileView { path, items: &file.items, unreadable: file.unreadable });
        let (changes, twice) = self.holdings.reconcile(views);
        let mut problems = self.scan_problems.clone();
        problems.extend(self.files.values().flat_map(|file| file.problems.iter().cloned()));
        problems.extend(twice);
        problems.sort_by(|a, b| (&a.location, a.severity, a.code).cmp(&(&b.location, b.severity, b.code)));
        Update { changes, problems: Arc::new(problems) }
    }
}

impl FileState {
    /// Whether it looks like half of a file.
    fn is_broken(&self) -> bool {
        self.is_empty || self.unreadable || self.problems.iter().any(|problem| problem.code == code::SYNTAX.id)
    }
}

/// Reads a file, and hashes it.
fn read_file(path: &Path, len: u64) -> Result<(String, u64), (Code, String)> {
    if len > FILE_LEN_MAX {
        return Err((code::FILE_TOO_LARGE, format!("the file has {len} bytes, at most {FILE_LEN_MAX} are read")));
    }
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // The file may have grown since it was looked at.
        File::open(path)?.take(FILE_LEN_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| (code::FILE_UNREADABLE, format!("the file cannot be read: {error}")))?;
    let hash = xxh3_64(&bytes);
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, hash)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            Err((code::FILE_UNREADABLE, format!("the file is not UTF-8 text: look at byte {valid}")))
        }
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
    problems
}
