//! A TCP port through the agent, over a channel of its own instead of one of many streams. Both
//! directions carry an explicit end.

use agent_proto::{Call, Reply};
use striping::Terminated;

use crate::agent_session::AgentSession;
use crate::guarded::Guarded;
use crate::plain::PlainChannels;
use crate::pool::Pool;
use crate::request::current_request;
use crate::stream::{Class, Destination, OpenError, Stream};
use crate::tracked::Tracked;

/// `None` if the host or its agent has no such channels.
pub(super) async fn open(
    pool: &Pool,
    channels: &PlainChannels,
    session: &AgentSession,
    host: &str,
    port: u16,
) -> Result<Option<Stream>, OpenError> {
    let request = current_request().map(|request| request.as_str().into());
    let call = Call::Channel { host: host.to_owned(), port, request };
    let path = match session.call(&call).await {
        Ok(Reply::Channel { path }) => path,
        Ok(Reply::Refused(refusal)) => return Err(refusal.into()),
        Ok(_) | Err(_) => return Ok(None),
    };
    let Ok(checkout) = pool.checkout(Class::Bulk).await else { return Ok(None) };
    let socket = Destination::Socket(path);
    let Ok(channel) = channels.channel(&checkout.connection, &socket).await else {
        return Ok(None);
    };
    let closed = checkout.connection.closed.clone();
    let stream = Terminated::new(Guarded::new(channel, checkout));
    Ok(Some(Stream::new(Tracked::new(stream, closed, channels.counts.clone()))))
}
