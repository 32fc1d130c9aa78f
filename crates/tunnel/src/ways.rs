//! By which way a stream goes: through the agent's session, by a bundle of lanes, or by a plain SSH
//! channel, alone or with the agent behind it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use agent_proto::{Call, Opening, Reply};
use striping::Terminated;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;

use crate::bulk::Bulk;
use crate::channel::ChannelIo;
use crate::connection::{ChannelError, Connection};
use crate::death::Death;
use crate::link::Link;
use crate::pool::{Direct, Lease, Pool, Soon};
use crate::promised::Promised;
use crate::tracked::{Counts, Tracked};
use crate::watchdog::RoundTrip;
use crate::{Class, Destination, OpenError, Stream};

/// What there is to go by.
pub(crate) enum Way {
    Agent { link: Arc<Link>, plain: Pool, questions: Pool, bulk: Bulk, resident: bool },
    Direct { pool: Pool, reason: String, _keeper: Option<ChannelIo> },
}

/// A tunnel's ways, and what every stream needs.
pub(crate) struct Ways {
    pub(crate) way: Way,
    pub(crate) death: Death,
    pub(crate) counts: Arc<Counts>,
    pub(crate) round_trip: Arc<RoundTrip>,
    pub(crate) docker_socket: String,
    /// Places for questions that are no crowd.
    pub(crate) few: Arc<Semaphore>,
}

impl Ways {
    pub(crate) async fn open(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        match &self.way {
            Way::Direct { reason, .. } if matches!(to, Destination::Udp { .. }) => {
                Err(OpenError::Refused { message: no_datagrams(reason) })
            }
            Way::Agent { link, plain, .. } if class == Class::Bulk && self.is_near() => {
                let near = match &to {
                    // A reset of a TCP port reaches us through the agent only: sshd makes an
                    // orderly end of it.
                    Destination::Tcp { host, port } => self.aside(link, plain, host, *port).await?,
                    // The host may allow no channels of this kind; the agent knows better why
                    // something cannot be reached.
                    _ => self.plain(plain.lease(class).await, &to).await.ok(),
                };
                match near {
                    Some(stream) => Ok(stream),
                    None => self.linked(link.clone(), to).await,
                }
            }
            Way::Agent { link, questions, .. } if class == Class::Question && self.is_near() => {
                // The session carries those of a crowd in fewer packets than connections of their
                // own do, and a crowd is no time for logins.
                let Ok(place) = self.few.clone().try_acquire_owned() else {
                    return self.linked(link.clone(), to).await;
                };
                let soon = match questions.lease_at_once().await {
                    Ok(lease) => match self.plain(Ok(lease), &to).await {
                        Ok(stream) => return Ok(stream.holding(place)),
                        Err(_) => false,
                    },
                    Err(Soon(soon)) => soon,
                };
                let stream = self.linked(link.clone(), to).await?.holding(place);
                Ok(if soon { stream.makeshift() } else { stream })
            }
            Way::Agent { link, questions, bulk, .. } => {
                if class != Class::Bulk && self.is_near() {
                    questions.prepare();
                }
                match class {
                    Class::Interactive => self.linked(link.clone(), to).await,
                    Class::Bulk => match bulk.link().await {
                        Some((link, transfer)) => {
                            Ok(self.linked(link, to).await?.holding(transfer))
                        }
                        None => self.linked(link.clone(), to).await,
                    },
                    // What a crowd is answered is more than a connection that has rested sends at
                    // once; there it is compressed and goes by several.
                    Class::Question => match self.few.clone().try_acquire_owned() {
                        Ok(place) => Ok(self.linked(link.clone(), to).await?.holding(place)),
                        Err(_) => match bulk.idle() {
                            Some(bundle) => self.linked(bundle, to).await.map(Stream::makeshift),
                            None => self.linked(link.clone(), to).await,
                        },
                    },
                }
            }
            Way::Direct { pool, .. } => self.plain(pool.lease(class).await, &to).await,
        }
    }

    /// One window of sshd holds more than is on its way, so that a channel alone fills the path;
    /// without the agent in between it costs the least.
    fn is_near(&self) -> bool {
        self.round_trip.is_near()
    }

    async fn linked(&self, link: Arc<Link>, to: Destination) -> Result<Stream, OpenError> {
        let opening = match to {
            Destination::Docker => Opening::Docker,
            Destination::Socket(path) => Opening::Socket { path },
            Destination::Tcp { host, port } => Opening::Tcp { host, port },
            Destination::Udp { host, port } => Opening::Udp { host, port },
        };
        let stream = link.open(&opening).await?;
        let death = link.death().clone();
        Ok(Stream::new(Tracked::new(Linked { stream, _link: link }, death, self.counts.clone())))
    }

    async fn plain(
        &self,
        lease: Result<Lease, String>,
        to: &Destination,
    ) -> Result<Stream, OpenError> {
        let lease = lease.map_err(|message| self.not_made(message))?;
        let channel = self.channel(&lease.connection, to).await?;
        let death = lease.connection.death.clone();
        Ok(Stream::new(Tracked::new(Direct { channel, _lease: lease }, death, self.counts.clone())))
    }

    /// A TCP port through the agent, by a channel of its own rather than as one of many streams.
    /// `None` where the host or its agent has no such channels.
    async fn aside(
        &self,
        link: &Link,
        pool: &Pool,
        host: &str,
        port: u16,
    ) -> Result<Option<Stream>, OpenError> {
        let path = match link.call(&Call::Channel { host: host.to_owned(), port }).await {
            Ok(Reply::Channel { path }) => path,
            Ok(Reply::Refused(refusal)) => return Err(refusal.into()),
            Ok(_) | Err(_) => return Ok(None),
        };
        let Ok(lease) = pool.lease(Class::Bulk).await else { return Ok(None) };
        let Ok(channel) = self.channel(&lease.connection, &Destination::Socket(path)).await else {
            return Ok(None);
        };
        let death = lease.connection.death.clone();
        Ok(Some(Stream::new(Tracked::new(
            Terminated::new(Direct { channel, _lease: lease }),
            death,
            self.counts.clone(),
        ))))
    }

    fn not_made(&self, message: String) -> OpenError {
        match self.death.reason() {
            Some(reason) => OpenError::Dead { reason },
            None => OpenError::Refused { message },
        }
    }

    async fn channel(
        &self,
        connection: &Arc<Connection>,
        to: &Destination,
    ) -> Result<ChannelIo, OpenError> {
        let opened = match to {
            Destination::Docker => connection.streamlocal(&self.docker_socket).await,
            Destination::Socket(path) => connection.streamlocal(path).await,
            Destination::Tcp { host, port } => connection.tcpip(host, *port).await,
            Destination::Udp { .. } => Err(ChannelError::Refused(
                "SSH carries no \
                datagrams"
                    .to_owned(),
            )),
        };
        opened.map_err(|error| match (error, to) {
            (ChannelError::Dead(reason), _) => OpenError::Dead { reason },
            // sshd does not say whether the socket is missing or nobody listens; dockerd that has
            // not started is the usual case.
            (ChannelError::Refused(reason), Destination::Docker) => OpenError::NotFound {
                message: format!(
                    "{} cannot be reached: \
                    {reason}",
                    self.docker_socket
                ),
            },
            (ChannelError::Refused(reason), Destination::Socket(path)) => {
                OpenError::NotFound { message: format!("{path} cannot be reached: {reason}") }
            }
            (
                ChannelError::Refused(reason),
                Destination::Tcp { host, port } | Destination::Udp { host, port },
            ) => {
                OpenError::Refused { message: format!("{host}:{port} cannot be reached: {reason}") }
            }
        })
    }
}

/// For a person.
pub(crate) fn no_datagrams(reason: &str) -> String {
    format!("UDP needs the agent, and none runs on the machine: {reason}")
}

/// A stream that keeps its link in use.
struct Linked {
    stream: Promised,
    _link: Arc<Link>,
}

impl AsyncRead for Linked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Linked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
