//! After an upgrade: bytes both ways until both directions have ended, each on its own. A silent
//! stream holds no buffer.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures::FutureExt;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::context::{Hijacked, Link};
use crate::upstream::connection::taken_over;
use crate::wire::client_io::{ClientIo, Watch};
use crate::wire::socket::Socket;
use crate::wire::stdcopy::Frames;
use crate::wire::write_buffer::Outflow;

/// How soon a client that is gone without a byte to notice it by is found. One system call each
/// time. And how long the engine has to take what such a client said last.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

/// One read, on the stack. As much as a socket buffer gives at once under load.
pub(crate) const PIECE: usize = 64 * 1024;

/// Reads in a row before others get their turn.
pub(crate) const TURNS: usize = 16;

/// Joins the client to the engine. Returns when both directions have ended, when one of them
/// breaks, or when the client is gone.
pub(crate) async fn join<S: Socket>(
    mut client: ClientIo<S>,
    watch: &Watch<S>,
    link: &Link,
    hijacked: Hijacked,
) {
    let Hijacked { mut upgrade, upstream, guard, framed } = hijacked;
    let upgraded = poll_fn(|cx| {
        link.poll_drivers(cx);
        upgrade.poll_unpin(cx)
    })
    .await;
    drop(upstream);
    let Some((mut engine, early)) = upgraded.ok().and_then(taken_over) else {
        tracing::debug!("the engine ended a connection while taking it over");
        return;
    };
    watch.becomes_raw();
    let mut frames = framed.then(Frames::default);
    let early = frames.as_mut().map_or_else(|| early.clone(), |frames| frames.pass(&early));
    let (mut up, mut down) = (Direction::default(), Direction { frames, ..Direction::default() });
    down.outflow.hold(early);
    let mut departure = Departure::new();
    let lost = poll_fn(|cx| {
        let traffic = || guard.traffic();
        match up.poll(cx, &mut client, &mut engine, &traffic) {
            Poll::Ready(Err(Broken::Reading(error))) => {
                tracing::debug!(%error, "the client of a stream broke off");
                return Poll::Ready(None);
            }
            // The engine takes no more input; what it says is still heard.
            Poll::Ready(Err(Broken::Writing)) => up.is_over = true,
            _ => {}
        }
        if up.ended && !departure.asked_at_end {
            departure.asked_at_end = true;
            departure.noticed |= watch.hung_up() == Some(true);
        }
        if !departure.noticed {
            match down.poll(cx, &mut engine, &mut client, &traffic) {
                Poll::Ready(Err(Broken::Reading(error))) => return Poll::Ready(Some(error)),
                // Nobody hears the output any more. What the client said before it left still has
                // to arrive.
                Poll::Ready(Err(Broken::Writing)) => departure.noticed = true,
                _ => {}
            }
        }
        if up.is_over && (down.is_over || departure.noticed) {
            return Poll::Ready(None);
        }
        departure.poll(cx, watch, up.outflow.moved()).map(|()| None)
    })
    .await;
    tracing::debug!(
        up = up.outflow.moved(),
        down = down.outflow.moved(),
        client_ended = up.ended,
        engine_ended = down.ended,
        client_left = departure.noticed,
        lost = lost.as_ref().map(tracing::field::display),
        "a stream ended"
    );
    if let Some(word) = lost.and_then(|error| down.frames?.broke_off(&error.to_string())) {
        // A client that does not read is closed without it.
        let _ = tokio::time::timeout(LOOK, async {
            client.write_all(&word).await?;
            client.shutdown().await
        })
        .await;
    }
}

/// How a direction breaks.
enum Broken {
    Reading(io::Error),
    Writing,
}

/// One direction of a stream.
#[derive(Default)]
struct Direction {
    outflow: Outflow,
    /// Where it is passed on by whole frames.
    frames: Option<Frames>,
    /// Everything was read.
    ended: bool,
    /// The end was passed on.
    is_over: bool,
}

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        traffic: &impl Fn(),
    ) -> Poll<Result<(), Broken>> {
        let mut piece = [const { MaybeUninit::uninit() }; PIECE];
        for _ in 0..TURNS {
            if self.is_over {
                return Poll::Ready(Ok(()));
            }
            ready!(self.outflow.poll_held(cx, to)).map_err(|_| Broken::Writing)?;
            if self.ended {
                ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(|_| Broken::Writing)?;
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Broken::Writing)?;
                self.is_over = true;
                continue;
            }
            let mut buf = ReadBuf::uninit(&mut piece);
            let read = match Pin::new(&mut *from).poll_read(cx, &mut buf) {
                Poll::Ready(read) => read,
                Poll::Pending => {
                    ready!(self.outflow.poll_flush(cx, to)).map_err(|_| Broken::Writing)?;
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
                traffic();
            }
            if let Some(frames) = &mut self.frames {
                self.outflow.hold(if self.ended { frames.end() } else { frames.pass(piece) });
                continue;
            }
            ready!(self.outflow.poll_pass(cx, to, piece)).map_err(|_| Broken::Writing)?;
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A client that is gone altogether. It is looked for: behind input that nobody takes, and after
/// its end, its going makes no sound.
struct Departure {
    interval: Interval,
    noticed: bool,
    asked_at_end: bool,
    moved: u64,
}

impl Departure {
    fn new() -> Self {
        let mut interval = interval_at(Instant::now() + LOOK, LOOK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { interval, noticed: false, asked_at_end: false, moved: 0 }
    }

    /// Ready when it is gone and the engine takes no more of what it said.
    fn poll<S: Socket>(&mut self, cx: &mut Context<'_>, watch: &Watch<S>, moved: u64) -> Poll<()> {
        while self.interval.poll_tick(cx).is_ready() {
            if self.noticed && self.moved == moved {
                tracing::debug!("the client of a stream is gone");
                return Poll::Ready(());
            }
            self.moved = moved;
            self.noticed |= watch.hung_up() == Some(true);
        }
        Poll::Pending
    }
}
