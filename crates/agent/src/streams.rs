//! yamux on the agent's side: accepts streams, receives which ones the client has abandoned, and
//! reports which ones the agent abandons or lost.
//!
//! It knows frames and bytes, not what a stream is connected to.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use agent_proto::{MAX_STREAMS, Opening};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::compat::{Compat, FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use tokio_util::sync::CancellationToken;

/// yamux counts a dropped stream until it has reported the drop, so its limit is above the
/// client's.
const YAMUX_STREAMS: usize = 4 * MAX_STREAMS;
/// Initial credit of a stream, in bytes; yamux's own.
const FIRST_CREDIT: usize = 256 * 1024;
/// How much the credit of all streams together may grow beyond that, in bytes; half of the client's
/// limit, because the machine may be small.
const GROWTH: usize = 32 * 1024 * 1024;
/// Buffers several frames per system call, in bytes.
const BUFFER: usize = 64 * 1024;

/// A stream that the client opened. A reset is an error here, where yamux shows an end.
pub struct AgentStream {
    inner: Compat<yamux::Stream>,
    finished: bool,
}

/// Control of one stream, beside its bytes.
#[derive(Clone)]
pub struct Control {
    id: u32,
    /// Cancelled when the client has abandoned the stream.
    pub abandoned: CancellationToken,
    streams: Arc<Mutex<HashMap<u32, CancellationToken>>>,
    outgoing: mpsc::UnboundedSender<Opening>,
}

impl Control {
    /// The yamux id of the stream.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Abandons the stream: the agent reads no more although it has closed its side. Makes the
    /// client's writes fail.
    pub fn abandon(&self) {
        // Fails only when the session is over.
        let _ = self.outgoing.send(Opening::Abandon { stream: self.id });
    }

    /// Reports that the target broke off after `after` bytes, when the client has closed its side.
    pub fn report_break(&self, after: u64) {
        // Fails only when the session is over.
        let _ = self.outgoing.send(Opening::Broken { stream: self.id, after });
    }

    /// Handles the client's report that it abandoned another stream.
    pub fn peer_abandoned(&self, id: u32) {
        if let Some(token) = self.streams.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            token.cancel();
        }
    }
}

/// Serves each stream with `serve` until the other side ends. Sends at most `split` bytes at once.
pub async fn serve<F>(
    io: impl AsyncRead + AsyncWrite + Unpin,
    split: usize,
    mut serve: impl FnMut(AgentStream, Control) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut config = yamux::Config::default();
    // yamux checks the two limits against each other at each call.
    config.set_max_connection_receive_window(None);
    config.set_max_num_streams(YAMUX_STREAMS);
    config.set_max_connection_receive_window(Some(YAMUX_STREAMS * FIRST_CREDIT + GROWTH));
    config.set_split_send_size(split);
    let socket = BufStream::with_capacity(BUFFER, BUFFER, io).compat();
    let mut connection = yamux::Connection::new(socket, config, yamux::Mode::Server);
    let streams: Arc<Mutex<HashMap<u32, CancellationToken>>> = Arc::default();
    // Bounded by the streams: one entry for each, and the client opens no more than MAX_STREAMS.
    let (outgoing, mut queue) = mpsc::unbounded_channel::<Opening>();
    let mut tasks = JoinSet::new();
    let mut next = None;
    std::future::poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {}
            if next.is_none()
                && let Poll::Ready(Some(opening)) = queue.poll_recv(cx)
            {
                next = Some(opening);
            }
            if let Some(opening) = next.take() {
                match connection.poll_new_outbound(cx) {
                    Poll::Ready(Ok(stream)) => {
                        tasks.spawn(send(stream, opening));
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
                    Poll::Pending => next = Some(opening),
                }
            }
            match ready!(connection.poll_next_inbound(cx)) {
                Some(Ok(stream)) => {
                    let id = number(stream.id());
                    let abandoned = CancellationToken::new();
                    streams
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(id, abandoned.clone());
                    let (streams, outgoing) = (streams.clone(), outgoing.clone());
                    let control = Control { id, abandoned, streams, outgoing };
                    let serving = serve(
                        AgentStream { inner: stream.compat(), finished: false },
                        control.clone(),
                    );
                    tasks.spawn(async move {
                        tokio::select! {
                            () = serving => {}
                            () = control.abandoned.cancelled() => {}
                        }
                        control.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    });
                }
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}

fn broken(error: yamux::ConnectionError) -> io::Error {
    match error {
        yamux::ConnectionError::Io(error) => error,
        error => io::Error::other(error),
    }
}

async fn send(stream: yamux::Stream, opening: Opening) {
    if let Ok(frame) = agent_proto::encode(&opening) {
        let mut stream = stream.compat();
        // Fails only when the session is over.
        let _ = stream.write_all(&frame).await;
        let _ = stream.shutdown().await;
    }
}

/// yamux hides the number of a stream, but displays it.
fn number(id: yamux::StreamId) -> u32 {
    id.to_string().parse().unwrap_or(0)
}

impl AsyncRead for AgentStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() == before
            && buf.remaining() > 0
            && !self.finished
            && self.inner.get_ref().is_closed()
        {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for AgentStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let closed = ready!(Pin::new(&mut self.inner).poll_shutdown(cx));
        self.finished = true;
        Poll::Ready(closed)
    }
}
