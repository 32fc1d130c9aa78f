//! How many requests were sent, by what became of them. Retries count: each uses the rate budget.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::budget::RateLimit;
use crate::error::{Error, Result};

/// The requests of a client and its clones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ApiUse {
    /// Requests that the API carried out.
    pub answered: u64,
    /// Requests that it refused.
    pub refused: u64,
    /// Requests without an answer of the API.
    pub unanswered: u64,
    /// The rate budget in the last reply.
    pub rate: Option<RateLimit>,
}

#[derive(Debug, Default)]
pub(crate) struct Calls {
    answered: AtomicU64,
    refused: AtomicU64,
    unanswered: AtomicU64,
}

impl Calls {
    pub(crate) fn count<T>(&self, sent: &Result<T>) {
        let counter = match sent {
            Ok(_) => &self.answered,
            Err(Error::Api(_)) => &self.refused,
            Err(_) => &self.unanswered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Without the rate budget.
    pub(crate) fn so_far(&self) -> ApiUse {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ApiUse {
            answered: read(&self.answered),
            refused: read(&self.refused),
            unanswered: read(&self.unanswered),
            rate: None,
        }
    }
}
