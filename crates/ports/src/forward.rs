//! A forward: one address of an open port, with its socket and its end. `tcp` and `udp` carry the
//! bytes.
//!
//! It knows neither Docker nor why the port is open.

use std::io;
use std::sync::Arc;

use tokio_util::task::TaskTracker;

use crate::closable::Closable;
use crate::listen::Socket;
use crate::target::{Ending, Target};
use crate::{tcp, udp};

/// One address of an open port. Dropping it closes the address; its connections get a moment to end
/// by themselves.
pub(crate) struct Forward {
    close: Box<dyn Fn() + Send + Sync>,
    ending: Ending,
}

impl Forward {
    /// Starts to serve the socket in tasks of `tasks`.
    pub(crate) fn open(
        socket: Socket,
        target: Arc<Target>,
        tasks: &TaskTracker,
    ) -> io::Result<Self> {
        let ending = Ending::default();
        let close: Box<dyn Fn() + Send + Sync> = match socket {
            Socket::Tcp(listener) => {
                let socket = Arc::new(Closable::new(tokio::net::TcpListener::from_std(listener)?));
                tasks.spawn(tcp::accept(socket.clone(), target, ending.clone()));
                Box::new(move || socket.close())
            }
            Socket::Udp(socket) => {
                let socket = Arc::new(Closable::new(tokio::net::UdpSocket::from_std(socket)?));
                tasks.spawn(udp::receive(socket.clone(), target, ending.clone()));
                Box::new(move || socket.close())
            }
        };
        Ok(Self { close, ending })
    }

    /// Accepts no further connection; the present ones continue.
    pub(crate) fn close(&self) {
        (self.close)();
    }

    /// Closes the port and resets its connections: the machine is gone, so no more bytes will come.
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
