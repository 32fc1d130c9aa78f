//! The one vocabulary of the daemon, its control socket and every `--json`: status, why, machine,
//! ports and answers. A stable interface: fields are added, and never change their meaning.
//!
//! These are values with serde. They know no cloud, no tunnel and no task; the crates that observe
//! something convert it into these types. The feature `client` adds a client of the control socket.

#![forbid(unsafe_code)]

#[macro_use]
mod words;

#[cfg(feature = "client")]
pub mod client;
mod code;
mod control;
mod error;
mod forward;
mod machine;
mod port;
mod protocol;
mod report;
mod request_id;
mod status;
mod why;

pub use code::{Category, Code, Entry};
pub use control::{Answer, CONTROL_SUFFIX, DestroyQuery, PinQuery, control_socket};
pub use error::{Error, Failed};
pub use forward::{ByHand, Local, NotAForward};
pub use machine::{Actor, Phase, ServerStatus, Summary, UsedImage, VolumeSummary};
pub use port::{EndedConnection, PortState, PortStatus, Remote, Traffic};
pub use protocol::{Protocol, UnknownProtocol};
pub use report::{ContainerCounts, DiskUsage, DockerState, MachineReport};
pub use request_id::RequestId;
pub use status::{
    BudgetStatus, CostStatus, EndStatus, LastKnownStatus, MachineState, PhaseStatus, PinStatus,
    Status, TunnelStatus,
};
pub use why::{Cancel, EndingCause, EndingStatus, ReasonKind, ReasonStatus, Why};
