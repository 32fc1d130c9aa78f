//! The engine's stream as the HTTP client reads and writes it. It passes the client's end on behind
//! the request, and stops reading behind the head of a response that is to be relayed, so that the
//! relay can go on at that very byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use api::RequestId;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel::Stream;

use crate::wire::request_progress::RequestProgress;
use crate::wire::response_head::{Behind, behind};

/// A handle. The stream ends with the last one.
///
/// hyper waits for the response by reading, so that is where the client's end is passed on. A
/// failed write is reported when reading ends: an engine may answer and close before it has read
/// the whole request, and a stream that cannot be opened says so by its first read.
#[derive(Clone)]
pub(crate) struct EngineIo(Arc<Mutex<Shared>>);

struct Shared {
    /// `None` once the connection was taken over.
    stream: Option<Stream>,
    progress: Arc<RequestProgress>,
    opened_for: Option<RequestId>,
    response: Reading,
    /// The error of a failed write.
    lost: Option<io::Error>,
    unflushed: bool,
    shut: bool,
}

/// How the response is read.
enum Reading {
    /// As it comes.
    Passing,
    /// Until its head is complete. Holds what came of it.
    Head(Vec<u8>),
    /// Stopped behind the head. Holds what came of the body.
    Stopped(Bytes),
    /// As it comes, behind these bytes.
    Resumed(Bytes),
}

impl EngineIo {
    pub(crate) fn new(stream: Stream, progress: Arc<RequestProgress>) -> Self {
        let shared = Shared {
            stream: Some(stream),
            progress,
            opened_for: tunnel::current_request(),
            response: Reading::Passing,
            lost: None,
            unflushed: false,
            shut: false,
        };
        Self(Arc::new(Mutex::new(shared)))
    }

    // All handles live in one task, so the lock is never waited for, and a panic ends them all.
    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before a request is sent: whether reading stops behind the head of its response
    /// if chunks follow.
    pub(crate) fn stop_behind_head(&self, stop: bool) {
        self.lock().response = if stop { Reading::Head(Vec::new()) } else { Reading::Passing };
    }

    /// Reading has stopped behind the head of a response.
    pub(crate) fn has_stopped(&self) -> bool {
        matches!(self.lock().response, Reading::Stopped(_))
    }

    /// Reading goes on behind the head.
    pub(crate) fn resume(&self) {
        let mut shared = self.lock();
        if let Reading::Stopped(early) = &mut shared.response {
            shared.response = Reading::Resumed(std::mem::take(early));
            shared.progress.wake_reader();
        }
    }

    /// See [`Stream::is_temporary`].
    pub(crate) fn is_temporary(&self) -> bool {
        self.lock().stream.as_ref().is_some_and(Stream::is_temporary)
    }

    /// The request that the stream was opened for, which names it in the machine's log.
    pub(crate) fn opened_for(&self) -> Option<RequestId> {
        self.lock().opened_for
    }

    /// The stream without HTTP around it.
    pub(crate) fn take(&self) -> Option<Stream> {
        self.lock().stream.take()
    }
}

impl Shared {
    fn stream(&mut self) -> io::Result<Pin<&mut Stream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn pass_end(&mut self, cx: &mut Context<'_>) {
        if !self.shut
            && !self.unflushed
            && self.progress.is_half_close_due()
            && let Ok(stream) = self.stream()
            && stream.poll_shutdown(cx).is_ready()
        {
            self.shut = true;
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.progress.register_reader(cx);
        self.pass_end(cx);
        match &mut self.response {
            Reading::Stopped(_) => return Poll::Pending,
            Reading::Resumed(early) if !early.is_empty() => {
                let length = early.len().min(buf.remaining());
                buf.put_slice(&early[..length]);
                early.advance(length);
                return Poll::Ready(Ok(()));
            }
            Reading::Resumed(_) => self.response = Reading::Passing,
            Reading::Passing | Reading::Head(_) => {}
        }
        let before = buf.filled().len();
        ready!(self.stream()?.poll_read(cx, buf))?;
        self.take_body_back(buf, before);
        match self.lost.take_if(|_| buf.filled().len() == before) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Takes the bytes behind a complete head out of the buffer again.
    fn take_body_back(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Reading::Head(head) = &mut self.response else { return };
        let known = head.len();
        head.extend_from_slice(&buf.filled()[before..]);
        match behind(head, known) {
            Some(Behind::Chunks(at)) => {
                let early = Bytes::copy_from_slice(&head[at..]);
                buf.set_filled(buf.filled().len() - early.len());
                self.response = Reading::Stopped(early);
            }
            Some(Behind::Other) => self.response = Reading::Passing,
            None => {}
        }
    }

    fn write(
        &mut self,
        write: impl FnOnce(Pin<&mut Stream>) -> Poll<io::Result<usize>>,
        all: usize,
    ) -> Poll<io::Result<usize>> {
        if self.lost.is_some() {
            return Poll::Ready(Ok(all));
        }
        self.unflushed = true;
        self.progress.begin();
        let written = write(self.stream()?);
        self.note_write(written, all)
    }

    /// A failed write counts as a written one, and its error is kept for the reader.
    fn note_write(
        &mut self,
        written: Poll<io::Result<usize>>,
        all: usize,
    ) -> Poll<io::Result<usize>> {
        self.progress.set_blocked(written.is_pending());
        match written {
            Poll::Ready(Err(error)) => {
                self.lost = Some(error);
                self.unflushed = false;
                self.progress.wake_reader();
                Poll::Ready(Ok(all))
            }
            written => written,
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lost.is_some() {
            return Poll::Ready(Ok(()));
        }
        if let Err(error) = ready!(self.stream()?.poll_flush(cx)) {
            let _ = self.note_write(Poll::Ready(Err(error)), 0);
        }
        self.unflushed = false;
        self.pass_end(cx);
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for EngineIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.lock().poll_read(cx, buf)
    }
}

impl AsyncWrite for EngineIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.lock().write(|stream| stream.poll_write(cx, buf), buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = bufs.iter().map(|buf| buf.len()).sum();
        self.lock().write(|stream| stream.poll_write_vectored(cx, bufs), all)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().stream.as_ref().is_some_and(Stream::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.lock().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut shared = self.lock();
        shared.shut = true;
        shared.stream()?.poll_shutdown(cx)
    }
}
