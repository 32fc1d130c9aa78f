//! What follows when a connection stops being HTTP for a while or for good: a raw stream, or a
//! response that is relayed.

pub(crate) mod departure;
pub(crate) mod hijack;
pub(crate) mod relay;

use hijack::Hijacked;
use relay::Relay;

/// What the session does once the head of a response is written.
pub(crate) enum Takeover {
    Hijack(Hijacked),
    Relay(Relay),
}
