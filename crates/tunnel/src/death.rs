//! The end of a path, said once and heard by everybody: streams, calls, tasks and whoever waits for
//! it.
//!
//! It knows nothing of what ends. The first reason stands; a child ends with its parent and takes
//! over its reason.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

#[derive(Debug, Clone)]
pub(crate) struct Death(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    reason: OnceLock<String>,
    token: CancellationToken,
    parent: Option<Death>,
}

impl Death {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner {
            reason: OnceLock::new(),
            token: CancellationToken::new(),
            parent: None,
        }))
    }

    /// Ends with its parent, or alone.
    pub(crate) fn child(&self) -> Self {
        let token = self.0.token.child_token();
        Self(Arc::new(Inner { reason: OnceLock::new(), token, parent: Some(self.clone()) }))
    }

    /// Says that it is over. Only the first call counts.
    pub(crate) fn declare(&self, reason: impl Into<String>) {
        if !self.0.token.is_cancelled() {
            let _ = self.0.reason.set(reason.into());
            self.0.token.cancel();
        }
    }

    pub(crate) fn is_declared(&self) -> bool {
        self.0.token.is_cancelled()
    }

    pub(crate) fn reason(&self) -> Option<String> {
        if !self.0.token.is_cancelled() {
            return None;
        }
        let inherited = || self.0.parent.as_ref().and_then(Death::reason);
        Some(self.0.reason.get().cloned().or_else(inherited).unwrap_or_else(|| "closed".into()))
    }

    /// The reason, for where it is already known that there is one.
    pub(crate) fn epitaph(&self) -> String {
        self.reason().unwrap_or_else(|| "closed".into())
    }

    pub(crate) async fn wait(&self) -> String {
        self.0.token.cancelled().await;
        self.epitaph()
    }

    pub(crate) fn waiter(&self) -> WaitForCancellationFutureOwned {
        self.0.token.clone().cancelled_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_ends_with_its_parent_and_tells_the_parents_reason() {
        let parent = Death::new();
        let child = parent.child();
        assert_eq!(child.reason(), None);
        parent.declare("no answer");
        parent.declare("a later one");
        assert_eq!(child.wait().await, "no answer");
    }

    #[test]
    fn a_child_may_end_alone() {
        let parent = Death::new();
        let child = parent.child();
        child.declare("hung up");
        assert_eq!(child.reason().as_deref(), Some("hung up"));
        assert!(!parent.is_declared());
    }
}
