//! Connectors to the machine. One waits for a machine if there is none, and with that wakes it; the
//! other only looks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_proto::{Call, Reply};
use api::{Code, Condition, Error, RequestId};
use futures::future::BoxFuture;
use gateway::{Disk, EngineState, EngineStatus, Wait};
use lifecycle::Clock;
use machine::Ready;
use tokio::sync::watch;
use tokio::time::timeout;
use tunnel::{Class, Connector, Destination, OpenError, Stream, current_request};

use crate::boot_history::boot_history_of;
use crate::disk_usage::VolumeUsage;
use crate::hints::Hints;
use crate::request_id::named;
use crate::state::{DaemonState, MachineState};
use crate::waiting;

/// The longest wait for the machine's own report.
const LONGEST_REPORT: Duration = Duration::from_secs(2);

/// The attempt that requests wait for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// Its number.
    pub(crate) attempt: u64,
    /// The first of the requests.
    pub(crate) request: Option<RequestId>,
}

/// Opens streams to the machine, and requests one if there is none.
#[derive(Debug, Clone)]
pub(crate) struct WakingConnector {
    state: watch::Receiver<DaemonState>,
    wanted: Arc<watch::Sender<Wanted>>,
}

impl WakingConnector {
    pub(crate) fn new(
        state: watch::Receiver<DaemonState>,
        wanted: Arc<watch::Sender<Wanted>>,
    ) -> Self {
        Self { state, wanted }
    }

    /// Requests a machine. Returns the number of the present attempt, or of the next.
    fn request(&self) -> u64 {
        let attempt = self.state.borrow().attempts + 1;
        self.wanted.send_if_modified(|wanted| {
            let newer = attempt > wanted.attempt;
            if newer {
                *wanted = Wanted { attempt, request: current_request() };
            }
            newer
        });
        attempt
    }

    async fn stream(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        // One retry for a tunnel that turns out to be dead: the next one has just been made.
        let mut may_retry = true;
        loop {
            let now = ready(&self.state.borrow());
            let ready = match now {
                Some(ready) => ready,
                None => self.wait().await.map_err(no_machine)?,
            };
            match ready.tunnel.open(to.clone(), class).await {
                Err(OpenError::Dead { .. }) if may_retry => may_retry = false,
                opened => return opened,
            }
        }
    }

    /// The machine of the present or next attempt, or why that failed.
    async fn wait(&self) -> Result<Arc<Ready>, Error> {
        let mut state = self.state.clone();
        loop {
            let attempt = self.request();
            tracing::debug!(attempt, "a request waits for a machine");
            let ended = state.wait_for(|now| ready(now).is_some() || now.attempts >= attempt).await;
            let ended = ended
                .map(|now| (ready(&now), now.failure.clone()))
                .map_err(|_| Error::new(Code::DaemonStopping, "dockbridge is stopping"))?;
            match ended {
                (Some(ready), _) => return Ok(ready),
                (None, Some(error)) => return Err(error),
                // It was connected to, and is lost again already.
                (None, None) => {}
            }
        }
    }
}

fn no_machine(error: Error) -> OpenError {
    OpenError::NoMachine(Box::new(named(error)))
}

fn ready(now: &DaemonState) -> Option<Arc<Ready>> {
    match &now.machine {
        MachineState::Up(ready) if ready.tunnel.is_dead().is_none() => Some(ready.clone()),
        _ => None,
    }
}

/// Opens streams to a machine that answers, and requests none.
#[derive(Debug, Clone)]
pub(crate) struct PassiveConnector {
    state: watch::Receiver<DaemonState>,
    clock: Arc<dyn Clock>,
    /// The profile's directory, with the times of past wakes.
    directory: PathBuf,
    hints: Hints,
}

impl PassiveConnector {
    pub(crate) fn new(
        state: watch::Receiver<DaemonState>,
        clock: Arc<dyn Clock>,
        directory: PathBuf,
        hints: Hints,
    ) -> Self {
        Self { state, clock, directory, hints }
    }
}

impl Connector for PassiveConnector {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        let found = ready(&self.state.borrow());
        Box::pin(async move {
            match found {
                Some(ready) => ready.tunnel.open(to, class).await,
                None => Err(no_machine(Error::new(Code::NoMachine, "there is no machine"))),
            }
        })
    }
}

impl EngineStatus for PassiveConnector {
    fn state(&self) -> EngineState {
        let now = self.state.borrow();
        match &now.machine {
            _ if ready(&now).is_some() => EngineState::Up,
            MachineState::Absent { .. }
            | MachineState::Waking
            | MachineState::Releasing { .. }
            | MachineState::Failed { again: None, .. } => EngineState::Absent,
            MachineState::Up(_)
            | MachineState::Lost { .. }
            | MachineState::Failed { again: Some(_), .. } => EngineState::Away,
        }
    }

    fn disk(&self) -> BoxFuture<'_, Option<Disk>> {
        Box::pin(async move {
            let (ready, mut usage) = {
                let now = self.state.borrow();
                (ready(&now)?, now.volume_usage()?)
            };
            // The user may have made room in the half minute since.
            if usage.is_full()
                && let Ok(Ok(Reply::Report(report))) =
                    timeout(LONGEST_REPORT, ready.tunnel.call(Call::Report)).await
            {
                let size = ready.summary.volume.as_ref().map(|volume| volume.size);
                usage = VolumeUsage::of(report.disk, size)?;
            }
            let advice = self.hints.of_condition(&usage.as_full()).join(", ");
            let advised = |condition: Condition| format!("{condition}: {advice}");
            Some(Disk {
                warning: usage.nearly_full().map(advised),
                refusal: usage.full().map(advised),
                advice,
            })
        })
    }

    fn wait(&self) -> Option<Wait> {
        let now = self.state.borrow().clone();
        if ready(&now).is_some() {
            return None;
        }
        // A file of a few kilobytes, read four times a second while a client waits: the provider
        // that writes it is not the daemon's.
        let past = boot_history_of(&self.directory).history();
        Some(waiting::wait(&now, &past, self.clock.now()))
    }

    fn until_up(&self) -> BoxFuture<'_, ()> {
        let mut state = self.state.clone();
        Box::pin(async move {
            if state.wait_for(|now| ready(now).is_some()).await.is_err() {
                // The daemon ends, and all requests with it.
                std::future::pending::<()>().await;
            }
        })
    }
}

impl Connector for WakingConnector {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        Box::pin(self.stream(to, class))
    }

    fn without_datagrams(&self) -> Option<String> {
        ready(&self.state.borrow()).and_then(|ready| ready.tunnel.without_datagrams())
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::Moment;
    use tunnel::for_request;

    use super::*;

    #[tokio::test]
    async fn requests_that_wait_for_one_attempt_get_its_error_with_their_own_ids() {
        let (state, watched) = watch::channel(DaemonState::new(Moment::default()));
        let (wanted, mut wishes) = watch::channel(Wanted::default());
        let connector = WakingConnector::new(watched, Arc::new(wanted));
        let ids = [RequestId::new(1), RequestId::new(2)];
        let open = |id| for_request(id, connector.open(Destination::Docker, Class::Interactive));
        let attempt = async {
            let begun = *wishes.wait_for(|wanted| wanted.attempt == 1).await.unwrap();
            assert_eq!(begun.request, Some(ids[0]), "the first request begins the attempt");
            let failure = Error::new(Code::NoMachine, "out of stock");
            state.send_modify(|state| state.attempted(Some(failure)));
        };
        let (first, second, ()) = tokio::join!(open(ids[0]), open(ids[1]), attempt);
        for (opened, id) in [(first, ids[0]), (second, ids[1])] {
            let Err(OpenError::NoMachine(error)) = opened else { panic!("{opened:?}") };
            assert_eq!(
                (error.request_id, error.message.as_str()),
                (Some(id.to_string()), "out of stock")
            );
        }
    }
}
