//! A socket that another task can close at once.

use std::sync::{Mutex, PoisonError};
use std::task::Poll;

/// A socket that is closed at once by the task that decides so: the next moment another program may
/// want the port.
pub(crate) struct Closable<S>(Mutex<Option<S>>);

impl<S> Closable<S> {
    pub(crate) fn new(socket: S) -> Self {
        Self(Mutex::new(Some(socket)))
    }

    /// Polls the socket. Never ready once it is closed.
    pub(crate) fn poll<T>(&self, poll: impl FnOnce(&S) -> Poll<T>) -> Poll<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or(Poll::Pending, poll)
    }

    /// Uses the socket, unless it is closed.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&S) -> T) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map(work)
    }

    pub(crate) fn close(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
