//! Whether the supervisor works, seen from outside: it answers a question wherever it waits for
//! requests and orders. All else that it waits for ends in a time of its own.

use tokio::sync::watch;

/// Asks the supervisor. Clones ask each for itself.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    asked: watch::Sender<u64>,
    answered: watch::Receiver<u64>,
}

/// The supervisor's end.
#[derive(Debug)]
pub(crate) struct ProbeAnswers {
    asked: watch::Receiver<u64>,
    answered: watch::Sender<u64>,
}

/// A probe and the end that answers it.
pub(crate) fn probe() -> (Probe, ProbeAnswers) {
    let (asked, questions) = watch::channel(0);
    let (answers, answered) = watch::channel(0);
    (Probe { asked, answered }, ProbeAnswers { asked: questions, answered: answers })
}

impl Probe {
    /// Resolves once the supervisor has answered; `false` if it has ended.
    pub(crate) async fn answered(&mut self) -> bool {
        self.asked.send_modify(|number| *number += 1);
        let number = *self.asked.borrow();
        self.answered.wait_for(|answered| *answered >= number).await.is_ok()
    }
}

impl ProbeAnswers {
    /// Waits for a question and answers it; never returns when there can be none. It may be cut
    /// off: the next call answers then.
    pub(crate) async fn answer(&mut self) {
        if self.asked.changed().await.is_err() {
            return std::future::pending().await;
        }
        let number = *self.asked.borrow_and_update();
        self.answered.send_replace(number);
    }
}
