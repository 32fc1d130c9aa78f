//! The one vocabulary of the daemon, its control socket and every `--json`: status, why, machine,
//! ports, bills, the audit log, answers, errors and warnings. A stable interface: fields are added,
//! and never change their meaning. `docs/schema` has the schema of each document.
//!
//! These are values with serde. They know no cloud, no tunnel and no task; the crates that observe
//! something convert it into these types. The feature `client` adds a client of the control socket.

#![forbid(unsafe_code)]

#[macro_use]
mod words;
#[macro_use]
mod category;

mod audit;
mod check;
mod check_code;
#[cfg(feature = "client")]
pub mod client;
mod code;
mod code_texts;
mod condition;
mod control;
mod cost;
mod document;
mod error;
mod forward;
mod history;
mod machine;
#[cfg(feature = "client")]
mod machine_log;
mod meaning;
mod port;
mod protocol;
mod report;
mod request_id;
#[cfg(test)]
mod schema;
mod standing;
mod status;
mod warning;
mod warning_code;
mod why;

pub use audit::{AuditEntry, CallResult};
pub use category::{Category, Entry};
pub use check::{Check, CheckState, Repair};
pub use check_code::{CheckCode, CheckEntry};
pub use code::Code;
pub use condition::Condition;
pub use control::{
    Answer, CONTROL_SUFFIX, DestroyQuery, MachineLogQuery, PinQuery, SettingsReport, control_socket,
};
pub use cost::{Bill, EndCause, Purpose, ServerBill, VolumeBill};
pub use document::{
    AuditDocument, CostDocument, DoctorDocument, Failed, PortsDocument, SCHEMA, StatusDocument,
    WhyDocument,
};
pub use error::Error;
pub use forward::{ByHand, Local, NotAForward};
pub use history::{
    ActivityKind, ActivityStatus, CheckKind, CheckStatus, EndedActivity, LossEnd, LossStatus,
    Reconnects,
};
pub use machine::{Actor, Phase, ServerStatus, Summary, UsedImage, VolumeSummary};
#[cfg(feature = "client")]
pub use machine_log::MachineLog;
pub use meaning::{ErrorMeaning, ExplainDocument, WarningMeaning};
pub use port::{EndedConnection, PortState, PortStatus, Remote, Traffic};
pub use protocol::{Protocol, UnknownProtocol};
pub use report::{ContainerCounts, DiskUsage, DockerState, MachineReport};
pub use request_id::RequestId;
pub use standing::{Bills, Look, Owned, Standing, Stored};
pub use status::{
    BudgetStatus, CostStatus, EndStatus, LastKnownStatus, MachineState, PhaseStatus, PinStatus,
    Status, TunnelStatus,
};
pub use warning::Warning;
pub use warning_code::{Severity, WarningCode, WarningEntry};
pub use why::{Cancel, EndingCause, EndingStatus, ReasonKind, ReasonStatus, Why};
