//! A socket that another task can close at once.

use std::sync::{Mutex, PoisonError};
use std::task::Poll;

/// The socket of a forward. It is closed by whoever decides so and at once: the next moment
/// somebody else may want the port.
pub(crate) struct Closable<S>(Mutex<Option<S>>);

impl<S> Closable<S> {
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
