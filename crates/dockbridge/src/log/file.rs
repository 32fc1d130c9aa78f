//! A log file that is rotated by size: whole records, appended; when the next one does not fit, the
//! file becomes `NAME.1`, the older ones move on, and the oldest is deleted. Knows no format.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Readable by its owner only.
const MODE: u32 = 0o600;

/// The bounds of a log: it has at most `kept + 1` files of `longest` bytes, or of one record if
/// that is longer.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// In bytes.
    pub longest: u64,
    /// Number of rotated files.
    pub kept: u32,
}

impl Rotation {
    /// 15 MiB in all. A month of a busy daemon at level `info` is less.
    pub const OF_THE_DAEMON: Self = Self { longest: 5 * 1024 * 1024, kept: 2 };
}

/// The files of a log, the newest first.
pub fn files(path: &Path, kept: u32) -> Vec<PathBuf> {
    let rotated = (1..=kept).map(|number| rotated(path, number));
    std::iter::once(path.to_owned()).chain(rotated).collect()
}

/// The path of a rotated file; 1 is the newest.
fn rotated(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

/// Opens a log file for appending, and creates it if it does not exist. A file that others may read
/// becomes private.
pub fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().create(true).append(true).mode(MODE).open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != MODE {
        file.set_permissions(Permissions::from_mode(MODE))?;
    }
    Ok(file)
}

/// Identifies a file while it is renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId(u64, u64);

impl FileId {
    /// The id of an open file.
    pub fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self(metadata.dev(), metadata.ino()))
    }
}

/// The writing end. Clones share the file. Each call of `write` is one record.
#[derive(Debug, Clone)]
pub struct LogFile(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    /// Standard output and standard error that are this file, too.
    is_stdout: bool,
    is_stderr: bool,
}

impl LogFile {
    /// Appends to the file.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = open(path)?;
        let id = FileId::of(&file)?;
        let inner = Inner {
            path: path.to_owned(),
            rotation,
            file,
            is_stdout: is(&io::stdout(), id),
            is_stderr: is(&io::stderr(), id),
        };
        Ok(Self(Arc::new(Mutex::new(inner))))
    }

    /// Whether standard error of this process is the same file.
    pub fn is_stderr(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_stderr
    }
}

fn is(stream: &impl AsFd, id: FileId) -> bool {
    let file = stream.as_fd().try_clone_to_owned().map(File::from);
    file.and_then(|file| FileId::of(&file)).is_ok_and(|found| found == id)
}

impl io::Write for LogFile {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).append(record)?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Inner {
    fn append(&mut self, record: &[u8]) -> io::Result<()> {
        let found = self.file.metadata()?;
        let mut length = found.len();
        if found.nlink() == 0 {
            // The user has deleted it.
            self.begin_file()?;
            length = 0;
        } else if length > 0 && length.saturating_add(record.len() as u64) > self.rotation.longest {
            self.rotate()?;
            length = 0;
        }
        io::Write::write_all(&mut self.file, record).inspect_err(|_| {
            // On a full disk: the next record must not continue a part of this one.
            let _ = self.file.set_len(length);
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        if self.rename().is_err() {
            // In a directory that refuses new names the log is cut: it must not grow forever.
            return self.file.set_len(0);
        }
        self.begin_file()
    }

    /// A reader that has the file open finds the rest of it under its new name.
    fn rename(&self) -> io::Result<()> {
        for number in (1..self.rotation.kept).rev() {
            match std::fs::rename(rotated(&self.path, number), rotated(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, rotated(&self.path, 1))
    }

    /// What the process itself prints, such as a panic, goes to the new file, too.
    fn begin_file(&mut self) -> io::Result<()> {
        self.file = open(&self.path)?;
        if self.is_stdout {
            rustix::stdio::dup2_stdout(&self.file)?;
        }
        if self.is_stderr {
            rustix::stdio::dup2_stderr(&self.file)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
