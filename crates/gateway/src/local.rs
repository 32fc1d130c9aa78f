//! Answers that need no engine.

pub(crate) mod engine_status;
pub(crate) mod events;
pub(crate) mod ping;
pub(crate) mod stale;
pub(crate) mod wait_progress;
