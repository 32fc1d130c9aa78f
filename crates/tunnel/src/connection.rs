//! One SSH connection: made within a bound, with a host that proved its key; channels opened on it;
//! closed without a trace.
//!
//! It does not know what the channels are for. Its death is heard when the session's task ends, for
//! whatever reason.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, Handle, Msg};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{AlgorithmKind, Channel, ChannelId, Disconnect};
use tokio::io::BufReader;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::channel::{ChannelIo, Closings};
use crate::death::Death;
use crate::known_hosts::{CHECKED, KnownKeys};
use crate::login::{Keys, log_in};
use crate::route::Opened;
use crate::wire::{Wire, WireState};
use crate::{ConnectError, Endpoint, Fingerprint, HostKeys, Options, Pins};

/// One attempt, from the first packet to the accepted login. A login over 300 ms of delay takes
/// about 3 s.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(15);
/// What a host may send into a channel before we grant more, in bytes; russh does when half of it
/// is used. Half of it is what TCP lets be on its way with Debian's buffers (2.7 MiB), so that TCP
/// decides. What is more than that lies in sshd, which moves all of it for each 128 KiB that its
/// buffer grows: with 16 MiB the first download of a connection had 3 MB/s for seconds.
const WINDOW: u32 = 6 * 1024 * 1024;
/// Largest packet we take, in bytes. sshd sends no larger ones; bigger ones measured no faster.
const PACKET: u32 = 32 * 1024;
/// russh reads a header, then a body; the buffer makes one system call of several packets.
const READ_BUFFER: usize = 256 * 1024;
/// How long a host may take to say goodbye before the wire is cut.
const FAREWELL: Duration = Duration::from_millis(500);

pub(crate) struct Connection {
    handle: Handle<Session>,
    pub(crate) endpoint: Endpoint,
    pub(crate) death: Death,
    pub(crate) wire: Arc<WireState>,
    closings: Arc<Closings>,
    tasks: TaskTracker,
    ended: CancellationToken,
}

/// Why a channel was not opened.
#[derive(Debug)]
pub(crate) enum ChannelError {
    /// By the host: nothing listens there, or it forbids it.
    Refused(String),
    /// The connection ended.
    Dead(String),
}

impl Connection {
    /// One attempt. `queue` is how many packets of an unread channel are kept before the session
    /// waits for its reader.
    pub(crate) async fn open(
        options: &Options,
        death: Death,
        tasks: TaskTracker,
        queue: usize,
    ) -> Result<Self, ConnectError> {
        Self::open_within(options, death, tasks, queue, ATTEMPT).await
    }

    /// One attempt that takes no longer than `limit`.
    pub(crate) async fn open_within(
        options: &Options,
        death: Death,
        tasks: TaskTracker,
        queue: usize,
        limit: Duration,
    ) -> Result<Self, ConnectError> {
        let endpoint = options.endpoint.clone();
        let wire = WireState::new();
        let unfinished = CutOnDrop(Some(wire.clone()));
        let attempt = Self::attempt(options, death, tasks, queue, wire);
        let timed_out = || ConnectError::TimedOut { endpoint, doing: "logging in", after: limit };
        let connection = tokio::time::timeout(limit, attempt).await.map_err(|_| timed_out())??;
        unfinished.keep();
        Ok(connection)
    }

    async fn attempt(
        options: &Options,
        death: Death,
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

        let Opened { transport, complaint } = Opened::by(&options.route, &endpoint).await?;
        let closings = Arc::new(Closings::default());
        let ended = CancellationToken::new();
        let refusal: Refusal = Arc::default();
        let session = Session {
            trust,
            refusal: refusal.clone(),
            death: death.clone(),
            closings: closings.clone(),
            _ended: ended.clone().drop_guard(),
        };
        tasks.spawn(bury(death.clone(), ended.clone(), closings.clone(), wire.clone()));
        let stream = BufReader::with_capacity(READ_BUFFER, Wire::new(transport, wire.clone()));
        let protocol = |doing| {
            let endpoint = endpoint.clone();
            move |error: russh::Error| ConnectError::Protocol {
                endpoint,
                doing,
                source: Box::new(error),
            }
        };
        let mut handle = match client::connect_stream(config, stream, session).await {
            Ok(handle) => handle,
            Err(error) => {
                let refused = refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(match (refused, complaint.heard().await, error) {
                    (Some((presented, reason)), _, _) => {
                        ConnectError::HostKeyRefused { endpoint, presented, reason }
                    }
                    (None, Some((command, said)), _) => {
                        ConnectError::RouteFailed { endpoint, command, said }
                    }
                    (
                        None,
                        None,
                        russh::Error::NoCommonAlgo { kind: AlgorithmKind::Key, ours, theirs },
                    ) => {
                        let reason = not_offered(&endpoint, &ours, &theirs);
                        ConnectError::HostKeyKind { endpoint, reason }
                    }
                    (None, None, error) => protocol("exchanging keys")(error),
                });
            }
        };

        log_in(&mut handle, &endpoint, keys).await?;
        Ok(Self { handle, endpoint, death, wire, closings, tasks, ended })
    }

    /// A channel for one command.
    pub(crate) async fn session(self: &Arc<Self>) -> Result<ChannelIo, ChannelError> {
        let this = self.clone();
        self.channel(async move { this.handle.channel_open_session().await }).await
    }

    /// A channel to a Unix socket of the host.
    pub(crate) async fn streamlocal(
        self: &Arc<Self>,
        path: &str,
    ) -> Result<ChannelIo, ChannelError> {
        let (this, path) = (self.clone(), path.to_owned());
        self.channel(async move { this.handle.channel_open_direct_streamlocal(path).await }).await
    }

    /// A channel to a TCP port as seen from the host.
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

    /// Opening goes on in a task of its own: a channel that is granted after its asker gave up is
    /// closed, not leaked.
    async fn channel(
        &self,
        opening: impl Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
    ) -> Result<ChannelIo, ChannelError> {
        let (closings, tasks, death) =
            (self.closings.clone(), self.tasks.clone(), self.death.clone());
        let opening = self.tasks.spawn(async move {
            tokio::select! {
                opened = opening => opened.map(|channel| ChannelIo::new(channel, closings, tasks)),
                _ = death.wait() => Err(russh::Error::Disconnect),
            }
        });
        match opening.await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(_)) | Err(_) if self.death.is_declared() => {
                Err(ChannelError::Dead(self.death.epitaph()))
            }
            Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                Err(ChannelError::Refused(format!("{reason:?}")))
            }
            Ok(Err(error)) => Err(ChannelError::Dead(error.to_string())),
            Err(error) => Err(ChannelError::Dead(error.to_string())),
        }
    }

    /// A round trip through the session.
    pub(crate) async fn ping(&self) -> Result<(), String> {
        self.handle.send_ping().await.map_err(|error| error.to_string())
    }

    /// Says goodbye and dies. Returns when the session's task is gone.
    pub(crate) async fn close(&self, reason: &str) {
        let farewell = self.handle.disconnect(Disconnect::ByApplication, reason, "");
        // Fails when the session is gone or stuck; it is buried either way.
        let _ = tokio::time::timeout(FAREWELL, farewell).await;
        self.death.declare(reason);
        self.ended.cancelled().await;
    }
}

/// Owns the end of a session's task: after death it may say goodbye, then everything that it could
/// wait for is taken away.
async fn bury(
    death: Death,
    ended: CancellationToken,
    closings: Arc<Closings>,
    wire: Arc<WireState>,
) {
    death.wait().await;
    closings.sever();
    if tokio::time::timeout(FAREWELL, ended.cancelled()).await.is_err() {
        wire.cut();
        ended.cancelled().await;
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.death.declare("the connection was dropped");
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

type Refusal = Arc<Mutex<Option<(Fingerprint, String)>>>;

/// What the session's task tells us.
struct Session {
    trust: Trust,
    refusal: Refusal,
    death: Death,
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
            Err(reason) => {
                *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some((Fingerprint::of(key), reason));
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
                self.death.declare(format!("the host closed the connection: {}", info.message));
                Ok(())
            }
            client::DisconnectReason::Error(error) => {
                self.death.declare(match &error {
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
        self.death.declare("the host closed the connection");
    }
}

enum Trust {
    Pinned(Vec<Fingerprint>),
    FirstSeen(Pins),
    Known { keys: KnownKeys, file: String },
    Unreadable(String),
}

impl Trust {
    async fn load(host_keys: &HostKeys, endpoint: &Endpoint) -> Self {
        match host_keys {
            HostKeys::Pinned(pins) => Trust::Pinned(pins.get()),
            HostKeys::FirstSeen(pins) => Trust::FirstSeen(pins.clone()),
            HostKeys::KnownHosts(path) => {
                match tokio::fs::read(path).await.or_else(empty_if_missing) {
                    Ok(bytes) => {
                        let keys = KnownKeys::of(
                            &endpoint.host,
                            endpoint.port,
                            &String::from_utf8_lossy(&bytes),
                        );
                        Trust::Known { keys, file: path.display().to_string() }
                    }
                    Err(error) => Trust::Unreadable(format!(
                        "{} cannot be read: \
                    {error}",
                        path.display()
                    )),
                }
            }
            HostKeys::KnownHostsOf { alias, files } => {
                let mut keys = KnownKeys::default();
                for path in files {
                    match tokio::fs::read(path).await.or_else(empty_if_missing) {
                        Ok(bytes) => {
                            let text = String::from_utf8_lossy(&bytes);
                            keys = keys.and(match alias {
                                Some(name) => KnownKeys::named(name, &text),
                                None => KnownKeys::of(&endpoint.host, endpoint.port, &text),
                            });
                        }
                        Err(error) => {
                            return Trust::Unreadable(format!(
                                "{} cannot be read: \
                            {error}",
                                path.display()
                            ));
                        }
                    }
                }
                let names: Vec<String> =
                    files.iter().map(|path| path.display().to_string()).collect();
                Trust::Known { keys, file: names.join(", ") }
            }
        }
    }

    /// Why no key of the host could be checked, if so: nothing is sent then.
    fn cannot_check(&self, endpoint: &Endpoint) -> Option<String> {
        let Trust::Known { keys, file } = self else { return None };
        let kinds = keys.only_unchecked()?;
        Some(format!(
            "of it {file} knows only {kinds}, and dockbridge checks Ed25519 and ECDSA keys. Log in \
                once with `{}`, compare the fingerprint and confirm \
             it: that adds the line that is missing",
            with_checked_kinds(endpoint)
        ))
    }

    fn judge(&self, presented: &PublicKey) -> Result<(), String> {
        match self {
            Trust::Pinned(pinned) if pinned.contains(&Fingerprint::of(presented)) => Ok(()),
            Trust::Pinned(_) => Err("it is not the key that this machine was given".into()),
            Trust::FirstSeen(pins) if pins.is_or_becomes(Fingerprint::of(presented)) => Ok(()),
            Trust::FirstSeen(_) => Err("it is not the key that this host presented first".into()),
            Trust::Known { keys, file } => {
                keys.judge(presented).map_err(|reason| format!("{reason} in {file}"))
            }
            Trust::Unreadable(reason) => Err(reason.clone()),
        }
    }
}

/// Before the first login anywhere there is no file, and no host is known.
fn empty_if_missing(error: io::Error) -> io::Result<Vec<u8>> {
    if error.kind() == io::ErrorKind::NotFound { Ok(Vec::new()) } else { Err(error) }
}

fn configure(trust: &Trust, queue: usize) -> client::Config {
    let mut config = client::Config {
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: queue,
        nodelay: true,
        ..client::Config::default()
    };
    // AES-GCM is twice as fast as ChaCha20 on any processor of the last ten years; the last is for
    // hosts that allow nothing else.
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

/// The host has no key of the kinds that were asked for.
fn not_offered(endpoint: &Endpoint, asked: &[String], offered: &[String]) -> String {
    let is_checked =
        |kind: &&String| CHECKED.iter().any(|checked| checked.as_str() == kind.as_str());
    match offered.iter().find(is_checked) {
        Some(_) => format!(
            "{} is known of it, and it offers {}. Log in once with `{}`, compare the fingerprint \
                and confirm it: that adds the line that is missing",
            asked.join(", "),
            offered.join(", "),
            with_checked_kinds(endpoint)
        ),
        None => format!(
            "it offers only {}, and dockbridge checks Ed25519 and ECDSA keys. `ssh-keygen -A` on \
                the host makes one, and sshd offers it after a restart",
            offered.join(", ")
        ),
    }
}

fn with_checked_kinds(endpoint: &Endpoint) -> String {
    let port = if endpoint.port == 22 { String::new() } else { format!("-p {} ", endpoint.port) };
    format!(
        "ssh -o HostKeyAlgorithms=ssh-ed25519,ecdsa-sha2-nistp256 \
        {port}{}@{}",
        endpoint.user, endpoint.host
    )
}
