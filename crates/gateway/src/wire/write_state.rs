//! What the client's socket and its requests must know of each other's writes.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub(crate) struct WriteState {
    /// The client's socket takes no more bytes now.
    blocked: AtomicBool,
    /// The next response is written as HTTP/1.0, to have neither length nor chunks. The client gets
    /// the engine's version, 1.1, all the same.
    version_raised: AtomicBool,
}

impl WriteState {
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Release);
    }

    pub(crate) fn raise_version(&self) {
        self.version_raised.store(true, Ordering::Release);
    }

    /// Whether the version of the response that begins now is to be raised. True once.
    pub(crate) fn take_raised_version(&self) -> bool {
        self.version_raised.swap(false, Ordering::AcqRel)
    }
}
