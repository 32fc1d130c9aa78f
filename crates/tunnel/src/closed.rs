//! The end of a path, set once and seen by streams, calls and tasks.
//!
//! It does not know what ends. The first reason counts; a child ends with its parent and inherits
//! its reason.

use std::sync::{Arc, OnceLock};

use thiserror::Error;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

#[derive(Debug, Clone)]
pub(crate) struct Closed(Arc<Inner>);

/// The path has ended, for this reason.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct PathEnded(pub(crate) String);

#[derive(Debug)]
struct Inner {
    reason: OnceLock<String>,
    token: CancellationToken,
    parent: Option<Closed>,
}

impl Closed {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            reason: OnceLock::new(),
            token: CancellationToken::new(),
            parent: None,
        }))
    }

    /// A child that ends with its parent, or alone.
    pub(crate) fn child(&self) -> Self {
        let token = self.0.token.child_token();
        Self(Arc::new(Inner { reason: OnceLock::new(), token, parent: Some(self.clone()) }))
    }

    /// Ends the path. Only the first call counts.
    pub(crate) fn set(&self, reason: impl Into<String>) {
        if !self.0.token.is_cancelled() {
            let _ = self.0.reason.set(reason.into());
            self.0.token.cancel();
        }
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.token.is_cancelled()
    }

    pub(crate) fn reason(&self) -> Option<String> {
        if !self.0.token.is_cancelled() {
            return None;
        }
        let inherited = || self.0.parent.as_ref().and_then(Closed::reason);
        Some(self.0.reason.get().cloned().or_else(inherited).unwrap_or_else(|| "closed".into()))
    }

    /// The reason, for a caller that knows that the path has ended.
    pub(crate) fn message(&self) -> String {
        self.reason().unwrap_or_else(|| "closed".into())
    }

    pub(crate) async fn wait(&self) -> String {
        self.0.token.cancelled().await;
        self.message()
    }

    pub(crate) fn waiter(&self) -> WaitForCancellationFutureOwned {
        self.0.token.clone().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_ends_with_its_parent_and_inherits_the_reason() {
        let parent = Closed::new();
        let child = parent.child();
        assert_eq!(child.reason(), None);
        parent.set("no answer");
        parent.set("a later one");
        assert_eq!(child.wait().await, "no answer");
    }

    #[test]
    fn a_child_may_end_alone() {
        let parent = Closed::new();
        let child = parent.child();
        child.set("hung up");
        assert_eq!(child.reason().as_deref(), Some("hung up"));
        assert!(!parent.is_set());
    }
}
