//! A single question: a direct connection if one is idle, else the session.

use super::Opened;
use crate::plain::PlainChannels;
use crate::pool::{NoneIdle, Pool};
use crate::stream::Destination;

pub(super) async fn open(pool: &Pool, channels: &PlainChannels, to: &Destination) -> Opened {
    match pool.try_checkout().await {
        Ok(checkout) => match channels.open(Ok(checkout), to).await {
            Ok(stream) => Opened::Direct(stream),
            Err(_) => Opened::UseSession { temporary: false },
        },
        Err(NoneIdle { connecting }) => Opened::UseSession { temporary: connecting },
    }
}
