//! The keyring of the user's session: secrets under attributes, which the session's other programs
//! can read as well while the keyring is unlocked. What a secret is for is not known here.
//!
//! Each call blocks for a few seconds at most. None asks the user: a dialog that no user sees would
//! never end.

#[cfg(not(target_os = "linux"))]
#[path = "keyring/none.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "keyring/secret_service.rs"]
mod system;

pub use system::Keyring;

/// What identifies a secret, by names and values that are not secret.
pub type Attributes<'a> = [(&'a str, &'a str)];

/// Why the keyring did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// There is no message bus, or no keyring on it.
    #[cfg(target_os = "linux")]
    #[error("no keyring answers in this session")]
    Absent(#[source] zbus::Error),
    /// This system has none that dockbridge knows.
    #[error("no keyring is known on this system")]
    Unknown,
    /// It has no collection in which secrets are stored by default.
    #[error("the keyring has no default collection")]
    NoCollection,
    /// It would have to ask the user to unlock it.
    #[error("the keyring is locked")]
    Locked,
    /// It did not answer in time.
    #[error("the keyring does not answer within {} s", .0.as_secs())]
    Silent(std::time::Duration),
    /// It refused, or its answer cannot be read.
    #[cfg(target_os = "linux")]
    #[error("the keyring refused a request")]
    Refused(#[source] zbus::Error),
    /// This process could not ask.
    #[error("the keyring cannot be asked")]
    Unasked(#[from] std::io::Error),
}

impl KeyringError {
    /// Whether there is nothing here that could hold a secret.
    pub fn is_absent(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            KeyringError::Absent(_) => true,
            KeyringError::Unknown | KeyringError::NoCollection => true,
            _ => false,
        }
    }
}
