//! Notices that a client leaves while its request is in flight.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

use crate::wire::client_io::Watch;
use crate::wire::in_flight::InFlight;
use crate::wire::socket::Socket;

/// How soon the gateway notices a client that is gone without a byte that shows it. One system call
/// each time. Also how long the engine has to take what such a client sent last.
pub(crate) const CHECK_EVERY: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Departure {
    noticed: bool,
    /// Kept from request to request: a timer costs more than it seems.
    next_check: Option<Pin<Box<Sleep>>>,
}

impl Departure {
    /// Ready when the client is gone. A client that has only half-closed still waits for its
    /// response, and its end is passed on to the engine.
    pub(crate) fn poll<S: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        watch: &Watch<S>,
        in_flight: &InFlight,
    ) -> Poll<()> {
        if !in_flight.is_busy() {
            self.noticed = false;
            return Poll::Pending;
        }
        let ended = watch.poll_end(cx).is_ready();
        if watch.stopped_waiting() {
            in_flight.open_gate();
        }
        let next_check = self.next_check.get_or_insert_with(|| Box::pin(sleep(CHECK_EVERY)));
        let mut due = false;
        while next_check.as_mut().poll(cx).is_ready() {
            due = true;
            next_check.as_mut().reset(Instant::now() + CHECK_EVERY);
        }
        if due || (ended && !self.noticed) {
            self.noticed = ended;
            // The end can hide behind bytes that are not read, and a half-closed client can still
            // go altogether.
            if is_gone(ended, watch, in_flight) {
                tracing::debug!("a client left before it was answered");
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

fn is_gone<S: Socket>(ended: bool, watch: &Watch<S>, in_flight: &InFlight) -> bool {
    let hung_up = watch.hung_up();
    let passed_on = ended && in_flight.end_client();
    // Before a connection carries the request no engine can hear of the end, and a client that ends
    // then waits for no response, as dockerd sees it.
    hung_up == Some(true) || (ended && !passed_on && hung_up.is_none())
}
