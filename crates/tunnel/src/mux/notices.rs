//! What the agent reports about streams beside their bytes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use agent_proto::Opening;
use futures::task::AtomicWaker;

/// The notices of all open streams, by yamux id.
#[derive(Debug, Default)]
pub(super) struct Notices(Mutex<HashMap<u32, Arc<Notice>>>);

/// The notices about one stream.
#[derive(Debug, Default)]
pub(super) struct Notice {
    /// The other side reads no more.
    pub(super) abandoned: AtomicBool,
    pub(super) writer: AtomicWaker,
    /// It broke off after this many bytes.
    pub(super) broken: OnceLock<u64>,
    pub(super) reader: AtomicWaker,
}

impl Notices {
    pub(super) fn register(&self, id: u32) -> Arc<Notice> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    pub(super) fn forget(&self, id: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    pub(super) fn receive(&self, opening: &Opening) {
        let of = |id: &u32| self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        match opening {
            Opening::Abandon { stream } => {
                if let Some(notice) = of(stream) {
                    notice.abandoned.store(true, Ordering::Release);
                    notice.writer.wake();
                }
            }
            Opening::Broken { stream, after } => {
                if let Some(notice) = of(stream) {
                    // It is sent once.
                    let _ = notice.broken.set(*after);
                    notice.reader.wake();
                }
            }
            Opening::Docker
            | Opening::Socket { .. }
            | Opening::Tcp { .. }
            | Opening::Udp { .. }
            | Opening::Call(_) => {}
        }
    }
}
