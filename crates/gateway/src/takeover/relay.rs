//! Relays a response without an end, such as a followed log: its chunks pass from the engine to the
//! client byte for byte, and HTTP goes on behind the last of them. hyper cannot release its
//! buffers, so a silent stream would hold them on both sides.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use api::RequestId;
use bytes::Bytes;
use http::header::{CONNECTION, UPGRADE};
use http::{Method, Request, Version};
use hyper::body::{Body, Frame};
use lifecycle::Guard;
use tokio::io::{AsyncRead, ReadBuf};
use tunnel::Class;

use super::departure::Departure;
use crate::context::ClientContext;
use crate::rules::route::Route;
use crate::upstream::connection::Upstream;
use crate::upstream::io::EngineIo;
use crate::wire::chunked::Chunks;
use crate::wire::client_io::{ClientIo, Watch};
use crate::wire::in_flight::Busy;
use crate::wire::request_progress::RequestProgress;
use crate::wire::response_body::ResponseBody;
use crate::wire::socket::Socket;
use crate::wire::write_buffer::{PIECE, TURNS, WriteBuffer};

/// Whether the response to this request may be relayed: nothing is left to do but pass it on, and
/// only its end can end the connection.
pub(crate) fn is_possible<B: Body>(route: &Route, request: &Request<B>) -> bool {
    let headers = request.headers();
    let keeps = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    route.relays
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && !headers.contains_key(UPGRADE)
        && headers.get_all(CONNECTION).iter().all(keeps)
}

/// A response of which the engine's head was read, and nothing behind it.
pub(crate) struct Relay {
    engine: EngineIo,
    progress: Arc<RequestProgress>,
    class: Class,
    guard: Arc<Guard>,
    busy: Busy,
    /// For the log.
    request: Option<RequestId>,
    /// The server has taken the head, and asks for the body.
    head_taken: Arc<AtomicBool>,
    chunks: Chunks,
    buffer: WriteBuffer,
    /// The last byte was read.
    ended: bool,
    /// No byte came behind it.
    clean: bool,
}

/// The body of a relayed response as the HTTP server sees it: in chunks, and never any.
struct HeadOnly(Arc<AtomicBool>);

impl Body for HeadOnly {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // The head stands before it in what hyper writes next.
        self.0.store(true, Ordering::Release);
        Poll::Pending
    }
}

impl Relay {
    /// Takes the stream from the HTTP client, which ends. Returns the body for the HTTP server,
    /// too.
    pub(crate) fn of(upstream: Upstream, guard: Arc<Guard>, busy: Busy) -> (Self, ResponseBody) {
        let (engine, progress, class) = (upstream.io(), upstream.progress(), upstream.class);
        // Ended first: it must not read any more.
        drop(upstream);
        engine.resume();
        let head_taken = Arc::<AtomicBool>::default();
        let body = ResponseBody::streamed(HeadOnly(head_taken.clone()));
        let relay = Self {
            engine,
            progress,
            class,
            guard,
            busy,
            request: tunnel::current_request(),
            head_taken,
            chunks: Chunks::default(),
            buffer: WriteBuffer::default(),
            ended: false,
            clean: true,
        };
        (relay, body)
    }

    /// Whether the head is in what the HTTP server has written or is about to write.
    pub(crate) fn is_head_taken(&self) -> bool {
        self.head_taken.load(Ordering::Acquire)
    }

    /// Passes the body on. True when the client has all of it; otherwise the engine or the client
    /// broke off.
    pub(crate) async fn run<S: Socket>(
        mut self,
        client_io: &mut ClientIo<S>,
        watch: &Watch<S>,
        client: &ClientContext,
        departure: &mut Departure,
    ) -> bool {
        let passed = poll_fn(|cx| {
            watch.arm();
            client.connections.poll_drivers(cx);
            // First: a client's end that is there before the response's is passed on.
            if departure.poll(cx, watch, &client.in_flight).is_ready() {
                return Poll::Ready(false);
            }
            self.poll(cx, client_io).map(|passed| {
                let request = self.request.map(tracing::field::display);
                passed
                    .inspect_err(|error| tracing::debug!(request, %error, "a response broke off"))
                    .is_ok()
            })
        })
        .await;
        if passed {
            self.finish(client).await;
        }
        passed
    }

    fn poll<S: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        client_io: &mut ClientIo<S>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        for _ in 0..TURNS {
            ready!(self.buffer.poll_held(cx, client_io))?;
            let mut buf = ReadBuf::uninit(&mut piece);
            let read = if self.ended {
                Poll::Pending
            } else {
                Pin::new(&mut self.engine).poll_read(cx, &mut buf)
            };
            let Poll::Ready(read) = read else {
                ready!(self.buffer.poll_flush(cx, client_io))?;
                return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            read?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.guard.received(buf.filled().len());
            let (length, ended) = self
                .chunks
                .take(buf.filled())
                .map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal.why))?;
            (self.ended, self.clean) = (ended, length == buf.filled().len());
            ready!(self.buffer.poll_pass(cx, client_io, &buf.filled()[..length]))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The engine's connection can serve the client's next request.
    async fn finish(self, client: &ClientContext) {
        if self.clean
            && let Ok((upstream, driver)) =
                Upstream::on(self.engine, self.progress, self.class).await
        {
            client.connections.adopt(&upstream, driver);
            client.connections.park(upstream);
        }
        drop(self.busy);
    }
}
