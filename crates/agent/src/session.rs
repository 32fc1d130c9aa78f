//! A session: one login's streams to the Docker socket and to ports, and its calls.

use std::io::{self, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::io::{receive, send};
use agent_proto::{Call, EndOfLease, Opened, Opening, READY_LINE, Refusal, RefusalKind, Reply};
use striping::Bundle;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;

use crate::machine::Machine;
use crate::paths::Paths;
use crate::pump::{Outcome, pump};
use crate::rendezvous::Rendezvous;
use crate::streams::{self, AgentStream, Control};
use crate::{datagrams, log, start_resident, stdio, tcp_channel};

/// How long connecting to a TCP port may take; a local one answers at once or never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a call is sent to the resident: one that is being killed may still accept a
/// connection.
const ATTEMPTS: usize = 3;
/// How long a client may take to read a stream up to the point where it broke off.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

struct Session {
    machine: Machine,
    /// Whether this machine has a resident.
    resident: bool,
    /// One task at a time checks for the resident and starts it.
    starting: Semaphore,
    /// This client's order for the end of the lease. A restarted resident has forgotten it.
    end: Mutex<Option<EndOfLease>>,
}

/// Runs until standard input ends.
pub async fn run(resident: bool, paths: Paths) -> io::Result<()> {
    let session = Arc::new(Session {
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
        log::error(&format!("a bundle of lanes ended: {error}"));
    }
}

async fn serve(session: Arc<Session>, mut stream: AgentStream, control: Control) {
    // A stream that breaks here was abandoned by the client, or its session is over.
    let Ok(opening) = receive::<Opening>(&mut stream).await else { return };
    match opening {
        Opening::Docker => {
            let target = socket(&session.machine.paths.docker_socket).await;
            join(stream, target, &control).await;
        }
        Opening::Socket { path } => {
            join(stream, socket(Path::new(&path)).await, &control).await;
        }
        Opening::Tcp { host, port } => {
            if acknowledge(&mut stream).await.is_err() {
                return;
            }
            match connect(&host, port).await {
                Ok(mut target) => {
                    if join(stream, Ok(&mut target), &control).await == Outcome::ClientReset {
                        // An orderly end would hide the break.
                        let _ = target.set_zero_linger();
                    }
                }
                Err(error) => refuse(stream, &error).await,
            }
        }
        Opening::Udp { host, port } => {
            if acknowledge(&mut stream).await.is_err() {
                return;
            }
            match datagrams::connect(&host, port).await {
                Ok(target) => {
                    if let Ok(ready) = agent_proto::encode(&Opened::Ready) {
                        datagrams::carry(stream, &target, &ready).await;
                    }
                }
                Err(error) => refuse(stream, &error).await,
            }
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
                    Call::Channel { host, port } => open_channel(&host, port).await,
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

/// Acknowledges a stream before anything that may take long: yamux opens no more streams, not even
/// for a ping, while 256 are unacknowledged.
async fn acknowledge(stream: &mut AgentStream) -> io::Result<()> {
    stream.write(&[]).await.map(drop)
}

async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, port)));
    let target = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    target.set_nodelay(true)?;
    Ok(target)
}

/// Connects to a local socket, which succeeds or fails at once.
async fn socket(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await.map_err(|error| {
        let message = format!("{} cannot be reached: {error}", path.display());
        io::Error::new(error.kind(), message)
    })
}

async fn join<T: AsyncRead + AsyncWrite>(
    mut stream: AgentStream,
    target: io::Result<T>,
    control: &Control,
) -> Outcome {
    let target = match target {
        Ok(target) => target,
        Err(error) => {
            refuse(stream, &error).await;
            return Outcome::Complete;
        }
    };
    let Ok(ready) = agent_proto::encode(&Opened::Ready) else { return Outcome::Complete };
    let outcome = pump(&mut stream, target, ready).await;
    match outcome {
        Outcome::Complete | Outcome::ClientReset => {}
        Outcome::WritesRefused => control.abandon(),
        Outcome::Broken { after } => {
            control.report_break(after);
            // The client then abandons the stream, which ends this task.
            tokio::time::sleep(READ_TIMEOUT).await;
        }
    }
    outcome
}

async fn refuse(mut stream: AgentStream, error: &io::Error) {
    let _ = send(&mut stream, &Opened::Refused(refusal(error))).await;
    end(stream).await;
}

fn refusal(error: &io::Error) -> Refusal {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => RefusalKind::ConnectionRefused,
        io::ErrorKind::NotFound => RefusalKind::NotFound,
        _ => RefusalKind::Other,
    };
    Refusal { kind, message: error.to_string() }
}

async fn open_channel(host: &str, port: u16) -> Reply {
    let target = match connect(host, port).await {
        Ok(target) => target,
        Err(error) => return Reply::Refused(refusal(&error)),
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

/// Closes this side, so that dropping the stream is no reset.
async fn end(mut stream: AgentStream) {
    let _ = stream.shutdown().await;
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
                log::error(&format!("the resident agent did not start: {causes}"));
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
