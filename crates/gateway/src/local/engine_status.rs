//! The machine, looked at without asking for one.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use tunnel::Connector;

/// Whether there is an engine to ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineState {
    /// It can be reached.
    Up,
    /// It cannot be reached now, and may go on all the same.
    Away,
    /// There is none: what ran there does not run.
    Absent,
}

/// The disk behind the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What a person should know about its fill, if anything.
    pub warning: Option<String>,
    /// Why nothing is put on it any more, if that is so.
    pub refusal: Option<String>,
    /// What can be done for more room.
    pub advice: String,
}

/// What a request waits for while there is no engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// What is being done, such as `booting (cx23 in fsn1)`.
    pub stage: String,
    /// For how long already.
    pub lasted: Duration,
    /// How long that usually takes, if it was ever measured.
    pub usual: Option<Duration>,
}

/// What is known of the machine, and a way to it for requests that may not wake it. It asks for
/// nothing and waits for nothing.
pub trait EngineStatus: Connector + fmt::Debug {
    /// Whether there is an engine to ask.
    fn state(&self) -> EngineState;
    /// The disk behind the engine; `None` where it is not known, or is not ours to speak of.
    fn disk(&self) -> BoxFuture<'_, Option<Disk>> {
        Box::pin(std::future::ready(None))
    }
    /// What a request that wakes the machine waits for now. `None` while there is an engine, or
    /// where that is not reported.
    fn wait(&self) -> Option<Wait> {
        None
    }
    /// Returns once it can be reached; perhaps never.
    fn until_up(&self) -> BoxFuture<'_, ()>;
}
