//! How far a request has got on its connection to the engine.
//!
//! The client's end (a half-close) is passed on once the whole request is sent: a server such as
//! dockerd stops work that no client waits for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use futures::task::AtomicWaker;

#[derive(Debug, Default)]
pub(crate) struct RequestProgress {
    client_ended: AtomicBool,
    /// The first byte of the request is written. Before that, the end of an earlier request must
    /// not be taken for its end.
    begun: AtomicBool,
    sent: AtomicBool,
    blocked: AtomicBool,
    reader: AtomicWaker,
}

impl RequestProgress {
    /// A new request is about to be sent.
    pub(crate) fn start(&self) {
        self.begun.store(false, Ordering::Release);
        self.sent.store(false, Ordering::Release);
    }

    /// The body was handed over to its end.
    pub(crate) fn finish(&self) {
        self.sent.store(true, Ordering::Release);
        self.reader.wake();
    }

    pub(crate) fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Acquire)
    }

    /// The first byte of the request is written.
    pub(crate) fn begin(&self) {
        self.begun.store(true, Ordering::Release);
    }

    /// The client has closed its writing side.
    pub(crate) fn end_client(&self) {
        self.client_ended.store(true, Ordering::Release);
        self.reader.wake();
    }

    pub(crate) fn has_client_ended(&self) -> bool {
        self.client_ended.load(Ordering::Acquire)
    }

    /// Whether the stream to the engine is to be half-closed now.
    pub(crate) fn is_half_close_due(&self) -> bool {
        self.has_client_ended() && self.begun.load(Ordering::Acquire) && self.is_sent()
    }

    /// The stream to the engine takes no more bytes now.
    pub(crate) fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Release);
    }

    /// The task that reads the response is woken when there is something to pass on.
    pub(crate) fn register_reader(&self, cx: &Context<'_>) {
        self.reader.register(cx.waker());
    }

    pub(crate) fn wake_reader(&self) {
        self.reader.wake();
    }
}
