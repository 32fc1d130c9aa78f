//! Kinds of activity.

use serde::Serialize;

/// Kinds of activity, which the policy treats differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request to the Docker API whose answer has not ended.
    Command,
    /// A build; it works also while it prints nothing.
    Build,
    /// Transfer of images and files: pull, push, load, save, cp.
    Transfer,
    /// An upgraded or endless stream: `run -it`, `exec`, `logs -f`.
    Stream,
    /// Endless statistics, such as `stats`: their bytes say that a user looks, not that anything
    /// works.
    Watch,
    /// A connection through a published port.
    Forward,
}

impl Kind {
    /// Keeps a machine while it goes on, silent or not.
    pub const fn is_work(self) -> bool {
        matches!(self, Kind::Command | Kind::Build | Kind::Transfer)
    }
}
