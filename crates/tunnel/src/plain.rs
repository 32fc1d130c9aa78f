//! Streams over plain SSH channels: sshd connects to the destination, without the agent.

use std::sync::Arc;

use crate::channel::ChannelIo;
use crate::closed::Closed;
use crate::connection::{ChannelError, Connection};
use crate::guarded::Guarded;
use crate::pool::{Checkout, PoolError};
use crate::stream::{Destination, OpenError, Stream};
use crate::tracked::{Counts, Tracked};

/// What every plain stream needs.
pub(crate) struct PlainChannels {
    pub(crate) docker_socket: String,
    pub(crate) closed: Closed,
    pub(crate) counts: Arc<Counts>,
}

impl PlainChannels {
    pub(crate) async fn open(
        &self,
        checkout: Result<Checkout, PoolError>,
        to: &Destination,
    ) -> Result<Stream, OpenError> {
        let checkout = checkout.map_err(|error| match self.closed.reason() {
            Some(reason) => OpenError::Dead { reason },
            None => OpenError::Refused { message: error.to_string() },
        })?;
        let channel = self.channel(&checkout.connection, to).await?;
        let closed = checkout.connection.closed.clone();
        let stream = Guarded::new(channel, checkout);
        Ok(Stream::new(Tracked::new(stream, closed, self.counts.clone())))
    }

    pub(crate) async fn channel(
        &self,
        connection: &Arc<Connection>,
        to: &Destination,
    ) -> Result<ChannelIo, OpenError> {
        let opened = match to {
            Destination::Docker => connection.streamlocal(&self.docker_socket).await,
            Destination::Socket(path) => connection.streamlocal(path).await,
            Destination::Tcp { host, port } => connection.tcpip(host, *port).await,
            // Refused before: see `no_datagrams`.
            Destination::Udp { .. } => {
                Err(ChannelError::Refused("SSH carries no datagrams".to_owned()))
            }
        };
        opened.map_err(|error| {
            let reason = match error {
                ChannelError::Dead(reason) => return OpenError::Dead { reason },
                ChannelError::Refused(reason) => reason,
            };
            let unreachable = |what: &str| format!("{what} cannot be reached: {reason}");
            // sshd does not say whether a socket is missing or refuses; a dockerd that has not
            // started is the usual case.
            match to {
                Destination::Docker => {
                    OpenError::NotFound { message: unreachable(&self.docker_socket) }
                }
                Destination::Socket(path) => OpenError::NotFound { message: unreachable(path) },
                Destination::Tcp { host, port } | Destination::Udp { host, port } => {
                    OpenError::Refused { message: unreachable(&format!("{host}:{port}")) }
                }
            }
        })
    }
}
