//! On whose behalf the cloud is changed, and why: carried along with the work itself, so that the
//! call deep below can be entered in an audit log with its actor and reason.

use serde::{Deserialize, Serialize};

/// Who changes the cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// The user, by a command or by a request that needs a machine.
    User,
    /// The settings: idleness, a locked screen, the age, the budget.
    Policy,
    /// dockbridge itself, because something could not be used or had to be completed.
    Daemon,
}

impl Actor {
    /// For a sentence such as `deleted by the policy`.
    pub fn words(self) -> &'static str {
        match self {
            Actor::User => "an order of the user",
            Actor::Policy => "the policy",
            Actor::Daemon => "dockbridge",
        }
    }
}

/// Actor and reason of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behalf {
    /// Who.
    pub actor: Actor,
    /// Why, in words for a user.
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

    /// Does the work on this behalf. An inner behalf holds for its part of the work.
    pub async fn during<T>(self, work: impl Future<Output = T>) -> T {
        BEHALF.scope(self, work).await
    }

    /// Of the work that is being done; `None` where nobody has said.
    pub fn current() -> Option<Self> {
        BEHALF.try_with(Clone::clone).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_innermost_behalf_holds_and_ends_with_its_work() {
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
