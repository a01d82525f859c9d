//! Which files there are, and whether they have changed, without reading them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, FileType, Metadata},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::events::Watched;

/// Most files of one source.
pub const FILES_MAX: usize = 20_000;
/// Largest file, in bytes.
pub const FILE_LEN_MAX: u64 = 64 * 1024 * 1024;
/// All files together, in bytes.
pub const TOTAL_LEN_MAX: u64 = 512 * 1024 * 1024;
/// Deepest directory, below those that were given.
pub(super) const DEPTH_MAX: usize = 32;
/// Most directories that are named as too deep.
const TOO_DEEP_MAX: usize = 20;
/// Most names looked at in one scan, whatever they are.
const NAMES_MAX: usize = 200_000;

/// What tells a file apart from what it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// Bytes.
    pub(super) len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// What a scan has found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The files, in order of their paths.
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    /// What could not be looked into, and why; what was known below it is kept.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
    /// There are more files than are read.
    pub(super) too_many: bool,
    /// Directories that are too deep to be looked into, the first ones.
    pub(super) too_deep: BTreeSet<PathBuf>,
    /// Some file or directory has more than one name.
    has_links: bool,
    directories: BTreeSet<(u64, u64)>,
    names: usize,
}

impl Scan {
    /// Looks at files themselves, and through directories, which are watched from then on.
    pub(super) fn of(roots: &[PathBuf], watched: &mut Watched) -> Self {
        let mut scan = Self::default();
        for root in roots {
            match fs::metadata(root) {
                Ok(metadata) if metadata.is_dir() => scan.directory(root, &metadata, 0, watched),
                Ok(metadata) => scan.file(root.clone(), &metadata),
                Err(error) => scan.unreadable.push((root.clone(), error)),
            }
        }
        watched.retain_seen();
        scan.apply_limits();
        scan
    }

    /// Whether each file has one name, all could be looked at, and none was left out.
    pub(super) fn is_plain(&self) -> bool {
        !self.has_links && !self.too_many && self.unreadable.is_empty()
    }

    /// Whether `path` may still be there, though the scan could not see it.
    pub(super) fn is_hidden(&self, path: &Path) -> bool {
        self.unreadable.iter().any(|(unreadable, _)| path.starts_with(unreadable))
    }

    fn directory(&mut self, path: &Path, metadata: &Metadata, depth: usize, watched: &mut Watched) {
        // Links may lead back to a directory that was seen; each is looked at once.
        if !self.directories.insert((metadata.dev(), metadata.ino())) {
            return;
        }
        if depth > DEPTH_MAX {
            self.too_deep.insert(path.to_owned());
            if self.too_deep.len() > TOO_DEEP_MAX {
                self.too_deep.pop_last();
            }
            return;
        }
        watched.add(path);
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.unreadable.push((path.to_owned(), error)),
        };
        for entry in entries.flatten() {
            self.names = self.names.saturating_add(1);
            if self.names > NAMES_MAX {
                self.too_many = true;
                return;
            }
            let path = entry.path();
            if is_hidden(&path) {
                continue;
            }
            let is_link = entry.file_type().as_ref().is_ok_and(FileType::is_symlink);
            self.has_links |= is_link;
            // Follows links.
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    self.directory(&path, &metadata, depth.saturating_add(1), watched);
                }
                Ok(metadata) if is_manifest(&path) => self.file(path, &metadata),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    // It has vanished in between, or was never there.
                    if is_link && is_manifest(&path) {
                        self.unreadable.push((path, io::Error::other("it is a link that leads nowhere")));
                    }
                }
                Err(error) => self.unreadable.push((path, error)),
            }
        }
    }

    fn file(&mut self, path: PathBuf, metadata: &Metadata) {
        if !metadata.is_file() {
            return self.unreadable.push((path, not_a_file(metadata)));
        }
        self.has_links |= metadata.nlink() > 1;
        self.files.insert(path, Stamp::of(metadata));
    }

    fn apply_limits(&mut self) {
        let mut total: u64 = 0;
        let mut count: usize = 0;
        let too_many = &mut self.too_many;
        self.files.retain(|_, stamp| {
            count = count.saturating_add(1);
            // Files that are too large are not read, and so count only as one.
            total = total.saturating_add(if stamp.len > FILE_LEN_MAX { 0 } else { stamp.len });
            let fits = count <= FILES_MAX && total <= TOTAL_LEN_MAX;
            *too_many |= !fits;
            fits
        });
    }
}

/// Why what is there is not read: whoever reads a pipe or a device may wait for ever.
pub(super) fn not_a_file(metadata: &Metadata) -> io::Error {
    let kind = metadata.file_type();
    let what = if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    io::Error::other(format!("it is {what}; write what it gives to a file, and give that"))
}

/// Whether a file is none of ours by its name: hidden names are editors' and version control's, and the real directories
/// behind Kubernetes' mounts, whose files are seen through the links beside them.
pub(super) fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}

/// Whether a file is read, by its name.
pub(super) fn is_manifest(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension.eq_ignore_ascii_case(known)))
}
