//! The daemon of one profile: it connects gateway, ports, machine and policy.
//!
//! A daemon owns one Docker socket. It wakes a machine when a client needs one, renews its lease
//! while it is used, and takes it down when the policy says so. What it knows may be lost at any
//! time: everything is found again in the cloud.

#![forbid(unsafe_code)]

mod audit;
mod boot_history;
mod checks;
mod clock_time;
mod conditions;
mod connector;
mod containers;
mod control;
mod disk_usage;
mod end;
mod health;
mod hints;
pub mod json_file;
mod last_state;
mod ledger;
mod losses;
mod machine_log;
mod metrics;
mod notices;
mod observability;
mod ownership;
mod pin;
mod proxy_port;
mod refusal;
mod request_id;
mod rereading;
mod serve;
mod service;
mod session_events;
mod state;
mod status;
mod supervisor;
mod waiting;
mod why;

pub use audit::AuditLog;
pub use boot_history::boot_history_of;
pub use conditions::clock_condition;
pub use gateway::{BindMounts, LocalPaths};
pub use hints::HintTexts;
pub use last_state::LastKnown;
pub use ledger::{Ledger, Month, books_of};
pub use ownership::{Ownership, OwnershipError};
pub use ports;
pub use refusal::Refusal;
pub use rereading::{LiveSettings, Reading, Rereading};
pub use serve::{Daemon, DaemonError, FirstLookError, Options};
pub use service::{Service, ServiceError};
