//! One client connection from its first byte to its last: HTTP, and whatever takes over behind the
//! head of a response.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use api::RequestId;
use http::Request;
use http::header::TE;
use hyper::body::Incoming;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use crate::context::{ClientContext, GatewayContext};
use crate::error::Error;
use crate::pipeline::{self, Answered, Peer};
use crate::respond;
use crate::takeover::Takeover;
use crate::takeover::departure::Departure;
use crate::takeover::hijack::{self, Hijacked};
use crate::takeover::relay::Relay;
use crate::wire::client_io::{ClientIo, Watch, watched};
use crate::wire::limits::{MAX_HEAD, MAX_HEADERS};
use crate::wire::socket::Socket;

/// Ample for a client on the same computer to read a response that is there.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What follows when HTTP stops.
enum Next {
    /// Every request is answered.
    Close,
    /// A response broke off, or the client did. The connection is closed without another byte: a
    /// response that broke off must not look like one that ended.
    Abort,
    Hijack(Hijacked),
    /// HTTP goes on behind it.
    Relay(Relay),
}

struct Session<S> {
    gateway: Arc<GatewayContext>,
    client: Arc<ClientContext>,
    watch: Watch<S>,
    departure: Departure,
    may_be_a_browser: bool,
    shutdown: CancellationToken,
}

/// Serves a client until it leaves or, after `shutdown`, until its requests in flight are answered.
/// Dropping the future closes the client's connection and its connections to the engine at once.
pub(crate) async fn serve<S: Socket>(
    gateway: Arc<GatewayContext>,
    socket: S,
    shutdown: CancellationToken,
) {
    socket.connected();
    let may_be_a_browser = socket.is_open_to_browsers();
    let client = Arc::new(ClientContext::default());
    let (mut io, watch) = watched(socket, client.write_state.clone());
    let departure = Departure::default();
    let mut session = Session { gateway, client, watch, departure, may_be_a_browser, shutdown };
    loop {
        // Boxed, so that it is freed while a response is relayed.
        let (next, given_back) = Box::pin(session.speak_http(io)).await;
        io = given_back;
        match next {
            Next::Abort => return,
            Next::Close => return session.close(io).await,
            Next::Hijack(hijacked) => {
                let connections = &session.client.connections;
                return hijack::join(io, &session.watch, connections, hijacked).await;
            }
            Next::Relay(relay) => {
                let Session { gateway, client, watch, departure, .. } = &mut session;
                gateway.trim.note_freed();
                if !relay.run(&mut io, watch, client, departure).await {
                    return;
                }
            }
        }
    }
}

impl<S: Socket> Session<S> {
    /// HTTP, until something else takes over.
    async fn speak_http(&mut self, io: ClientIo<S>) -> (Next, ClientIo<S>) {
        let Self { gateway, client, watch, departure, may_be_a_browser, shutdown } = self;
        // hyper passes the response only, so the takeover stands here until the head is written.
        let takeover = Mutex::new(None);
        let service = service_fn(|mut request: Request<Incoming>| {
            if watch.added_te() {
                request.headers_mut().remove(TE);
            }
            let peer = Peer { may_be_a_browser: *may_be_a_browser, expects: watch.expects() };
            let answering = pipeline::answer(gateway.clone(), client.clone(), request, peer);
            let takeover = &takeover;
            Box::pin(async move {
                let Answered { response, takeover: next } = answering.await;
                *lock(takeover) = next;
                Ok::<_, Infallible>(response)
            })
        });
        let mut server = Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .preserve_header_case(true)
            .title_case_headers(true)
            .max_headers(MAX_HEADERS)
            // A head that is too large is refused before hyper reads it.
            .max_buf_size(2 * MAX_HEAD)
            .serve_connection(TokioIo::new(io), service);

        let mut shut_down = pin!(shutdown.cancelled());
        let mut ending = false;
        let next = poll_fn(|cx| {
            if !ending && shut_down.as_mut().poll(cx).is_ready() {
                ending = true;
                Pin::new(&mut server).graceful_shutdown();
            }
            // The connections to the engine first, so that the server finds a response that has
            // come; and once more for what the server sends.
            client.connections.poll_drivers(cx);
            watch.arm();
            match server.poll_without_shutdown(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Next::Close),
                Poll::Ready(Err(error)) => {
                    tracing::debug!(%error, "a client's connection broke");
                    return Poll::Ready(Next::Abort);
                }
                Poll::Pending => {}
            }
            if let Some(relay) = relay_due(&takeover, client) {
                return Poll::Ready(Next::Relay(relay));
            }
            client.connections.poll_drivers(cx);
            departure.poll(cx, watch, &client.in_flight).map(|()| Next::Abort)
        })
        .await;
        // Bytes left in the server's buffer belong to a body that the engine did not take: the
        // server is given one request at a time.
        let io = server.into_parts().io.into_inner();
        let taken_over = takeover.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (next, taken_over) {
            (Next::Close, Some(Takeover::Hijack(hijacked))) => (Next::Hijack(hijacked), io),
            (next, _) => (next, io),
        }
    }

    /// Leaves a connection to the engine to the pool, and closes the client's.
    async fn close(self, io: ClientIo<S>) {
        if let Some((upstream, driver)) =
            self.client.connections.release().filter(|_| !self.shutdown.is_cancelled())
        {
            self.gateway.pool.keep(upstream, driver);
        }
        let refusal = self.watch.refusal();
        if self.watch.has_ended() && refusal.is_none() {
            return;
        }
        self.watch.become_raw();
        take_leave(io, refusal.map(respond::refusal_text).unwrap_or_default().as_bytes()).await;
    }
}

/// A relay, once the client's socket has taken the head of its response.
fn relay_due(takeover: &Mutex<Option<Takeover>>, client: &ClientContext) -> Option<Relay> {
    let mut takeover = lock(takeover);
    match takeover.take() {
        Some(Takeover::Relay(relay))
            if relay.is_head_taken() && !client.write_state.is_blocked() =>
        {
            Some(relay)
        }
        other => {
            *takeover = other;
            None
        }
    }
}

// Only the session's task locks it.
fn lock(takeover: &Mutex<Option<Takeover>>) -> MutexGuard<'_, Option<Takeover>> {
    takeover.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses a client because there are too many, once it has sent something: a response before that
/// would be taken for noise.
pub(crate) async fn turn_away(mut socket: impl Socket) {
    socket.connected();
    let mut sent = [0; 4096];
    if !matches!(tokio::time::timeout(LAST_WORDS, socket.read(&mut sent)).await, Ok(Ok(1..))) {
        return;
    }
    let request = RequestId::new(rand::random());
    tracing::debug!(%request, "a client was turned away");
    take_leave(socket, respond::error_text(&Error::TooManyClients, request).as_bytes()).await;
}

/// A client whose request was answered before it was read to its end still sends. A broken pipe
/// would keep it from reading the response, so its bytes are read until it has seen the end, as
/// Go's server does.
async fn take_leave(mut client: impl AsyncRead + AsyncWrite + Unpin, last_words: &[u8]) {
    let leave = async {
        client.write_all(last_words).await?;
        client.shutdown().await?;
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await
    };
    // The connection is closed, whether the client has read or not.
    let _ = tokio::time::timeout(LAST_WORDS, leave).await;
}
