//! The machine, looked at without asking for one.

use std::fmt;

use futures::future::BoxFuture;
use tunnel::Connector;

/// Whether there is an engine to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It can be reached.
    Up,
    /// It cannot be reached now, and may go on all the same.
    Away,
    /// There is none: what ran there does not run.
    Absent,
}

/// What is known of the machine, and a way to it for requests that may not wake it. It asks for nothing and waits for nothing.
pub trait Presence: Connector + fmt::Debug {
    /// Whether there is an engine to ask.
    fn standing(&self) -> Standing;
    /// Returns once it can be reached; perhaps never.
    fn until_up(&self) -> BoxFuture<'_, ()>;
}
