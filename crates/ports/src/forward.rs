//! One open port: its sockets, what it leads to, and its end. How bytes get there is the business of `tcp` and `udp`.
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

/// An open port. Dropping it closes the port; its connections have a moment to end by themselves.
pub(crate) struct Forward {
    pub(crate) counters: Arc<Counters>,
    close: Box<dyn Fn() + Send + Sync>,
    ending: Ending,
}

impl Forward {
    /// `tasks` owns what runs from here on. All sockets speak the same protocol.
    pub(crate) fn open(sockets: Vec<Socket>, target: Target, tasks: &TaskTracker) -> io::Result<Self> {
        let (mut listeners, mut datagrams) = (Vec::new(), Vec::new());
        for socket in sockets {
            match socket {
                Socket::Tcp(listener) => listeners.push(tokio::net::TcpListener::from_std(listener)?),
                Socket::Udp(socket) => datagrams.push(tokio::net::UdpSocket::from_std(socket)?),
            }
        }
        let (counters, ending) = (target.counters.clone(), Ending::default());
        let close: Box<dyn Fn() + Send + Sync> = if datagrams.is_empty() {
            let door = Arc::new(Door::new(listeners));
            tasks.spawn(tcp::accept(door.clone(), Arc::new(target), ending.clone()));
            Box::new(move || door.close())
        } else {
            let door = Arc::new(Door::new(datagrams));
            tasks.spawn(udp::receive(door.clone(), Arc::new(target), ending.clone()));
            Box::new(move || door.close())
        };
        Ok(Self { counters, close, ending })
    }

    /// Closes the port and resets its connections: the machine is gone, nothing is going to come.
    pub(crate) fn cut(self) {
        self.ending.cut.cancel();
    }
}

impl Drop for Forward {
    fn drop(&mut self) {
        (self.close)();
        self.ending.closed.cancel();
    }
}

/// The sockets of a port. They are closed by whoever decides so and at once: the next moment somebody else may want the port.
pub(crate) struct Door<S>(Mutex<Vec<S>>);

impl<S> Door<S> {
    pub(crate) fn new(sockets: Vec<S>) -> Self {
        Self(Mutex::new(sockets))
    }

    /// The first socket that has something, with its number. Never ready once the door is closed.
    pub(crate) fn poll<T>(&self, mut poll: impl FnMut(&S) -> Poll<T>) -> Poll<(usize, T)> {
        let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (number, socket) in sockets.iter().enumerate() {
            if let Poll::Ready(value) = poll(socket) {
                return Poll::Ready((number, value));
            }
        }
        Poll::Pending
    }

    /// The socket of this number, while the door is open.
    pub(crate) fn with<T>(&self, number: usize, work: impl FnOnce(&S) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(number).map(work)
    }

    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
