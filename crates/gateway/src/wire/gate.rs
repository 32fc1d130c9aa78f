//! `Expect: 100-continue`: holds a request body back until the engine asks for it, or until the
//! client sends it unasked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use futures::task::AtomicWaker;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicBool,
    waiting: AtomicWaker,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.waiting.wake();
    }

    /// Wakes the task when the gate opens.
    pub(crate) fn is_open(&self, cx: &Context<'_>) -> bool {
        self.waiting.register(cx.waker());
        self.open.load(Ordering::Acquire)
    }
}
