//! While there is no machine: requests and orders are waited for, and the cloud is searched for a
//! machine that this daemon does not know. A failed attempt may have left one half made, and a
//! machine that could not delete itself is off and billed.

use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use lifecycle::Moment;
use machine::Summary;

use super::step::{Action, Stage};
use super::{Next, Supervisor, until};
use crate::state::MachineState;

/// Whether a machine that a search found is to be cared for. One that runs belongs to another
/// client, or its lease ends it; after a failure of this daemon it may be what that left. One that
/// is new and off may be in the middle of another client's wake.
fn is_orphan(found: &Summary, has_failed: bool) -> bool {
    found.id.is_some()
        && (has_failed || machine::is_off_for_good(found, Timestamp::now().as_second()))
}

impl Supervisor {
    pub(super) async fn rest(&mut self) -> Next {
        let stage = Stage::Absent { retry: self.retry() };
        let mut search = pin!(self.search());
        loop {
            match self.step(stage) {
                Action::Wait => {}
                Action::AnswerWithLastFailure => {
                    self.answer_with_last_failure();
                    continue;
                }
                action => return self.follow(action, None),
            }
            let look = self.next_look(stage);
            tokio::select! {
                // A notice concerns a machine that answers: the next look at the cloud says the
                // volume's size.
                _ = self.inbox.changed() => {}
                () = until(&*self.parts.clock, look) => {}
                found = &mut search => match found {
                    Some(reason) => return Next::Reconnect { reason, pause: Duration::ZERO },
                    None => {
                        self.recovery.searched();
                        search.set(self.search());
                    }
                },
            }
        }
    }

    /// When a machine that existed is looked for again although no client waits.
    fn retry(&self) -> Option<Moment> {
        match &self.state.borrow().machine {
            MachineState::Failed { again, .. } => *again,
            _ => None,
        }
    }

    /// One search, after its pause. What was found is human-readable.
    fn search(&self) -> impl Future<Output = Option<String>> + use<> {
        let has_failed = matches!(self.state.borrow().machine, MachineState::Failed { .. });
        let pause = self.recovery.search_pause(has_failed);
        let (provider, clock) = (self.parts.provider.clone(), self.parts.clock.clone());
        async move {
            let due = clock.now().plus(pause);
            until(&*clock, Some(due)).await;
            match provider.find().await {
                Ok(Some(found)) if is_orphan(&found, has_failed) => {
                    Some(format!("{} was found in the cloud", found.name))
                }
                Ok(_) => None,
                Err(error) => {
                    tracing::debug!(error = %machine::with_causes(&error), "the search failed");
                    None
                }
            }
        }
    }
}
