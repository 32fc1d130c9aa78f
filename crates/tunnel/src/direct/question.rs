//! A single question: a direct connection if one is idle.

use crate::plain::PlainChannels;
use crate::pool::{NoneIdle, Pool};
use crate::stream::{Destination, Stream};

/// An error means that the session has to be used, and whether a connection is being made.
pub(super) async fn open(
    pool: &Pool,
    channels: &PlainChannels,
    to: &Destination,
) -> Result<Stream, NoneIdle> {
    let checkout = pool.try_checkout().await?;
    channels.open(Ok(checkout), to).await.map_err(|_| NoneIdle { connecting: false })
}
