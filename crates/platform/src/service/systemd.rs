//! Linux: systemd, by sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3).

#![allow(unsafe_code)]

use std::io;
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::net::sockopt::{socket_acceptconn, socket_domain, socket_type};
use rustix::net::{AddressFamily, SocketType};
use sd_notify::NotifyState;

use super::{Notice, PassedError, PassedListener, PassedSocket};

/// The descriptors have an owner already.
static TAKEN: AtomicBool = AtomicBool::new(false);

pub(super) fn passed_sockets() -> Result<Vec<PassedSocket>, PassedError> {
    let count = sd_notify::listen_fds().map_err(PassedError::Variables)?.len();
    // The variables may be those of a parent: their names then belong to no descriptor here.
    if count == 0 || TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let named = sd_notify::listen_fds_with_names().map_err(PassedError::Variables)?;
    let owned = named.map(|(descriptor, name)| {
        // SAFETY: the service manager opened it for this process (LISTEN_PID), it is open (its
        // flags were set), and no other code takes it: this runs once in a process.
        (unsafe { OwnedFd::from_raw_fd(descriptor) }, name)
    });
    owned.map(|(descriptor, name)| socket(name, descriptor)).collect()
}

/// A descriptor as the listening socket that it has to be.
fn socket(name: String, descriptor: OwnedFd) -> Result<PassedSocket, PassedError> {
    let is_stream = matches!(socket_type(&descriptor), Ok(SocketType::STREAM));
    let is_listening = is_stream && matches!(socket_acceptconn(&descriptor), Ok(true));
    let (listener, switched) = match socket_domain(&descriptor) {
        Ok(AddressFamily::UNIX) if is_listening => {
            let listener = UnixListener::from(descriptor);
            let switched = listener.set_nonblocking(true);
            (PassedListener::Unix(listener), switched)
        }
        Ok(AddressFamily::INET | AddressFamily::INET6) if is_listening => {
            let listener = TcpListener::from(descriptor);
            let switched = listener.set_nonblocking(true);
            (PassedListener::Tcp(listener), switched)
        }
        _ => return Err(PassedError::Kind { name }),
    };
    match switched {
        Ok(()) => Ok(PassedSocket { name, listener }),
        Err(source) => Err(PassedError::Io { name, source }),
    }
}

pub(super) fn notify(notice: Notice<'_>) -> io::Result<()> {
    sd_notify::notify(&[match notice {
        Notice::Ready => NotifyState::Ready,
        Notice::Status(line) => NotifyState::Status(line),
        Notice::Alive => NotifyState::Watchdog,
        Notice::Stopping => NotifyState::Stopping,
    }])
}

pub(super) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    fn refused(descriptor: impl Into<OwnedFd>) -> String {
        socket("docker".to_owned(), descriptor.into()).unwrap_err().to_string()
    }

    #[test]
    fn listening_stream_sockets_are_taken_with_name_and_kind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let unix = UnixListener::bind(&path).unwrap();
        let taken = socket("docker".to_owned(), unix.into()).unwrap();
        let PassedListener::Unix(listener) = taken.listener else { panic!("{taken:?}") };
        assert_eq!(taken.name, "docker");
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_path()));
        let waits = listener.accept().unwrap_err();
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock, "a runtime may accept from it");
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(tcp) = TcpListener::bind(address) else { continue };
            let taken = socket("tcp".to_owned(), tcp.into()).unwrap();
            assert!(matches!(taken.listener, PassedListener::Tcp(_)), "{taken:?}");
        }
    }

    #[test]
    fn other_descriptors_are_refused_by_name() {
        let message = "the service manager passed `docker`, which is no listening stream socket";
        let (one, _other) = UnixStream::pair().unwrap();
        assert_eq!(refused(one), message, "a connection");
        assert_eq!(refused(UnixDatagram::unbound().unwrap()), message, "a datagram socket");
        assert_eq!(refused(tempfile::tempfile().unwrap()), message, "a file");
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert_eq!(refused(udp), message, "a UDP socket");
    }
}
