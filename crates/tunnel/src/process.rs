//! A command on the host with its input and output as streams, for output that is too long to
//! collect.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::channel::ChannelIo;
use crate::connection::Connection;
use crate::error::ConnectError;

/// A running command. Reading returns its standard output; dropping it closes its channel, after
/// which the host closes the command's input and output.
pub struct Process {
    channel: ChannelIo,
    connection: Arc<Connection>,
    /// A channel that is taken away with its session wakes no reader.
    closed: Pin<Box<WaitForCancellationFutureOwned>>,
}

/// How a [`Process`] ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEnd {
    /// Exit status; `None` when a signal ended it or the path was lost.
    pub status: Option<u32>,
    /// The last 4 KiB of its standard error.
    pub stderr: String,
}

impl std::fmt::Debug for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Process").finish_non_exhaustive()
    }
}

pub(crate) async fn start(
    connection: &Arc<Connection>,
    command: &str,
) -> Result<Process, ConnectError> {
    let failed = |source: Box<dyn StdError + Send + Sync>| ConnectError::Protocol {
        endpoint: connection.endpoint.clone(),
        doing: "starting a command",
        source,
    };
    let channel = connection.session().await.map_err(|error| failed(error.into()))?;
    channel.exec(command).await.map_err(|error| failed(error.into()))?;
    Ok(Process {
        channel,
        closed: Box::pin(connection.closed.waiter()),
        connection: connection.clone(),
    })
}

impl Process {
    /// Takes its standard input, once. Shutting it down ends the input.
    pub fn take_input(&mut self) -> Pin<Box<dyn AsyncWrite + Send + Sync>> {
        self.channel.take_writer()
    }

    /// Waits for its end and drops further output.
    pub async fn ended(mut self) -> ProcessEnd {
        let closed = self.connection.closed.clone();
        tokio::select! {
            () = async { while self.channel.next().await.is_some() {} } => {}
            _ = closed.wait() => {}
        }
        ProcessEnd { status: self.channel.exit_status(), stderr: self.channel.stderr() }
    }
}

impl AsyncRead for Process {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.channel).poll_read(cx, buf) {
            Poll::Pending if self.closed.as_mut().poll(cx).is_ready() => Poll::Ready(Err(
                io::Error::new(io::ErrorKind::ConnectionAborted, self.connection.closed.message()),
            )),
            polled => polled,
        }
    }
}
