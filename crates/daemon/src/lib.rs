//! One profile's supervisor: it wires the rooms below together and keeps them true to each other.
//!
//! A daemon owns one Docker socket. It wakes a machine when a client needs one, keeps the lease
//! while it is used, and gives it up when the policy says so. What it knows may be lost at any
//! time: everything is found again in the cloud.

#![forbid(unsafe_code)]

mod audit;
pub mod client;
mod containers;
mod control;
mod end;
mod fill;
pub mod kept_file;
mod ledger;
mod link;
mod metrics;
mod ownership;
mod person;
mod pin;
mod proxy_port;
mod remembered;
mod serve;
mod state;
mod status;
mod supervisor;
mod waiting;
mod wakes_file;
mod why;

pub use audit::{AuditEntry, AuditLog};
pub use end::EndStatus;
pub use gateway::{BindMounts, LocalPaths};
pub use ledger::{Bill, Ledger, Month, Purpose, ServerBill, VolumeBill, books_of};
pub use ownership::{Ownership, OwnershipError};
pub use ports;
pub use remembered::LastKnown;
pub use serve::{Daemon, DaemonError, Options};
pub use status::{LastKnownStatus, PhaseStatus, PinStatus, Status};
pub use wakes_file::wakes_of;
pub use why::{EndingStatus, ReasonStatus, Why};
