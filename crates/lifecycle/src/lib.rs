//! How long a machine may exist.
//!
//! [`Activity`] records what goes on and what went on. [`Polling`] finds requests that a program
//! repeats and that are no activity. [`decide`] turns a [`Snapshot`], a [`Policy`] and what is
//! known of the machine ([`Tenure`]) into a [`Verdict`]. Nothing here knows clouds, sockets or
//! tasks: time comes in as an argument, and the caller carries the verdict out.

#![forbid(unsafe_code)]

mod activity;
mod clock;
mod containers;
mod history;
mod kind;
mod policy;
mod polling;
mod verdict;

pub use activity::{Activity, Guard, Live, Pin, Seen, Snapshot};
pub use clock::{Clock, FakeClock, Moment, SuspendClock};
pub use containers::{Container, Containers, Counts};
pub use history::{Bytes, Ended, History, KindHistory};
pub use kind::Kind;
pub use policy::{Billing, Budget, Lock, LockAction, Policy, Tenure};
pub use polling::Polling;
pub use verdict::{Cancel, Cause, Ending, Outcome, Reason, ReasonKind, Verdict, decide};
