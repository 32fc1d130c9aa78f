//! yamux in one channel: streams with their own credit, so that a slow reader delays no other
//! stream.
//!
//! One task drives it and always reads the channel. It knows frames of the protocol, not what they
//! ask for.

mod close_first;
mod notices;
mod stream;

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use agent_proto::{MAX_FRAME, MAX_STREAMS, Opening};
use futures::AsyncWriteExt as _;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufWriter};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};
use tokio_util::task::TaskTracker;

use close_first::CloseFirst;
use notices::Notices;
pub(crate) use stream::MuxStream;
use stream::Request;

use crate::closed::{Closed, PathEnded};

/// The initial credit of a stream, in bytes; yamux's own.
const FIRST_CREDIT: usize = 256 * 1024;
/// How much the credit of all streams together may grow beyond that while they are read fast, in
/// bytes: a download at 30 ms and 1 Gbit/s needs 4 MiB.
const GROWTH: usize = 64 * 1024 * 1024;
/// Concurrent calls. They have permits of their own: otherwise a tunnel full of streams could not
/// be pinged and would count as lost.
const CALLS: usize = 64;
/// yamux counts a dropped stream until it has reported the drop, so its own limit is above
/// [`MAX_STREAMS`].
const YAMUX_STREAMS: usize = 2 * MAX_STREAMS;
/// Sends the header and body of a frame in one packet.
const WRITE_BUFFER: usize = 64 * 1024;

/// Opens streams. The driver ends with `closed`, and sets it when the other side ends.
pub(crate) struct Mux {
    requests: mpsc::UnboundedSender<Request>,
    notices: Arc<Notices>,
    streams: Arc<Semaphore>,
    calls: Arc<Semaphore>,
    closed: Closed,
}

impl Mux {
    /// Starts the driver. At most `split` bytes of a stream are sent at once.
    pub(crate) fn start(
        channel: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        split: usize,
        closed: Closed,
        tasks: &TaskTracker,
    ) -> Self {
        let mut config = yamux::Config::default();
        // yamux checks the two limits against each other at each call.
        config.set_max_connection_receive_window(None);
        config.set_max_num_streams(YAMUX_STREAMS);
        config.set_max_connection_receive_window(Some(YAMUX_STREAMS * FIRST_CREDIT + GROWTH));
        config.set_split_send_size(split);
        let channel = CloseFirst::new(channel, closed.clone());
        let socket = BufWriter::with_capacity(WRITE_BUFFER, channel).compat();
        let (requests, queue) = mpsc::unbounded_channel();
        let notices = Arc::new(Notices::default());
        let driver = Driver {
            connection: yamux::Connection::new(socket, config, yamux::Mode::Client),
            queue,
            next: None,
            notices: notices.clone(),
            tasks: tasks.clone(),
            closed: closed.clone(),
        };
        tasks.spawn(driver.run());
        let (streams, calls) =
            (Arc::new(Semaphore::new(MAX_STREAMS)), Arc::new(Semaphore::new(CALLS)));
        Self { requests, notices, streams, calls, closed }
    }

    /// Opens a stream. Waits while [`MAX_STREAMS`] are open.
    pub(crate) async fn stream(&self) -> Result<MuxStream, PathEnded> {
        self.open(self.streams.clone()).await
    }

    /// Opens a stream for a call. Waits while [`CALLS`] are in progress.
    pub(crate) async fn call(&self) -> Result<MuxStream, PathEnded> {
        self.open(self.calls.clone()).await
    }

    async fn open(&self, places: Arc<Semaphore>) -> Result<MuxStream, PathEnded> {
        let opening = async {
            let permit = places.acquire_owned().await.ok()?;
            let (reply, stream) = oneshot::channel();
            self.requests.send(Request::Open(reply)).ok()?;
            Some((stream.await.ok()?, permit))
        };
        let (stream, permit) = tokio::select! {
            opened = opening => opened.ok_or_else(|| PathEnded(self.closed.message()))?,
            reason = self.closed.wait() => return Err(PathEnded(reason)),
        };
        let id = number(stream.id());
        Ok(MuxStream::new(stream, id, permit, self.requests.clone(), self.notices.clone()))
    }
}

/// yamux hides the number of a stream, but displays it.
fn number(id: yamux::StreamId) -> u32 {
    id.to_string().parse().unwrap_or(0)
}

struct Driver<T> {
    connection: yamux::Connection<T>,
    queue: mpsc::UnboundedReceiver<Request>,
    next: Option<Request>,
    notices: Arc<Notices>,
    tasks: TaskTracker,
    closed: Closed,
}

impl<T: futures::AsyncRead + futures::AsyncWrite + Unpin> Driver<T> {
    async fn run(mut self) {
        let closed = self.closed.clone();
        let reason = tokio::select! {
            reason = std::future::poll_fn(|cx| self.poll(cx)) => reason,
            reason = closed.wait() => reason,
        };
        closed.set(reason);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<String> {
        loop {
            if self.next.is_none() {
                // The end of requests is no reason to stop: streams may be open.
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
                        return Poll::Ready(format!("the agent's session broke: {error}"));
                    }
                    Poll::Pending => {}
                }
            }
            match ready!(self.connection.poll_next_inbound(cx)) {
                Some(Ok(stream)) => {
                    let (notices, closed) = (self.notices.clone(), self.closed.clone());
                    self.tasks.spawn(receive(stream, notices, closed));
                }
                Some(Err(error)) => {
                    return Poll::Ready(format!("the agent's session broke: {error}"));
                }
                None => return Poll::Ready("the agent's session ended".into()),
            }
        }
    }

    fn serve(&mut self, mut stream: yamux::Stream) {
        match self.next.take() {
            // If the opener gave up, the stream is dropped before the agent knows of it.
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

/// Receives a notice, which the agent sends on a stream of its own.
async fn receive(stream: yamux::Stream, notices: Arc<Notices>, closed: Closed) {
    let reading = async {
        let mut bytes = Vec::new();
        stream.compat().take(MAX_FRAME as u64 + 4).read_to_end(&mut bytes).await.ok()?;
        agent_proto::decode::<Opening>(&bytes).ok()?
    };
    tokio::select! {
        frame = reading => if let Some((opening, _)) = frame {
            notices.receive(&opening);
        },
        _ = closed.wait() => {}
    }
}
