//! Allows one build of an image at a time on this computer, by a kernel lock. The build that holds
//! it may take over the server of an earlier build, which cannot run any more.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::ImageError;

/// Held during a build.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock; `None` if a running build holds it.
    pub(crate) fn try_take(directory: &Path, key: &str) -> Result<Option<Self>, ImageError> {
        let path: PathBuf = directory.join(format!("image-{key}.lock"));
        let failed = |source| ImageError::Lock { path: path.clone(), source };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Identifies this computer in the labels of a build, since the lock says nothing about other
/// computers.
pub(crate) fn host() -> String {
    let id = std::fs::read("/etc/machine-id").unwrap_or_default();
    data_encoding::HEXLOWER.encode(&Sha256::digest(id)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_has_one_holder_and_is_released_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::try_take(directory.path(), "a").unwrap();
        assert!(first.is_some());
        assert!(Lock::try_take(directory.path(), "a").unwrap().is_none());
        assert!(Lock::try_take(directory.path(), "b").unwrap().is_some());
        drop(first);
        assert!(Lock::try_take(directory.path(), "a").unwrap().is_some());
    }
}
