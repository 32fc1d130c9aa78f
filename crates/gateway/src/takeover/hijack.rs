//! After an upgrade: passes bytes in both directions until both have ended, each on its own
//! (half-close). A silent stream holds no buffer.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use api::RequestId;
use futures::FutureExt as _;
use hyper::upgrade::OnUpgrade;
use lifecycle::Guard;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use super::departure::CHECK_EVERY;
use crate::upstream::connection::{Upstream, taken_over};
use crate::upstream::connections::Connections;
use crate::wire::client_io::{ClientIo, Watch};
use crate::wire::socket::Socket;
use crate::wire::stdcopy::FrameSplitter;
use crate::wire::write_buffer::{PIECE, TURNS, WriteBuffer};

/// A connection that the engine has taken over.
pub(crate) struct Hijacked {
    pub(crate) upgrade: OnUpgrade,
    pub(crate) upstream: Upstream,
    pub(crate) guard: Arc<Guard>,
    /// The engine's output is in stdcopy frames.
    pub(crate) framed: bool,
    /// For the log.
    pub(crate) request: Option<RequestId>,
}

/// Joins the client to the engine. Returns when both directions have ended, when one of them
/// breaks, or when the client is gone.
pub(crate) async fn join<S: Socket>(
    mut client: ClientIo<S>,
    watch: &Watch<S>,
    connections: &Connections,
    hijacked: Hijacked,
) {
    let Hijacked { mut upgrade, upstream, guard, framed, request } = hijacked;
    let request = request.map(tracing::field::display);
    let upgraded = poll_fn(|cx| {
        connections.poll_drivers(cx);
        upgrade.poll_unpin(cx)
    })
    .await;
    drop(upstream);
    let Some((mut engine, early)) = upgraded.ok().and_then(taken_over) else {
        tracing::debug!(request, "the engine ended a connection that it was taking over");
        return;
    };
    watch.become_raw();
    let mut frames = framed.then(FrameSplitter::default);
    let early = frames.as_mut().map_or_else(|| early.clone(), |frames| frames.pass(&early));
    let (mut up, mut down) = (Direction::default(), Direction { frames, ..Direction::default() });
    down.buffer.hold(early);
    let mut departure = SilentDeparture::new();
    let lost = poll_fn(|cx| {
        match up.poll(cx, &mut client, &mut engine, &|bytes| guard.sent(bytes)) {
            Poll::Ready(Err(Broken::Reading(error))) => {
                tracing::debug!(request, %error, "the client of a stream broke off");
                return Poll::Ready(None);
            }
            // The engine takes no more input; its output still passes.
            Poll::Ready(Err(Broken::Writing)) => up.closed = true,
            _ => {}
        }
        if up.ended && !departure.checked_at_end {
            departure.checked_at_end = true;
            departure.noticed |= watch.hung_up() == Some(true);
        }
        if !departure.noticed {
            match down.poll(cx, &mut engine, &mut client, &|bytes| guard.received(bytes)) {
                Poll::Ready(Err(Broken::Reading(error))) => return Poll::Ready(Some(error)),
                // The client is gone. What it sent before still has to arrive.
                Poll::Ready(Err(Broken::Writing)) => departure.noticed = true,
                _ => {}
            }
        }
        if up.closed && (down.closed || departure.noticed) {
            return Poll::Ready(None);
        }
        departure.poll(cx, watch, up.buffer.written()).map(|()| None)
    })
    .await;
    tracing::debug!(
        request,
        up = up.buffer.written(),
        down = down.buffer.written(),
        client_ended = up.ended,
        engine_ended = down.ended,
        client_left = departure.noticed,
        lost = lost.as_ref().map(tracing::field::display),
        "a stream ended"
    );
    if let Some(frame) = lost.and_then(|error| down.frames?.error_frame(&error.to_string())) {
        // A client that does not read is closed without it.
        let _ = tokio::time::timeout(CHECK_EVERY, async {
            client.write_all(&frame).await?;
            client.shutdown().await
        })
        .await;
    }
}

enum Broken {
    Reading(io::Error),
    Writing,
}

/// One direction of a stream.
#[derive(Default)]
struct Direction {
    buffer: WriteBuffer,
    /// If it is passed on by whole frames.
    frames: Option<FrameSplitter>,
    /// Everything was read.
    ended: bool,
    /// The end was passed on.
    closed: bool,
}

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        traffic: &impl Fn(usize),
    ) -> Poll<Result<(), Broken>> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        for _ in 0..TURNS {
            if self.closed {
                return Poll::Ready(Ok(()));
            }
            ready!(self.buffer.poll_held(cx, to)).map_err(|_| Broken::Writing)?;
            if self.ended {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::Writing)?;
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Broken::Writing)?;
                self.closed = true;
                continue;
            }
            let mut buf = ReadBuf::uninit(&mut piece);
            let read = match Pin::new(&mut *from).poll_read(cx, &mut buf) {
                Poll::Ready(read) => read,
                Poll::Pending => {
                    ready!(self.buffer.poll_flush(cx, to)).map_err(|_| Broken::Writing)?;
                    return Poll::Pending;
                }
            };
            if let Err(error) = read {
                // What was read before goes out first.
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::Writing)?;
                return Poll::Ready(Err(Broken::Reading(error)));
            }
            let piece = buf.filled();
            self.ended = piece.is_empty();
            if !self.ended {
                traffic(piece.len());
            }
            if let Some(frames) = &mut self.frames {
                self.buffer.hold(if self.ended { frames.end() } else { frames.pass(piece) });
                continue;
            }
            ready!(self.buffer.poll_pass(cx, to, piece)).map_err(|_| Broken::Writing)?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Notices a client that is gone altogether. The gateway has to check: behind input that the engine
/// does not take, and behind a half-close, nothing shows that the client is gone.
struct SilentDeparture {
    checks: Interval,
    noticed: bool,
    checked_at_end: bool,
    /// Bytes that the engine had taken at the last check.
    taken: u64,
}

impl SilentDeparture {
    fn new() -> Self {
        let mut checks = interval_at(Instant::now() + CHECK_EVERY, CHECK_EVERY);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { checks, noticed: false, checked_at_end: false, taken: 0 }
    }

    /// Ready when the client is gone and the engine takes no more of what it sent.
    fn poll<S: Socket>(&mut self, cx: &mut Context<'_>, watch: &Watch<S>, taken: u64) -> Poll<()> {
        while self.checks.poll_tick(cx).is_ready() {
            if self.noticed && self.taken == taken {
                tracing::debug!("the client of a stream is gone");
                return Poll::Ready(());
            }
            self.taken = taken;
            self.noticed |= watch.hung_up() == Some(true);
        }
        Poll::Pending
    }
}
