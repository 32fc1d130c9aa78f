//! One login's session: streams to the Docker socket and to TCP ports, and calls.

use std::io::{self, Write as _};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::{Call, EndOfLease, Opened, Opening, READY_LINE, Refusal, RefusalKind, Reply};
use striping::Bundle;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;

use crate::framed::{receive, send};
use crate::gathering::Gathering;
use crate::paths::Paths;
use crate::pump::{Outcome, pump};
use crate::report::Machine;
use crate::{aside, datagrams};

use crate::streams::{self, AgentStream, Ticket};
use crate::{stdio, summon};

/// How long a TCP port may take to answer; a local one answers at once or never.
const CONNECTS: Duration = Duration::from_secs(10);
/// How often a call is brought to the resident: one that is being killed seems to listen for a
/// moment more.
const ATTEMPTS: usize = 3;
/// How long a client may take to read up to the end of what broke off.
const HEARS: Duration = Duration::from_secs(600);

struct Session {
    machine: Machine,
    /// There should be a resident.
    resident: bool,
    /// One at a time looks for the resident and starts it.
    summoning: Semaphore,
    /// What this client ordered for the end of the lease. A resident that is started anew has
    /// forgotten it.
    end: Mutex<Option<EndOfLease>>,
}

/// Runs until standard input ends.
pub async fn run(resident: bool, paths: Paths) -> io::Result<()> {
    let session = Arc::new(Session {
        machine: Machine::new(paths),
        resident,
        summoning: Semaphore::new(1),
        end: Mutex::default(),
    });
    let summoning = tokio::spawn({
        let session = session.clone();
        async move { session.see_to_the_resident().await }
    });
    let mut output = io::stdout();
    output.write_all(READY_LINE.as_bytes())?;
    output.flush()?;
    // A task like the streams: the future that the runtime itself waits for is woken by way of the
    // kernel.
    let serving = streams::serve(stdio::take()?, agent_proto::SPLIT, move |stream, ticket| {
        serve(session.clone(), stream, ticket)
    });
    let served = tokio::spawn(serving).await.unwrap_or_else(|error| Err(io::Error::other(error)));
    summoning.abort();
    // Whether the client's end is met by a read or by a write is chance.
    served.or_else(
        |error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) },
    )
}

/// Serves the same by a bundle of lanes.
async fn serve_lanes(session: Arc<Session>, gathering: Gathering, round_trip: Duration) {
    let served = async {
        let lanes = gathering.directed().await?;
        let bundle = Bundle::new(lanes.down, lanes.up, round_trip);
        streams::serve(bundle, agent_proto::LANES_SPLIT, |stream, ticket| {
            serve(session.clone(), stream, ticket)
        })
        .await
    };
    if let Err(error) = served.await {
        let _ = writeln!(io::stderr(), "dockbridge-agent: a bundle of lanes ended: {error}");
    }
}

async fn serve(session: Arc<Session>, mut stream: AgentStream, ticket: Ticket) {
    // A stream that breaks here was given up by the client, or belongs to a session that is over.
    let Ok(opening) = receive::<Opening>(&mut stream).await else { return };
    match opening {
        Opening::Docker => {
            drop(join(stream, socket(&session.machine.paths.docker_socket).await, &ticket).await)
        }
        Opening::Socket { path } => {
            drop(join(stream, socket(Path::new(&path)).await, &ticket).await)
        }
        Opening::Tcp { host, port } => {
            if acknowledge(&mut stream).await.is_err() {
                return;
            }
            match port_of(&host, port).await {
                Ok(mut target) => {
                    if join(stream, Ok(&mut target), &ticket).await == Outcome::ClientReset {
                        // An orderly end would be a lie.
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
                        lanes(&session, count, Duration::from_micros(round_trip.into()))
                    }
                    Call::Aside { host, port } => open_aside(&host, port).await,
                    call => session.reply(call).await,
                };
                let _ = send(&mut stream, &reply).await;
            }
            end(stream).await;
        }
        Opening::Abandon { stream } => ticket.heard_abandon(stream),
        // A client has nothing that could break.
        Opening::Broken { .. } => {}
    }
}

/// Before whatever may take long: yamux opens no more streams while 256 are unacknowledged, not
/// even for a ping.
async fn acknowledge(stream: &mut AgentStream) -> io::Result<()> {
    stream.write(&[]).await.map(drop)
}

async fn port_of(host: &str, port: u16) -> io::Result<TcpStream> {
    let connecting = tokio::time::timeout(CONNECTS, TcpStream::connect((host, port)));
    let target = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    target.set_nodelay(true)?;
    Ok(target)
}

/// Connecting to a local socket succeeds or fails at once.
async fn socket(path: &Path) -> io::Result<UnixStream> {
    let unreached = |error: io::Error| {
        io::Error::new(
            error.kind(),
            format!(
                "{} cannot be reached: \
        {error}",
                path.display()
            ),
        )
    };
    UnixStream::connect(path).await.map_err(unreached)
}

async fn join<T: AsyncRead + AsyncWrite>(
    mut stream: AgentStream,
    target: io::Result<T>,
    ticket: &Ticket,
) -> Outcome {
    let target = match target {
        Ok(target) => target,
        Err(error) => {
            refuse(stream, &error).await;
            return Outcome::Told;
        }
    };
    let Ok(ready) = agent_proto::encode(&Opened::Ready) else { return Outcome::Told };
    let outcome = pump(&mut stream, target, ready).await;
    match outcome {
        Outcome::Told | Outcome::ClientReset => {}
        Outcome::WritesRefused => ticket.abandon(),
        Outcome::Broken { after } => {
            ticket.broke(after);
            // The client gives the stream up when it has heard, and that ends this.
            tokio::time::sleep(HEARS).await;
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

async fn open_aside(host: &str, port: u16) -> Reply {
    let target = match port_of(host, port).await {
        Ok(target) => target,
        Err(error) => return Reply::Refused(refusal(&error)),
    };
    let gathering = match Gathering::begin(1) {
        Ok(gathering) => gathering,
        Err(error) => {
            return Reply::Failed { message: format!("no socket for a channel: {error}") };
        }
    };
    let path = gathering.path();
    // It ends with the channel, and that with the login.
    tokio::spawn(async move {
        let Some(channel) = gathering.all().await.ok().and_then(|mut all| all.pop()) else {
            return;
        };
        aside::carry(channel, target).await;
    });
    Reply::Lanes { path }
}

fn lanes(session: &Arc<Session>, count: u8, round_trip: Duration) -> Reply {
    match Gathering::begin(count.into()) {
        Ok(gathering) => {
            let path = gathering.path();
            // Boxed: it serves streams, which may ask for lanes.
            let serving: Pin<Box<dyn Future<Output = ()> + Send>> =
                Box::pin(serve_lanes(session.clone(), gathering, round_trip));
            // It ends with its lanes, and those with the login.
            tokio::spawn(serving);
            Reply::Lanes { path }
        }
        Err(error) => Reply::Failed { message: format!("no socket for lanes: {error}") },
    }
}

/// Closes our side, so that dropping the stream is no reset.
async fn end(mut stream: AgentStream) {
    let _ = stream.shutdown().await;
}

impl Session {
    async fn reply(&self, call: Call) -> Reply {
        // The sign of life of this session: the resident has none to give for it.
        if call == Call::Ping {
            return Reply::Done;
        }
        if let Call::EndOfLease(end) = &call {
            *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
        }
        let mut hung_up = None;
        for _ in 0..ATTEMPTS {
            self.see_to_the_resident().await;
            match summon::ask(&self.machine.paths, &call).await {
                Some(Ok(reply)) => return reply,
                Some(Err(error)) => hung_up = Some(error),
                None => {}
            }
            // It ends the resident with the machine.
            if matches!(call, Call::Release { .. }) {
                break;
            }
        }
        match hung_up {
            Some(error) => Reply::Failed {
                message: format!(
                    "the resident agent hung up: \
                {error}"
                ),
            },
            None => self.alone(call).await,
        }
    }

    /// A machine whose resident was killed would end under its client, for nobody renews its lease:
    /// the first call that misses it starts another.
    async fn see_to_the_resident(&self) {
        if !self.resident {
            return;
        }
        // The semaphore is never closed.
        let _permit = self.summoning.acquire().await.ok();
        match summon::summon(&self.machine).await {
            Ok(false) => {}
            Ok(true) => {
                let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if let Some(end) = end {
                    // Fails only when that one is killed, too; the next call finds out.
                    let _ = summon::ask(&self.machine.paths, &Call::EndOfLease(end)).await;
                }
            }
            Err(message) => {
                let _ = writeln!(
                    io::stderr(),
                    "dockbridge-agent: the resident agent did not \
                    start: {message}"
                );
            }
        }
    }

    /// What can be said without a resident.
    async fn alone(&self, call: Call) -> Reply {
        match call {
            Call::Ping => Reply::Done,
            Call::Lanes { .. } | Call::Aside { .. } => Reply::Failed {
                message: "channels are asked for on a stream of the \
                    session"
                    .into(),
            },
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
