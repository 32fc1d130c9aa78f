//! One SSH connection: a login within a time limit, to a host that proved its key; opens channels,
//! and closes without leaving a session.
//!
//! It does not know what the channels are for. It is closed when the session's task ends, for any
//! reason.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agent_proto::with_causes;
use russh::client::{self, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::{AlgorithmKind, Channel, ChannelId, Disconnect};
use thiserror::Error;
use tokio::io::BufReader;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::channel::{ChannelIo, Closings};
use crate::closed::Closed;
use crate::error::ConnectError;
use crate::fingerprint::Fingerprint;
use crate::host_keys::{HostKeyRefusal, Trust, not_offered};
use crate::known_hosts::CHECKED;
use crate::login::{Keys, log_in};
use crate::options::{Endpoint, Options};
use crate::transport::Opened;
use crate::wire::{Wire, WireState};

/// How long one attempt may take, from the first packet to the accepted login. A login over 300 ms
/// of delay takes about 3 s.
pub(crate) const LOGIN_TIMEOUT: Duration = Duration::from_secs(15);
/// The receive window of a channel, in bytes; russh grants more when half of it is used. Half of it
/// is what TCP keeps in flight with Debian's buffers (2.7 MiB), so that TCP is the limit. Anything
/// beyond that queues in sshd, which moves the whole queue for each 128 KiB that its buffer grows:
/// with 16 MiB the first download of a connection ran at 3 MB/s for seconds.
const WINDOW: u32 = 6 * 1024 * 1024;
/// The largest accepted packet, in bytes. sshd sends no larger ones; larger ones measured no
/// faster.
const PACKET: u32 = 32 * 1024;
/// russh reads a header, then a body; the buffer reads several packets per system call, in bytes.
const READ_BUFFER: usize = 256 * 1024;
/// How long a host may take to close orderly before the wire is cut.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Packets of 32 KiB that a channel queues before the session waits, on connections whose channels
/// are always read.
pub(crate) const QUEUE: usize = 64;

pub(crate) struct Connection {
    handle: Handle<Session>,
    pub(crate) endpoint: Endpoint,
    pub(crate) closed: Closed,
    pub(crate) wire: Arc<WireState>,
    closings: Arc<Closings>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

/// Why a channel was not opened.
#[derive(Debug, Error)]
pub(crate) enum ChannelError {
    /// The host refused it: nothing listens there, or it is forbidden.
    #[error("{0}")]
    Refused(String),
    /// The connection ended.
    #[error("{0}")]
    Dead(String),
}

impl Connection {
    /// Logs in. `queue` is how many packets of an unread channel are kept before the session waits
    /// for its reader.
    pub(crate) async fn open(
        options: &Options,
        closed: Closed,
        tasks: TaskTracker,
        queue: usize,
    ) -> Result<Self, ConnectError> {
        Self::open_within(options, closed, tasks, queue, LOGIN_TIMEOUT).await
    }

    /// Logs in within `limit`.
    pub(crate) async fn open_within(
        options: &Options,
        closed: Closed,
        tasks: TaskTracker,
        queue: usize,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let endpoint = options.endpoint.clone();
        let wire = WireState::new();
        let unfinished = CutOnDrop(Some(wire.clone()));
        let attempt = Self::attempt(options, closed, tasks, queue, wire);
        let timed_out = || ConnectError::TimedOut { endpoint, doing: "logging in", after: limit };
        let connection = tokio::time::timeout(limit, attempt).await.map_err(|_| timed_out())??;
        unfinished.keep();
        Ok(connection)
    }

    async fn attempt(
        options: &Options,
        closed: Closed,
        tasks: TaskTracker,
        queue: usize,
        wire: Arc<WireState>,
    ) -> Result<Self, ConnectError> {
        let endpoint = options.endpoint.clone();
        let keys = Keys::load(&options.identity, &endpoint).await?;
        let trust = Trust::load(&options.host_keys, &endpoint).await;
        if let Some(reason) = trust.cannot_check(&endpoint) {
            return Err(ConnectError::HostKeyKind { endpoint, reason });
        }
        let config = Arc::new(configure(&trust, queue));

        let Opened { stream, errors } = Opened::open(&options.transport, &endpoint).await?;
        let closings = Arc::new(Closings::default());
        let ended = CancellationToken::new();
        let refusal: Refusal = Arc::default();
        let session = Session {
            trust,
            refusal: refusal.clone(),
            closed: closed.clone(),
            closings: closings.clone(),
            _ended: ended.clone().drop_guard(),
        };
        tasks.spawn(end(closed.clone(), ended.clone(), closings.clone(), wire.clone()));
        let stream = BufReader::with_capacity(READ_BUFFER, Wire::new(stream, wire.clone()));
        let mut handle = match client::connect_stream(config, stream, session).await {
            Ok(handle) => handle,
            Err(error) => {
                let refused = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(match (refused, errors.collect().await, error) {
                    (Some((presented, refusal)), _, _) => {
                        let reason = with_causes(&refusal);
                        ConnectError::HostKeyRefused { endpoint, presented, reason }
                    }
                    (None, Some((command, message)), _) => {
                        ConnectError::TransportFailed { endpoint, command, message }
                    }
                    (None, None, error) => exchange_failed(endpoint, error),
                });
            }
        };

        log_in(&mut handle, &endpoint, keys).await?;
        Ok(Self { handle, endpoint, closed, wire, closings, tasks, ended })
    }

    /// Opens a channel for one command.
    pub(crate) async fn session(self: &Arc<Self>) -> Result<ChannelIo, ChannelError> {
        let this = self.clone();
        self.channel(async move { this.handle.channel_open_session().await }).await
    }

    /// Opens a channel to a Unix socket of the host.
    pub(crate) async fn streamlocal(
        self: &Arc<Self>,
        path: &str,
    ) -> Result<ChannelIo, ChannelError> {
        let (this, path) = (self.clone(), path.to_owned());
        self.channel(async move { this.handle.channel_open_direct_streamlocal(path).await }).await
    }

    /// Opens a channel to a TCP port as seen from the host.
    pub(crate) async fn tcpip(
        self: &Arc<Self>,
        host: &str,
        port: u16,
    ) -> Result<ChannelIo, ChannelError> {
        let (this, host) = (self.clone(), host.to_owned());
        self.channel(async move {
            this.handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0).await
        })
        .await
    }

    /// Opens a channel in a task of its own: a channel that is granted after its caller gave up is
    /// closed, not leaked.
    async fn channel(
        &self,
        opening: impl Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
    ) -> Result<ChannelIo, ChannelError> {
        let (closings, tasks, closed) =
            (self.closings.clone(), self.tasks.clone(), self.closed.clone());
        let opening = self.tasks.spawn(async move {
            tokio::select! {
                opened = opening => opened.map(|channel| ChannelIo::new(channel, closings, tasks)),
                _ = closed.wait() => Err(russh::Error::Disconnect),
            }
        });
        match opening.await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(_)) | Err(_) if self.closed.is_set() => {
                Err(ChannelError::Dead(self.closed.message()))
            }
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                Err(ChannelError::Refused(format!("{reason:?}")))
            }
            Ok(Err(error)) => Err(ChannelError::Dead(error.to_string())),
            Err(error) => Err(ChannelError::Dead(error.to_string())),
        }
    }

    /// Waits for a round trip through the session.
    pub(crate) async fn ping(&self) -> Result<(), russh::Error> {
        self.handle.send_ping().await
    }

    /// Closes orderly. Returns when the session's task has ended.
    pub(crate) async fn close(&self, reason: &str) {
        let disconnecting = self.handle.disconnect(Disconnect::ByApplication, reason, "");
        // Fails if the session has ended or is stuck; `end` handles both.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, disconnecting).await;
        self.closed.set(reason);
        self.ended.cancelled().await;
    }

    /// Starts a command that does nothing until its channel is closed: sshd sends small packets
    /// without delay only while a command runs. A host that runs no commands works without it, only
    /// slower.
    pub(crate) async fn keep_awake(self: &Arc<Self>) -> Option<ChannelIo> {
        let channel = self.session().await.ok()?;
        channel.exec("exec cat > /dev/null").await.ok()?;
        Some(channel)
    }
}

/// Ends a session's task: after `closed` it may close orderly, then everything that it could wait
/// for is taken away.
async fn end(
    closed: Closed,
    ended: CancellationToken,
    closings: Arc<Closings>,
    wire: Arc<WireState>,
) {
    closed.wait().await;
    closings.sever();
    if tokio::time::timeout(CLOSE_TIMEOUT, ended.cancelled()).await.is_err() {
        wire.cut();
        ended.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.closed.set("the connection was dropped");
    }
}

/// An attempt that was given up leaves no session behind.
struct CutOnDrop(Option<Arc<WireState>>);

impl CutOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        if let Some(wire) = self.0.take() {
            wire.cut();
        }
    }
}

type Refusal = Arc<Mutex<Option<(Fingerprint, HostKeyRefusal)>>>;

/// The callbacks of the session's task.
struct Session {
    trust: Trust,
    refusal: Refusal,
    closed: Closed,
    closings: Arc<Closings>,
    _ended: DropGuard,
}

impl client::Handler for Session {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        presented: &PublicKeyOrCertificate,
    ) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = presented else { return Ok(false) };
        match self.trust.judge(key) {
            Ok(()) => Ok(true),
            Err(refusal) => {
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Fingerprint::of(key), refusal));
                Ok(false)
            }
        }
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut client::Session,
    ) -> Result<(), russh::Error> {
        self.closings.close(channel);
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: client::DisconnectReason<russh::Error>,
    ) -> Result<(), russh::Error> {
        match reason {
            client::DisconnectReason::ReceivedDisconnect(info) => {
                self.closed.set(format!("the host closed the connection: {}", info.message));
                Ok(())
            }
            client::DisconnectReason::Error(error) => {
                self.closed.set(match &error {
                    russh::Error::Disconnect => "the host closed the connection".to_owned(),
                    error => format!("the connection broke: {error}"),
                });
                Err(error)
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.closed.set("the host closed the connection");
    }
}

/// The error of a key exchange that the host key check did not refuse.
fn exchange_failed(endpoint: Endpoint, error: russh::Error) -> ConnectError {
    match error {
        russh::Error::NoCommonAlgo {
            kind: AlgorithmKind::Key,
            ours: requested, // words: allow
            theirs: offered,
        } => {
            let reason = not_offered(&endpoint, &requested, &offered);
            ConnectError::HostKeyKind { endpoint, reason }
        }
        error => {
            ConnectError::Protocol { endpoint, doing: "exchanging keys", source: Box::new(error) }
        }
    }
}

fn configure(trust: &Trust, queue: usize) -> client::Config {
    let mut config = client::Config {
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: queue,
        nodelay: true,
        ..client::Config::default()
    };
    // AES-GCM is twice as fast as ChaCha20 on any processor of the last ten years; the last one is
    // for hosts that allow nothing else.
    let ciphers = [
        russh::cipher::AES_128_GCM,
        russh::cipher::AES_256_GCM,
        russh::cipher::CHACHA20_POLY1305,
        russh::cipher::AES_256_CTR,
    ];
    config.preferred.cipher = ciphers.to_vec().into();
    config.preferred.key = CHECKED.into();
    if let Trust::Known { keys, .. } = trust {
        config.preferred.key = keys.algorithms().into();
    }
    config
}
