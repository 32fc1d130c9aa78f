//! The engine's stream as the HTTP client reads and writes it: the client's end is passed on behind
//! the request, and an answer that is going to travel as it is stops behind its head, so that the
//! stream can be had back from the HTTP client at that very byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tunnel::Stream;

use crate::upstream::connection::Way;
use crate::wire::response_head::{Behind, behind};

/// A handle. The stream ends with the last one.
///
/// hyper waits for the answer by reading, so that is where the client's end is passed on. A write
/// that fails is told when reading ends: an engine may answer before it has read everything and
/// close, and a refusal of the stream itself comes by reading, too.
#[derive(Clone)]
pub(crate) struct EngineIo(Arc<Mutex<Shared>>);

struct Shared {
    /// None when it was taken over.
    stream: Option<Stream>,
    way: Arc<Way>,
    answer: Answer,
    lost: Option<io::Error>,
    unflushed: bool,
    shut: bool,
}

/// How the answer is read.
enum Answer {
    /// As it comes.
    Passes,
    /// Its head is looked at; so much of it came.
    Watched(Vec<u8>),
    /// Nothing behind its head is given. This has come.
    Stopped(Bytes),
    /// As it comes, behind this.
    GoesOn(Bytes),
}

impl EngineIo {
    pub(crate) fn new(stream: Stream, way: Arc<Way>) -> Self {
        let shared = Shared {
            stream: Some(stream),
            way,
            answer: Answer::Passes,
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

    /// Before a request is sent: whether reading shall stop behind the head of its answer, if what
    /// follows are chunks.
    pub(crate) fn stops_behind_head(&self, stops: bool) {
        self.lock().answer = if stops { Answer::Watched(Vec::new()) } else { Answer::Passes };
    }

    /// Reading has stopped behind the head of an answer.
    pub(crate) fn has_stopped(&self) -> bool {
        matches!(self.lock().answer, Answer::Stopped(_))
    }

    /// Reading goes on.
    pub(crate) fn goes_on(&self) {
        let mut shared = self.lock();
        if let Answer::Stopped(early) = &mut shared.answer {
            shared.answer = Answer::GoesOn(std::mem::take(early));
            shared.way.look_again();
        }
    }

    /// See [`Stream::is_makeshift`].
    pub(crate) fn is_makeshift(&self) -> bool {
        self.lock().stream.as_ref().is_some_and(Stream::is_makeshift)
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

    fn pass_end_on(&mut self, cx: &mut Context<'_>) {
        if !self.shut
            && !self.unflushed
            && self.way.is_due()
            && let Ok(stream) = self.stream()
            && stream.poll_shutdown(cx).is_ready()
        {
            self.shut = true;
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.way.listen(cx);
        self.pass_end_on(cx);
        match &mut self.answer {
            Answer::Stopped(_) => return Poll::Pending,
            Answer::GoesOn(early) if !early.is_empty() => {
                let length = early.len().min(buf.remaining());
                buf.put_slice(&early[..length]);
                early.advance(length);
                return Poll::Ready(Ok(()));
            }
            Answer::GoesOn(_) => self.answer = Answer::Passes,
            Answer::Passes | Answer::Watched(_) => {}
        }
        let before = buf.filled().len();
        ready!(self.stream()?.poll_read(cx, buf))?;
        self.stop_behind_head(buf, before);
        match self.lost.take_if(|_| buf.filled().len() == before) {
            Some(error) => Poll::Ready(Err(error)),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Takes back what is not to be given.
    fn stop_behind_head(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let Answer::Watched(head) = &mut self.answer else { return };
        let known = head.len();
        head.extend_from_slice(&buf.filled()[before..]);
        match behind(head, known) {
            Some(Behind::Chunks(at)) => {
                let early = Bytes::copy_from_slice(&head[at..]);
                buf.set_filled(buf.filled().len() - early.len());
                self.answer = Answer::Stopped(early);
            }
            Some(Behind::Other) => self.answer = Answer::Passes,
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
        self.way.begins();
        let written = write(self.stream()?);
        self.written(written, all)
    }

    fn written(&mut self, written: Poll<io::Result<usize>>, all: usize) -> Poll<io::Result<usize>> {
        self.way.is_blocked_now(written.is_pending());
        match written {
            Poll::Ready(Err(error)) => {
                self.lost = Some(error);
                self.unflushed = false;
                self.way.look_again();
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
            let _ = self.written(Poll::Ready(Err(error)), 0);
        }
        self.unflushed = false;
        self.pass_end_on(cx);
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
