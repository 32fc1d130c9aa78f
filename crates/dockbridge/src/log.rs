//! The daemon's log, on standard error: the terminal of `start`, or the log file of `start
//! --detach`. The file is rotated, so that it never fills a disk.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use api::Code;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::failure::{Failure, Outcome};
use crate::settings::Settings;

/// Size in bytes at which the file is rotated. A month of a busy daemon at level `info` is less.
const LONGEST: u64 = 5 * 1024 * 1024;
/// Number of rotated files; `daemon.log.1` is the newest.
const KEPT: u32 = 2;

/// Starts logging at the settings' level. `file` is the file behind standard error, if that is one
/// to rotate.
pub fn begin(settings: &Settings, file: Option<PathBuf>) -> Outcome {
    let filter = EnvFilter::try_new(&settings.logging.level).map_err(|error| {
        Failure::of_code(Code::SettingsInvalid, format!("`logging.level` is invalid: {error}"))
            .hint("write error, warn, info, debug or trace")
    })?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_writer(Rotated::new(file, LONGEST));
    let installed = if settings.logging.json {
        log.json().try_init()
    } else {
        log.with_ansi(io::stderr().is_terminal()).try_init()
    };
    installed.map_err(|error| Failure::of_code(Code::Failed, error.to_string()))
}

/// Standard error, with rotation of its file.
#[derive(Debug, Clone)]
struct Rotated(Arc<Mutex<Size>>);

#[derive(Debug)]
struct Size {
    file: Option<PathBuf>,
    longest: u64,
    bytes: u64,
}

impl Rotated {
    fn new(file: Option<PathBuf>, longest: u64) -> Self {
        let bytes =
            file.as_deref().and_then(|file| file.metadata().ok()).map_or(0, |found| found.len());
        Self(Arc::new(Mutex::new(Size { file, longest, bytes })))
    }

    fn wrote(&self, bytes: usize) {
        let mut size = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        size.bytes = size.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        if size.bytes < size.longest {
            return;
        }
        // If the file cannot be rotated (full disk), the next attempt follows after the same
        // number of bytes.
        size.bytes = 0;
        if let Some(file) = &size.file {
            let _ = rotate(file);
        }
    }
}

impl MakeWriter<'_> for Rotated {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl io::Write for Rotated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = io::stderr().write(bytes)?;
        self.wrote(count);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Copies and empties the file. This process and its parent hold it open for appending, so their
/// next write is at its beginning.
fn rotate(file: &Path) -> io::Result<()> {
    let numbered = |number: u32| PathBuf::from(format!("{}.{number}", file.display()));
    for number in (1..KEPT).rev() {
        match std::fs::rename(numbered(number), numbered(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    std::fs::copy(file, numbered(1))?;
    File::options().write(true).open(file)?.set_len(0)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_that_has_grown_is_moved_aside_and_the_oldest_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        let mut appending = File::options().create(true).append(true).open(&path).unwrap();
        let rotated = Rotated::new(Some(path.clone()), 10);
        for text in ["first line", "second line", "third line", "4th"] {
            appending.write_all(text.as_bytes()).unwrap();
            rotated.wrote(text.len());
        }
        let read =
            |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap_or_default();
        assert_eq!(read("daemon.log"), "4th");
        assert_eq!(
            [read("daemon.log.1"), read("daemon.log.2"), read("daemon.log.3")],
            ["third line", "second line", ""]
        );
    }

    #[test]
    fn what_an_earlier_daemon_wrote_counts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.log");
        std::fs::write(&path, "a long line").unwrap();
        Rotated::new(Some(path.clone()), 12).wrote(2);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
