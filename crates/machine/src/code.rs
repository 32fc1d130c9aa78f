//! The stable code of each error, for programs and for the hints that the command line chooses.

use api::Code;
use tunnel::ConnectError;

use crate::error::{AfterCallOff, MachineError};
use crate::problem::Problem;

impl MachineError {
    /// The code of this error.
    pub fn code(&self) -> Code {
        match self {
            MachineError::Cloud { source, .. } => cloud_code(source),
            MachineError::Problem(problem) => problem_code(problem),
            MachineError::NotAllowed { .. } => Code::NotAllowed,
            MachineError::OutOfStock { .. } => Code::OutOfStock,
            MachineError::NeverUp { .. } => Code::ServerNeverUp,
            MachineError::Silent { .. } => Code::ServerSilent,
            MachineError::PortBlocked { .. } => Code::Port22Blocked,
            MachineError::WrongLogin { .. } => Code::WrongLogin,
            MachineError::Unanswered { .. } => Code::ServerUnanswered,
            MachineError::Overloaded { .. } => Code::ServerOverloaded,
            MachineError::CalledOff(AfterCallOff::NoServer | AfterCallOff::InUse(_)) => {
                Code::WakeCalledOff
            }
            MachineError::CalledOff(AfterCallOff::Deleted(_)) => Code::WakeCalledOffDeleted,
            MachineError::CalledOff(AfterCallOff::NotDeleted { .. }) => {
                Code::WakeCalledOffNotDeleted
            }
            MachineError::Connect { source, .. } => connect_code(source),
            MachineError::HostKey { .. } => Code::HostKeyChanged,
            MachineError::OtherComputer { .. } => Code::OtherComputer,
            MachineError::Docker { .. } => Code::DockerFailed,
            MachineError::Agent { .. } => Code::AgentFailed,
            MachineError::NotPoweredOff { .. } => Code::ServerNotOff,
            MachineError::NoVolume => Code::NoVolume,
            MachineError::Shrinks { .. } => Code::VolumeShrinks,
            MachineError::NotGrown { .. } => Code::VolumeNotGrown,
            MachineError::Bootstrap(_) => Code::MachineNotMade,
            MachineError::Key(_) => Code::KeyNotMade,
            MachineError::TimedOut { .. } => Code::WakeTimedOut,
        }
    }
}

/// The code of a call to the cloud that failed.
pub fn cloud_code(error: &hetzner::Error) -> Code {
    match error {
        error if error.is_unauthorized() => Code::TokenInvalid,
        error if error.is_read_only() => Code::TokenReadOnly,
        hetzner::Error::NotTheApi { .. } => Code::NotTheApi,
        error if error.is_clock_trouble() => Code::ClockWrong,
        hetzner::Error::Transport { .. } | hetzner::Error::Suspended { .. } => {
            Code::CloudUnreachable
        }
        _ => Code::CloudRefused,
    }
}

fn problem_code(problem: &Problem) -> Code {
    match problem {
        Problem::UnknownServerType { .. } => Code::ServerTypeUnknown,
        Problem::UnknownLocation { .. } => Code::LocationUnknown,
        Problem::UnknownImage { .. } => Code::ImageUnknown,
        Problem::NotSold { pinned: true, .. } => Code::ServerTypeNotAtVolume,
        Problem::NotSold { pinned: false, .. } => Code::ServerTypeNotSold,
        Problem::SeveralVolumes { .. } => Code::SeveralVolumes,
        Problem::VolumeInUse { .. } => Code::VolumeInUse,
    }
}

fn connect_code(error: &ConnectError) -> Code {
    match error {
        ConnectError::HostKeyRefused { .. } => Code::HostKeyRefused,
        ConnectError::LoginRefused { .. } => Code::LoginRefused,
        ConnectError::NoKeyAccepted { .. } => Code::NoKeyAccepted,
        ConnectError::TransportFailed { .. } => Code::JumpFailed,
        ConnectError::Unreachable { .. }
        | ConnectError::Identity { .. }
        | ConnectError::HostKeyKind { .. }
        | ConnectError::Protocol { .. }
        | ConnectError::TimedOut { .. } => Code::ConnectionFailed,
    }
}
