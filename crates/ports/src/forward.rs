//! One address of an open port: its socket, what it leads to, and its end. How bytes get there is
//! the business of `tcp` and `udp`.
//!
//! Knows nothing of Docker and not why the port is open.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use lifecycle::{Activity, Guard, Kind};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunnel::Connector;

use crate::counters::Counters;
use crate::listen::Socket;
use crate::publication::Remote;
use crate::{tcp, udp};

/// What a port leads to, and with whose help.
pub(crate) struct Target {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) activity: Activity,
    /// Streams of all forwards together.
    pub(crate) places: Arc<Semaphore>,
    /// For the person: `web:8080`.
    pub(crate) source: String,
    pub(crate) remote: Remote,
    /// A container's own address, rather than a published port of the machine.
    pub(crate) is_containers: bool,
    pub(crate) counters: Arc<Counters>,
}

impl Target {
    pub(crate) fn activity(&self) -> Guard {
        self.activity.begin(Kind::Forward, self.source.clone())
    }
}

/// Ends what runs behind an open port.
#[derive(Clone, Default)]
pub(crate) struct Ending {
    /// Nobody new comes.
    pub(crate) closed: CancellationToken,
    /// Whoever is there is cut off.
    pub(crate) cut: CancellationToken,
}

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
                let door = Arc::new(Door::new(tokio::net::TcpListener::from_std(listener)?));
                tasks.spawn(tcp::accept(door.clone(), target, ending.clone()));
                Box::new(move || door.close())
            }
            Socket::Udp(socket) => {
                let door = Arc::new(Door::new(tokio::net::UdpSocket::from_std(socket)?));
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

/// The socket of a forward. It is closed by whoever decides so and at once: the next moment
/// somebody else may want the port.
pub(crate) struct Door<S>(Mutex<Option<S>>);

impl<S> Door<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self(Mutex::new(Some(socket)))
    }

    /// What the socket has. Never ready once the door is closed.
    pub(crate) fn poll<T>(&self, poll: impl FnOnce(&S) -> Poll<T>) -> Poll<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(Poll::Pending, poll)
    }

    /// The socket, while the door is open.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&S) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(work)
    }

    pub(crate) fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
