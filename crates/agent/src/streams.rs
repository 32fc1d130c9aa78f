//! yamux on the agent's side: takes streams, hears which ones the client has given up, and says
//! which ones the agent gives up or lost.
//!
//! It knows frames and bytes; what a stream leads to is the session's business.

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

/// yamux counts a dropped stream until it has told the other side, so its limit stands above the
/// client's.
const YAMUX_STREAMS: usize = 4 * MAX_STREAMS;
/// Credit of a stream that nobody has read yet, in bytes; yamux's own.
const FIRST_CREDIT: usize = 256 * 1024;
/// What all streams together may grow beyond it, in bytes; half of the client's, the machine may be
/// small.
const GROWTH: usize = 32 * 1024 * 1024;
/// Several frames to a system call.
const BUFFER: usize = 64 * 1024;

/// A stream that the client opened. A reset is an error here, where yamux shows an end.
pub struct AgentStream {
    inner: Compat<yamux::Stream>,
    finished: bool,
}

/// What belongs to one stream beside its bytes.
#[derive(Clone)]
pub struct Ticket {
    id: u32,
    /// The client has given it up.
    pub abandoned: CancellationToken,
    streams: Arc<Mutex<HashMap<u32, CancellationToken>>>,
    news: mpsc::UnboundedSender<Opening>,
}

impl Ticket {
    /// The agent reads no more although it has closed its own side; the client's writes shall fail.
    pub fn abandon(&self) {
        // Fails only when the session is over.
        let _ = self.news.send(Opening::Abandon { stream: self.id });
    }

    /// What the stream led to broke off behind `after` bytes, and the client has closed its own
    /// side.
    pub fn broke(&self, after: u64) {
        // Fails only when the session is over.
        let _ = self.news.send(Opening::Broken { stream: self.id, after });
    }

    /// The client gave up another stream.
    pub fn heard_abandon(&self, id: u32) {
        if let Some(token) = self.streams.lock().unwrap_or_else(PoisonError::into_inner).get(&id) {
            token.cancel();
        }
    }
}

/// Serves streams with `serve` until the other side ends, and sends `split` bytes at once at most.
pub async fn serve<F>(
    io: impl AsyncRead + AsyncWrite + Unpin,
    split: usize,
    mut serve: impl FnMut(AgentStream, Ticket) -> F,
) -> io::Result<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut config = yamux::Config::default();
    config.set_max_connection_receive_window(None);
    config.set_max_num_streams(YAMUX_STREAMS);
    config.set_max_connection_receive_window(Some(YAMUX_STREAMS * FIRST_CREDIT + GROWTH));
    config.set_split_send_size(split);
    let socket = BufStream::with_capacity(BUFFER, BUFFER, io).compat();
    let mut connection = yamux::Connection::new(socket, config, yamux::Mode::Server);
    let streams: Arc<Mutex<HashMap<u32, CancellationToken>>> = Arc::default();
    // One entry for each stream at most, and the client opens no more than MAX_STREAMS.
    let (news, mut queue) = mpsc::unbounded_channel::<Opening>();
    let mut tasks = JoinSet::new();
    let mut next = None;
    std::future::poll_fn(|cx| {
        loop {
            while let Poll::Ready(Some(_)) = tasks.poll_join_next(cx) {}
            if next.is_none()
                && let Poll::Ready(Some(word)) = queue.poll_recv(cx)
            {
                next = Some(word);
            }
            if let Some(word) = next.take() {
                match connection.poll_new_outbound(cx) {
                    Poll::Ready(Ok(stream)) => {
                        tasks.spawn(tell(stream, word));
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(broken(error))),
                    Poll::Pending => next = Some(word),
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
                    let ticket =
                        Ticket { id, abandoned, streams: streams.clone(), news: news.clone() };
                    let serving = serve(
                        AgentStream { inner: stream.compat(), finished: false },
                        ticket.clone(),
                    );
                    tasks.spawn(async move {
                        tokio::select! {
                            () = serving => {}
                            () = ticket.abandoned.cancelled() => {}
                        }
                        ticket.streams.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
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

async fn tell(stream: yamux::Stream, word: Opening) {
    if let Ok(frame) = agent_proto::encode(&word) {
        let mut stream = stream.compat();
        // Fails only when the session is over.
        let _ = stream.write_all(&frame).await;
        let _ = stream.shutdown().await;
    }
}

/// yamux keeps the number of a stream to itself, but shows it.
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
