//! Unix: a socket in the file system, which only its owner may open.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A listening socket.
pub type Listener = tokio::net::UnixListener;
/// A connection to a socket.
pub type Stream = tokio::net::UnixStream;

/// The longest path of a socket, in bytes (`sun_path` without the zero at its end, unix(7)).
pub const MAX_PATH: usize = if cfg!(target_os = "macos") { 103 } else { 107 };

/// Listens at `path`, for the owner only, and replaces what is there. The socket is bound under the
/// name `temporary` in the same directory first: between bind and chmod no other user may connect.
pub fn bind(path: &Path, temporary: &Path) -> io::Result<Listener> {
    let _ = fs::remove_file(temporary);
    let listener = Listener::bind(temporary)?;
    fs::set_permissions(temporary, Permissions::from_mode(0o600))?;
    fs::rename(temporary, path)?;
    Ok(listener)
}

/// Whether no process listens at the socket. A socket that refuses this user, or is not a stream
/// socket, is not abandoned.
pub fn is_abandoned(path: &Path) -> bool {
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    std::os::unix::net::UnixStream::connect(path).is_err_and(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_owner_may_connect_and_an_abandoned_socket_is_recognized() {
        let directory = tempfile::tempdir().unwrap();
        let (path, temporary) = (directory.path().join("s"), directory.path().join("t"));
        let listener = bind(&path, &temporary).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!temporary.exists() && !is_abandoned(&path));
        drop(listener);
        assert!(is_abandoned(&path));
        let _listener = bind(&path, &temporary).unwrap();
        assert!(!is_abandoned(&path), "an abandoned socket is replaced");
        assert!(!is_abandoned(&directory.path().join("missing")));
    }
}
