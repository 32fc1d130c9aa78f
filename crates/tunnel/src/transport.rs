//! The transport to the SSH server: TCP, or a command whose standard input and output are connected
//! to it.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::error::ConnectError;
use crate::options::{Endpoint, Transport};
use crate::wire::Duplex;

/// How much of a command's standard error is kept, in bytes; the rest is dropped.
const MAX_STDERR: usize = 4096;
/// How long a failed command may take to print why and end.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);

/// An open transport.
pub(crate) struct Opened {
    pub(crate) stream: Box<dyn Duplex>,
    pub(crate) errors: CommandErrors,
}

/// What the transport's command prints on standard error.
#[derive(Default)]
pub(crate) struct CommandErrors(Option<Collected>);

struct Collected {
    command: String,
    stderr: Arc<Mutex<Vec<u8>>>,
    reader: tokio::task::JoinHandle<()>,
    /// A command may close its output before it prints an error, so it is not killed until then.
    _child: Arc<Child>,
}

impl Opened {
    pub(crate) async fn open(
        transport: &Transport,
        endpoint: &Endpoint,
    ) -> Result<Self, ConnectError> {
        match transport {
            Transport::Tcp => {
                let unreachable =
                    |source| ConnectError::Unreachable { endpoint: endpoint.clone(), source };
                let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
                    .await
                    .map_err(unreachable)?;
                tcp.set_nodelay(true).map_err(unreachable)?;
                Ok(Self { stream: Box::new(tcp), errors: CommandErrors::default() })
            }
            Transport::Command(words) => {
                start(words).map_err(|error| ConnectError::TransportFailed {
                    endpoint: endpoint.clone(),
                    command: words.join(" "),
                    message: error.to_string(),
                })
            }
        }
    }
}

fn start(words: &[String]) -> io::Result<Opened> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let missing = || io::Error::other("it has no standard streams");
    let (input, output) =
        (child.stdin.take().ok_or_else(missing)?, child.stdout.take().ok_or_else(missing)?);
    let mut errors = child.stderr.take().ok_or_else(missing)?;
    let stderr: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = stderr.clone();
    // The task ends with the command, which is killed with the transport.
    let reader = tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = errors.read(&mut buffer).await {
            let mut stderr = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_STDERR.saturating_sub(stderr.len()).min(count);
            stderr.extend_from_slice(&buffer[..room]);
        }
    });
    let child = Arc::new(child);
    let stream = Box::new(Piped { streams: tokio::io::join(output, input), _child: child.clone() });
    let collected = Collected { command: words.join(" "), stderr, reader, _child: child };
    Ok(Opened { stream, errors: CommandErrors(Some(collected)) })
}

impl CommandErrors {
    /// The command and what it printed, if anything. For a session that has failed.
    pub(crate) async fn collect(self) -> Option<(String, String)> {
        let Collected { command, stderr, reader, _child } = self.0?;
        let _ = timeout(EXIT_TIMEOUT, reader).await;
        let stderr = stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&stderr).trim().replace(['\r', '\n'], "; ");
        (!text.is_empty()).then_some((command, text))
    }
}

/// The standard streams of a command, which lives as long as they do.
struct Piped {
    streams: tokio::io::Join<ChildStdout, ChildStdin>,
    _child: Arc<Child>,
}

impl tokio::io::AsyncRead for Piped {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.streams).poll_read(cx, buf)
    }
}

impl tokio::io::AsyncWrite for Piped {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        buf: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::pin::Pin::new(&mut self.streams).poll_write(cx, buf)
    }

    fn poll_flush(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.streams).poll_flush(cx)
    }

    fn poll_shutdown(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        std::pin::Pin::new(&mut self.streams).poll_shutdown(cx)
    }
}
