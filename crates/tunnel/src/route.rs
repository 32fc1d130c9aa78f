//! How packets get to the SSH server: by TCP, or by a command that connects its standard input and
//! output to it.

use std::io;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::wire::Transport;
use crate::{ConnectError, Endpoint, Route};

/// What a command may say of its failure, in bytes; the rest is read and dropped.
const LONGEST_COMPLAINT: usize = 4096;
/// A command that has failed says why and ends at once.
const LONGEST_END: Duration = Duration::from_millis(500);

/// A transport that is open.
pub(crate) struct Opened {
    pub(crate) transport: Box<dyn Transport>,
    pub(crate) complaint: Complaint,
}

/// What the command of a route says on standard error.
#[derive(Default)]
pub(crate) struct Complaint(Option<Heard>);

struct Heard {
    command: String,
    said: Arc<Mutex<Vec<u8>>>,
    reader: tokio::task::JoinHandle<()>,
    /// A command may close its output before it says why: it is not killed until then.
    _child: Arc<Child>,
}

impl Opened {
    pub(crate) async fn by(route: &Route, endpoint: &Endpoint) -> Result<Self, ConnectError> {
        match route {
            Route::Direct => {
                let unreachable =
                    |source| ConnectError::Unreachable { endpoint: endpoint.clone(), source };
                let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port))
                    .await
                    .map_err(unreachable)?;
                tcp.set_nodelay(true).map_err(unreachable)?;
                Ok(Self { transport: Box::new(tcp), complaint: Complaint::default() })
            }
            Route::Command(words) => start(words).map_err(|error| ConnectError::RouteFailed {
                endpoint: endpoint.clone(),
                command: words.join(" "),
                said: error.to_string(),
            }),
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
    let said: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = said.clone();
    // Owned by the pipe: it ends with the command, which is killed with the transport.
    let reader = tokio::spawn(async move {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = errors.read(&mut buffer).await {
            let mut said = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = LONGEST_COMPLAINT.saturating_sub(said.len()).min(count);
            said.extend_from_slice(&buffer[..room]);
        }
    });
    let child = Arc::new(child);
    let transport =
        Box::new(Piped { streams: tokio::io::join(output, input), _child: child.clone() });
    Ok(Opened {
        transport,
        complaint: Complaint(Some(Heard { command: words.join(" "), said, reader, _child: child })),
    })
}

impl Complaint {
    /// The command and what it said, where it said something. For a session that has failed.
    pub(crate) async fn heard(self) -> Option<(String, String)> {
        let Heard { command, said, reader, _child } = self.0?;
        // What it has not said by now is not waited for.
        let _ = timeout(LONGEST_END, reader).await;
        let said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&said).trim().replace(['\r', '\n'], "; ");
        (!text.is_empty()).then_some((command, text))
    }
}

/// The streams of a command that lives as long as they do.
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
