//! Bytes on their way to one side of a connection. What that side does not take at once is held,
//! and nothing else is: it has no buffer of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

#[derive(Default)]
pub(crate) struct Outflow {
    held: Bytes,
    unflushed: bool,
    moved: u64,
}

impl Outflow {
    /// Goes first. Nothing else may be held.
    pub(crate) fn hold(&mut self, bytes: Bytes) {
        debug_assert!(self.held.is_empty(), "{} bytes would be lost", self.held.len());
        self.held = bytes;
    }

    /// Bytes that were taken so far.
    pub(crate) fn moved(&self) -> u64 {
        self.moved
    }

    /// Ready when nothing is held any more.
    pub(crate) fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(self.poll_write(cx, to, &self.held.clone()))?;
            self.held.advance(written);
        }
        // An empty piece still keeps what it was cut from.
        self.held = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// Ready when all of it was taken. What was not is held. Nothing may be held before.
    pub(crate) fn poll_pass(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        mut bytes: &[u8],
    ) -> Poll<io::Result<()>> {
        while !bytes.is_empty() {
            match self.poll_write(cx, to, bytes) {
                Poll::Ready(written) => bytes = &bytes[written?..],
                Poll::Pending => {
                    self.hold(Bytes::copy_from_slice(bytes));
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Where anything was written since the last time.
    pub(crate) fn poll_flush(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        if self.unflushed {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(to).poll_write(cx, bytes))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.unflushed = true;
        self.moved += written as u64;
        Poll::Ready(Ok(written))
    }
}
