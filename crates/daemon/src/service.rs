//! The daemon as a service: the sockets that a service manager passes to it, and what the manager
//! learns: that the daemon serves, what the machine does, that the supervisor works, and the end.
//! Knows no units; the command line writes them.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use platform::service::{Notice, PassedError, PassedListener, PassedSocket, passed_sockets};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::refusal::Refusal;
use crate::state::{DaemonState, MachineState};
use crate::supervisor::Probe;

/// Names that the service manager gives to the sockets.
const DOCKER: &str = "docker";
const CONTROL: &str = "control";
const TCP: &str = "tcp";

/// The service manager that runs this daemon; the default for a daemon that a user starts.
#[derive(Debug, Default)]
pub struct Service {
    /// The manager's name for the daemon.
    unit: Option<String>,
    pub(crate) docker: Option<UnixListener>,
    pub(crate) control: Option<UnixListener>,
    pub(crate) tcp: Vec<TcpListener>,
}

/// Why what the service manager passed cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A descriptor is no socket to serve.
    #[error(transparent)]
    Passed(#[from] PassedError),
    /// No name of dockbridge's.
    #[error("the service manager passed a socket with the name `{name}`, which is not known")]
    UnknownName {
        /// The socket's name.
        name: String,
    },
    /// The name belongs to one socket of the other kind.
    #[error("the service manager passed `{name}` twice, or as another kind of socket")]
    Unsuited {
        /// The socket's name.
        name: String,
    },
}

impl Service {
    /// Takes what the service manager passed to this process. `unit` is the manager's name for it.
    pub fn of_this_process(unit: Option<String>) -> Result<Self, ServiceError> {
        Self::with(unit, passed_sockets()?)
    }

    fn with(unit: Option<String>, passed: Vec<PassedSocket>) -> Result<Self, ServiceError> {
        let mut service = Self { unit, ..Self::default() };
        for PassedSocket { name, listener } in passed {
            let place = match name.as_str() {
                DOCKER => &mut service.docker,
                CONTROL => &mut service.control,
                TCP => match listener {
                    PassedListener::Tcp(listener) => {
                        service.tcp.push(listener);
                        continue;
                    }
                    PassedListener::Unix(_) => return Err(ServiceError::Unsuited { name }),
                },
                _ => return Err(ServiceError::UnknownName { name }),
            };
            match listener {
                PassedListener::Unix(listener) if place.is_none() => *place = Some(listener),
                _ => return Err(ServiceError::Unsuited { name }),
            }
        }
        Ok(service)
    }

    /// The manager's name for the daemon.
    pub fn unit(&self) -> Option<&str> {
        self.unit.as_deref()
    }

    /// Whether clients may wait at the sockets already, for this daemon to start.
    pub fn has_sockets(&self) -> bool {
        self.docker.is_some() || self.control.is_some() || !self.tcp.is_empty()
    }

    /// For the case that the daemon cannot start: it answers the clients that wait.
    pub fn refusal(&self) -> Refusal {
        let unix = self.docker.iter().chain(&self.control).flat_map(UnixListener::try_clone);
        let tcp = self.tcp.iter().flat_map(TcpListener::try_clone);
        Refusal { unix: unix.collect(), tcp: tcp.collect() }
    }
}

/// Informs the service manager until it is dropped: first that the daemon serves, then of each
/// state of the machine and of the supervisor's work, and of the end that begins with `shutdown`
/// or with the supervisor's own.
pub(crate) async fn report(
    mut state: watch::Receiver<DaemonState>,
    probe: Probe,
    shutdown: CancellationToken,
) {
    notify(Notice::Ready);
    let describing = async {
        let mut last = String::new();
        loop {
            let line = status_line(&state.borrow_and_update());
            if line != last {
                notify(Notice::Status(&line));
                last = line;
            }
            if state.changed().await.is_err() {
                return;
            }
        }
    };
    let stopping = async {
        shutdown.run_until_cancelled(describing).await;
        notify(Notice::Stopping);
    };
    let watched = async {
        if let Some(limit) = platform::service::watchdog() {
            keep_watchdog(limit, probe, || notify(Notice::Alive)).await;
        }
    };
    tokio::join!(stopping, watched);
}

/// Reports to the watchdog four times within its limit, each time only after the supervisor has
/// answered: the longest step that it does without an answer takes less than half of the limit
/// that the units have. Returns when the supervisor has ended.
async fn keep_watchdog(limit: Duration, mut probe: Probe, alive: impl Fn()) {
    let mut ticks = interval(limit / 4);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if !probe.answered().await {
            return;
        }
        alive();
    }
}

fn notify(notice: Notice<'_>) {
    if let Err(error) = platform::service::notify(notice) {
        tracing::debug!(%error, ?notice, "the service manager takes no notice");
    }
}

/// The machine's state and price on one line.
fn status_line(state: &DaemonState) -> String {
    let kind = state.machine.kind();
    let detail = match &state.machine {
        MachineState::Absent { .. } => return "off".to_owned(),
        MachineState::Waking => state.phases.last().map(|phase| phase.phase.words().to_owned()),
        MachineState::Up(ready) => {
            let machine = &ready.summary;
            let type_and_place = machine.server_type.iter().chain(&machine.location);
            let mut parts = vec![machine.name.clone()];
            parts.extend(type_and_place.cloned());
            parts.extend(machine.price_hourly.map(|price| format!("{price:.4} EUR an hour, net")));
            Some(parts.join(", "))
        }
        other => other.detail().map(|detail| detail.into_owned()),
    };
    // A line feed would begin another notice.
    let detail = detail.map(|detail| detail.replace(char::is_control, " "));
    detail.map_or_else(|| kind.to_string(), |detail| format!("{kind}: {detail}"))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use lifecycle::{Clock as _, FakeClock};
    use tokio::task::yield_now;
    use tokio::time::timeout;

    use super::*;
    use crate::supervisor::probe;

    const LIMIT: Duration = Duration::from_secs(120);

    fn unix(name: &str) -> PassedSocket {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join("s")).unwrap();
        PassedSocket { name: name.to_owned(), listener: PassedListener::Unix(listener) }
    }

    fn tcp(name: &str) -> PassedSocket {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        PassedSocket { name: name.to_owned(), listener: PassedListener::Tcp(listener) }
    }

    #[test]
    fn sockets_have_their_places_by_name() {
        let passed = vec![tcp("tcp"), unix("control"), unix("docker"), tcp("tcp")];
        let service = Service::with(Some("d.service".to_owned()), passed).unwrap();
        assert!(service.docker.is_some() && service.control.is_some());
        assert_eq!((service.tcp.len(), service.unit()), (2, Some("d.service")));
        assert!(service.has_sockets() && !Service::default().has_sockets());
    }

    #[test]
    fn other_names_kinds_and_doubles_are_refused() {
        let refused = |passed| Service::with(None, passed).unwrap_err().to_string();
        assert!(refused(vec![unix("dockbridge.socket")]).contains("`dockbridge.socket`, which is"));
        for passed in [vec![tcp("docker")], vec![unix("docker"), unix("docker")]] {
            assert!(refused(passed).contains("passed `docker` twice, or as another kind"));
        }
        assert!(refused(vec![unix("tcp")]).contains("passed `tcp` twice, or as another kind"));
    }

    #[tokio::test(start_paused = true)]
    async fn watchdog_hears_of_a_supervisor_that_answers_and_of_no_other() {
        let (asking, mut answers) = probe();
        let alive = Rc::new(Cell::new(0));
        let count = alive.clone();
        let keeping = keep_watchdog(LIMIT, asking, move || count.set(count.get() + 1));
        tokio::pin!(keeping);
        // It waits: the supervisor is stuck.
        assert!(timeout(LIMIT * 10, &mut keeping).await.is_err());
        assert_eq!(alive.get(), 0);
        let answering = async {
            loop {
                answers.answer().await;
                yield_now().await;
            }
        };
        let both = async { tokio::join!(&mut keeping, answering) };
        assert!(timeout(LIMIT, both).await.is_err());
        assert!((4..=6).contains(&alive.get()), "{} in one limit", alive.get());
        let before = alive.get();
        assert!(timeout(LIMIT * 10, &mut keeping).await.is_err(), "stuck again");
        assert!(alive.get() <= before + 1, "at most the answer that had come already");
        drop(answers);
        timeout(LIMIT, keeping).await.expect("it ends with the supervisor");
    }

    #[test]
    fn status_is_one_line_with_the_state_first() {
        let clock = FakeClock::default();
        let mut state = DaemonState::new(clock.now());
        assert_eq!(status_line(&state), "off");
        state.machine = MachineState::Waking;
        assert_eq!(status_line(&state), "waking");
        state.phase(machine::Phase::Boot, None, clock.now());
        assert_eq!(status_line(&state), format!("waking: {}", machine::Phase::Boot.words()));
        let because = "the cloud says:\nno\r".to_owned();
        state.machine = MachineState::Releasing { because, trouble: None };
        assert_eq!(status_line(&state), "releasing: the cloud says: no ");
    }
}
