//! Sockets that clients connect to.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin + 'static {
    /// Called once, when the client has connected.
    fn connected(&self) {}

    /// Whether the peer is gone altogether, as opposed to having closed its writing side only.
    /// `None` where the system does not report that.
    fn hung_up(&self) -> Option<bool> {
        None
    }

    /// Whether a web page can connect to it: a browser opens any port of this computer for any
    /// page.
    fn is_open_to_browsers(&self) -> bool {
        false
    }
}

impl Socket for UnixStream {
    fn hung_up(&self) -> Option<bool> {
        // Linux reports a hang-up for a Unix socket exactly when the peer has closed it; elsewhere
        // it can mean a half-close.
        if cfg!(target_os = "linux") { hang_up(self) } else { None }
    }
}

impl Socket for TcpStream {
    fn connected(&self) {
        // A client waits for each small response. A socket that is gone already fails when it is
        // read.
        let _ = self.set_nodelay(true);
    }

    fn hung_up(&self) -> Option<bool> {
        // Only a reset is a certain sign; an orderly end looks like a half-close.
        if cfg!(target_os = "linux") { hang_up(self).filter(|gone| *gone) } else { None }
    }

    fn is_open_to_browsers(&self) -> bool {
        true
    }
}

fn hang_up(socket: &impl std::os::fd::AsFd) -> Option<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    // A hang-up is always reported; nothing else is asked for.
    let mut polled = [PollFd::new(socket, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).ok()?;
    Some(polled[0].revents().contains(PollFlags::HUP))
}
