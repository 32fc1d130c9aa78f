//! A system on which no file is watched.

use std::io;
use std::path::Path;

/// A watch on one file. There is none on this system.
#[derive(Debug)]
pub struct FileWatch(std::convert::Infallible);

impl FileWatch {
    /// Watches a file, which may be absent.
    ///
    /// # Errors
    /// Always.
    pub fn of(_: &Path) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Returns when the file may have another content.
    ///
    /// # Errors
    /// Never.
    pub async fn changed(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
