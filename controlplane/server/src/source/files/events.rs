//! What the operating system tells of directories (inotify).

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
};

use inotify::{EventMask, Inotify, WatchDescriptor, WatchMask, Watches};
use tokio::io::unix::AsyncFd;
use tracing::warn;

use super::scan::is_hidden;

/// What is asked for: whatever may change what files say. Reading is not, since it is our own doing.
const ASKED: WatchMask = WatchMask::ATTRIB
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::CREATE)
    .union(WatchMask::DELETE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MODIFY)
    .union(WatchMask::MOVE)
    .union(WatchMask::MOVE_SELF)
    .union(WatchMask::ONLYDIR);

/// Bytes of events that are taken from the operating system at a time; one needs at most 272.
const BUFFER_LEN: usize = 16 * 1024;

/// One thing that happened.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// To something in a watched directory.
    Within {
        /// Its path.
        path: PathBuf,
        /// What happened.
        mask: EventMask,
    },
    /// To a watched directory itself.
    Directory,
    /// More happened than the operating system keeps.
    Lost,
}

/// The directories that are watched, under the names by which they were found.
///
/// By default there is no watch, and nothing is ever told.
#[derive(Debug, Default)]
pub(super) struct Watched {
    watches: Option<Watches>,
    directories: HashMap<WatchDescriptor, PathBuf>,
    /// Those of the scan that is under way.
    seen: HashSet<WatchDescriptor>,
    /// It was said that some directory cannot be watched.
    complained: bool,
}

impl Watched {
    /// Watches a directory that is about to be looked into, so that nothing falls between.
    pub(super) fn add(&mut self, directory: &Path) {
        let Some(watches) = &mut self.watches else { return };
        match watches.add(directory, ASKED) {
            Ok(watch) => {
                self.seen.insert(watch.clone());
                self.directories.insert(watch, directory.to_owned());
            }
            // It has vanished or may not be read, which the scan says.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied | io::ErrorKind::NotADirectory
                ) => {}
            Err(error) if self.complained => drop(error),
            Err(error) => {
                self.complained = true;
                let directory = directory.display();
                warn!(%error, %directory, "cannot watch, looking every 2 s instead; is fs.inotify.max_user_watches too low?");
            }
        }
    }

    /// A scan has ended: directories that it did not come to are not watched any more.
    pub(super) fn retain_seen(&mut self) {
        let seen = std::mem::take(&mut self.seen);
        let Some(watches) = &mut self.watches else { return };
        self.directories.retain(|watch, _| {
            let stays = seen.contains(watch);
            if !stays {
                // The directory may be gone, and its watch with it.
                let _ = watches.remove(watch.clone());
            }
            stays
        });
    }
}

/// Where events come from.
#[derive(Debug)]
pub(super) struct Events {
    inotify: Option<AsyncFd<Inotify>>,
}

impl Events {
    /// Events of the directories that will be watched. Without them, polling goes on.
    pub(super) fn new() -> (Self, Watched) {
        #[allow(
            deprecated,
            reason = "what replaces it is unsafe because a descriptor may be borrowed or change, and this one is neither"
        )]
        match Inotify::init().and_then(AsyncFd::new) {
            Ok(inotify) => {
                let watches = Some(inotify.get_ref().watches());
                (Self { inotify: Some(inotify) }, Watched { watches, ..Watched::default() })
            }
            Err(error) => {
                warn!(%error, "no file can be watched, looking every 2 s instead; is fs.inotify.max_user_instances too low?");
                (Self { inotify: None }, Watched::default())
            }
        }
    }

    /// Waits until there may be events.
    ///
    /// May be cancelled without loss.
    pub(super) async fn wait(&mut self) {
        let Some(inotify) = &mut self.inotify else { return std::future::pending().await };
        match inotify.readable_mut().await {
            // All of them are taken before the next wait, so that only those that come later count.
            Ok(mut guard) => guard.clear_ready(),
            Err(error) => {
                warn!(%error, "files are not watched any more, looking every 2 s instead");
                self.inotify = None;
            }
        }
    }

    /// All that has happened until now: the operating system notes an event before the call that caused it returns.
    pub(super) fn drain(&mut self, watched: &mut Watched, mut told: impl FnMut(Event)) {
        let Some(inotify) = &mut self.inotify else { return };
        let mut buffer = [0; BUFFER_LEN];
        loop {
            let events = match inotify.get_mut().read_events(&mut buffer) {
                Ok(events) => events,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    warn!(%error, "events cannot be read, looking every 2 s instead");
                    self.inotify = None;
                    return told(Event::Lost);
                }
            };
            let mut new = Vec::new();
            for event in events {
                if event.mask.contains(EventMask::Q_OVERFLOW) {
                    told(Event::Lost);
                } else if event.mask.contains(EventMask::IGNORED) {
                    watched.directories.remove(&event.wd);
                } else if let Some(directory) = watched.directories.get(&event.wd) {
                    let path = event.name.map(|name| directory.join(name));
                    let is_new = event.mask.contains(EventMask::ISDIR)
                        && event.mask.intersects(EventMask::CREATE | EventMask::MOVED_TO);
                    new.extend(path.clone().filter(|path| is_new && !is_hidden(path)));
                    told(path.map_or(Event::Directory, |path| Event::Within { path, mask: event.mask }));
                }
            }
            // What is put into a new directory is to be heard before the directory is looked into.
            new.iter().for_each(|directory| watched.add(directory));
        }
    }
}
