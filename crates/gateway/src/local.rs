//! Responses that need no engine, and what the daemon knows of the engine.

pub(crate) mod events;
pub(crate) mod ping;
pub(crate) mod stale;
pub(crate) mod wait_progress;
