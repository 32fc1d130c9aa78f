//! The service manager that started this process, if one did: the listening sockets that it passes,
//! and what the process reports to it. The module knows no units, and not what a socket is for.

use std::io;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

#[cfg(target_os = "linux")]
#[path = "service/systemd.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "service/none.rs"]
mod system;

/// A listening socket that the service manager opened for this process.
#[derive(Debug)]
pub struct PassedSocket {
    /// Its name, which the service manager's configuration chooses.
    pub name: String,
    /// The socket, in non-blocking mode.
    pub listener: PassedListener,
}

/// A listening stream socket.
#[derive(Debug)]
pub enum PassedListener {
    /// Of the file system.
    Unix(UnixListener),
    /// Of a TCP port.
    Tcp(TcpListener),
}

/// Why the sockets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PassedError {
    /// The variables contradict each other, or name descriptors that are not open.
    #[error("the service manager's variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are wrong")]
    Variables(#[source] io::Error),
    /// A descriptor of another kind.
    #[error("the service manager passed `{name}`, which is no listening stream socket")]
    Kind {
        /// The descriptor's name.
        name: String,
    },
    /// The system refused.
    #[error("the socket `{name}` of the service manager cannot be used")]
    Io {
        /// The socket's name.
        name: String,
        /// Why.
        source: io::Error,
    },
}

/// What the service manager learns.
#[derive(Debug, Clone, Copy)]
pub enum Notice<'a> {
    /// The process serves.
    Ready,
    /// One line for users.
    Status(&'a str),
    /// The process works, see [`watchdog`].
    Alive,
    /// The process ends.
    Stopping,
}

/// The sockets that the service manager opened for this process: none where no manager started it,
/// and none for a second call.
pub fn passed_sockets() -> Result<Vec<PassedSocket>, PassedError> {
    system::passed_sockets()
}

/// Sends a notice. Does nothing where no service manager waits for one.
pub fn notify(notice: Notice<'_>) -> io::Result<()> {
    system::notify(notice)
}

/// The service manager ends this process unless [`Notice::Alive`] comes once in this time; `None`
/// if it does not watch.
pub fn watchdog() -> Option<Duration> {
    system::watchdog()
}
