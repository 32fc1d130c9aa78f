//! The direct path, over a short path only: big transfers and single questions use plain SSH
//! channels on connections of their own, beside the agent's session.
//!
//! On a path under 3 ms a single channel fills the path, and the agent in between would cost a
//! third of a request's time. Everything else uses the session; [`Direct::open`] decides.

mod question;
mod tcp;

use crate::agent_session::AgentSession;
use crate::closed::Closed;
use crate::options::Options;
use crate::plain::PlainChannels;
use crate::pool::{MOST_CONNECTIONS, NoneIdle, Pool, Size};
use crate::stream::{Class, Destination, OpenError, Stream};

use tokio_util::task::TaskTracker;

/// Packets of 32 KiB that an unread channel holds, and what is encrypted and sent at once: half a
/// megabyte stays in the processor's cache through all copies, eight megabytes did not.
const QUEUE: usize = 16;
/// Connections for questions: as many as one user is likely to ask at the same time. More questions
/// use the session.
pub(crate) const MOST_QUESTIONS: usize = 4;

pub(crate) struct Direct {
    /// Big transfers, each on a connection of its own.
    transfers: Pool,
    /// Questions, each on a connection of its own.
    questions: Pool,
}

/// How a stream is opened.
pub(crate) enum Opened {
    /// On a connection of its own.
    Direct(Stream),
    /// The caller uses the agent's session. `temporary` if a direct connection is being made, so
    /// that later streams do better.
    UseSession { temporary: bool },
}

impl Direct {
    pub(crate) fn start(options: &Options, closed: &Closed, tasks: &TaskTracker) -> Self {
        let pool = |connections| {
            Pool::start(options.clone(), Size { connections, queue: QUEUE }, closed.clone(), tasks)
        };
        Self { transfers: pool(MOST_CONNECTIONS), questions: pool(MOST_QUESTIONS) }
    }

    /// Opens a stream on a direct connection if it gains. A question that is one of a `crowd` uses
    /// the session, which carries a crowd in fewer packets than single connections do; besides, a
    /// crowd is no time for logins.
    pub(crate) async fn open(
        &self,
        channels: &PlainChannels,
        session: &AgentSession,
        to: &Destination,
        class: Class,
        crowd: bool,
    ) -> Result<Opened, OpenError> {
        let stream = match (class, to) {
            (Class::Interactive, _) => {
                self.questions.prepare();
                None
            }
            (Class::Question, _) if crowd => None,
            (Class::Question, _) => {
                return Ok(match question::open(&self.questions, channels, to).await {
                    Ok(stream) => Opened::Direct(stream),
                    Err(NoneIdle { connecting }) => Opened::UseSession { temporary: connecting },
                });
            }
            // Only the agent reports a reset of a TCP port: sshd makes an orderly end of it.
            (Class::Bulk, Destination::Tcp { host, port }) => {
                tcp::open(&self.transfers, channels, session, host, *port).await?
            }
            // The host may forbid such channels; the agent knows better why a destination cannot be
            // reached.
            (Class::Bulk, _) => channels.open(self.transfers.checkout(class).await, to).await.ok(),
        };
        Ok(stream.map_or(Opened::UseSession { temporary: false }, Opened::Direct))
    }
}
