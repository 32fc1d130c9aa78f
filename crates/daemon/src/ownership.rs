//! One daemon for one Docker socket. A kernel lock says which daemon owns it, so that a killed
//! daemon never blocks the next one; the socket file of a dead daemon is replaced, any other file
//! in its place is left alone. A socket that a service manager passes is served and never removed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use api::CONTROL_SUFFIX;
use platform::local_socket;
use tokio::net::UnixListener;

/// Bytes in the address of a Unix socket, without the zero at its end (`sun_path`, unix(7)).
const SYSTEM_LIMIT: usize = local_socket::MAX_PATH;
/// The longest path of a Docker socket, in bytes.
const LONGEST_PATH: usize = SYSTEM_LIMIT - CONTROL_SUFFIX.len();

/// The right to listen at a path. Dropping it removes the sockets that it made.
#[derive(Debug)]
pub struct Ownership {
    /// Sockets that this process made, and no older ones.
    made: Vec<PathBuf>,
    // Held for its lock.
    _lock: File,
}

/// Why a socket cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum OwnershipError {
    /// Another dockbridge daemon serves it.
    #[error("another dockbridge (process {process}) serves {}", socket.display())]
    Served {
        /// The socket.
        socket: PathBuf,
        /// The daemon's process id.
        process: String,
    },
    /// Another program listens there.
    #[error("another program listens at {}", socket.display())]
    Foreign {
        /// The socket.
        socket: PathBuf,
    },
    /// Another kind of file is in its place.
    #[error("{} exists and is no socket", path.display())]
    NoSocket {
        /// The path.
        path: PathBuf,
    },
    /// The path is longer than the address of a socket can be.
    #[error(
        "the path of the socket {} has {} bytes, and {LONGEST_PATH} are the most: the system \
         allows {SYSTEM_LIMIT}, and the control socket beside it needs {} of them",
        socket.display(), socket.as_os_str().len(), CONTROL_SUFFIX.len()
    )]
    TooLong {
        /// The socket.
        socket: PathBuf,
    },
    /// The service manager listens at another path.
    #[error(
        "the service manager passed the socket {}, and {} is to be served",
        passed.display(), socket.display()
    )]
    Elsewhere {
        /// The path of the service manager's socket.
        passed: PathBuf,
        /// The socket to serve.
        socket: PathBuf,
    },
    /// Other users may connect to the service manager's socket.
    #[error("the service manager made {}, and lets other users connect to it", socket.display())]
    Exposed {
        /// The socket.
        socket: PathBuf,
    },
    /// The file system refused.
    #[error("the socket {} cannot be made", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Ownership {
    /// Takes the right to listen at `socket`. A missing directory is created, for its owner only.
    pub fn take(socket: &Path) -> Result<Self, OwnershipError> {
        let fail = |source| OwnershipError::Io { path: socket.to_owned(), source };
        if socket.as_os_str().len() > LONGEST_PATH {
            return Err(OwnershipError::TooLong { socket: socket.to_owned() });
        }
        if let Some(directory) = socket.parent().filter(|directory| !directory.exists()) {
            fs::DirBuilder::new().recursive(true).create(directory).map_err(fail)?;
            fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(fail)?;
        }
        let path = with_suffix(socket, ".lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut process = String::new();
                let _ = lock.read_to_string(&mut process);
                return Err(OwnershipError::Served {
                    socket: socket.to_owned(),
                    process: process.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(fail(source)),
        }
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(fail)?;
        Ok(Self { made: Vec::new(), _lock: lock })
    }

    /// Listens at a path beside the owned one, or at it; only its owner may connect.
    pub fn listen(&mut self, path: &Path) -> Result<UnixListener, OwnershipError> {
        let fail = |source| OwnershipError::Io { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(OwnershipError::NoSocket { path: path.to_owned() });
            }
            Ok(_) if local_socket::is_abandoned(path) => fs::remove_file(path).map_err(fail)?,
            Ok(_) => return Err(OwnershipError::Foreign { socket: path.to_owned() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(fail(source)),
        }
        // Bound under another name first: between bind and chmod no other user may connect.
        // That name is no longer than the path, whose length is near its limit.
        let listener = local_socket::bind(path, &beside(path)).map_err(fail)?;
        self.made.push(path.to_owned());
        Ok(listener)
    }

    /// Listens at a path by the service manager's socket, or as by [`Self::listen`].
    pub fn serve(
        &mut self,
        path: &Path,
        passed: Option<std::os::unix::net::UnixListener>,
    ) -> Result<UnixListener, OwnershipError> {
        match passed {
            Some(passed) => self.adopt(path, passed),
            None => self.listen(path),
        }
    }

    /// Listens on a socket that the service manager made at the path. Its file stays at the end:
    /// the service manager goes on listening there.
    pub fn adopt(
        &self,
        path: &Path,
        listener: std::os::unix::net::UnixListener,
    ) -> Result<UnixListener, OwnershipError> {
        let fail = |source| OwnershipError::Io { path: path.to_owned(), source };
        let address = listener.local_addr().map_err(fail)?;
        let passed = address.as_pathname().unwrap_or(Path::new(""));
        if passed != path {
            let (passed, socket) = (passed.to_owned(), path.to_owned());
            return Err(OwnershipError::Elsewhere { passed, socket });
        }
        let mode = fs::symlink_metadata(path).map_err(fail)?.permissions().mode();
        // The right to write is the right to connect.
        if mode & 0o022 != 0 {
            return Err(OwnershipError::Exposed { socket: path.to_owned() });
        }
        UnixListener::from_std(listener).map_err(fail)
    }
}

impl Drop for Ownership {
    fn drop(&mut self) {
        for socket in &self.made {
            let _ = fs::remove_file(socket);
        }
        // The lock file stays: removing it would let two later daemons lock two different files of
        // that name.
    }
}

/// A name that no other process uses, not longer than that of `path` unless that is very short.
fn beside(path: &Path) -> PathBuf {
    let is_control = path.as_os_str().as_encoded_bytes().ends_with(CONTROL_SUFFIX.as_bytes());
    let kind = if is_control { 'c' } else { 'd' };
    path.with_file_name(format!(".{}{kind}", std::process::id()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use api::control_socket;

    use super::*;

    #[tokio::test]
    async fn socket_is_served_once_and_only_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("run/docker.sock");
        let mut ownership = Ownership::take(&socket).unwrap();
        let _listener = ownership.listen(&socket).unwrap();
        assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(
            fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let second = Ownership::take(&socket).unwrap_err();
        let own = std::process::id().to_string();
        assert!(
            matches!(&second, OwnershipError::Served { process, .. } if *process == own),
            "{second}"
        );
    }

    #[tokio::test]
    async fn socket_of_the_service_manager_is_served_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (socket, other) = (directory.path().join("s"), directory.path().join("other"));
        let bind = |path: &Path, mode| {
            let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let (passed, elsewhere) = (bind(&socket, 0o600), bind(&other, 0o600));
        let ownership = Ownership::take(&socket).unwrap();
        let refused = ownership.adopt(&socket, elsewhere).unwrap_err();
        assert!(matches!(refused, OwnershipError::Elsewhere { .. }), "{refused}");
        let listener = ownership.adopt(&socket, passed.try_clone().unwrap()).unwrap();
        drop((listener, ownership));
        assert!(socket.exists(), "the service manager's file stays");
        fs::set_permissions(&socket, fs::Permissions::from_mode(0o660)).unwrap();
        let ownership = Ownership::take(&socket).unwrap();
        let refused = ownership.adopt(&socket, passed).unwrap_err();
        assert!(matches!(refused, OwnershipError::Exposed { .. }), "{refused}");
    }

    #[tokio::test]
    async fn path_may_be_as_long_as_the_message_says_and_no_longer() {
        let directory = tempfile::tempdir().unwrap();
        let of_length = |length: usize| {
            let name = "s".repeat(length - directory.path().as_os_str().len() - 1);
            directory.path().join(name)
        };
        let socket = of_length(LONGEST_PATH);
        let mut ownership = Ownership::take(&socket).unwrap();
        let _listener = ownership.listen(&socket).unwrap();
        let _control = ownership.listen(&control_socket(&socket)).unwrap();
        for length in [LONGEST_PATH + 1, SYSTEM_LIMIT, 300] {
            let error = Ownership::take(&of_length(length)).unwrap_err();
            let said = error.to_string();
            assert!(matches!(error, OwnershipError::TooLong { .. }), "{said}");
            assert!(said.contains(&format!("has {length} bytes, and {LONGEST_PATH}")), "{said}");
        }
    }

    #[tokio::test]
    async fn socket_of_a_dead_daemon_is_replaced_and_other_files_are_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let mut ownership = Ownership::take(&socket).unwrap();
        let listener = ownership.listen(&socket).unwrap();
        assert!(matches!(ownership.listen(&socket), Err(OwnershipError::Foreign { .. })));
        drop(listener);
        drop(ownership);
        assert!(!socket.exists());
        let file = directory.path().join("file");
        fs::write(&file, "precious").unwrap();
        let mut ownership = Ownership::take(&file).unwrap();
        assert!(matches!(ownership.listen(&file), Err(OwnershipError::NoSocket { .. })));
        drop(ownership);
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
