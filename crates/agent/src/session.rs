//! One login's session: streams to the Docker socket and to TCP ports, and calls.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use agent_proto::{Call, Opened, Opening, READY_LINE, Refusal, RefusalKind, Reply};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpStream, UnixStream};

use crate::framed::{receive, send};
use crate::paths::Paths;
use crate::pump::{Outcome, pump};
use crate::report::Machine;

use crate::streams::{self, AgentStream, Ticket};
use crate::{stdio, summon};

/// How long a TCP port may take to answer; a local one answers at once or never.
const CONNECTS: Duration = Duration::from_secs(10);

struct Session {
    machine: Machine,
    /// There should be a resident.
    resident: bool,
}

/// Runs until standard input ends.
pub async fn run(resident: bool, paths: Paths) -> io::Result<()> {
    let session = Arc::new(Session { machine: Machine::new(paths), resident });
    let summoning = tokio::spawn(summon_if(resident, session.clone()));
    let mut output = io::stdout();
    output.write_all(READY_LINE.as_bytes())?;
    output.flush()?;
    let served = streams::serve(stdio::take()?, |stream, ticket| serve(session.clone(), stream, ticket)).await;
    summoning.abort();
    served
}

async fn summon_if(resident: bool, session: Arc<Session>) {
    if resident && let Err(message) = summon::summon(&session.machine).await {
        let _ = writeln!(io::stderr(), "dockbridge-agent: the resident agent did not start: {message}");
    }
}

async fn serve(session: Arc<Session>, mut stream: AgentStream, ticket: Ticket) {
    // Acknowledges the stream before whatever may take long: yamux opens no more while 256 are unacknowledged, not even for a ping.
    if stream.write(&[]).await.is_err() {
        return;
    }
    // A stream that breaks here was given up by the client, or belongs to a session that is over.
    let Ok(opening) = receive::<Opening>(&mut stream).await else { return };
    match opening {
        Opening::Docker => {
            let socket = &session.machine.paths.docker_socket;
            let unreached = |error: io::Error| io::Error::new(error.kind(), format!("{} cannot be reached: {error}", socket.display()));
            let target = UnixStream::connect(socket).await.map_err(unreached);
            join(stream, target, &ticket).await;
        }
        Opening::Tcp { host, port } => {
            let connecting = tokio::time::timeout(CONNECTS, TcpStream::connect((host.as_str(), port)));
            let target = connecting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            let target = target.and_then(|target| target.set_nodelay(true).map(|()| target));
            join(stream, target, &ticket).await;
        }
        Opening::Call(call) => {
            if send(&mut stream, &Opened::Ready).await.is_ok() {
                let reply = session.reply(call).await;
                let _ = send(&mut stream, &reply).await;
            }
            end(stream).await;
        }
        Opening::Abandon { stream } => ticket.heard_abandon(stream),
    }
}

async fn join<T: tokio::io::AsyncRead + tokio::io::AsyncWrite>(mut stream: AgentStream, target: io::Result<T>, ticket: &Ticket) {
    let target = match target {
        Ok(target) => target,
        Err(error) => {
            let kind = match error.kind() {
                io::ErrorKind::ConnectionRefused => RefusalKind::ConnectionRefused,
                io::ErrorKind::NotFound => RefusalKind::NotFound,
                _ => RefusalKind::Other,
            };
            let _ = send(&mut stream, &Opened::Refused(Refusal { kind, message: error.to_string() })).await;
            return end(stream).await;
        }
    };
    if send(&mut stream, &Opened::Ready).await.is_ok() && pump(stream, target).await == Outcome::WritesRefused {
        ticket.abandon();
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
        match summon::ask(&self.machine.paths, &call, self.resident).await {
            Some(Ok(reply)) => reply,
            Some(Err(error)) => Reply::Failed { message: format!("the resident agent hung up: {error}") },
            None => self.alone(call).await,
        }
    }

    /// What can be said without a resident.
    async fn alone(&self, call: Call) -> Reply {
        match call {
            Call::Ping => Reply::Done,
            Call::Report => Reply::Report(self.machine.report().await),
            Call::AwaitDocker { seconds } => {
                self.machine.await_docker(Duration::from_secs(seconds.into())).await;
                Reply::Report(self.machine.report().await)
            }
            Call::Heartbeat(_) | Call::EndOfLease(_) | Call::Release { .. } => {
                Reply::Failed { message: "no resident agent runs on this machine".into() }
            }
        }
    }
}
