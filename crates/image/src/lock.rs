//! One build of an image at a time on this computer, by a kernel lock: who has it may take over
//! what an earlier build left, for that one cannot live any more.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::ImageError;

/// Held while a build goes on.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes it; `None` if a live build has it.
    pub(crate) fn try_take(folder: &Path, key: &str) -> Result<Option<Self>, ImageError> {
        let path: PathBuf = folder.join(format!("image-{key}.lock"));
        let failed = |source| ImageError::Lock { path: path.clone(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let file =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// This computer, for whoever meets a server of a build elsewhere: the lock says nothing about
/// other computers.
pub(crate) fn host() -> String {
    let id = std::fs::read("/etc/machine-id").unwrap_or_default();
    data_encoding::HEXLOWER.encode(&Sha256::digest(id)[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_had_once_and_goes_with_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::try_take(folder.path(), "a").unwrap();
        assert!(first.is_some());
        assert!(Lock::try_take(folder.path(), "a").unwrap().is_none());
        assert!(Lock::try_take(folder.path(), "b").unwrap().is_some());
        drop(first);
        assert!(Lock::try_take(folder.path(), "a").unwrap().is_some());
    }
}
