//! A stream that is used before the agent has confirmed its destination, so that opening costs no
//! round trip.
//!
//! The request to open is sent together with the first bytes. The agent's answer precedes the first
//! bytes read; a refusal is the error of that read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use agent_proto::{Opened, Refusal, RefusalKind};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use crate::mux::MuxStream;
use crate::stream::OpenError;

/// Bytes that are sent in one frame with the request to open. The head of an HTTP request is
/// shorter.
const JOINED: usize = 16 * 1024;
/// The size of one read of the answer, in bytes, which is a word or a sentence.
const PIECE: usize = 256;

pub(crate) struct LazyOpen {
    stream: MuxStream,
    /// The part of the request to open that is not sent yet.
    unsent: Vec<u8>,
    /// The permit to hold it back.
    held_back: Option<OwnedSemaphorePermit>,
    /// A reader has been deferred once, so that a write may come first.
    deferred: bool,
    answer: Answer,
}

enum Answer {
    /// The received part of its frame.
    Awaited(Vec<u8>),
    Ready,
    Refused(OpenError),
}

impl LazyOpen {
    /// `opening` is the encoded request to open. It is held back until the first bytes are written,
    /// if `held_back` allows it.
    pub(crate) async fn new(
        mut stream: MuxStream,
        mut opening: Vec<u8>,
        held_back: Option<OwnedSemaphorePermit>,
    ) -> io::Result<Self> {
        if held_back.is_none() {
            stream.write_all(&opening).await?;
            opening = Vec::new();
        }
        Ok(Self {
            stream,
            unsent: opening,
            held_back,
            deferred: false,
            answer: Answer::Awaited(Vec::new()),
        })
    }

    fn poll_send_opening(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.unsent.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.unsent))?;
            self.unsent.drain(..written);
        }
        (self.unsent, self.held_back) = (Vec::new(), None);
        Poll::Ready(Ok(()))
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let received = match &mut self.answer {
                Answer::Ready => return Poll::Ready(Ok(())),
                Answer::Refused(error) => return Poll::Ready(Err(refused(error.clone()))),
                Answer::Awaited(received) => received,
            };
            let mut piece = [0; PIECE];
            let missing = agent_proto::missing(received).map_err(io::Error::other)?;
            let mut buf = ReadBuf::new(&mut piece[..missing.min(PIECE)]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                let message = "the agent closed the stream".into();
                return Poll::Ready(Err(refused(OpenError::Refused { message })));
            }
            received.extend_from_slice(buf.filled());
            if let Some((opened, _)) =
                agent_proto::decode::<Opened>(received).map_err(io::Error::other)?
            {
                self.answer = match opened {
                    Opened::Ready => Answer::Ready,
                    Opened::Refused(refusal) => Answer::Refused(refusal.into()),
                };
            }
        }
    }
}

fn refused(error: OpenError) -> io::Error {
    let kind = match &error {
        OpenError::NotFound { .. } => io::ErrorKind::NotFound,
        OpenError::Dead { .. } => io::ErrorKind::ConnectionAborted,
        OpenError::Refused { .. } | OpenError::NoMachine { .. } => io::ErrorKind::ConnectionRefused,
    };
    io::Error::new(kind, error)
}

impl From<Refusal> for OpenError {
    fn from(refusal: Refusal) -> Self {
        match refusal.kind {
            RefusalKind::NotFound => OpenError::NotFound { message: refusal.message },
            RefusalKind::ConnectionRefused | RefusalKind::Other => {
                OpenError::Refused { message: refusal.message }
            }
        }
    }
}

impl AsyncRead for LazyOpen {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.unsent.is_empty() {
            if !std::mem::replace(&mut this.deferred, true) {
                // Most early readers are about to write, too; both are then sent together.
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            ready!(this.poll_send_opening(cx))?;
        }
        if !matches!(this.answer, Answer::Ready) {
            ready!(this.poll_answer(cx))?;
        }
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for LazyOpen {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.unsent.is_empty() || buf.is_empty() {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        let opening = this.unsent.len();
        let payload = buf.len().min(JOINED);
        let joined = [&this.unsent, &buf[..payload]].concat();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &joined))?;
        this.unsent.drain(..written.min(opening));
        match written.saturating_sub(opening) {
            // Only part of the request to open was accepted, and nothing of `buf`.
            0 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            taken => {
                // An idle stream holds no memory for its opening.
                (this.unsent, this.held_back) = (Vec::new(), None);
                Poll::Ready(Ok(taken))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send_opening(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
