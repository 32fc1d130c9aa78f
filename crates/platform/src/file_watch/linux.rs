//! inotify(7) on the directories of a file: editors replace files, and a watch on the file itself
//! would stay with the old one.

#![expect(unsafe_code, reason = "the reactor wants a promise about the descriptor")]

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, Event, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;

/// In bytes. One event has 16, and a name of 256 at most.
const BUFFER: usize = 4096;

/// A watch on one file.
#[derive(Debug)]
pub struct FileWatch {
    events: AsyncFd<OwnedFd>,
    /// Directories, by the numbers of their watches, and a name in each.
    files: Vec<(i32, OsString)>,
}

impl FileWatch {
    /// Watches a file, which may be absent or a link. Its directory has to exist.
    ///
    /// # Errors
    /// If the directory cannot be watched.
    pub fn of(path: &Path) -> io::Result<Self> {
        let descriptor = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        // A file that is open for writing is not read: it may be half written.
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE;
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut files = Vec::new();
        for file in [path, &target] {
            let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
            let directory = match file.parent() {
                Some(parent) if parent != Path::new("") => parent,
                _ => Path::new("."),
            };
            files.push((inotify::add_watch(&descriptor, directory, flags)?, name.to_owned()));
        }
        // SAFETY: an `OwnedFd` is open, and the same descriptor, until it is dropped with `events`.
        let events = unsafe { AsyncFd::register(descriptor) }?;
        Ok(Self { events, files })
    }

    /// Returns when the file may have another content.
    ///
    /// # Errors
    /// If the system's events cannot be read.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.events.readable().await?;
            let is_changed = drain(self.events.get_ref(), &self.files)?;
            ready.clear_ready();
            if is_changed {
                return Ok(());
            }
        }
    }
}

/// Reads all events that have come. Returns whether one concerns the file.
fn drain(events: &OwnedFd, files: &[(i32, OsString)]) -> io::Result<bool> {
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut reader = Reader::new(events, &mut buffer);
    let mut is_changed = false;
    loop {
        match reader.next() {
            Ok(event) => is_changed |= concerns(&event, files),
            Err(Errno::AGAIN) => return Ok(is_changed),
            Err(error) => return Err(error.into()),
        }
    }
}

fn concerns(event: &Event<'_>, files: &[(i32, OsString)]) -> bool {
    // Events were lost: any file may have changed.
    if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
        return true;
    }
    let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
    files.iter().any(|(watch, file)| *watch == event.wd() && name == Some(file.as_os_str()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn another_file_of_the_directory_and_a_file_that_is_still_written_are_not_reported() {
        let directory = tempfile::tempdir().unwrap();
        let (file, other) = (directory.path().join("config.yaml"), directory.path().join("token"));
        let watch = FileWatch::of(&file).unwrap();
        let is_changed = || drain(watch.events.get_ref(), &watch.files).unwrap();
        fs::write(&other, "x").unwrap();
        assert!(!is_changed(), "another file");
        let mut open = fs::File::create(&file).unwrap();
        std::io::Write::write_all(&mut open, b"half").unwrap();
        assert!(!is_changed(), "half written");
        drop(open);
        assert!(is_changed());
        assert!(!is_changed(), "once");
    }
}
