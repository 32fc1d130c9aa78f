//! The connector that everything local uses: it leads to the machine, and waits for one where there
//! is none.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_proto::{Call, Reply};
use futures::future::BoxFuture;
use gateway::{Disk, EngineState, EngineStatus, Wait};
use lifecycle::Clock;
use machine::Ready;
use tokio::sync::watch;
use tokio::time::timeout;
use tunnel::{Class, Connector, Destination, OpenError, Stream};

use crate::fill::Fill;
use crate::state::{Situation, State};
use crate::waiting;
use crate::wakes_file::wakes_of;

/// The machine's own view is worth this much waiting.
const LONGEST_REPORT: Duration = Duration::from_secs(2);

/// Wishes for a machine, and what became of them.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    situation: watch::Receiver<Situation>,
    /// The number of the attempt that somebody waits for.
    wanted: Arc<watch::Sender<u64>>,
}

impl Link {
    pub(crate) fn new(
        situation: watch::Receiver<Situation>,
        wanted: Arc<watch::Sender<u64>>,
    ) -> Self {
        Self { situation, wanted }
    }

    /// Asks for a machine: the attempt under way, or the next.
    fn want(&self) -> u64 {
        let wish = self.situation.borrow().attempts + 1;
        self.wanted.send_if_modified(|wanted| {
            let newer = wish > *wanted;
            *wanted = (*wanted).max(wish);
            newer
        });
        wish
    }

    async fn stream(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        // A tunnel that turns out to be dead is given back once; the next one has just been made.
        let mut second_chance = true;
        loop {
            let now = ready(&self.situation.borrow());
            let ready = match now {
                Some(ready) => ready,
                None => self.wait().await.map_err(|message| OpenError::NoMachine { message })?,
            };
            match ready.tunnel.open(to.clone(), class).await {
                Err(OpenError::Dead { .. }) if second_chance => second_chance = false,
                opened => return opened,
            }
        }
    }

    /// The machine that comes of the attempt under way or the next, or why none does.
    async fn wait(&self) -> Result<Arc<Ready>, String> {
        let mut situation = self.situation.clone();
        loop {
            let wish = self.want();
            let settled =
                situation.wait_for(|now| ready(now).is_some() || now.attempts >= wish).await;
            let settled = settled
                .map(|now| (ready(&now), now.failure.clone()))
                .map_err(|_| "dockbridge is stopping")?;
            match settled {
                (Some(ready), _) => return Ok(ready),
                (None, Some(message)) => return Err(message),
                // It was found, and is lost again already.
                (None, None) => {}
            }
        }
    }
}

fn ready(now: &Situation) -> Option<Arc<Ready>> {
    match &now.state {
        State::Up(ready) if ready.tunnel.is_dead().is_none() => Some(ready.clone()),
        _ => None,
    }
}

/// The machine, looked at without asking for one.
#[derive(Debug, Clone)]
pub(crate) struct Onlooker {
    situation: watch::Receiver<Situation>,
    clock: Arc<dyn Clock>,
    /// The profile's directory, with the times of past wakes.
    state: PathBuf,
}

impl Onlooker {
    pub(crate) fn new(
        situation: watch::Receiver<Situation>,
        clock: Arc<dyn Clock>,
        state: PathBuf,
    ) -> Self {
        Self { situation, clock, state }
    }
}

impl Connector for Onlooker {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        let found = ready(&self.situation.borrow());
        Box::pin(async move {
            match found {
                Some(ready) => ready.tunnel.open(to, class).await,
                None => Err(OpenError::NoMachine { message: "there is no machine".to_owned() }),
            }
        })
    }
}

impl EngineStatus for Onlooker {
    fn state(&self) -> EngineState {
        let now = self.situation.borrow();
        match &now.state {
            _ if ready(&now).is_some() => EngineState::Up,
            State::Absent { .. }
            | State::Waking
            | State::Releasing { .. }
            | State::Failed { again: None, .. } => EngineState::Absent,
            State::Up(_) | State::Lost { .. } | State::Failed { again: Some(_), .. } => {
                EngineState::Away
            }
        }
    }

    fn disk(&self) -> BoxFuture<'_, Option<Disk>> {
        Box::pin(async move {
            let (ready, mut fill) = {
                let now = self.situation.borrow();
                (ready(&now)?, now.fill()?)
            };
            // Somebody may have made room in the half minute since.
            if fill.is_full()
                && let Ok(Ok(Reply::Report(report))) =
                    timeout(LONGEST_REPORT, ready.tunnel.call(Call::Report)).await
            {
                fill =
                    Fill::of(report.disk, ready.summary.volume.as_ref().map(|volume| volume.size))?;
            }
            Some(Disk { warning: fill.warning(), refusal: fill.refusal(), advice: fill.advice() })
        })
    }

    fn wait(&self) -> Option<Wait> {
        let now = self.situation.borrow().clone();
        if ready(&now).is_some() {
            return None;
        }
        // A file of a few kilobytes, read four times a second while a client waits: the provider
        // that writes it is not the daemon's.
        let past = wakes_of(&self.state).history();
        Some(waiting::wait(&now, &past, self.clock.now()))
    }

    fn until_up(&self) -> BoxFuture<'_, ()> {
        let mut situation = self.situation.clone();
        Box::pin(async move {
            if situation.wait_for(|now| ready(now).is_some()).await.is_err() {
                // The daemon ends, and everything that waits with it.
                std::future::pending::<()>().await;
            }
        })
    }
}

impl Connector for Link {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        Box::pin(self.stream(to, class))
    }

    fn without_datagrams(&self) -> Option<String> {
        ready(&self.situation.borrow()).and_then(|ready| ready.tunnel.without_datagrams())
    }
}
