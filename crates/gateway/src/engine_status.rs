//! What the gateway asks about the machine behind the engine, without waking it.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use tunnel::Connector;

/// Whether there is an engine to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineState {
    /// It can be reached.
    Up,
    /// It cannot be reached now, and may still run.
    Away,
    /// There is none: what ran there runs no more.
    Absent,
}

/// The disk behind the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What the user should know about its fill level, if anything.
    pub warning: Option<String>,
    /// Why nothing more is put on it, if that is so.
    pub refusal: Option<String>,
    /// How the user makes room.
    pub advice: String,
}

/// What a request waits for while there is no engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// The running stage, such as `booting (cx23 in fsn1)`.
    pub stage: String,
    /// For how long it has run.
    pub lasted: Duration,
    /// How long it usually runs, if that was ever measured.
    pub usual: Option<Duration>,
}

/// The engine as the daemon knows it, and a route to it that never wakes a machine and never waits
/// for one.
pub trait EngineStatus: Connector + fmt::Debug {
    /// Whether there is an engine to ask.
    fn state(&self) -> EngineState;
    /// The disk behind the engine. `None` if it is not known, or not dockbridge's to manage.
    fn disk(&self) -> BoxFuture<'_, Option<Disk>> {
        Box::pin(std::future::ready(None))
    }
    /// What a request that wakes the machine waits for now. `None` while there is an engine, or if
    /// that is not reported.
    fn wait(&self) -> Option<Wait> {
        None
    }
    /// Resolves once the engine can be reached; perhaps never.
    fn until_up(&self) -> BoxFuture<'_, ()>;
}
