//! What reaches the supervisor from outside: requests that wait for a machine, and commands of the
//! control socket.

use std::sync::Arc;

use api::{Error, RequestId};
use machine::{Actor, Consent, Ready, VolumeSummary};
use tokio::sync::{mpsc, oneshot, watch};

use super::probe::ProbeAnswers;
use super::step::Order;
use crate::connector::Wanted;

/// A command of the control socket. (Requests for a machine come from the connector.)
pub(crate) enum Command {
    /// The user wants a machine now, whatever failed before. Holds the command's id.
    Wake(Option<RequestId>),
    /// Take the machine down; answered when it is gone.
    Destroy(DestroyOrder),
    /// Send the machine a heartbeat now, if there is a machine; answered when that is done.
    Heartbeat(Option<oneshot::Sender<()>>),
    /// The volume has another size now.
    Volume(VolumeSummary),
    /// The daemon ends; the machine is left to its lease. If that calls a wake off, the answer says
    /// what became of it.
    Stop(Option<oneshot::Sender<String>>),
}

/// The result for the user who ordered an end: what was done, or why it was not.
pub(crate) type Answer = oneshot::Sender<Result<Option<String>, Box<Error>>>;

/// An order of the user to take the machine down.
pub(crate) struct DestroyOrder {
    /// The daemon ends with the machine.
    pub(crate) then_stop: bool,
    pub(crate) answer: Answer,
}

/// A machine that is to be taken down.
pub(super) struct Release {
    pub(super) ready: Option<Arc<Ready>>,
    /// Human-readable.
    pub(super) because: String,
    pub(super) actor: Actor,
    pub(super) consent: Consent,
    /// Users who wait for the end.
    pub(super) answers: Vec<Answer>,
    /// What has been done for them already.
    pub(super) done: Option<String>,
    /// The daemon ends with the machine.
    pub(super) then_stop: bool,
}

impl Release {
    /// By an order of the user.
    pub(super) fn ordered(ready: Option<Arc<Ready>>, order: DestroyOrder) -> Self {
        let DestroyOrder { then_stop, answer } = order;
        let answers = vec![answer];
        let because = "it was asked for".to_owned();
        Self { answers, then_stop, ..Self::of(ready, because, Actor::User, Consent::Given) }
    }

    /// No user waits for it.
    pub(super) fn of(
        ready: Option<Arc<Ready>>,
        because: String,
        actor: Actor,
        consent: Consent,
    ) -> Self {
        Self { ready, because, actor, consent, answers: Vec::new(), done: None, then_stop: false }
    }

    /// Another order to destroy the machine joins this release.
    pub(super) fn join(&mut self, order: DestroyOrder) {
        self.then_stop |= order.then_stop;
        self.answers.push(order.answer);
    }

    /// Answers all users who wait.
    pub(super) fn reply(&mut self, result: &Result<Option<String>, Box<Error>>) {
        for answer in self.answers.drain(..) {
            // The user may have ended the command.
            let _ = answer.send(result.clone());
        }
    }
}

/// An order with those who wait for it.
pub(super) enum Pending {
    Wake(Option<RequestId>),
    Destroy(DestroyOrder),
    Stop,
}

/// A command that orders nothing.
pub(super) enum Notice {
    Heartbeat(Option<oneshot::Sender<()>>),
    Volume(VolumeSummary),
}

/// What arrives.
pub(super) enum Arrival {
    /// A request waits for a machine.
    Request,
    Command(Command),
    /// Nothing arrives any more: the daemon ends.
    Closed,
}

/// Where requests and commands arrive.
pub(crate) struct Inbox {
    wanted: watch::Receiver<Wanted>,
    commands: mpsc::Receiver<Command>,
    /// Answered wherever something else is waited for.
    probed: ProbeAnswers,
    /// An order that was received and not carried out yet.
    pending: Option<Pending>,
}

impl Inbox {
    pub(crate) fn new(
        wanted: watch::Receiver<Wanted>,
        commands: mpsc::Receiver<Command>,
        probed: ProbeAnswers,
    ) -> Self {
        Self { wanted, commands, probed, pending: None }
    }

    /// The number of the attempt that a request waits for.
    pub(super) fn wanted(&mut self) -> u64 {
        self.wanted.borrow_and_update().attempt
    }

    /// The first request that waits for that attempt.
    pub(super) fn wanted_by(&self) -> Option<RequestId> {
        self.wanted.borrow().request
    }

    /// Waits until something arrives.
    pub(super) async fn next(&mut self) -> Arrival {
        loop {
            tokio::select! {
                () = self.probed.answer() => {}
                changed = self.wanted.changed() => return match changed {
                    Ok(()) => Arrival::Request,
                    Err(_) => Arrival::Closed,
                },
                command = self.commands.recv() => {
                    return command.map_or(Arrival::Closed, Arrival::Command);
                }
            }
        }
    }

    /// Waits until something arrives. An order is kept until it is taken; a notice is returned.
    pub(super) async fn changed(&mut self) -> Option<Notice> {
        match self.next().await {
            Arrival::Request => None,
            Arrival::Command(Command::Heartbeat(answer)) => Some(Notice::Heartbeat(answer)),
            Arrival::Command(Command::Volume(volume)) => Some(Notice::Volume(volume)),
            Arrival::Command(Command::Wake(request)) => self.keep(Pending::Wake(request)),
            Arrival::Command(Command::Destroy(order)) => self.keep(Pending::Destroy(order)),
            // No wake is called off: there is nothing to answer.
            Arrival::Command(Command::Stop(_)) | Arrival::Closed => self.keep(Pending::Stop),
        }
    }

    fn keep(&mut self, order: Pending) -> Option<Notice> {
        self.pending = Some(order);
        None
    }

    /// Waits until another request arrives, if requests `matter`; never returns when there can be
    /// none.
    pub(super) async fn request(&mut self, mut matter: bool) {
        loop {
            tokio::select! {
                () = self.probed.answer() => {}
                changed = self.wanted.changed(), if matter => match changed {
                    Ok(()) => return,
                    // The daemon ends, which comes as a command.
                    Err(_) => matter = false,
                },
            }
        }
    }

    /// The order that waits to be carried out.
    pub(super) fn order(&self) -> Option<Order> {
        self.pending.as_ref().map(|pending| match pending {
            Pending::Wake(_) => Order::Wake,
            Pending::Destroy(_) => Order::Destroy,
            Pending::Stop => Order::Stop,
        })
    }

    pub(super) fn take_order(&mut self) -> Option<Pending> {
        self.pending.take()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::super::probe::probe;
    use super::*;

    /// Longer than anything here takes, and shorter than a watchdog.
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn probe_is_answered_wherever_the_supervisor_waits_and_nowhere_else() {
        let (_wanted, requests) = watch::channel(Wanted::default());
        let (_commands, received) = mpsc::channel(1);
        let (mut probe, answers) = probe();
        let mut inbox = Inbox::new(requests, received, answers);
        assert!(timeout(LONG, probe.answered()).await.is_err(), "it does something else");
        for matter in [true, false] {
            tokio::select! {
                answered = timeout(LONG, probe.answered()) => assert_eq!(answered, Ok(true)),
                () = inbox.request(matter) => panic!("no request has come"),
            }
        }
        tokio::select! {
            answered = timeout(LONG, probe.answered()) => assert_eq!(answered, Ok(true)),
            _ = inbox.next() => panic!("nothing has arrived"),
        }
        drop(inbox);
        assert!(!probe.answered().await, "it has ended");
    }
}
