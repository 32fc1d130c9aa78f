//! Connects a stream to its target on the machine, a socket or a port, and joins the two. Logs each
//! stream with the request that it serves. It knows no calls and no lease.

use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use agent_proto::io::send;
use agent_proto::{Opened, Refusal, RefusalKind, Request};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

use crate::datagrams;
use crate::log::Log;
use crate::pump::{Outcome, pump};
use crate::streams::{AgentStream, Control};

/// How long connecting to a TCP port may take; a local one answers at once or never.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take to read a stream up to the point where it broke off.
const READ_TIMEOUT: Duration = Duration::from_secs(600);

/// A stream as the log names it.
pub struct Named {
    /// Its yamux id.
    pub stream: u32,
    /// The client's request that it serves.
    pub request: Request,
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {}", self.stream)?;
        match &self.request {
            Some(request) => write!(f, " of request {request}"),
            None => Ok(()),
        }
    }
}

/// Joins a stream to a Unix socket of the machine.
///
/// A failure is logged if it fails a request. The daemon's own streams, such as that of the
/// engine's events, are opened again and again while the engine is down: theirs is logged on
/// demand only.
pub async fn serve_socket(
    log: &Log,
    stream: AgentStream,
    control: &Control,
    named: Named,
    path: &Path,
) {
    log.debug(format_args!("{named}: to {}", path.display()));
    let target = socket(path).await;
    match &target {
        Err(error) if named.request.is_some() => log.info(format_args!("{named}: {error}")),
        Err(error) => log.debug(format_args!("{named}: {error}")),
        Ok(_) => {}
    }
    join(stream, target, control, (log, &named)).await;
}

/// Joins a stream to a TCP port.
///
/// A program that does not listen is no failure of the machine, and clients try such ports again
/// and again: that is logged on demand only.
pub async fn serve_tcp(
    log: &Log,
    mut stream: AgentStream,
    control: &Control,
    named: Named,
    (host, port): (&str, u16),
) {
    if acknowledge(&mut stream).await.is_err() {
        return;
    }
    log.debug(format_args!("{named}: to {host}:{port}"));
    match connect(host, port).await {
        Ok(mut target) => {
            let outcome = join(stream, Ok(&mut target), control, (log, &named)).await;
            if outcome == Outcome::ClientReset {
                // An orderly end would hide the break.
                let _ = target.set_zero_linger();
            }
        }
        Err(error) => {
            log.debug(format_args!("{named}: {host}:{port} cannot be reached: {error}"));
            refuse(stream, &error).await;
        }
    }
}

/// Carries datagrams between a stream and a UDP port.
pub async fn serve_udp(
    log: &Log,
    mut stream: AgentStream,
    named: Named,
    (host, port): (&str, u16),
) {
    if acknowledge(&mut stream).await.is_err() {
        return;
    }
    log.debug(format_args!("{named}: to UDP {host}:{port}"));
    match datagrams::connect(host, port).await {
        Ok(target) => {
            if let Ok(ready) = agent_proto::encode(&Opened::Ready) {
                datagrams::carry(stream, &target, &ready).await;
            }
        }
        Err(error) => {
            log.debug(format_args!("{named}: UDP {host}:{port} cannot be reached: {error}"));
            refuse(stream, &error).await;
        }
    }
}

/// Acknowledges a stream before anything that may take long: yamux opens no more streams, not even
/// for a ping, while 256 are unacknowledged.
pub async fn acknowledge(stream: &mut AgentStream) -> io::Result<()> {
    stream.write(&[]).await.map(drop)
}

/// Connects to a TCP port.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
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
    (log, named): (&Log, &Named),
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
            log.debug(format_args!("{named}: its target broke off after {after} bytes"));
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

/// A failure to connect, for the client.
pub fn refusal(error: &io::Error) -> Refusal {
    let kind = match error.kind() {
        io::ErrorKind::ConnectionRefused => RefusalKind::ConnectionRefused,
        io::ErrorKind::NotFound => RefusalKind::NotFound,
        _ => RefusalKind::Other,
    };
    Refusal { kind, message: error.to_string() }
}

/// Closes this side, so that dropping the stream is no reset.
pub async fn end(mut stream: AgentStream) {
    let _ = stream.shutdown().await;
}
