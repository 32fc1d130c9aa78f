//! One address of an open port: its socket, what it leads to, and its end. How bytes get there is
//! the business of `tcp` and `udp`.
//!
//! Knows nothing of Docker and not why the port is open.

use std::io;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::closable::Closable;
use crate::listen::Socket;
use crate::target::{Ending, Target};
use crate::{tcp, udp};

/// One address of an open port. Dropping it closes the address; its connections have a moment to
/// end by themselves.
pub(crate) struct Forward {
    close: Box<dyn Fn() + Send + Sync>,
    ending: Ending,
}

impl Forward {
    /// `tasks` owns what runs from here on.
    pub(crate) fn open(
        socket: Socket,
        target: Arc<Target>,
        tasks: &TaskTracker,
    ) -> io::Result<Self> {
        let ending = Ending::default();
        let close: Box<dyn Fn() + Send + Sync> = match socket {
            Socket::Tcp(listener) => {
                let door = Arc::new(Closable::new(tokio::net::TcpListener::from_std(listener)?));
                tasks.spawn(tcp::accept(door.clone(), target, ending.clone()));
                Box::new(move || door.close())
            }
            Socket::Udp(socket) => {
                let door = Arc::new(Closable::new(tokio::net::UdpSocket::from_std(socket)?));
                tasks.spawn(udp::receive(door.clone(), target, ending.clone()));
                Box::new(move || door.close())
            }
        };
        Ok(Self { close, ending })
    }

    /// Nobody new comes; the connections go on.
    pub(crate) fn close(&self) {
        (self.close)();
    }

    /// Closes the port and resets its connections: the machine is gone, nothing is going to come.
    pub(crate) fn cut(self) {
        self.ending.cut.cancel();
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        self.close();
        self.ending.closed.cancel();
    }
}
