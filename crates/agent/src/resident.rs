//! The resident agent: one per boot of a machine that dockbridge created. It holds the lease and
//! ends the machine when the lease is over.
//!
//! Sessions forward calls to its socket, one per connection. The order for the end, which contains
//! an API token, stays in memory.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::io::{receive, send};
use agent_proto::{Call, EndOfLease, Reply, with_causes};
use platform::clock::since_boot;
use platform::local_socket;
use thiserror::Error;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::failures::Failures;
use crate::lease::Lease;
use crate::machine::Machine;
use crate::paths::Paths;
use crate::release::StepError;
use crate::self_destruct::{self, Timing};
use crate::{log, release, resumption};

/// The lease is checked at least this often: the machine may be suspended during a sleep.
const CHECK: Duration = Duration::from_secs(5);
/// Pause after a failed end, before everything is tried again.
const RETRY: Duration = Duration::from_secs(60);
/// Concurrent calls. Each waiting client holds one.
const CALLS: usize = 256;

struct Resident {
    machine: Machine,
    state: Mutex<State>,
    renewed: Notify,
    /// One release at a time; a second one finds everything done.
    releasing: Semaphore,
}

#[derive(Default)]
struct State {
    lease: Lease,
    end: Option<EndOfLease>,
    /// The lease is over. Nothing revives the machine.
    over: bool,
}

/// Why a heartbeat did not renew the lease.
#[derive(Debug, Error)]
enum RenewError {
    #[error("the lease of this machine is over; it is about to end")]
    Over,
    #[error("the lease could not be saved")]
    NotSaved(#[source] io::Error),
}

/// Runs until the machine ends. Returns at once if another resident runs.
pub async fn run(paths: Paths) -> io::Result<()> {
    // The end of the login that started it must not end it.
    platform::detach::in_child();
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    hold(paths).await
}

async fn hold(paths: Paths) -> io::Result<()> {
    std::fs::create_dir_all(&paths.run)?;
    let lock = File::create(&paths.lock)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // Replaces the socket of a killed resident; the lock shows that it is not in use.
    let listener = local_socket::bind(&paths.socket, &paths.socket.with_extension("new"))?;
    let machine = Machine::new(paths);
    serve(listener, Arc::new(Resident::new(machine))).await
}

async fn serve(listener: UnixListener, resident: Arc<Resident>) -> io::Result<()> {
    let mut calls = JoinSet::new();
    let ending = resident.clone();
    let mut ending = std::pin::pin!(ending.end_with_the_lease());
    loop {
        tokio::select! {
            accepted = listener.accept(), if calls.len() < CALLS => {
                let (stream, _) = accepted?;
                let resident = resident.clone();
                calls.spawn(async move {
                    // Fails if the caller hung up. The call was executed or never arrived.
                    let _ = resident.answer(stream).await;
                });
            }
            Some(_) = calls.join_next() => {}
            () = &mut ending => return Ok(()),
        }
    }
}

impl Resident {
    fn new(machine: Machine) -> Self {
        Self {
            machine,
            state: Mutex::default(),
            renewed: Notify::new(),
            releasing: Semaphore::new(1),
        }
    }

    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        let call = receive::<Call>(&mut stream).await?;
        let reply = self.reply(call).await;
        send(&mut stream, &reply).await
    }

    async fn reply(&self, call: Call) -> Reply {
        match call {
            Call::Ping => Reply::Done,
            Call::Lanes { .. } | Call::Channel { .. } => {
                Reply::Failed { message: "only a session has channels".into() }
            }
            Call::Report => self.report(None).await,
            Call::Heartbeat(heartbeat) => {
                let client = heartbeat.client.clone();
                match self.renew(|lease| lease.renew(since_boot(), &heartbeat)) {
                    Ok(()) => self.report(Some(&client)).await,
                    Err(error) => Reply::Failed { message: with_causes(&error) },
                }
            }
            Call::EndOfLease(end) => {
                self.with(|state| state.end = Some(end));
                Reply::Done
            }
            Call::Release { client, unless_used } => {
                let others = self.with(|state| state.lease.others(since_boot(), Some(&client)));
                match others.is_empty() || !unless_used {
                    true => match self.release().await {
                        Ok(()) => Reply::Done,
                        Err(error) => Reply::Failed { message: with_causes(&error) },
                    },
                    false => Reply::InUse { reason: others.join("; ") },
                }
            }
            Call::Resume { all } => {
                // Not during a release, which would find them running again.
                let _permit = self.releasing.acquire().await.ok();
                resumption::resume(&self.machine, all).await
            }
            Call::AwaitDocker { seconds } => {
                self.machine.await_docker(Duration::from_secs(seconds.into())).await;
                self.report(None).await
            }
        }
    }

    async fn report(&self, asking: Option<&str>) -> Reply {
        let mut report = self.machine.report().await;
        let now = since_boot();
        self.with(|state| {
            report.lease_seconds =
                state.lease.left(now).map(|left| left.as_secs().try_into().unwrap_or(u32::MAX));
            report.others = state.lease.others(now, asking);
        });
        Reply::Report(report)
    }

    fn renew(&self, renew: impl FnOnce(&mut Lease)) -> Result<(), RenewError> {
        let ends = self.with(|state| {
            if state.over {
                return Err(RenewError::Over);
            }
            renew(&mut state.lease);
            Ok(state.lease.ends())
        })?;
        self.renewed.notify_one();
        let Some(ends) = ends else { return Ok(()) };
        self.save_lease(ends).map_err(RenewError::NotSaved)
    }

    /// Saves the lease for the dead-man script, atomically.
    fn save_lease(&self, ends: Duration) -> io::Result<()> {
        let line = format!("{}\n", ends.as_secs());
        platform::private_file::write(&self.machine.paths.lease, line.as_bytes())
    }

    async fn release(&self) -> Result<(), Failures<StepError>> {
        // The semaphore is never closed.
        let _permit = self.releasing.acquire().await.ok();
        release::release(&self.machine).await
    }

    /// Waits for the end of the lease, then ends the machine. Returns once the machine has accepted
    /// that.
    async fn end_with_the_lease(&self) {
        loop {
            let left = self.with(|state| {
                let left = state.lease.left(since_boot());
                state.over = left == Some(Duration::ZERO);
                left
            });
            match left {
                Some(Duration::ZERO) => break,
                left => tokio::select! {
                    () = self.renewed.notified() => {}
                    () = tokio::time::sleep(left.unwrap_or(CHECK).min(CHECK)) => {}
                },
            }
        }
        // Without an order the machine at least stops working; its client's `sweep` finds it.
        let how = self.with(|state| state.end.clone()).unwrap_or(EndOfLease::PowerOff);
        loop {
            // A volume that cannot be unmounted was synced as far as possible, and must not keep
            // the machine.
            if let Err(error) = self.release().await {
                log::error(&with_causes(&error));
            }
            match self_destruct::end(&self.machine.commands, &how, Timing::default()).await {
                Ok(()) => return,
                Err(error) => log::error(&with_causes(&error)),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
