//! A stream that is used before the agent has said that it leads anywhere, so that opening one
//! costs no round trip.
//!
//! The request to open leaves together with the first bytes, and the agent's answer comes in front
//! of the first bytes that are read; a refusal is the error of that read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use agent_proto::{Opened, Refusal, RefusalKind};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use crate::OpenError;
use crate::mux::MuxStream;

/// Bytes that leave in one frame with the request to open. The head of an HTTP request is shorter.
const TOGETHER: usize = 16 * 1024;
/// An answer is a word or a sentence.
const PIECE: usize = 256;

pub(crate) struct Promised {
    stream: MuxStream,
    /// The request to open, as far as it has not left.
    unsent: Vec<u8>,
    /// The right to hold it back.
    held_back: Option<OwnedSemaphorePermit>,
    /// Whoever reads first has been asked to write first.
    deferred: bool,
    answer: Answer,
}

enum Answer {
    /// What came of its frame so far.
    Awaited(Vec<u8>),
    Ready,
    Refused(OpenError),
}

impl Promised {
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
            let heard = match &mut self.answer {
                Answer::Ready => return Poll::Ready(Ok(())),
                Answer::Refused(error) => return Poll::Ready(Err(refused(error.clone()))),
                Answer::Awaited(heard) => heard,
            };
            let mut piece = [0; PIECE];
            let missing = agent_proto::missing(heard).map_err(io::Error::other)?;
            let mut buf = ReadBuf::new(&mut piece[..missing.min(PIECE)]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(refused(OpenError::Refused {
                    message: "the agent gave up \
                    the stream"
                        .into(),
                })));
            }
            heard.extend_from_slice(buf.filled());
            if let Some((opened, _)) =
                agent_proto::decode::<Opened>(heard).map_err(io::Error::other)?
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

impl AsyncRead for Promised {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.unsent.is_empty() {
            if !std::mem::replace(&mut this.deferred, true) {
                // Most who read at once are about to write, too: both shall leave together.
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

impl AsyncWrite for Promised {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.unsent.is_empty() || buf.is_empty() {
            return Pin::new(&mut this.stream).poll_write(cx, buf);
        }
        let ours = this.unsent.len();
        let theirs = buf.len().min(TOGETHER);
        let together = [&this.unsent, &buf[..theirs]].concat();
        let written = ready!(Pin::new(&mut this.stream).poll_write(cx, &together))?;
        this.unsent.drain(..written.min(ours));
        match written.saturating_sub(ours) {
            // Only part of the request to open fitted; nothing of `buf` was taken yet.
            0 => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            taken => {
                this.held_back = None;
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
