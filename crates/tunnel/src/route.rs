//! Decides which route a stream takes: the agent's session, a bundle of lanes, or a plain SSH
//! channel.

use std::sync::Arc;

use agent_proto::{Opening, Request};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::agent_session::AgentSession;
use crate::bulk::Bulk;
use crate::channel::ChannelIo;
use crate::direct::{Direct, MOST_QUESTIONS, Opened};
use crate::guarded::Guarded;
use crate::plain::PlainChannels;
use crate::pool::Pool;
use crate::request::current_request;
use crate::stream::{Class, Destination, OpenError, Stream};
use crate::tracked::Tracked;
use crate::watchdog::RoundTrip;

/// The route of a tunnel's streams.
pub(crate) enum Route {
    /// Through the agent.
    Agent { session: Arc<AgentSession>, direct: Direct, bulk: Bulk, resident: bool },
    /// Plain SSH channels only, because no agent runs.
    Plain { pool: Pool, reason: String, _keeper: Option<ChannelIo> },
}

/// A tunnel's routes, and what every stream needs.
pub(crate) struct Routes {
    pub(crate) route: Route,
    pub(crate) channels: PlainChannels,
    pub(crate) round_trip: Arc<RoundTrip>,
    /// One permit for each question that counts as single; further ones are a crowd.
    single_questions: Arc<Semaphore>,
}

impl Routes {
    pub(crate) fn new(route: Route, channels: PlainChannels, round_trip: Arc<RoundTrip>) -> Self {
        let single_questions = Arc::new(Semaphore::new(MOST_QUESTIONS));
        Self { route, channels, round_trip, single_questions }
    }

    pub(crate) async fn open(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        let (session, direct, bulk) = match &self.route {
            Route::Agent { session, direct, bulk, .. } => (session, direct, bulk),
            Route::Plain { reason, .. } if matches!(to, Destination::Udp { .. }) => {
                return Err(OpenError::Refused { message: no_datagrams(reason) });
            }
            Route::Plain { pool, .. } => {
                return self.channels.open(pool.checkout(class).await, &to).await;
            }
        };
        let single = match class {
            Class::Question => self.single_questions.clone().try_acquire_owned().ok(),
            Class::Interactive | Class::Bulk => None,
        };
        if self.round_trip.is_near() {
            let crowd = single.is_none();
            return match direct.open(&self.channels, session, &to, class, crowd).await? {
                Opened::Direct(stream) => Ok(holding(stream, single)),
                Opened::UseSession { temporary } => {
                    let stream = holding(self.through(session.clone(), to).await?, single);
                    Ok(if temporary { stream.temporary() } else { stream })
                }
            };
        }
        match class {
            Class::Bulk => {
                if let Some((bundle, transfer)) = bulk.bundle().await {
                    return Ok(self.through(bundle, to).await?.holding(transfer));
                }
            }
            // The answers to a crowd are more than an idle connection sends at once; a bundle
            // compresses them and uses several connections.
            Class::Question if single.is_none() => {
                if let Some(bundle) = bulk.idle() {
                    return self.through(bundle, to).await.map(Stream::temporary);
                }
            }
            Class::Question | Class::Interactive => {}
        }
        Ok(holding(self.through(session.clone(), to).await?, single))
    }

    /// A stream of an agent's session or bundle, which it keeps in use.
    async fn through(
        &self,
        session: Arc<AgentSession>,
        to: Destination,
    ) -> Result<Stream, OpenError> {
        let stream = session.open(&self.opening(to)).await?;
        let closed = session.closed().clone();
        let counts = self.channels.counts.clone();
        Ok(Stream::new(Tracked::new(Guarded::new(stream, session), closed, counts)))
    }

    /// Names the request that the stream is opened for.
    fn opening(&self, to: Destination) -> Opening {
        let request: Request = current_request().map(|request| request.as_str().into());
        match to {
            Destination::Docker if request.is_some() => {
                Opening::Socket { path: self.channels.docker_socket.clone(), request }
            }
            Destination::Docker => Opening::Docker,
            Destination::Socket(path) => Opening::Socket { path, request },
            Destination::Tcp { host, port } => Opening::Tcp { host, port, request },
            Destination::Udp { host, port } => Opening::Udp { host, port, request },
        }
    }
}

fn holding(stream: Stream, permit: Option<OwnedSemaphorePermit>) -> Stream {
    match permit {
        Some(permit) => stream.holding(permit),
        None => stream,
    }
}

/// Why UDP cannot be forwarded without the agent, human-readable.
pub(crate) fn no_datagrams(reason: &str) -> String {
    format!("UDP needs the agent, and none runs on the machine: {reason}")
}
