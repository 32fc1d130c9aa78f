//! From options to a running daemon, and its orderly end.

mod session_tasks;
mod sockets;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::{Condition, control_socket};
use gateway::{EngineIdentity, Gateway, LocalPaths};
use jiff::Timestamp;
use lifecycle::{Activity, Clock, Policy, SuspendClock};
use machine::{Lease, MachineError, Provider, Summary};
use platform::desktop::Desktop;
use ports::Ports;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tunnel::Connector;

use self::session_tasks::session_tasks;
use self::sockets::Serving;
use crate::conditions::clock_condition;
use crate::connector::{PassiveConnector, WakingConnector, Wanted};
use crate::control::{self, Control};
use crate::end::EndCause;
use crate::health::Health;
use crate::hints::{HintTexts, Hints};
use crate::last_state::{LastKnown, LastState};
use crate::ledger::Accounts;
use crate::metrics::{History, Sources};
use crate::observability::Observability;
use crate::ownership::{Ownership, OwnershipError};
use crate::pin::PinFile;
use crate::proxy_port;
use crate::rereading::{InForce, LiveSettings, Rereading, rereader};
use crate::service::{self, Service};
use crate::state::{DaemonState, MachineState};
use crate::supervisor::{
    Beginning, Command, Inbox, Parts, Records, Recovery, Settings, Supervisor, probe,
};

/// The cloud is asked once before clients are served; the user waits for it.
const FIRST_LOOK: Duration = Duration::from_millis(1_500);
/// Commands that wait while the supervisor is busy; each comes from a user.
const COMMANDS: usize = 16;

/// What a daemon is started with.
pub struct Options {
    /// The profile's name.
    pub profile: String,
    /// Where machines come from.
    pub provider: Arc<dyn Provider>,
    /// How long they stay.
    pub policy: Policy,
    /// What this client sends with its heartbeats.
    pub lease: Lease,
    /// The budget of a month, in millionths of the project's currency, net.
    pub budget: Option<u64>,
    /// Time between heartbeats.
    pub heartbeat: Duration,
    /// The Docker socket to serve.
    pub socket: PathBuf,
    /// A TCP port of this computer for the same API.
    pub proxy_port: Option<NonZeroU16>,
    /// An address for the metrics, beside the control socket.
    pub metrics: Option<SocketAddr>,
    /// What is known of the directories of this computer.
    pub local_paths: LocalPaths,
    /// Directory for what may be lost, such as the engine's last answer to `_ping`.
    pub state: PathBuf,
    /// How published ports appear; `None` to leave them alone.
    pub ports: Option<ports::Options>,
    /// What the user can do about errors and warnings; it becomes part of their texts.
    pub hints: HintTexts,
    /// The service manager that runs this daemon.
    pub service: Service,
    /// Where notices are shown; `None` for none.
    pub desktop: Option<Desktop>,
    /// How changed settings reach this daemon; `None` where they never change.
    pub rereading: Option<Rereading>,
}

impl Options {
    fn supervision(&self, in_force: watch::Receiver<InForce>) -> Settings {
        Settings { in_force, lease: self.lease.clone(), heartbeat: self.heartbeat }
    }

    /// What may change while the daemon runs.
    fn live(&self) -> LiveSettings {
        LiveSettings {
            policy: self.policy.clone(),
            budget: self.budget,
            idle_limit: self.lease.idle_limit,
            rules: self.ports.as_ref().map(|ports| ports.rules.clone()).unwrap_or_default(),
            bind_mounts: self.local_paths.bind_mounts,
            desktop: self.desktop.clone(),
        }
    }
}

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The socket cannot be listened on.
    #[error(transparent)]
    Socket(#[from] OwnershipError),
    /// The port cannot be listened on.
    #[error("port {port} of this computer cannot be listened on")]
    Port {
        /// The port.
        port: NonZeroU16,
        /// Why.
        source: io::Error,
    },
    /// The address of the metrics cannot be listened on.
    #[error("the address {address} of the metrics cannot be listened on")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The cloud refuses this token.
    #[error("the cloud rejected the API token")]
    Refused(#[source] MachineError),
}

/// Why the cloud's first answer is missing. The daemon serves all the same.
#[derive(Debug, thiserror::Error)]
pub enum FirstLookError {
    /// The cloud refused, or could not be reached.
    #[error(transparent)]
    Failed(MachineError),
    /// It was not waited for any longer.
    #[error("the cloud did not answer within {} ms", FIRST_LOOK.as_millis())]
    TimedOut,
}

/// A daemon that owns its sockets and has asked the cloud.
pub struct Daemon {
    options: Options,
    ownership: Ownership,
    docker: tokio::net::UnixListener,
    proxies: Vec<TcpListener>,
    control: tokio::net::UnixListener,
    metrics: Option<TcpListener>,
    found: Result<Option<Summary>, FirstLookError>,
}

impl Daemon {
    /// Takes the sockets and asks the cloud once. Clients that connect from now on wait for
    /// [`Daemon::run`]. Nothing is created in the cloud.
    pub async fn bind(mut options: Options) -> Result<Self, DaemonError> {
        let mut ownership = Ownership::take(&options.socket)?;
        // Before the cloud is asked: a port that is taken fails at once.
        let passed = std::mem::take(&mut options.service.tcp);
        let proxies = match options.proxy_port {
            Some(port) => proxy_port::adopt(port, passed)
                .await
                .map_err(|source| DaemonError::Port { port, source })?,
            None => proxy_port::none(&passed),
        };
        let metrics = match options.metrics {
            Some(address) => Some(
                TcpListener::bind(address)
                    .await
                    .map_err(|source| DaemonError::Metrics { address, source })?,
            ),
            None => None,
        };
        let found = match tokio::time::timeout(FIRST_LOOK, options.provider.find()).await {
            Ok(Err(error)) if error.is_lasting() => return Err(DaemonError::Refused(error)),
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(FirstLookError::Failed(error)),
            Err(_) => Err(FirstLookError::TimedOut),
        };
        let docker = options.service.docker.take();
        let docker = ownership.serve(&options.socket, docker)?;
        let control = options.service.control.take();
        let control = ownership.serve(&control_socket(&options.socket), control)?;
        Ok(Self { options, ownership, docker, proxies, control, metrics, found })
    }

    /// What the cloud answered: a machine that will be taken over, or why it could not be asked.
    pub fn found(&self) -> Result<Option<&Summary>, &FirstLookError> {
        self.found.as_ref().map(Option::as_ref)
    }

    /// Whether this computer's clock is wrong by the cloud's answer.
    pub fn clock_condition(&self) -> Option<Condition> {
        self.options.provider.clock_offset().and_then(clock_condition)
    }

    /// Serves until `shutdown`, or until an order to stop over the control socket. The machine is
    /// left to its lease.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { options, ownership, docker, proxies, control, metrics, found } = self;
        let (in_force, settings) = watch::channel(InForce::new(options.live()));
        let supervision = options.supervision(settings.clone());
        let clock: Arc<dyn Clock> = Arc::new(SuspendClock);
        let activity = Activity::new(clock.clone());
        let last = LastState::in_directory(&options.state);
        let mut accounts = Accounts::open(&options.state, options.lease.length, options.budget);
        let (beginning, begun) = begin(&found, &last, &mut accounts, &*clock);
        let (state, watched) = watch::channel(begun);
        let (commands, received) = mpsc::channel(COMMANDS);
        let pin = PinFile::in_directory(&options.state);
        pin.restore(&activity, Timestamp::now());
        let in_session = session_tasks(&options, &clock, &settings, &activity, &commands, &watched);
        let hints = Hints::new(options.hints, &options.profile);
        let health = Health::new(hints.clone());
        let (connector, requests) = waking(&watched);
        let ports =
            options.ports.map(|ports| Ports::new(connector.clone(), activity.clone(), ports));
        let knowledge = EngineIdentity::load(&options.state.join("engine.json"));
        let files = options.state.clone();
        let passive = PassiveConnector::new(watched.clone(), clock.clone(), files, hints.clone());
        let gateway =
            gateway(connector, passive, &activity, &ports, &knowledge, options.local_paths);
        let (probe, answers) = probe();
        let sources = Sources {
            state: watched.clone(),
            history: History::new(),
            ports: ports.clone(),
            provider: options.provider.clone(),
            clock: clock.clone(),
            directory: options.state,
            lease: options.lease.length,
        };
        let observability = Observability::new(&options.profile, &gateway, sources, probe.clone());
        let observing = observability.clone().start(watched.clone(), metrics);
        let supervisor = Supervisor {
            settings: supervision,
            parts: Parts {
                provider: options.provider.clone(),
                activity: activity.clone(),
                clock: clock.clone(),
                ports: ports.clone(),
                knowledge,
                hints,
                health: health.clone(),
            },
            records: Records { accounts, last },
            recovery: Recovery::new(watched.borrow().last_known.is_some()),
            state,
            inbox: Inbox::new(requests, received, answers),
        };
        let supervised = tokio::spawn(supervisor.run(beginning));
        let (orders, rereader) = rereader(options.rereading, in_force, &gateway, &ports);
        let rereading = spawned(rereader.run());
        let router = control::router(Control {
            profile: options.profile,
            socket: options.socket,
            proxy_port: options.proxy_port,
            service: options.service.unit().map(str::to_owned),
            state: watched.clone(),
            activity: activity.clone(),
            settings,
            orders,
            clock,
            ports: ports.clone(),
            commands: commands.clone(),
            pin,
            provider: options.provider,
            health,
            observability,
        });
        let serving = Serving::start(&gateway, docker, proxies, control, router);
        let reporting = spawned(service::report(watched, probe, shutdown.clone()));
        let supervised = supervised_until(supervised, shutdown, &commands).await;
        drop(in_session);
        serving.end(ports, ownership).await;
        drop((reporting, observing, rereading));
        resume_panic(supervised);
    }
}

/// The connector that wakes a machine, and where its requests arrive.
fn waking(state: &watch::Receiver<DaemonState>) -> (Arc<dyn Connector>, watch::Receiver<Wanted>) {
    let (wanted, requests) = watch::channel(Wanted::default());
    (Arc::new(WakingConnector::new(state.clone(), Arc::new(wanted))), requests)
}

fn gateway(
    connector: Arc<dyn Connector>,
    passive: PassiveConnector,
    activity: &Activity,
    ports: &Option<Ports>,
    identity: &EngineIdentity,
    paths: LocalPaths,
) -> Gateway {
    Gateway::with_paths(connector, activity.clone(), ports.clone(), identity.clone(), paths)
        .with_status(Arc::new(passive))
}

fn spawned(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

/// What the daemon begins with, and its first state. A machine that is gone since the last daemon
/// ran is entered in the ledger.
fn begin(
    found: &Result<Option<Summary>, FirstLookError>,
    last: &LastState,
    accounts: &mut Accounts,
    clock: &dyn Clock,
) -> (Beginning, DaemonState) {
    let mut state = DaemonState::new(clock.now());
    state.last_known = last.machine();
    // If the cloud could not be asked, a machine may exist, and only this daemon keeps it alive.
    let beginning = match found {
        Ok(None) => Beginning::Absent,
        _ if last.has_destroy_order() => Beginning::Destroying,
        _ => Beginning::Found,
    };
    if let Beginning::Absent = beginning
        && let Some(gone) = state.last_known.take()
    {
        let because = ended_meanwhile(&gone);
        let cause = EndCause::unseen(because.clone());
        accounts.machines_ended_unseen(&cause, Timestamp::now());
        state.machine = MachineState::Absent { because: Some(because) };
        last.machine_ended();
    }
    (beginning, state)
}

fn ended_meanwhile(last: &LastKnown) -> String {
    let age = last.age_seconds(Timestamp::now());
    format!("the machine, which answered {age} s ago, ended while no dockbridge daemon ran")
}

/// Until the supervisor ends by itself, or `shutdown` orders it to. It fails if that panicked.
async fn supervised_until(
    mut supervised: JoinHandle<()>,
    shutdown: CancellationToken,
    commands: &mpsc::Sender<Command>,
) -> Result<(), JoinError> {
    tokio::select! {
        () = shutdown.cancelled() => {
            // A full queue holds an order to stop already.
            let _ = commands.try_send(Command::Stop(None));
            supervised.await
        }
        ended = &mut supervised => ended,
    }
}

/// The exit code has to show a bug of the supervisor, or a service manager starts no other daemon.
fn resume_panic(supervised: Result<(), JoinError>) {
    if let Some(panic) = supervised.err().and_then(|error| error.try_into_panic().ok()) {
        std::panic::resume_unwind(panic);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[should_panic(expected = "a bug of the supervisor")]
    async fn panic_of_the_supervisor_is_the_daemons() {
        resume_panic(tokio::spawn(async {}).await);
        resume_panic(tokio::spawn(async { panic!("a bug of the supervisor") }).await);
    }
}
