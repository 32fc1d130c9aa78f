//! What sensors report, and what a sensor is.

use std::any::Any;
use std::fmt;

use futures::future::BoxFuture;
use tokio::sync::mpsc;

/// Events, each with the name of its sensor.
pub type Events = mpsc::Sender<(&'static str, Event)>;

/// What a sensor reports.
#[derive(Debug)]
pub enum Event {
    /// The screen is locked. May be reported again while it is.
    Locked,
    /// The screen is not locked. May be reported again while it is not.
    Unlocked,
    /// The computer goes to sleep when the delay is dropped, or when the system's limit is over.
    Sleeps(Delay),
    /// The computer has slept.
    Wakes,
}

/// Delays sleep while it lives, up to the system's limit.
pub struct Delay(#[expect(dead_code, reason = "dropping it ends the delay")] Box<dyn Any + Send>);

impl Delay {
    pub(super) fn new(hold: impl Send + 'static) -> Self {
        Self(Box::new(hold))
    }
}

impl fmt::Debug for Delay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Delay")
    }
}

/// Why a sensor cannot report, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum SensorError {
    /// The service does not exist here.
    #[error("{service} is not available")]
    NotAvailable {
        /// Its name.
        service: &'static str,
    },
    /// The message bus does not answer, or closed the connection.
    #[cfg(target_os = "linux")]
    #[error("the message bus does not answer")]
    Bus(#[from] zbus::Error),
    /// The service ended the conversation.
    #[error("the service has ended")]
    Ended,
}

/// One source of events.
pub trait Sensor: Send + Sync + 'static {
    /// The name for logs.
    fn name(&self) -> &'static str;
    /// Reports the present state and then each change, until the service is lost.
    fn listen(&self, events: Events) -> BoxFuture<'_, SensorError>;
}
