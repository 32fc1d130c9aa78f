//! The resident agent: one for each boot of a machine of ours. It holds the lease and ends the
//! machine when it is over.
//!
//! Sessions bring calls to its socket, one to a connection. The order for the end, which carries a
//! token, stays in memory.

use std::fs::{File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::{Call, EndOfLease, Reply};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use crate::ending::{self, Patience};
use crate::lease::Lease;
use crate::paths::Paths;
use crate::report::Machine;
use crate::{complain, framed, release, resumption};
use platform::clock::since_boot as uptime;

/// A machine may be suspended while it sleeps, so the end is looked for at least this often.
const LOOK: Duration = Duration::from_secs(5);
/// After an end that failed: everything is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// Calls at once. Each waiting client holds one.
const CALLS: usize = 256;

struct Resident {
    machine: Machine,
    state: Mutex<State>,
    renewed: Notify,
    /// One release at a time; the second finds everything done.
    releasing: Semaphore,
}

#[derive(Default)]
struct State {
    lease: Lease,
    end: Option<EndOfLease>,
    /// The lease is over: nothing brings the machine back.
    over: bool,
}

/// Runs until the machine ends. Returns at once when another one runs.
pub async fn run(paths: Paths) -> io::Result<()> {
    // No login that started it may take it along; it fails where that is so already.
    let _ = rustix::process::setsid();
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
    // Left by one that was killed; the lock says that it is not in use.
    let _ = std::fs::remove_file(&paths.socket);
    let listener = UnixListener::bind(&paths.socket)?;
    std::fs::set_permissions(&paths.socket, Permissions::from_mode(0o600))?;
    let machine = Machine::new(paths);
    serve(listener, Arc::new(Resident::new(machine))).await
}

async fn serve(listener: UnixListener, resident: Arc<Resident>) -> io::Result<()> {
    let mut calls = JoinSet::new();
    let ending = resident.clone();
    let mut ending = std::pin::pin!(ending.outlive_the_lease());
    loop {
        tokio::select! {
            accepted = listener.accept(), if calls.len() < CALLS => {
                let (stream, _) = accepted?;
                let resident = resident.clone();
                calls.spawn(async move {
                    // The caller hung up; the call was carried out or never arrived.
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
        let call = framed::receive::<Call>(&mut stream).await?;
        let reply = self.reply(call).await;
        framed::send(&mut stream, &reply).await
    }

    async fn reply(&self, call: Call) -> Reply {
        match call {
            Call::Ping => Reply::Done,
            Call::Lanes { .. } | Call::Aside { .. } => Reply::Failed {
                message: "only a session \
                has channels"
                    .into(),
            },
            Call::Report => self.report(None).await,
            Call::Heartbeat(heartbeat) => {
                let client = heartbeat.client.clone();
                match self.renew(|lease| lease.renew(uptime(), &heartbeat)) {
                    Ok(()) => self.report(Some(&client)).await,
                    Err(message) => Reply::Failed { message },
                }
            }
            Call::EndOfLease(end) => {
                self.with(|state| state.end = Some(end));
                Reply::Done
            }
            Call::Release { client, unless_used } => {
                let others = self.with(|state| state.lease.others(uptime(), Some(&client)));
                match others.is_empty() || !unless_used {
                    true => match self.release().await {
                        Ok(()) => Reply::Done,
                        Err(message) => Reply::Failed { message },
                    },
                    false => Reply::InUse { reason: others.join("; ") },
                }
            }
            Call::Resume { all } => {
                // Not beside a release, which would find them running again.
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
        let now = uptime();
        self.with(|state| {
            report.lease_seconds =
                state.lease.left(now).map(|left| left.as_secs().try_into().unwrap_or(u32::MAX));
            report.others = state.lease.others(now, asking);
        });
        Reply::Report(report)
    }

    fn renew(&self, renew: impl FnOnce(&mut Lease)) -> Result<(), String> {
        let ends = self.with(|state| {
            if state.over {
                return Err("the lease of this machine is over, it is going away".to_owned());
            }
            renew(&mut state.lease);
            Ok(state.lease.ends())
        })?;
        self.renewed.notify_one();
        let Some(ends) = ends else { return Ok(()) };
        self.write_lease(ends).map_err(|error| {
            format!(
                "the lease could not be written down: \
            {error}"
            )
        })
    }

    /// For the dead-man in the shell, whole at every moment.
    fn write_lease(&self, ends: Duration) -> io::Result<()> {
        let path = &self.machine.paths.lease;
        let new = path.with_extension("new");
        std::fs::write(&new, format!("{}\n", ends.as_secs()))?;
        std::fs::rename(new, path)
    }

    async fn release(&self) -> Result<(), String> {
        // The semaphore is never closed.
        let _permit = self.releasing.acquire().await.ok();
        release::release(&self.machine).await
    }

    /// Returns when the machine was told to end.
    async fn outlive_the_lease(&self) {
        loop {
            let left = self.with(|state| {
                let left = state.lease.left(uptime());
                state.over = left == Some(Duration::ZERO);
                left
            });
            match left {
                Some(Duration::ZERO) => break,
                left => tokio::select! {
                    () = self.renewed.notified() => {}
                    () = tokio::time::sleep(left.unwrap_or(LOOK).min(LOOK)) => {}
                },
            }
        }
        // Without an order the machine at least stops working; its client's sweep finds it.
        let how = self.with(|state| state.end.clone()).unwrap_or(EndOfLease::PowerOff);
        loop {
            // A volume that cannot be unmounted was synced as far as it goes, and must not keep the
            // machine.
            if let Err(message) = self.release().await {
                complain(&message);
            }
            match ending::end(&self.machine.commands, &how, Patience::default()).await {
                Ok(()) => return,
                Err(message) => complain(&message),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;
