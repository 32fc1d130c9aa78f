//! yamux in one channel: streams with their own credit, so that a reader who rests holds up nobody
//! else.
//!
//! One task drives it and always reads the channel. It knows frames of the protocol, and not what
//! they ask for.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};

use agent_proto::{MAX_FRAME, MAX_STREAMS, Opening};
use futures::task::AtomicWaker;
use futures::{AsyncWrite as _, AsyncWriteExt as _, Stream as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufWriter, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use tokio_util::task::TaskTracker;

use crate::death::Death;

/// Credit of a stream that nobody has read yet, in bytes; yamux's own.
const FIRST_CREDIT: usize = 256 * 1024;
/// What all streams together may grow beyond it while they are read fast, in bytes: a download at
/// 30 ms and 1 Gbit/s takes 4 MiB.
const GROWTH: usize = 64 * 1024 * 1024;
/// Calls at once. They have places of their own, or a tunnel full of streams could not be pinged
/// and would be taken for dead.
const CALLS: usize = 64;
/// yamux counts a dropped stream until it has told the other side, so its own limit stands above
/// ours.
const YAMUX_STREAMS: usize = 2 * MAX_STREAMS;
/// Header and body of a frame leave in one packet.
const WRITE_BUFFER: usize = 64 * 1024;

/// Requests to the driver. Each holds the place of a stream or call, which is the bound of the
/// queue.
enum Request {
    Open(oneshot::Sender<yamux::Stream>),
    Abandon(u32, OwnedSemaphorePermit),
}

/// Opens streams; the driver ends with `death`, and declares it when the other side ends.
pub(crate) struct Mux {
    requests: mpsc::UnboundedSender<Request>,
    told: Arc<Told>,
    streams: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    death: Death,
}

impl Mux {
    /// `split` bytes are sent at once at most.
    pub(crate) fn start(
        channel: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        split: usize,
        death: Death,
        tasks: &TaskTracker,
    ) -> Self {
        let mut config = yamux::Config::default();
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(YAMUX_STREAMS);
        config.set_max_connection_receive_window(Some(YAMUX_STREAMS * FIRST_CREDIT + GROWTH));
        config.set_split_send_size(split);
        let announced = Announced { inner: channel, death: death.clone() };
        let socket = BufWriter::with_capacity(WRITE_BUFFER, announced).compat();
        let (requests, queue) = mpsc::unbounded_channel();
        let told = Arc::new(Told::default());
        let driver = Driver {
            connection: yamux::Connection::new(socket, config, yamux::Mode::Client),
            queue,
            next: None,
            told: told.clone(),
            tasks: tasks.clone(),
            death: death.clone(),
        };
        tasks.spawn(driver.run());
        let (streams, calls) =
            (Arc::new(Semaphore::new(MAX_STREAMS)), Arc::new(Semaphore::new(CALLS)));
        Self { requests, told, streams, calls, death }
    }

    /// A new stream. Waits while [`MAX_STREAMS`] are open.
    pub(crate) async fn stream(&self) -> Result<MuxStream, String> {
        self.open(self.streams.clone()).await
    }

    /// A new stream for a call. Waits while [`CALLS`] go on.
    pub(crate) async fn call(&self) -> Result<MuxStream, String> {
        self.open(self.calls.clone()).await
    }

    async fn open(&self, places: Arc<Semaphore>) -> Result<MuxStream, String> {
        let opening = async {
            let permit = places.acquire_owned().await.ok()?;
            let (reply, stream) = oneshot::channel();
            self.requests.send(Request::Open(reply)).ok()?;
            Some((stream.await.ok()?, permit))
        };
        let (stream, permit) = tokio::select! {
            opened = opening => opened.ok_or_else(|| self.death.epitaph())?,
            reason = self.death.wait() => return Err(reason),
        };
        let id = number(stream.id());
        Ok(MuxStream {
            inner: stream,
            unread: None,
            id,
            news: self.told.register(id),
            read: 0,
            finished: false,
            ended: false,
            permit: Some(permit),
            requests: self.requests.clone(),
            told: self.told.clone(),
        })
    }
}

/// yamux keeps the number of a stream to itself, but shows it.
fn number(id: yamux::StreamId) -> u32 {
    id.to_string().parse().unwrap_or(0)
}

/// What the other side says of streams beside them.
#[derive(Debug, Default)]
struct Told(Mutex<HashMap<u32, Arc<News>>>);

/// What is known of one stream.
#[derive(Debug, Default)]
struct News {
    /// The other side takes no more.
    given_up: AtomicBool,
    writer: AtomicWaker,
    /// It broke off behind so many bytes.
    broken: OnceLock<u64>,
    reader: AtomicWaker,
}

impl Told {
    fn register(&self, id: u32) -> Arc<News> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(id).or_default().clone()
    }

    fn forget(&self, id: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    fn hear(&self, word: &Opening) {
        let of = |id: &u32| self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        match word {
            Opening::Abandon { stream } => {
                if let Some(news) = of(stream) {
                    news.given_up.store(true, Ordering::Release);
                    news.writer.wake();
                }
            }
            Opening::Broken { stream, after } => {
                if let Some(news) = of(stream) {
                    // Said once.
                    let _ = news.broken.set(*after);
                    news.reader.wake();
                }
            }
            Opening::Docker
            | Opening::Socket { .. }
            | Opening::Tcp { .. }
            | Opening::Udp { .. }
            | Opening::Call(_) => {}
        }
    }
}

struct Driver<T> {
    connection: yamux::Connection<T>,
    queue: mpsc::UnboundedReceiver<Request>,
    next: Option<Request>,
    told: Arc<Told>,
    tasks: TaskTracker,
    death: Death,
}

impl<T: futures::AsyncRead + futures::AsyncWrite + Unpin> Driver<T> {
    async fn run(mut self) {
        let death = self.death.clone();
        let reason = tokio::select! {
            reason = std::future::poll_fn(|cx| self.poll(cx)) => reason,
            reason = death.wait() => reason,
        };
        death.declare(reason);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        loop {
            if self.next.is_none() {
                // No more requests is no reason to stop: streams may be open.
                if let Poll::Ready(Some(request)) = self.queue.poll_recv(cx) {
                    self.next = Some(request);
                }
            }
            if self.next.is_some() {
                match self.connection.poll_new_outbound(cx) {
                    Poll::Ready(Ok(stream)) => {
                        self.serve(stream);
                        continue;
                    }
                    Poll::Ready(Err(error)) => {
                        return Poll::Ready(format!(
                            "the agent's session \
                        broke: {error}"
                        ));
                    }
                    Poll::Pending => {}
                }
            }
            match ready!(self.connection.poll_next_inbound(cx)) {
                Some(Ok(stream)) => {
                    self.tasks.spawn(listen(stream, self.told.clone(), self.death.clone()));
                }
                Some(Err(error)) => {
                    return Poll::Ready(format!(
                        "the agent's session broke: \
                    {error}"
                    ));
                }
                None => return Poll::Ready("the agent's session ended".into()),
            }
        }
    }

    fn serve(&mut self, mut stream: yamux::Stream) {
        match self.next.take() {
            // Nobody waits any more: the stream is dropped before the agent heard of it.
            Some(Request::Open(reply)) => drop(reply.send(stream)),
            Some(Request::Abandon(id, permit)) => {
                self.tasks.spawn(async move {
                    if let Ok(frame) = agent_proto::encode(&Opening::Abandon { stream: id }) {
                        // Fails only when the session is gone.
                        let _ = stream.write_all(&frame).await;
                        let _ = stream.close().await;
                    }
                    drop(permit);
                });
            }
            None => {}
        }
    }
}

/// What the agent says on a stream of its own.
async fn listen(stream: yamux::Stream, told: Arc<Told>, death: Death) {
    let reading = async {
        let mut bytes = Vec::new();
        stream.compat().take(MAX_FRAME as u64 + 4).read_to_end(&mut bytes).await.ok()?;
        agent_proto::decode::<Opening>(&bytes).ok()?
    };
    tokio::select! {
        frame = reading => if let Some((word, _)) = frame {
            told.hear(&word);
        },
        _ = death.wait() => {}
    }
}

/// Declares the end before yamux hears of it: yamux ends its streams as if they had ended well.
struct Announced<T> {
    inner: T,
    death: Death,
}

impl<T: AsyncRead + Unpin> AsyncRead for Announced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        if read.is_err() || buf.filled().len() == before {
            self.death.declare("the agent's session ended");
        }
        Poll::Ready(read)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Announced<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, buf));
        if written.is_err() {
            self.death.declare("the agent's session ended");
        }
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// One stream. A reset is an error here, where yamux shows an end.
pub(crate) struct MuxStream {
    inner: yamux::Stream,
    /// A packet that came, and how much of it was read.
    unread: Option<(yamux::Packet, usize)>,
    id: u32,
    news: Arc<News>,
    /// Bytes so far.
    read: u64,
    /// We closed our side.
    finished: bool,
    /// The other side closed its own.
    ended: bool,
    permit: Option<OwnedSemaphorePermit>,
    requests: mpsc::UnboundedSender<Request>,
    told: Arc<Told>,
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.told.forget(self.id);
        if self.finished
            && !self.ended
            && let Some(permit) = self.permit.take()
        {
            // Fails only when the driver is gone, and the agent's side with it.
            let _ = self.requests.send(Request::Abandon(self.id, permit));
        }
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.news.reader.register(cx.waker());
        let room = buf.remaining();
        // By packets, not into a slice: that would have to be zeroed first, and a buffer of a
        // stream in which nothing comes would be memory in use.
        while buf.remaining() > 0 {
            if let Some((packet, taken)) = &mut this.unread {
                let rest = &packet.as_ref()[*taken..];
                let length = rest.len().min(buf.remaining());
                buf.put_slice(&rest[..length]);
                *taken += length;
                this.read += length as u64;
                if *taken == packet.as_ref().len() {
                    this.unread = None;
                }
                continue;
            }
            match Pin::new(&mut this.inner).poll_next(cx) {
                Poll::Ready(Some(Ok(packet))) => this.unread = Some((packet, 0)),
                // What comes behind bytes is told by the next read.
                _ if buf.remaining() < room => break,
                Poll::Pending => {
                    return match this.news.broken.get() {
                        Some(after) if *after <= this.read => {
                            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
                        }
                        _ => Poll::Pending,
                    };
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) if !this.finished && this.inner.is_closed() => {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
                }
                Poll::Ready(None) => {
                    this.ended = true;
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.news.writer.register(cx.waker());
        if self.news.given_up.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // yamux says WriteZero when the stream is closed; callers know that as a broken pipe.
        let broken = |error: io::Error| match error.kind() {
            io::ErrorKind::WriteZero => io::ErrorKind::BrokenPipe.into(),
            _ => error,
        };
        Pin::new(&mut self.inner).poll_write(cx, buf).map_err(broken)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.finished && self.inner.is_closed() {
            return Poll::Ready(Ok(()));
        }
        let closed = ready!(Pin::new(&mut self.inner).poll_close(cx));
        self.finished = true;
        Poll::Ready(closed)
    }
}
