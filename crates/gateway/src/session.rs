//! One client connection from its first byte to its last: HTTP while it is HTTP, a raw stream after
//! an upgrade.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Request;
use http::header::TE;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::CancellationToken;

use crate::context::Link;
use crate::error::Failure;
use crate::pipeline::{self, Client};
use crate::serve::Inner as Gateway;
use crate::takeover::hijack::{self, LOOK};
use crate::takeover::relay::Relay;
use crate::wire::client_io::{ClientIo, Watch, watched};
use crate::wire::framing::{MAX_HEAD, MAX_HEADERS, Refusal};
use crate::wire::socket::Socket;

/// Ample for a client on the same computer to read an answer that is there.
const LAST_WORDS: Duration = Duration::from_millis(500);

enum End {
    /// Everything that was asked is answered, or the connection was taken over.
    Served,
    /// An answer broke off, or the client did.
    Broken,
    /// What follows now is an answer that is relayed.
    Relays(Relay),
}

/// Serves a client until it leaves or, after `shutdown`, until its requests under way are answered.
/// Dropping the future closes the client's connection and everything upstream at once.
pub(crate) async fn serve<S: Socket>(
    gateway: Arc<Gateway>,
    socket: S,
    shutdown: CancellationToken,
) {
    socket.connected();
    let may_be_a_browser = socket.is_open_to_browsers();
    let link = Arc::new(Link::default());
    let (mut client, watch) = watched(socket, link.told().clone());
    let mut departure = Departure::default();
    let served = loop {
        let speaking = speak_http(
            &gateway,
            client,
            &watch,
            &link,
            may_be_a_browser,
            &mut departure,
            &shutdown,
        );
        // Boxed, to be gone while an answer is relayed.
        let (end, io) = Box::pin(speaking).await;
        client = io;
        match end {
            End::Served => break client,
            // Closed without a word more: an answer that broke off must not look like one that
            // ended.
            End::Broken => return,
            End::Relays(relay) => {
                gateway.rest.frees();
                if !relay.run(&mut client, &watch, &link, &mut departure).await {
                    return;
                }
            }
        }
    };
    match (link.take_hijacked(), watch.refusal()) {
        (Some(hijacked), _) => hijack::join(served, &watch, &link, hijacked).await,
        (None, refusal) => {
            if let Some((upstream, driver)) = link.leave().filter(|_| !shutdown.is_cancelled()) {
                gateway.spares.keep(upstream, driver);
            }
            if watch.has_ended() && refusal.is_none() {
                return;
            }
            watch.becomes_raw();
            take_leave(served, refusal.map(Refusal::answer).unwrap_or_default().as_bytes()).await;
        }
    }
}

/// HTTP, until there is something else to do with the connection.
async fn speak_http<S: Socket>(
    gateway: &Arc<Gateway>,
    client: ClientIo<S>,
    watch: &Watch<S>,
    link: &Arc<Link>,
    may_be_a_browser: bool,
    departure: &mut Departure,
    shutdown: &CancellationToken,
) -> (End, ClientIo<S>) {
    let service = service_fn(|mut request: Request<Incoming>| {
        if watch.added_te() {
            request.headers_mut().remove(TE);
        }
        let client = Client { may_be_a_browser, waits: watch.waits() };
        let answer = pipeline::answer(gateway.clone(), link.clone(), request, client);
        Box::pin(async move { Ok::<_, Infallible>(answer.await) })
    });
    let mut server = Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .preserve_header_case(true)
        .title_case_headers(true)
        .max_headers(MAX_HEADERS)
        // What is too much is refused before it comes here.
        .max_buf_size(2 * MAX_HEAD)
        .serve_connection(TokioIo::new(client), service);

    let mut asked_to_end = pin!(shutdown.cancelled());
    let mut ending = false;
    let end = poll_fn(|cx| {
        if !ending && asked_to_end.as_mut().poll(cx).is_ready() {
            ending = true;
            Pin::new(&mut server).graceful_shutdown();
        }
        // Upstream first, so that an answer that has come is there when the client's side looks;
        // and again for what that sends.
        link.poll_drivers(cx);
        watch.arm();
        match server.poll_without_shutdown(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(End::Served),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "a client's connection broke");
                return Poll::Ready(End::Broken);
            }
            Poll::Pending => {}
        }
        if let Some(relay) = link.take_relay() {
            return Poll::Ready(End::Relays(relay));
        }
        link.poll_drivers(cx);
        departure.poll(cx, watch, link).map(|()| End::Broken)
    })
    .await;
    // What is left in its buffer is of a body that nobody wanted: the server is given one request
    // at a time.
    (end, server.into_parts().io.into_inner())
}

/// Tells a client that there is no place for it, once it has asked for something: an answer before
/// that would be taken for noise.
pub(crate) async fn turn_away(mut socket: impl Socket) {
    socket.connected();
    let mut asked = [0; 4096];
    if !matches!(tokio::time::timeout(LAST_WORDS, socket.read(&mut asked)).await, Ok(Ok(1..))) {
        return;
    }
    take_leave(socket, Failure::Crowded.into_text().as_bytes()).await;
}

/// A client that still sends, because its request was answered before it was read to its end, must
/// not be met by a broken pipe: it would not read its answer any more. So what it sends is taken
/// until it has seen the end, as Go's server does.
async fn take_leave(mut client: impl AsyncRead + AsyncWrite + Unpin, last_words: &[u8]) {
    let leave = async {
        client.write_all(last_words).await?;
        client.shutdown().await?;
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await
    };
    // Whichever way it ends, the connection is closed.
    let _ = tokio::time::timeout(LAST_WORDS, leave).await;
}

/// What to do when the client ends while a request is under way.
#[derive(Default)]
pub(crate) struct Departure {
    noticed: bool,
    /// Kept from request to request: a timer costs more than it seems.
    look_again: Option<Pin<Box<Sleep>>>,
}

impl Departure {
    /// Ready when the client is gone. One that only closed its writing side still waits for its
    /// answer, and the engine hears of it.
    pub(crate) fn poll<S: Socket>(
        &mut self,
        cx: &mut Context<'_>,
        watch: &Watch<S>,
        link: &Link,
    ) -> Poll<()> {
        if !link.is_busy() {
            self.noticed = false;
            return Poll::Pending;
        }
        let ended = watch.poll_end(cx).is_ready();
        if watch.sends_unbidden() {
            link.open_gate();
        }
        let look_again = self.look_again.get_or_insert_with(|| Box::pin(sleep(LOOK)));
        let mut due = false;
        while look_again.as_mut().poll(cx).is_ready() {
            due = true;
            look_again.as_mut().reset(Instant::now() + LOOK);
        }
        if due || (ended && !self.noticed) {
            self.noticed = ended;
            // Its end can hide behind bytes that nobody takes, and a half-closed client can go
            // altogether.
            if is_gone(ended, watch, link) {
                tracing::debug!("a client left before it was answered");
                return Poll::Ready(());
            }
        }
        Poll::Pending
    }
}

fn is_gone<S: Socket>(ended: bool, watch: &Watch<S>, link: &Link) -> bool {
    let hung_up = watch.hung_up();
    let told = ended && link.client_ended();
    // While nothing is sent yet there is nobody to tell, and whoever ends now waits for no answer,
    // as dockerd sees it.
    hung_up == Some(true) || (ended && !told && hung_up.is_none())
}
