//! Types of settings that no crate below owns.

use serde::{Deserialize, Serialize};

/// A section and a key.
pub type Key = (&'static str, &'static str);

/// Where a setting was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// In the file, for all profiles.
    File,
    /// In the file, for this profile.
    Profile,
    /// In the environment.
    Variable,
}

/// When a running daemon uses a changed value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applies {
    /// At once. A command reads the settings each time.
    Now,
    /// For the next machine.
    NextWake,
    /// Once the daemon has started again: what it owns, what it deletes and what it spends depends
    /// on it, or it listens there.
    Restart,
}

/// Where machines come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Servers of a Hetzner Cloud project, created and deleted as needed
    Hetzner,
    /// A host of your own, never created or deleted
    Ssh,
}

/// The address of a cloud's API.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Http or https.
    pub url: String,
    /// Where it was set.
    pub origin: Origin,
}
