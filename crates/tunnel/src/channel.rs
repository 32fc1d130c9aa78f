//! One SSH channel as a byte stream.
//!
//! russh's own stream accepts bytes after the other side has closed, and never wakes a writer that
//! waits for window then. Here the session's handler reports the close out of band, which fails
//! both; standard error and exit status are kept apart from the bytes.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelId, ChannelMsg, ChannelReadHalf, ChannelWriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tokio_util::task::TaskTracker;

use crate::agent_log::AgentLog;

/// How much of standard error is kept, in bytes: enough for the last lines of a failed command.
const STDERR_KEPT: usize = 4 * 1024;

/// How much one read returns at most, in bytes: several packets.
const MAX_READ: usize = 128 * 1024;

/// The session waits, in its only loop, for room in a channel's queue; taking the reader away
/// releases it.
type Reader = Mutex<Option<ChannelReadHalf>>;

/// The channels of a session: each has to learn that the other side closed it, or that the session
/// ended.
#[derive(Default)]
pub(crate) struct Closings(Mutex<HashMap<ChannelId, Registered>>);

#[derive(Default)]
struct Registered {
    closed: CancellationToken,
    reader: Weak<Reader>,
}

impl Closings {
    /// Called by the session's handler: the other side closed `id`, perhaps before it was
    /// registered.
    pub(crate) fn close(&self, id: ChannelId) {
        self.lock().entry(id).or_default().closed.cancel();
    }

    /// Takes the readers of all channels away, so that none blocks the session's task.
    pub(crate) fn sever(&self) {
        for registered in self.lock().values() {
            registered.closed.cancel();
            if let Some(reader) = registered.reader.upgrade() {
                reader.lock().unwrap_or_else(PoisonError::into_inner).take();
            }
        }
    }

    fn register(&self, id: ChannelId, reader: &Arc<Reader>) -> CancellationToken {
        let mut channels = self.lock();
        let registered = channels.entry(id).or_default();
        registered.reader = Arc::downgrade(reader);
        registered.closed.clone()
    }

    fn forget(&self, id: ChannelId) {
        self.lock().remove(&id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChannelId, Registered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel's bytes. Dropping it closes the channel.
pub(crate) struct ChannelIo {
    read: Arc<Reader>,
    write: Option<ChannelWriteHalf<Msg>>,
    writer: Pin<Box<dyn AsyncWrite + Send + Sync>>,
    closed: CancellationToken,
    closed_for_writes: Pin<Box<WaitForCancellationFutureOwned>>,
    closings: Arc<Closings>,
    tasks: TaskTracker,
    unread: Bytes,
    ended: bool,
    stderr: Vec<u8>,
    agent_log: Option<Box<AgentLog>>,
    exit_status: Option<u32>,
}

impl ChannelIo {
    pub(crate) fn new(channel: Channel<Msg>, closings: Arc<Closings>, tasks: TaskTracker) -> Self {
        let (read, write) = channel.split();
        let read = Arc::new(Mutex::new(Some(read)));
        let closed = closings.register(write.id(), &read);
        let closed_for_writes = Box::pin(closed.clone().cancelled_owned());
        Self {
            read,
            writer: Box::pin(write.make_writer()),
            write: Some(write),
            closed,
            closed_for_writes,
            closings,
            tasks,
            unread: Bytes::new(),
            ended: false,
            stderr: Vec::new(),
            agent_log: None,
            exit_status: None,
        }
    }

    /// Runs a command on a session channel.
    pub(crate) async fn exec(&self, command: &str) -> Result<(), russh::Error> {
        match &self.write {
            Some(write) => write.exec(true, command).await,
            None => Err(russh::Error::SendError),
        }
    }

    /// Takes the writing half, for a caller that reads messages meanwhile. The channel then accepts
    /// no bytes itself.
    pub(crate) fn take_writer(&mut self) -> Pin<Box<dyn AsyncWrite + Send + Sync>> {
        std::mem::replace(&mut self.writer, Box::pin(tokio::io::sink()))
    }

    /// Puts back bytes that were read too far.
    pub(crate) fn push_back(&mut self, bytes: Bytes) {
        self.unread = if self.unread.is_empty() {
            bytes
        } else {
            [bytes.as_ref(), self.unread.as_ref()].concat().into()
        };
    }

    /// Logs what arrives on standard error from now on: the agent runs.
    pub(crate) fn log_stderr(&mut self) {
        self.agent_log = Some(Box::default());
    }

    /// The end of standard error.
    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr).trim().to_owned()
    }

    /// The command's exit status, once it ended.
    pub(crate) fn exit_status(&self) -> Option<u32> {
        self.exit_status
    }

    /// The next message; standard error and exit status are stored. `None` when the channel is
    /// closed.
    pub(crate) async fn next(&mut self) -> Option<ChannelMsg> {
        let message = std::future::poll_fn(|cx| self.poll_message(cx)).await?;
        self.store(&message);
        Some(message)
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<ChannelMsg>> {
        match self.read.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            // The future holds no message while it waits, so each poll may create a new one.
            Some(read) => pin!(read.wait()).poll(cx),
            None => Poll::Ready(None),
        }
    }

    fn store(&mut self, message: &ChannelMsg) {
        match message {
            ChannelMsg::ExtendedData { data, .. } => {
                if let Some(log) = &mut self.agent_log {
                    return log.take(data);
                }
                self.stderr.extend_from_slice(data);
                let excess = self.stderr.len().saturating_sub(STDERR_KEPT);
                self.stderr.drain(..excess);
            }
            ChannelMsg::ExitStatus { exit_status } => self.exit_status = Some(*exit_status),
            _ => {}
        }
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        if self.closed.is_cancelled() || self.closed_for_writes.as_mut().poll(cx).is_ready() {
            let message = "the other side closed the channel";
            return Poll::Ready(io::Error::new(io::ErrorKind::BrokenPipe, message));
        }
        Poll::Pending
    }
}

impl Drop for ChannelIo {
    fn drop(&mut self) {
        let Some(write) = self.write.take() else { return };
        self.closings.forget(write.id());
        if !self.closed.is_cancelled() && tokio::runtime::Handle::try_current().is_ok() {
            self.tasks.spawn(async move {
                // Fails only when the session has ended, and with it the channel.
                let _ = write.close().await;
            });
        }
    }
}

impl AsyncRead for ChannelIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        while this.unread.is_empty() && !this.ended {
            match ready!(this.poll_message(cx)) {
                Some(ChannelMsg::Data { data }) => this.unread = data,
                Some(ChannelMsg::Eof | ChannelMsg::Close) => this.ended = true,
                Some(message) => this.store(&message),
                // The session ended, not the stream.
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into())),
            }
        }
        // As many packets as have arrived and fit: one piece of 128 KiB costs the reader less than
        // four.
        let begun = buf.filled().len();
        loop {
            let length = buf.remaining().min(this.unread.len());
            buf.put_slice(&this.unread[..length]);
            this.unread.advance(length);
            if buf.remaining() == 0 || buf.filled().len() - begun >= MAX_READ || this.ended {
                return Poll::Ready(Ok(()));
            }
            match this.poll_message(cx) {
                Poll::Ready(Some(ChannelMsg::Data { data })) => this.unread = data,
                Poll::Ready(Some(ChannelMsg::Eof | ChannelMsg::Close)) => this.ended = true,
                Poll::Ready(Some(message)) => this.store(&message),
                // The next read reports the end of the session.
                Poll::Ready(None) | Poll::Pending => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl AsyncWrite for ChannelIo {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(error) = self.poll_closed(cx) {
            return Poll::Ready(Err(error));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.writer.as_mut().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.poll_closed(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        self.writer.as_mut().poll_shutdown(cx)
    }
}
