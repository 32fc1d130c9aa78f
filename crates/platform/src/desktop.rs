//! Notices on the user's desktop, by the desktop's own service. What they are about is not known
//! here.

#[cfg(target_os = "linux")]
#[path = "desktop/linux.rs"]
mod system;
#[cfg(not(target_os = "linux"))]
#[path = "desktop/none.rs"]
mod system;

pub use system::Desktop;

/// A notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Its title: one line.
    pub summary: String,
    /// Its text.
    pub body: String,
}

/// A notice that is shown, by the number that the desktop gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown(u32);

/// Why a notice is not shown.
#[derive(Debug, thiserror::Error)]
pub enum DesktopError {
    /// There is no message bus, or no service for notices on it.
    #[cfg(target_os = "linux")]
    #[error("the desktop's service for notices cannot be reached")]
    Bus(#[from] zbus::Error),
    /// The service does not answer.
    #[error("the desktop's service for notices does not answer")]
    Silent,
    /// This system has none that dockbridge knows.
    #[error("no service for notices is known on this system")]
    Unknown,
}
