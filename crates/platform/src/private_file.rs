//! Files and directories that only their owner may read, and atomic replacement of such files.

use std::fs::DirBuilder;
use std::io::{self, Write as _};
use std::path::Path;

#[cfg(unix)]
#[path = "private_file/unix.rs"]
mod system;
#[cfg(windows)]
#[path = "private_file/windows.rs"]
mod system;

/// Creates a directory and its parents, for their owner only. A directory that exists stays as it
/// is.
pub fn create_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    system::restrict(&mut builder);
    builder.recursive(true).create(path)
}

/// Replaces a file atomically: after a crash or a full disk it has the old content or the new one,
/// never a part. Its directory has to exist.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory,
        _ => Path::new("."),
    };
    // Its mode is 0600 from the beginning, and it is removed if anything fails.
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_may_read_the_file_and_its_new_directories() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/token");
        assert!(write(&path, b"s3cret").is_err(), "its directory does not exist");
        create_dir(path.parent().unwrap()).unwrap();
        write(&path, b"s3cret").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write(&path, b"again").unwrap();
        assert_eq!(mode(&path), 0o600, "a replaced file is private, too");
    }

    #[test]
    fn a_file_is_replaced_and_nothing_else_remains() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        for content in ["a longer first content", "second"] {
            write(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(names(directory.path()), ["state.json"]);
    }

    #[test]
    fn a_failed_write_leaves_no_temporary_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("taken");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"content").is_err(), "a directory has that name");
        assert_eq!(names(directory.path()), ["taken"]);
    }
}
