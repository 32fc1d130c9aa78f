//! The interface to where machines come from. Two providers exist: [`crate::Cloud`] creates and
//! deletes servers of a cloud project, [`crate::Host`] only connects to the user's own host.

use std::time::Duration;

use futures::future::BoxFuture;
use tunnel::Tunnel;

use crate::error::MachineError;
use api::Phase;
use api::Summary;

/// Receives what a provider does during a wake, while it happens. A wake may be cancelled at any
/// moment, and a server that was created until then is billed anyway.
pub trait Observer: Send + Sync {
    /// A stage begins, or continues with another detail such as `cx23 in fsn1`.
    fn stage(&self, phase: Phase, detail: Option<String>);
    /// Why no further server may be created, human-readable. Asked before each creation.
    fn refusal(&self) -> Option<String> {
        None
    }
    /// A server was created; the cloud bills it from now on.
    fn created(&self, _server: &Summary) {}
    /// The wake has deleted a server; the reason is human-readable.
    fn deleted(&self, _id: u64, _because: &str) {}
    /// Whether the user ordered the wake to end. Asked before each step that costs money.
    fn is_called_off(&self) -> bool {
        false
    }
    /// Resolves when the user orders the wake to end; never without such an order.
    fn called_off(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// A machine whose engine answers.
#[derive(Debug, Clone)]
pub struct Ready {
    /// The connection to it.
    pub tunnel: Tunnel,
    /// Its description.
    pub summary: Summary,
}

/// The result of connecting to a machine that exists.
#[derive(Debug)]
pub enum Joined {
    /// It answers.
    Ready(Box<Ready>),
    /// No machine exists.
    Absent,
}

/// When a machine may be destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Not while another client works on it.
    UnlessUsed,
    /// The user ordered it.
    Given,
}

/// The result of an order to destroy the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destroyed {
    /// The server is deleted.
    Gone {
        /// Steps that failed before the deletion, human-readable.
        troubles: Vec<String>,
    },
    /// No machine existed.
    Absent,
    /// Another client works on it; nothing was deleted.
    InUse {
        /// Human-readable.
        reason: String,
    },
    /// It is the user's own host, which dockbridge never deletes. Only the connection ends.
    NotManaged,
}

/// Where machines come from.
pub trait Provider: Send + Sync + 'static {
    /// The machine, if one exists now. Creates nothing.
    fn find(&self) -> BoxFuture<'_, Result<Option<Summary>, MachineError>>;
    /// Connects to a machine whose engine answers, and creates the machine if none exists.
    fn ensure<'a>(
        &'a self,
        observer: &'a dyn Observer,
    ) -> BoxFuture<'a, Result<Ready, MachineError>>;
    /// Connects to a machine that exists, while no client waits for one. Creates no machine and
    /// gives up no machine that is silent. One attempt, which takes about `limit` if nothing
    /// answers.
    fn join(&self, limit: Duration) -> BoxFuture<'_, Result<Joined, MachineError>>;
    /// The machine with prices, where the prices could not be read as it came up. `None` while
    /// they still cannot be read.
    fn priced<'a>(&'a self, machine: &'a Summary) -> BoxFuture<'a, Option<Summary>>;
    /// Seconds by which this computer's clock is ahead of the cloud's, negative where it is behind.
    /// `None` where this is not known.
    fn clock_offset(&self) -> Option<i64> {
        None
    }
    /// The requests to the cloud so far, with the rate budget that is left. `None` without a cloud.
    fn api_use(&self) -> Option<hetzner::ApiUse> {
        None
    }
    /// Work that follows once the machine is in use. No client waits for it.
    fn settle<'a>(&'a self, ready: &'a Ready) -> BoxFuture<'a, Result<(), MachineError>>;
    /// Work that continues while the machine is used from here, such as admitting the owner's other
    /// computers. Ends when it is dropped.
    fn attend<'a>(&'a self, _ready: &'a Ready) -> BoxFuture<'a, ()> {
        Box::pin(std::future::pending())
    }
    /// Stops the engine, unmounts the volume and deletes the machine. The volume stays.
    fn destroy<'a>(
        &'a self,
        tunnel: Option<&'a Tunnel>,
        consent: Consent,
    ) -> BoxFuture<'a, Result<Destroyed, MachineError>>;
}
