//! From options to a running daemon, and its orderly end.

use std::io;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use gateway::{EngineIdentity, Gateway, LocalPaths};
use lifecycle::{Activity, Clock, LockAction, Policy, SuspendClock};
use machine::{Lease, MachineError, Provider, Summary};
use ports::Ports;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tunnel::Connector;

use crate::control::{self, Control};
use crate::ledger::Accounts;
use crate::link::{Link, Onlooker};
use crate::ownership::{Ownership, OwnershipError, control_socket};
use crate::person;
use crate::pin::PinFile;
use crate::proxy_port;
use crate::remembered::Remembered;
use crate::state::{Situation, State};
use crate::status::clock_warning;
use crate::supervisor::{Backoff, Beginning, Command, Supervisor};

/// The cloud is asked once before clients are served; a person waits for it.
const FIRST_LOOK: Duration = Duration::from_millis(1_500);
/// Commands that wait while the supervisor is busy; each is one person's.
const COMMANDS: usize = 16;

/// What a daemon is made of.
pub struct Options {
    /// The profile's name.
    pub profile: String,
    /// Where machines come from.
    pub provider: Arc<dyn Provider>,
    /// How long they stay.
    pub policy: Policy,
    /// What this client says of itself.
    pub lease: Lease,
    /// For a month, in millionths of the project's currency, net.
    pub budget: Option<u64>,
    /// Between heartbeats.
    pub heartbeat: Duration,
    /// The Docker socket to serve.
    pub socket: PathBuf,
    /// A port of this computer that leads to the same.
    pub proxy_port: Option<NonZeroU16>,
    /// What is known of the folders of this computer.
    pub folders: LocalPaths,
    /// Folder for what may be lost, such as the engine's last answer to `_ping`.
    pub state: PathBuf,
    /// How published ports appear; `None` to leave them alone.
    pub ports: Option<ports::Options>,
}

/// Why a daemon does not start.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The socket cannot be had.
    #[error(transparent)]
    Socket(#[from] OwnershipError),
    /// The port cannot be had.
    #[error("port {port} of this computer cannot be listened on")]
    Port {
        /// The port.
        port: NonZeroU16,
        /// Why.
        source: io::Error,
    },
    /// The cloud refuses this token.
    #[error("the cloud does not let us in")]
    Refused(#[source] MachineError),
}

/// A daemon that owns its sockets and has looked at the cloud.
pub struct Daemon {
    options: Options,
    ownership: Ownership,
    docker: tokio::net::UnixListener,
    proxies: Vec<TcpListener>,
    control: tokio::net::UnixListener,
    found: Result<Option<Summary>, String>,
}

impl Daemon {
    /// Takes the sockets and looks at the cloud once. Clients that connect from now on wait for
    /// [`Daemon::run`]. Nothing is made.
    pub async fn bind(options: Options) -> Result<Self, DaemonError> {
        let mut ownership = Ownership::take(&options.socket)?;
        // Before the cloud is asked: it is refused at once, or it is had.
        let proxies = match options.proxy_port {
            Some(port) => proxy_port::listen(port)
                .await
                .map_err(|source| DaemonError::Port { port, source })?,
            None => Vec::new(),
        };
        let found = match tokio::time::timeout(FIRST_LOOK, options.provider.find()).await {
            Ok(Err(error)) if error.is_lasting() => return Err(DaemonError::Refused(error)),
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(machine::with_causes(&error)),
            Err(_) => Err(format!("the cloud did not answer within {} ms", FIRST_LOOK.as_millis())),
        };
        let docker = ownership.listen(&options.socket)?;
        let control = ownership.listen(&control_socket(&options.socket))?;
        Ok(Self { options, ownership, docker, proxies, control, found })
    }

    /// What the first look found: a machine that is going to be taken over, or why the cloud could
    /// not be asked.
    pub fn found(&self) -> Result<Option<&Summary>, &str> {
        self.found.as_ref().map(Option::as_ref).map_err(String::as_str)
    }

    /// What a user should know of this computer's clock, by the cloud's answer to the first look.
    pub fn clock_warning(&self) -> Option<String> {
        self.options.provider.clock_offset().and_then(clock_warning)
    }

    /// Serves until `shutdown`, or until it is told to stop over its control socket. The machine is
    /// left to its lease.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { options, ownership, docker, proxies, control, found } = self;
        let clock: Arc<dyn Clock> = Arc::new(SuspendClock);
        let activity = Activity::new(clock.clone());
        let remembered = Remembered::in_folder(&options.state);
        let mut accounts = Accounts::open(&options.state, options.lease.length, options.budget);
        let mut begun = Situation::new(clock.now());
        begun.last_known = remembered.machine();
        // A machine that could not be asked about may exist, and only we keep it alive.
        let beginning = match found {
            Ok(None) => Beginning::Absent,
            _ if remembered.is_wanted_gone() => Beginning::WantedGone,
            _ => Beginning::Found,
        };
        if let Beginning::Absent = beginning
            && let Some(last) = begun.last_known.take()
        {
            let age = last.age_seconds(jiff::Timestamp::now());
            begun.state = State::Absent {
                because: Some(format!(
                    "its machine, which answered {age} \
                s ago, went while no dockbridge ran"
                )),
            };
            accounts.loses(jiff::Timestamp::now());
            remembered.gone();
        }
        let expected = begun.last_known.is_some();
        let (situation, watched) = watch::channel(begun);
        let (wanted, wishes) = watch::channel(0);
        let (commands, orders) = mpsc::channel(COMMANDS);
        let link: Arc<dyn Connector> = Arc::new(Link::new(watched.clone(), Arc::new(wanted)));
        let pin = PinFile::in_folder(&options.state);
        pin.restore(&activity, jiff::Timestamp::now());
        let ports =
            options.ports.map(|options| Ports::new(link.clone(), activity.clone(), options));
        let knowledge = EngineIdentity::load(&options.state.join("engine.json"));
        let gateway = Gateway::with_paths(
            link,
            activity.clone(),
            ports.clone(),
            knowledge.clone(),
            options.folders,
        )
        .with_status(Arc::new(Onlooker::new(
            watched.clone(),
            clock.clone(),
            options.state.clone(),
        )));

        let policy = options.policy;
        let supervisor = Supervisor {
            profile: options.profile.clone(),
            accounts,
            provider: options.provider.clone(),
            activity: activity.clone(),
            policy: policy.clone(),
            lease: options.lease,
            interval: options.heartbeat,
            clock: clock.clone(),
            ports: ports.clone(),
            knowledge,
            situation,
            wanted: wishes,
            commands: orders,
            no_attempt_before: None,
            backoff: Backoff::default(),
            expected,
            remembered,
            heard: None,
            promised: None,
            looks: 0,
        };
        let mut supervised = tokio::spawn(supervisor.run(beginning));

        let heeding = (policy.lock.action != LockAction::Ignore).then(|| {
            let heard = person::heed(activity.clone(), commands.clone());
            AbortOnDropHandle::new(tokio::spawn(heard))
        });
        let serving = CancellationToken::new();
        let served = tokio::spawn({
            let (gateway, serving) = (gateway.clone(), serving.clone());
            async move { gateway.serve(docker, serving).await }
        });
        let mut proxied = JoinSet::new();
        for listener in proxies {
            let (gateway, serving) = (gateway.clone(), serving.clone());
            proxied.spawn(async move { gateway.serve(listener, serving).await });
        }
        let router = control::router(Control {
            profile: options.profile,
            socket: options.socket,
            proxy_port: options.proxy_port,
            situation: watched,
            activity,
            policy,
            clock,
            ports: ports.clone(),
            commands: commands.clone(),
            pin,
            provider: options.provider,
        });
        let controlling = CancellationToken::new();
        let controlled = tokio::spawn({
            let controlling = controlling.clone();
            async move {
                axum::serve(control, router)
                    .with_graceful_shutdown(controlling.cancelled_owned())
                    .await
            }
        });

        tokio::select! {
            () = shutdown.cancelled() => {
                // A full queue means that it is being told to stop already.
                let _ = commands.try_send(Command::Stop(None));
                let _ = supervised.await;
            }
            _ = &mut supervised => {}
        }
        drop(heeding);
        serving.cancel();
        let _ = served.await;
        proxied.join_all().await;
        if let Some(ports) = ports {
            ports.close().await;
        }
        // Whoever told it to stop asks until nobody answers: by then nothing of it may be left.
        drop(ownership);
        controlling.cancel();
        let _ = controlled.await;
    }
}
