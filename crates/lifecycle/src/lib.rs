//! How long a machine may exist.
//!
//! [`Activity`] remembers what is happening and what happened; [`decide`] turns a [`Snapshot`] of it and a [`Policy`] into a
//! [`Verdict`]. Nothing here knows of clouds, sockets or tasks: time comes in as an argument, and whoever asks carries the verdict out.

#![forbid(unsafe_code)]

mod activity;
mod clock;
mod verdict;

pub use activity::{Activity, Guard, Kind, Live, Snapshot};
pub use clock::{Clock, FakeClock, Moment, SuspendClock};
pub use verdict::{Policy, Reason, Verdict, decide};
