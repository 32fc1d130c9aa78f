//! Bytes that wait to be written to one side of a connection. Only bytes that the side does not
//! take at once are held: a stream that is silent holds no buffer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::AsyncWrite;

/// One read of a raw stream, on the stack: as much as a socket buffer gives at once under load.
pub(crate) const PIECE: usize = 64 * 1024;

/// Reads in a row before other tasks get their turn.
pub(crate) const TURNS: usize = 16;

#[derive(Default)]
pub(crate) struct WriteBuffer {
    held: Bytes,
    unflushed: bool,
    written: u64,
}

impl WriteBuffer {
    /// Bytes to be written first. None may be held already.
    pub(crate) fn hold(&mut self, bytes: Bytes) {
        debug_assert!(self.held.is_empty(), "{} bytes would be lost", self.held.len());
        self.held = bytes;
    }

    /// Bytes that were written so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Ready when no bytes are held any more.
    pub(crate) fn poll_held(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(self.poll_write(cx, to, &self.held.clone()))?;
            self.held.advance(written);
        }
        // An empty slice still keeps the buffer that it was cut from.
        self.held = Bytes::new();
        Poll::Ready(Ok(()))
    }

    /// Ready when all bytes are written; the rest is held. No bytes may be held before.
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

    /// Flushes if bytes were written since the last flush.
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
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }
}
