//! An answer without an end, such as a log that is followed: its chunks pass from the engine to the
//! client byte for byte, and HTTP is spoken again behind the last of them. Meanwhile neither side's
//! HTTP has buffers: a silent stream holds none.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, UPGRADE};
use http::{Method, Request, Version};
use hyper::body::Body;
use lifecycle::Guard;
use tokio::io::{AsyncRead, ReadBuf};
use tunnel::Class;

use crate::context::{Busy, Link};
use crate::rules::endpoints::Route;
use crate::session::Departure;
use crate::takeover::hijack::{PIECE, TURNS};
use crate::upstream::connection::{Upstream, Way};
use crate::upstream::io::EngineIo;
use crate::wire::chunked::Chunks;
use crate::wire::client_io::{ClientIo, Watch};
use crate::wire::socket::Socket;
use crate::wire::write_buffer::Outflow;

/// Whether the answer to this request may be relayed: nothing is left to do but to pass it on, and
/// nothing but its end can end the connection.
pub(crate) fn may_follow<B: Body>(route: &Route, request: &Request<B>) -> bool {
    let headers = request.headers();
    let keeps = |value: &http::HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"keep-alive");
    route.lasting
        && request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && request.body().is_end_stream()
        && !headers.contains_key(UPGRADE)
        && headers.get_all(CONNECTION).iter().all(keeps)
}

/// An answer of which the engine's head was read, and nothing behind it.
pub(crate) struct Relay {
    engine: EngineIo,
    way: Arc<Way>,
    class: Class,
    guard: Arc<Guard>,
    busy: Busy,
    chunks: Chunks,
    outflow: Outflow,
    /// The last byte was read.
    ended: bool,
    /// Nothing came behind it.
    clean: bool,
}

impl Relay {
    /// Takes the stream from the HTTP client, which goes.
    pub(crate) fn of(upstream: Upstream, guard: Arc<Guard>, busy: Busy) -> Self {
        let (engine, way, class) = (upstream.io(), upstream.way(), upstream.class);
        // It does not read any more.
        drop(upstream);
        engine.goes_on();
        Self {
            engine,
            way,
            class,
            guard,
            busy,
            chunks: Chunks::default(),
            outflow: Outflow::default(),
            ended: false,
            clean: true,
        }
    }

    /// Passes it on. True when the client has all of it; otherwise the engine or the client broke
    /// off.
    pub(crate) async fn run<S: Socket>(
        mut self,
        client: &mut ClientIo<S>,
        watch: &Watch<S>,
        link: &Link,
        departure: &mut Departure,
    ) -> bool {
        let passed = poll_fn(|cx| {
            watch.arm();
            link.poll_drivers(cx);
            // First: a client's end that is there before the answer's is told to the engine.
            if departure.poll(cx, watch, link).is_ready() {
                return Poll::Ready(false);
            }
            self.poll(cx, client).map(|passed| {
                passed.inspect_err(|error| tracing::debug!(%error, "an answer broke off")).is_ok()
            })
        })
        .await;
        if passed {
            self.ends(link).await;
        }
        passed
    }

    fn poll<S: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut ClientIo<S>,
    ) -> Poll<io::Result<()>> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        for _ in 0..TURNS {
            ready!(self.outflow.poll_held(cx, client))?;
            let mut buf = ReadBuf::uninit(&mut piece);
            let read = if self.ended {
                Poll::Pending
            } else {
                Pin::new(&mut self.engine).poll_read(cx, &mut buf)
            };
            let Poll::Ready(read) = read else {
                ready!(self.outflow.poll_flush(cx, client))?;
                return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
            };
            read?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
            self.guard.traffic();
            let (length, ended) = self
                .chunks
                .take(buf.filled())
                .map_err(|refusal| io::Error::new(io::ErrorKind::InvalidData, refusal.why()))?;
            (self.ended, self.clean) = (ended, length == buf.filled().len());
            ready!(self.outflow.poll_pass(cx, client, &buf.filled()[..length]))?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The engine's connection can serve the client's next request.
    async fn ends(self, link: &Link) {
        if self.clean
            && let Ok((upstream, driver)) = Upstream::on(self.engine, self.way, self.class).await
        {
            link.adopt(&upstream, driver);
            link.park(upstream);
        }
        drop(self.busy);
    }
}
