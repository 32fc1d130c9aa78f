//! The ways to a remote engine that are put side by side.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// A contestant.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// dockbridge's gateway, tunnel and agent
    Dockbridge,
    /// `DOCKER_HOST=ssh://`
    Ssh,
    /// `DOCKER_HOST=ssh://` with `ControlMaster`
    SshMaster,
    /// `ssh -L`, OpenSSH's first cipher
    Forward,
    /// `ssh -L` with aes128-gcm
    ForwardGcm,
    /// `ssh -C -L`
    ForwardZlib,
    /// TCP without any protection
    Tcp,
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl Way {
    /// All of them, in the order of the table.
    pub const ALL: [Way; 7] = [
        Way::Dockbridge,
        Way::Ssh,
        Way::SshMaster,
        Way::Forward,
        Way::ForwardGcm,
        Way::ForwardZlib,
        Way::Tcp,
    ];

    /// As the table calls it.
    pub fn title(self) -> &'static str {
        match self {
            Way::Dockbridge => "dockbridge",
            Way::Ssh => "ssh://",
            Way::SshMaster => "ssh:// + ControlMaster",
            Way::Forward => "ssh -L",
            Way::ForwardGcm => "ssh -L aes128-gcm",
            Way::ForwardZlib => "ssh -C -L",
            Way::Tcp => "raw TCP",
        }
    }

    /// Each connection is a process, and with it an SSH session.
    pub fn opens_by_login(self) -> bool {
        matches!(self, Way::Ssh | Way::SshMaster)
    }

    /// Ports of the machine answer on this computer.
    pub fn forwards(self) -> bool {
        matches!(self, Way::Dockbridge | Way::Forward | Way::ForwardGcm | Way::ForwardZlib)
    }

    /// Nobody on the path can read along: what dockbridge has to be compared with where bytes cost
    /// processor time.
    pub fn is_protected(self) -> bool {
        self != Way::Tcp
    }
}
