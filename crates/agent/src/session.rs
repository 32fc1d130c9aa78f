//! A session: one login's streams to the Docker socket and to ports, and its calls.

use std::io::{self, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::io::{receive, send};
use agent_proto::{Call, EndOfLease, Opened, Opening, READY_LINE, Reply};
use striping::Bundle;
use tokio::sync::Semaphore;

use crate::log::Log;
use crate::machine::Machine;
use crate::paths::Paths;
use crate::rendezvous::Rendezvous;
use crate::streams::{self, AgentStream, Control};
use crate::target::{self, Named, acknowledge, connect, end, refusal};
use crate::{start_resident, stdio, tcp_channel};

/// How often a call is sent to the resident: one that is being killed may still accept a
/// connection.
const ATTEMPTS: usize = 3;

struct Session {
    machine: Machine,
    log: Log,
    /// Whether this machine has a resident.
    resident: bool,
    /// One task at a time checks for the resident and starts it.
    starting: Semaphore,
    /// This client's order for the end of the lease. A restarted resident has forgotten it.
    end: Mutex<Option<EndOfLease>>,
}

/// Runs until standard input ends. `debug` logs each stream.
pub async fn run(resident: bool, debug: bool, paths: Paths) -> io::Result<()> {
    let session = Arc::new(Session {
        log: Log::of_session(&paths.journal, debug),
        machine: Machine::new(paths),
        resident,
        starting: Semaphore::new(1),
        end: Mutex::default(),
    });
    let starting = tokio::spawn({
        let session = session.clone();
        async move { session.ensure_resident().await }
    });
    let mut output = io::stdout();
    output.write_all(READY_LINE.as_bytes())?;
    output.flush()?;
    // In a task, as the streams are: the runtime wakes its own future through the kernel, which is
    // slower.
    let serving = streams::serve(stdio::take()?, agent_proto::SPLIT, move |stream, control| {
        serve(session.clone(), stream, control)
    });
    let served = tokio::spawn(serving).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    starting.abort();
    // The client's end shows as an error of a read or of a write, by chance.
    served.or_else(
        |error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) },
    )
}

/// Serves streams over a bundle of lanes.
async fn serve_lanes(session: Arc<Session>, rendezvous: Rendezvous, round_trip: Duration) {
    let served = async {
        let lanes = rendezvous.lanes().await?;
        let bundle = Bundle::new(lanes.down, lanes.up, round_trip);
        streams::serve(bundle, agent_proto::LANES_SPLIT, |stream, control| {
            serve(session.clone(), stream, control)
        })
        .await
    };
    if let Err(error) = served.await {
        session.log.error(format_args!("a bundle of lanes ended: {error}"));
    }
}

async fn serve(session: Arc<Session>, mut stream: AgentStream, control: Control) {
    // A stream that breaks here was abandoned by the client, or its session is over.
    let Ok(opening) = receive::<Opening>(&mut stream).await else { return };
    let id = control.id();
    match opening {
        Opening::Docker => {
            let named = Named { stream: id, request: None };
            let path = &session.machine.paths.docker_socket;
            target::serve_socket(&session.log, stream, &control, named, path).await;
        }
        Opening::Socket { path, request } => {
            let named = Named { stream: id, request };
            target::serve_socket(&session.log, stream, &control, named, Path::new(&path)).await;
        }
        Opening::Tcp { host, port, request } => {
            let named = Named { stream: id, request };
            target::serve_tcp(&session.log, stream, &control, named, (&host, port)).await;
        }
        Opening::Udp { host, port, request } => {
            let named = Named { stream: id, request };
            target::serve_udp(&session.log, stream, named, (&host, port)).await;
        }
        Opening::Call(call) => {
            if acknowledge(&mut stream).await.is_ok()
                && send(&mut stream, &Opened::Ready).await.is_ok()
            {
                let reply = match call {
                    Call::Lanes { count, round_trip } => {
                        let round_trip = Duration::from_micros(round_trip.into());
                        open_lanes(&session, count, round_trip)
                    }
                    Call::Channel { host, port, request } => {
                        let named = Named { stream: id, request };
                        open_channel(&session.log, named, &host, port).await
                    }
                    call => session.reply(call).await,
                };
                let _ = send(&mut stream, &reply).await;
            }
            end(stream).await;
        }
        Opening::Abandon { stream } => control.peer_abandoned(stream),
        // Only the agent sends it.
        Opening::Broken { .. } => {}
    }
}

async fn open_channel(log: &Log, named: Named, host: &str, port: u16) -> Reply {
    log.debug(format_args!("{named}: a channel to {host}:{port}"));
    let target = match connect(host, port).await {
        Ok(target) => target,
        Err(error) => {
            log.debug(format_args!("{named}: {host}:{port} cannot be reached: {error}"));
            return Reply::Refused(refusal(&error));
        }
    };
    let rendezvous = match Rendezvous::listen(1) {
        Ok(rendezvous) => rendezvous,
        Err(error) => {
            return Reply::Failed { message: format!("no socket for a channel: {error}") };
        }
    };
    let path = rendezvous.path();
    // The task ends with the channel, and the channel with the login.
    tokio::spawn(async move {
        let Some(channel) = rendezvous.channels().await.ok().and_then(|mut all| all.pop()) else {
            return;
        };
        tcp_channel::carry(channel, target).await;
    });
    Reply::Channel { path }
}

fn open_lanes(session: &Arc<Session>, count: u8, round_trip: Duration) -> Reply {
    match Rendezvous::listen(count.into()) {
        Ok(rendezvous) => {
            let path = rendezvous.path();
            // Boxed: it serves streams, which may ask for lanes.
            let serving: Pin<Box<dyn Future<Output = ()> + Send>> =
                Box::pin(serve_lanes(session.clone(), rendezvous, round_trip));
            // The task ends with the lanes, and the lanes with the login.
            tokio::spawn(serving);
            Reply::Channel { path }
        }
        Err(error) => Reply::Failed { message: format!("no socket for lanes: {error}") },
    }
}

impl Session {
    async fn reply(&self, call: Call) -> Reply {
        // A test of this session; the resident has no part in it.
        if call == Call::Ping {
            return Reply::Done;
        }
        if let Call::EndOfLease(end) = &call {
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
        }
        let mut hung_up = None;
        for _ in 0..ATTEMPTS {
            self.ensure_resident().await;
            match start_resident::ask(&self.machine.paths, &call).await {
                Some(Ok(reply)) => return reply,
                Some(Err(error)) => hung_up = Some(error),
                None => {}
            }
            // A release ends the resident with the machine.
            if matches!(call, Call::Release { .. }) {
                break;
            }
        }
        match hung_up {
            Some(error) => {
                Reply::Failed { message: format!("the resident agent hung up: {error}") }
            }
            None => self.reply_without_resident(call).await,
        }
    }

    /// Starts the resident if it does not run. Without it the lease would expire under a client
    /// that works.
    async fn ensure_resident(&self) {
        if !self.resident {
            return;
        }
        // The semaphore is never closed.
        let _permit = self.starting.acquire().await.ok();
        match start_resident::ensure(&self.machine).await {
            Ok(false) => {}
            Ok(true) => {
                let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(end) = end {
                    // Fails only if this one is killed, too; the next call notices.
                    let _ = start_resident::ask(&self.machine.paths, &Call::EndOfLease(end)).await;
                }
            }
            Err(error) => {
                let causes = agent_proto::with_causes(&error);
                self.log.error(format_args!("the resident agent did not start: {causes}"));
            }
        }
    }

    /// Answers the calls that need no resident.
    async fn reply_without_resident(&self, call: Call) -> Reply {
        match call {
            Call::Ping => Reply::Done,
            Call::Lanes { .. } | Call::Channel { .. } => {
                Reply::Failed { message: "only a stream of a session opens channels".into() }
            }
            Call::Report => Reply::Report(self.machine.report().await),
            Call::AwaitDocker { seconds } => {
                self.machine.await_docker(Duration::from_secs(seconds.into())).await;
                Reply::Report(self.machine.report().await)
            }
            Call::Heartbeat(_)
            | Call::EndOfLease(_)
            | Call::Release { .. }
            | Call::Resume { .. } => {
                Reply::Failed { message: "no resident agent runs on this machine".into() }
            }
        }
    }
}
