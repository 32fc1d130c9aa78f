//! The actor and the reason of a change to the cloud. They travel with the work as a task-local
//! value, so that the audit log can record them with each call to the API.

use api::{Actor, EndCause};

/// Actor and reason of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behalf {
    /// The actor.
    pub actor: Actor,
    /// Human-readable.
    pub reason: String,
}

tokio::task_local! {
    static BEHALF: Behalf;
}

impl Behalf {
    /// An actor with a reason.
    pub fn new(actor: Actor, reason: impl Into<String>) -> Self {
        Self { actor, reason: reason.into() }
    }

    /// Does the work on this behalf. A nested call overrides it for its part of the work.
    pub async fn during<T>(self, work: impl Future<Output = T>) -> T {
        BEHALF.scope(self, work).await
    }

    /// The behalf of the work in progress; `None` outside of [`Behalf::during`].
    pub fn current() -> Option<Self> {
        BEHALF.try_with(Clone::clone).ok()
    }
}

impl From<Behalf> for EndCause {
    fn from(behalf: Behalf) -> Self {
        Self::by(behalf.actor, behalf.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn innermost_behalf_applies_and_ends_with_its_work() {
        let reason = || Behalf::current().map(|behalf| behalf.reason);
        let outer = Behalf::new(Actor::User, "outer");
        outer
            .during(async {
                let inner = Behalf::new(Actor::Daemon, "inner");
                assert_eq!(inner.during(async { reason() }).await.as_deref(), Some("inner"));
                assert_eq!(reason().as_deref(), Some("outer"));
            })
            .await;
        assert_eq!(reason(), None);
    }
}
